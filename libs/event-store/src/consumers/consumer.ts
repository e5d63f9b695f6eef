import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  InvalidArgumentError,
  assertName,
  parseDuration,
  runInRootScope,
  type Duration,
} from '@nestbox/core';
import type { Codec } from '../codec/codec.js';
import type { EventStoreBackend } from '../event-store.backend.js';
import type { Event, Upcast } from '../event.types.js';
import type { Projection } from '../projections/projection.types.js';
import { initProjection } from '../projections/run-projection.js';
import type { EventDecoder } from '../streams/read-event.js';
import { checkPartition } from '../support/arguments.js';
import type { ConsumerOptions, ProjectorOptions, ReactorOptions, RebuildOptions } from './consumer.types.js';
import { ProjectorWork, ReactorWork, type EventWork } from './event-work.js';
import { LogHead } from './log-head.js';
import { Processor } from './processor.js';
import { ALL_PARTITIONS } from './processor.backend.js';
import { projectorSettings, reactorSettings, type ProcessorSettings } from './processor-options.js';
import type { RunnerSurroundings } from './shard-runner.js';

/** What a consumer needs of its store. */
export interface ConsumerHost {
  readonly backend: EventStoreBackend;
  readonly codec: Codec | undefined;
  readonly decoder: EventDecoder;
  ready(): Promise<void>;
  rebuild(projection: Projection | string, options?: RebuildOptions): Promise<{ events: number }>;
}

/** A projection, and who runs it. */
interface RunProjection {
  readonly projection: Projection;
  readonly processorId: string;
  readonly upcast: Upcast | undefined;
}

interface Run {
  readonly around: RunnerSurroundings;
  readonly stopping: AbortController;
  readonly aborting: AbortController;
  /** Resolves when all processors have ended. */
  readonly done: Promise<unknown>;
}

/**
 * Reads the log as it grows, and has projectors and reactors handle the events.
 *
 * Any number of instances may run the same processors: one handles the events, the others stand by. A consumer may be
 * started again after it was stopped.
 */
export class Consumer {
  readonly partition: string;
  private readonly pollMs: number;
  private readonly stopsAtEnd: boolean;
  private readonly processors: Processor[] = [];
  private readonly projections: RunProjection[] = [];
  private starting: Promise<void> | undefined;
  private ending: Promise<void> | undefined;
  private running: Run | undefined;

  /** @internal Made by `EventStore`. */
  constructor(
    private readonly host: ConsumerHost,
    { partition, pollMs = 1_000, stopWhen = {} }: ConsumerOptions,
  ) {
    this.partition = partition === ALL_PARTITIONS ? ALL_PARTITIONS : checkPartition(partition);
    if (typeof pollMs !== 'number' || !(pollMs > 0)) {
      throw new InvalidArgumentError('pollMs', `${String(pollMs)} must be a number of ms above 0.`);
    }
    this.pollMs = pollMs;
    this.stopsAtEnd = stopWhen.noMessagesLeft ?? false;
  }

  /** Whether it was started, and was not stopped. */
  get isRunning(): boolean {
    return this.starting !== undefined;
  }

  /**
   * Adds a projection, whose effects are in one transaction with its checkpoint.
   *
   * @throws InvalidArgumentError; also for a processor that the consumer has already, and once it is started
   */
  projector<E extends Event>(options: ProjectorOptions<E>): Processor {
    const given: ProjectorOptions = options;
    const { backend, codec, decoder } = this.host;
    const settings = projectorSettings(given);
    const processor = this.add(settings, new ProjectorWork(backend, codec, decoder, given));
    const { projection, upcast } = given;
    this.projections.push({ projection, processorId: settings.processorId, upcast });
    return processor;
  }

  /**
   * Adds a handler for side effects, which gets each event at least once.
   *
   * @throws InvalidArgumentError; also for a processor that the consumer has already, and once it is started
   */
  reactor<E extends Event>(options: ReactorOptions<E>): Processor {
    const given: ReactorOptions = options;
    return this.add(reactorSettings(given), new ReactorWork(this.host.decoder, given));
  }

  /**
   * Begins to handle events, and resolves when that is under way; with `stopWhen`, when it is over.
   *
   * @throws PartitionNotFoundError; ProjectionFailedError when a projection cannot create what it needs; the backend's
   *   errors; with `stopWhen`, ProcessorFailedError
   */
  async start(): Promise<void> {
    // Else it would join a run that is about to end.
    if (this.ending !== undefined) await this.ending;
    this.starting ??= runInRootScope(() => this.begin());
    try {
      await this.starting;
    } catch (error) {
      this.starting = undefined;
      throw error;
    }
    if (!this.stopsAtEnd) return;
    try {
      // A paused processor would keep it from ever coming to its end.
      await this.caughtUpAll({ skipPaused: true });
    } finally {
      await this.stop();
    }
  }

