import { messageOf, parseDuration } from '@nestbox/core';
import { startWithin } from '@nestbox/nest';
import {
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import type { EventStore } from './event-store.js';
import type { EventStoreModuleOptions, ModuleConsumerOptions } from './event-store.module.options.js';
import type { HandlerExplorer } from './handler.explorer.js';

type Consumer = ReturnType<EventStore['consumer']>;

/** Calls the application's hooks for an {@link EventStore} and its consumer, which know nothing of Nest. */
export class EventStoreLifecycle
  implements
    OnModuleInit,
    OnApplicationBootstrap,
    OnModuleDestroy,
    BeforeApplicationShutdown,
    OnApplicationShutdown
{
  private readonly logger = new Logger('EventStoreModule');
  private readonly stopping = new AbortController();
  private readonly startMs: number | undefined;
  private readonly drainMs: number;
  private readonly consumers: ModuleConsumerOptions | undefined;
  private started: Promise<void> = Promise.resolve();
  private consumer: Consumer | undefined;
  private stopped: Promise<void> | undefined;

  constructor(
    private readonly store: EventStore,
    private readonly explorer: HandlerExplorer,
    private readonly options: EventStoreModuleOptions,
    private readonly release: () => Promise<void>,
  ) {
    const { startTimeout = '10s', drainTimeout = '10s', consumers = true } = options;
    this.startMs = startTimeout === false ? undefined : parseDuration(startTimeout, 'startTimeout');
    this.drainMs = parseDuration(drainTimeout, 'drainTimeout');
    this.consumers = consumers === true ? {} : consumers === false ? undefined : consumers;
  }

  /** All providers have been made by now, and none of them has appended yet. */
  async onModuleInit(): Promise<void> {
    try {
      this.register();
    } catch (error) {
      await this.store.close();
      throw error;
    }
    await this.inTime(() => this.store.init());
  }

  async onApplicationBootstrap(): Promise<void> {
    const { consumer } = this;
    if (consumer !== undefined) await this.inTime(() => consumer.start());
  }

  onModuleDestroy(): void {
    // Those of other modules need not wait for handlers that run; the next hook does.
    void this.stop();
  }

  async beforeApplicationShutdown(): Promise<void> {
    if (await endsWithin(this.stop(), this.drainMs)) return;
    this.logger.warn(`Handlers still ran after ${this.drainMs} ms; the application goes down without them.`);
    // Their signal aborts, and nobody waits for them any more.
    await this.consumer?.stop({ timeout: 1 });
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    try {
      await this.store.close();
    } finally {
      await this.release();
    }
  }

  private register(): void {
    const { projections, projectors, reactors } = this.explorer.explore(this.options.projections);
    this.store.registerProjections(projections);
    if (this.consumers === undefined || projectors.length + reactors.length === 0) return;
    const { partition = '*', pollMs } = this.consumers;
    this.consumer = this.store.consumer({ partition, pollMs });
    for (const projector of projectors) this.consumer.projector(projector);
    for (const reactor of reactors) this.consumer.reactor(reactor);
  }

  /** Does it behind what was started before; without a time limit the application goes on meanwhile. */
  private async inTime(start: () => Promise<void>): Promise<void> {
    this.started = this.started.then(() => this.start(start));
    if (this.startMs !== undefined) return this.started;
    // The first failure was logged, and what comes after it only ends with the application.
    this.started.catch(() => undefined);
  }

  private async start(start: () => Promise<void>): Promise<void> {
    if (this.stopping.signal.aborted) return;
    try {
      const attempts = await startWithin(start, {
        timeoutMs: this.startMs ?? Infinity,
        signal: this.stopping.signal,
        onFirstFailure: (error) => this.logger.warn(`The event store cannot start yet: ${messageOf(error)}`),
      });
      if (attempts > 1) this.logger.log('The event store has started.');
    } catch (error) {
      if (!this.stopping.signal.aborted) {
        // Nest runs no shutdown hooks after a failed start.
        await this.stop();
        await this.store.close();
      }
      throw error;
    }
  }

  private stop(): Promise<void> {
    this.stopping.abort();
    this.stopped ??= this.stopConsumer();
    return this.stopped;
  }

  private async stopConsumer(): Promise<void> {
    try {
      await this.consumer?.stop();
    } catch (error) {
      this.logger.warn(`The consumer did not stop cleanly: ${messageOf(error)}`);
    }
  }
}

async function endsWithin(work: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([work.then(() => true), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
