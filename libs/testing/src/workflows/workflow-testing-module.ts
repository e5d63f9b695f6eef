import { InvalidArgumentError, assertName, parseDuration, type Duration } from '@nestbox/core';
import type {
  InputOf,
  OutputOf,
  StartOptions,
  WorkflowClass,
  WorkflowHandle,
  WorkflowService,
} from '@nestbox/workflows';
import type { Abstract, INestApplicationContext, ModuleMetadata, Type } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import type { TestingModule } from '@nestjs/testing';
import { exportHistory, type RunHistory } from './history.js';
import { replayHistory, type ReplayOutcome } from './replay.js';
import { ROOT } from './root.js';
import { settle } from './settle.js';
import type { TestedService } from './tested-service.js';
import { WorkflowTestingModuleBuilder } from './workflow-testing-module.builder.js';
import type { WorkflowTestingOptions } from './workflow-testing.options.js';

/** What a wait may be longer than asked for, since it is counted in whole ms. */
const ROUNDING_MS = 1;

/**
 * An application under test, whose workflows run in memory or on PostgreSQL with a clock that the test puts forward, and
 * a worker that crashes where the test says.
 */
export class WorkflowTestingModule<App extends INestApplicationContext = TestingModule> {
  private closing: Promise<void> | undefined;

  /** @internal Made by the builder. */
  constructor(
    /** The application, which has started. */
    readonly app: App,
    private readonly service: TestedService,
    private readonly settleMs: number,
  ) {}

  /**
   * @param metadata of a module, as for `Test.createTestingModule`: the application's own, or only what is tested. It
   *   need not have a WorkflowModule; one that it has gets the service of the test
   * @param options where and how the runs are kept
   */
  static create(
    metadata: ModuleMetadata,
    options: WorkflowTestingOptions = {},
  ): WorkflowTestingModuleBuilder {
    return new WorkflowTestingModuleBuilder(
      metadata,
      options,
      (app, service, settleMs) => new WorkflowTestingModule(app, service, settleMs),
    );
  }

  /** The service that the application injects. */
  get workflows(): WorkflowService {
    return this.service;
  }

  /** How often a worker has crashed. */
  get crashes(): number {
    return this.service.crashes;
  }

  /** A provider, of any module. */
  get<T>(token: Type<T> | Abstract<T> | string | symbol): T {
    return this.app.get<T>(token, { strict: false });
  }

  /** @see WorkflowService.start */
  start<W extends WorkflowClass>(
    workflow: W,
    input: InputOf<W>,
    options: StartOptions = {},
  ): Promise<WorkflowHandle<OutputOf<W>>> {
    return this.service.start(workflow, input, options);
  }

  /** @see WorkflowService.signal */
  signal(runId: string, name: string, payload?: unknown, options: { dedupe?: string } = {}): Promise<void> {
    return this.service.signal(runId, name, payload, options);
  }

  /**
   * Resolves when no run can go on without time, a signal or something else from outside.
   *
   * @throws WorkflowTestError when runs are still at it after `settleTimeout`
   */
  async settled(): Promise<void> {
    await settle(this.service, this.settleMs);
  }

  /**
   * Lets so much time go by at once. Whatever becomes due meanwhile runs in its turn, at its time: sleeps, timeouts of
   * signals, retries, deadlines, delays, schedules and rates. Only waits of a second or less between two tries of a step
   * are real, and the timeouts of steps.
   *
   * @param options.wait whether runs go on first until they wait, and again afterwards, each time that something is due.
   *   Without it, which is for runs that hang in a step, the time is gone in one go, and nothing is waited for. Default:
   *   true
   * @throws InvalidArgumentError; WorkflowTestError when runs are still at it after `settleTimeout`
   */
  async skipTime(duration: Duration, { wait = true }: { wait?: boolean } = {}): Promise<void> {
    let leftMs = parseDuration(duration, 'duration');
    if (!wait) return this.skip(leftMs);
    let nextInMs = await settle(this.service, this.settleMs);
    while (leftMs > 0) {
      const isDue = nextInMs <= leftMs + ROUNDING_MS;
      const ms = isDue ? Math.max(nextInMs, ROUNDING_MS) : leftMs;
      await this.skip(ms);
      // Rounding must not add up over many waits, so that the last one would not be over.
      leftMs -= isDue ? Math.max(ms - ROUNDING_MS, ms / 2) : ms;
      nextInMs = await settle(this.service, this.settleMs);
    }
  }

  /**
   * Has the worker crash as soon as this step is written, as if its process had died; another one takes its runs over.
   * So the test sees that what comes after the step is found by a replay, and that the step is not done again.
   *
   * @param stepName its whole name, such as `charge`, `charge#2`, `parcels/a/ship` or `undo:charge`. Sleeps are not
   *   written when they are over
   * @param options.times how often, also in other runs. Default: 1
   * @throws InvalidArgumentError
   */
  crashAfterStep(stepName: string, { times = 1 }: { times?: number } = {}): void {
    assertName(stepName, 'stepName');
    if (!(Number.isSafeInteger(times) && times > 0)) {
      throw new InvalidArgumentError('options.times', `${times} must be a whole number of at least 1.`);
    }
    this.service.plan.add(stepName, times);
  }

  /** Has the worker crash now, in the middle of whatever it does. Steps that it is at are done again. */
  async crash(): Promise<void> {
    await this.service.replaced();
    this.service.crash();
    await this.service.replaced();
  }

  /** What a run has done so far, to be stored as JSON and replayed with code to come. @throws RunNotFoundError */
  history(runId: string): Promise<RunHistory> {
    return exportHistory(this.service, runId);
  }

  /**
   * Runs the code of a workflow against a history, and does nothing that a step would do.
   *
   * @param workflow a class with `@Workflow`, which the application need not provide; then it gets what the root module
   *   has for its constructor. For one that needs more, there is `replayHistory`, which takes an instance
   * @throws InvalidArgumentError for a history of another workflow; WorkflowTestError when the code does not end
   * @see replayHistory
   */
  async replay(workflow: WorkflowClass, history: RunHistory): Promise<ReplayOutcome> {
    const instance = this.service.instanceOf(workflow) ?? (await this.get<ModuleRef>(ROOT).create(workflow));
    return replayHistory(instance, history, { timeoutMs: this.settleMs });
  }

  /** Ends the application and its runs. May be called twice. */
  async close(): Promise<void> {
    this.closing ??= this.app.close();
    await this.closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private async skip(ms: number): Promise<void> {
    await this.service.store.skip(ms);
    this.service.checkTime();
  }
}