  /**
   * Waits for the handlers that run, saves how far they came, and lets other instances go on. May be called twice, and
   * without `start`.
   *
   * @param options.timeout how long to wait for handlers; then their signal aborts and nobody waits. Default: for ever
   */
  async stop({ timeout }: { timeout?: Duration } = {}): Promise<void> {
    const ms = timeout === undefined ? undefined : parseDuration(timeout, 'timeout');
    const ending = this.end(ms);
    this.ending = ending;
    await ending;
    if (this.ending === ending) this.ending = undefined;
  }

  /**
   * Waits until all processors have handled what was committed before the call.
   *
   * @throws ProcessorFailedError; ClosedError when the consumer stops; the reason of `signal`
   */
  whenCaughtUp({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return this.caughtUpAll({ signal });
  }

  private async caughtUpAll(options: {
    signal?: AbortSignal | undefined;
    skipPaused?: boolean;
  }): Promise<void> {
    await this.assertStarted();
    const { around } = this.running!;
    await Promise.all(this.processors.map((processor) => processor.reached(around, options)));
  }

  /** Builds a projection anew; see `EventStore.rebuild`. The consumer may be running, or not. */
  rebuild(projection: Projection | string, options: RebuildOptions = {}): Promise<{ events: number }> {
    return this.host.rebuild(projection, options);
  }

  /** @internal */
  projectionNamed(name: string): RunProjection | undefined {
    return this.projections.find(({ projection }) => projection.name === name);
  }

  private async assertStarted(): Promise<void> {
    if (this.starting === undefined) {
      throw new InvalidArgumentError('consumer', 'is not running; call start() first.');
    }
    await this.starting;
  }

  private add(settings: ProcessorSettings, work: EventWork): Processor {
    const { processorId } = settings;
    assertName(processorId, 'processorId');
    if (this.starting !== undefined) {
      throw new InvalidArgumentError(
        'processorId',
        `"${processorId}" comes too late: the consumer is running. Add it before start().`,
      );
    }
    if (this.processors.some((processor) => processor.processorId === processorId)) {
      throw new InvalidArgumentError(
        'processorId',
        `"${processorId}" is there twice. Give each processor its own.`,
      );
    }
    const processor: Processor = new Processor(settings, work, this.partition, (signal) =>
      this.caughtUp(processor, signal),
    );
    this.processors.push(processor);
    return processor;
  }

  private async caughtUp(processor: Processor, signal: AbortSignal | undefined): Promise<void> {
    await this.assertStarted();
    await processor.reached(this.running!.around, { signal });
  }

  private async begin(): Promise<void> {
    const { backend, codec } = this.host;
    await this.host.ready();
    for (const { projection } of this.projections) await initProjection(backend, codec, projection);
    const [stopping, aborting] = [new AbortController(), new AbortController()];
    setMaxListeners(0, stopping.signal, aborting.signal);
    const around: RunnerSurroundings = {
      backend,
      head: new LogHead(backend),
      stopping: stopping.signal,
      aborting: aborting.signal,
    };
    for (const processor of this.processors) await processor.register(around);
    const wakeup = backend.onWakeup(() => {
      for (const processor of this.processors) processor.wake();
    }, this.pollMs);
    const running = this.processors.map((processor) => processor.run(around));
    const done = Promise.all(running).finally(() => wakeup[Symbol.dispose]());
    this.running = { around, stopping, aborting, done };
  }

  private async end(ms: number | undefined): Promise<void> {
    this.running?.stopping.abort();
    await this.starting?.catch(() => undefined);
    const { running } = this;
    if (running === undefined) return;
    running.stopping.abort();
    if (ms !== undefined) await this.abortAfter(running, ms);
    else await running.done;
    if (this.running === running) {
      this.running = undefined;
      this.starting = undefined;
    }
  }

  private async abortAfter({ done, aborting }: Run, ms: number): Promise<void> {
    const timer = new AbortController();
    const late = sleep(ms, true, { signal: timer.signal }).catch(() => false);
    const isLate = await Promise.race([done.then(() => false), late]);
    timer.abort();
    if (isLate) aborting.abort();
  }
}
