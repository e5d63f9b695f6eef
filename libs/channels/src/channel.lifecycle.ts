import { messageOf, parseDuration } from '@nestbox/core';
import { startWithin } from '@nestbox/nest';
import {
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import type { ChannelModuleOptions } from './channel.options.js';
import type { ChannelService } from './channel.service.js';

/** Calls the application's hooks for a {@link ChannelService}, which itself knows nothing of Nest. */
export class ChannelLifecycle
  implements OnModuleInit, OnModuleDestroy, BeforeApplicationShutdown, OnApplicationShutdown
{
  private readonly logger = new Logger('ChannelModule');
  private readonly stopping = new AbortController();
  private readonly startMs: number | undefined;

  constructor(
    private readonly channels: ChannelService,
    { startTimeout = '10s' }: ChannelModuleOptions,
    private readonly release: () => Promise<void>,
  ) {
    this.startMs = startTimeout === false ? undefined : parseDuration(startTimeout, 'startTimeout');
  }

  async onModuleInit(): Promise<void> {
    const started = this.start();
    if (this.startMs !== undefined) return started;
    // The first failure was logged, and what comes after it only ends with the application.
    started.catch(() => undefined);
  }

  onModuleDestroy(): void {
    this.stopping.abort();
    this.channels.stopOpening();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.channels.drain();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    try {
      await this.channels.close();
    } finally {
      await this.release();
    }
  }

  private async start(): Promise<void> {
    try {
      const attempts = await startWithin(() => this.channels.init(), {
        timeoutMs: this.startMs ?? Infinity,
        signal: this.stopping.signal,
        onFirstFailure: (error) => this.logger.warn(`Channels cannot start yet: ${messageOf(error)}`),
      });
      if (attempts > 1) this.logger.log('Channels have started.');
    } catch (error) {
      // Nest runs no shutdown hooks after a failed start.
      await this.channels.close();
      throw error;
    }
  }
}
