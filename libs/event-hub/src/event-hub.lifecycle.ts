import { backoffMs, messageOf, parseDuration } from '@nestbox/core';
import {
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventHubModuleOptions } from './event-hub.module.options.js';
import type { EventHubService } from './event-hub.service.js';

const PAUSE = { baseMs: 100, maxMs: 2000 };

/** Calls the application's hooks for an {@link EventHubService}, which itself knows nothing of Nest. */
export class EventHubLifecycle implements OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly logger = new Logger('EventHubModule');
  private readonly stopping = new AbortController();
  private readonly startMs: number | undefined;
  private readonly drainMs: number;

  constructor(
    private readonly hub: EventHubService,
    { startTimeout = '10s', drainTimeout = '10s' }: EventHubModuleOptions,
  ) {
    this.startMs = startTimeout === false ? undefined : parseDuration(startTimeout, 'startTimeout');
    this.drainMs = parseDuration(drainTimeout, 'drainTimeout');
  }

  async onModuleInit(): Promise<void> {
    const started = this.start(performance.now() + (this.startMs ?? Infinity));
    if (this.startMs !== undefined) return started;
    // The first failure was logged, and what comes after it only ends with the application.
    started.catch(() => undefined);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    if (await this.hub.drain(this.drainMs)) return;
    this.logger.warn(`Handlers still ran after ${this.drainMs} ms; the application goes down without them.`);
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    await this.hub.close();
  }

  private async start(deadline: number): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.hub.init();
        if (attempt > 1) this.logger.log('The event hub has started.');
        return;
      } catch (error) {
        const pause = backoffMs(attempt, PAUSE);
        if (this.stopping.signal.aborted || performance.now() + pause > deadline) {
          // Nest runs no shutdown hooks after a failed start.
          await this.hub.close();
          throw error;
        }
        if (attempt === 1) this.logger.warn(`The event hub cannot start yet: ${messageOf(error)}`);
        await sleep(pause, undefined, { signal: this.stopping.signal, ref: false }).catch(() => undefined);
      }
    }
  }
}
