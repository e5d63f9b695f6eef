import { messageOf, parseDuration } from '@nestbox/core';
import { startWithin } from '@nestbox/nest';
import {
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import type { EventHubModuleOptions } from './event-hub.module.options.js';
import type { EventHubService } from './event-hub.service.js';

/** Calls the application's hooks for an {@link EventHubService}, which itself knows nothing of Nest. */
export class EventHubLifecycle implements OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly logger = new Logger('EventHubModule');
  private readonly stopping = new AbortController();
  private readonly startMs: number | undefined;
  private readonly drainMs: number;

  constructor(
    private readonly hub: EventHubService,
    { startTimeout = '10s', drainTimeout = '10s' }: EventHubModuleOptions,
    private readonly release: () => Promise<void>,
  ) {
    this.startMs = startTimeout === false ? undefined : parseDuration(startTimeout, 'startTimeout');
    this.drainMs = parseDuration(drainTimeout, 'drainTimeout');
  }

  async onModuleInit(): Promise<void> {
    const started = this.start();
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
    try {
      await this.hub.close();
    } finally {
      await this.release();
    }
  }

  private async start(): Promise<void> {
    try {
      const attempts = await startWithin(() => this.hub.init(), {
        timeoutMs: this.startMs ?? Infinity,
        signal: this.stopping.signal,
        onFirstFailure: (error) => this.logger.warn(`The event hub cannot start yet: ${messageOf(error)}`),
      });
      if (attempts > 1) this.logger.log('The event hub has started.');
    } catch (error) {
      // Nest runs no shutdown hooks after a failed start.
      await this.hub.close();
      throw error;
    }
  }
}
