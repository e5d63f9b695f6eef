import { runInRootScope } from '@nestbox/core';
import { WorkflowService, type WorkflowServiceOptions, type WorkflowSettings } from '@nestbox/workflows';
import { CrashPlan } from './crash-plan.js';
import type { TestStore } from './test-store.js';
import { WatchedBackend } from './watched-backend.js';

/**
 * The service of an application under test. It runs nothing itself: its workers are services of their own on the same
 * backend, so that one may crash and another take over while the application keeps the service that it has.
 */
export class TestedService extends WorkflowService {
  readonly plan = new CrashPlan();
  /** How often a worker has crashed. */
  crashes = 0;
  private readonly instances = new Set<object>();
  private current: WorkflowService | undefined;
  private replacing: Promise<void> = Promise.resolve();
  private isStopped = false;

  constructor(
    readonly store: TestStore,
    private readonly given: WorkflowSettings,
    readonly watched = new WatchedBackend(store),
  ) {
    super(watched.backend, { ...given, clock: clockOf(store) });
  }

  /** The application may have the module twice: its own, and that of the test. */
  override register(instance: object): void {
    if (this.instances.has(instance)) return;
    super.register(instance);
    this.instances.add(instance);
  }

  override async startWorker(): Promise<void> {
    await this.init();
    if (this.current === undefined && !this.isStopped) await this.startAnother();
  }

  override async stopWorker(): Promise<void> {
    this.isStopped = true;
    await this.replacing;
    await this.current?.stopWorker();
  }

  override get activeRuns(): number {
    return this.current?.activeRuns ?? 0;
  }

  override get workerState(): WorkflowService['workerState'] {
    return this.current?.workerState ?? super.workerState;
  }

  override get workerId(): string | undefined {
    return this.current?.workerId;
  }

  override get lingering(): WorkflowService['lingering'] {
    return this.current?.lingering ?? super.lingering;
  }

  override checkTime(): void {
    this.current?.checkTime();
  }

  /** The worker is gone as if its process had died, and another one takes over. */
  override crash(): string | undefined {
    const { current } = this;
    if (current === undefined || this.isStopped) return undefined;
    this.current = undefined;
    this.crashes++;
    const worker = current.crash();
    this.replacing = runInRootScope(() => this.replace(worker));
    // Whoever waits for it hears of a failure.
    this.replacing.catch(() => undefined);
    return worker;
  }

  /** Resolves when there is a worker. */
  async replaced(): Promise<void> {
    await this.replacing;
  }

  /** The instance of a workflow class that is run here. */
  instanceOf(type: unknown): object | undefined {
    return [...this.instances].find((instance) => instance.constructor === type);
  }

  private async replace(crashed: string | undefined): Promise<void> {
    if (crashed !== undefined) await this.store.expire(crashed);
    if (!this.isStopped) await this.startAnother();
  }

  private async startAnother(): Promise<void> {
    const worker: WorkflowService = new WorkflowService(this.backend, {
      ...this.given,
      workflows: [...this.instances],
      clock: clockOf(this.store),
      parksAtOnce: true,
      onWritten: (_, stepName) => {
        if (this.current === worker && this.plan.take(stepName)) this.crash();
      },
    });
    this.current = worker;
    await worker.startWorker();
  }
}

function clockOf(store: TestStore): NonNullable<WorkflowServiceOptions['clock']> {
  return { now: () => performance.now() + store.skippedMs, wallTime: () => store.wallTime() };
}
