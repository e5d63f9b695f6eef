import { backoffMs, messageOf, runInRootScope } from '@nestbox/core';
import type { Logger } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChannelStore } from '../channel.store.js';

const BATCH = 1000;
/** After so many failures in a row the rest is left to the end of the lease. */
const MAX_ATTEMPTS = 10;

/** Removes ended channels from the store, many at once, off the path of those who end them. */
export class Removals {
  private readonly pending = new Set<string>();
  private flight: Set<string> | undefined;
  private running: Promise<void> | undefined;

  constructor(
    private readonly store: ChannelStore,
    private readonly nodeId: string,
    private readonly logger: Logger,
  ) {}

  add(channelId: string): void {
    this.pending.add(channelId);
    this.running ??= runInRootScope(() => this.run());
  }

  /** Resolves when a channel that comes back cannot be removed any more by what ended before. */
  async settled(channelId: string): Promise<void> {
    this.pending.delete(channelId);
    while (this.flight?.has(channelId) === true) await this.running;
  }

  /** Resolves when all that was added is removed, or given up. */
  async flush(): Promise<void> {
    await this.running;
  }

  /** Never rejects. */
  private async run(): Promise<void> {
    // What ends in the same turn goes together.
    await new Promise(setImmediate);
    for (let attempt = 1; this.pending.size > 0;) {
      const ids = [...this.pending].slice(0, BATCH);
      for (const id of ids) this.pending.delete(id);
      this.flight = new Set(ids);
      try {
        // Those that have come back at another instance meanwhile are not ours any more.
        await this.store.removeChannels(ids, { nodeId: this.nodeId });
        attempt = 1;
      } catch (error) {
        if (attempt === 1) this.logger.warn(`Channels could not be removed yet: ${messageOf(error)}`);
        if (attempt++ >= MAX_ATTEMPTS) {
          this.logger.error(`${ids.length} channels were not removed; they go with the lease.`);
        } else {
          for (const id of ids) this.pending.add(id);
          await sleep(backoffMs(attempt, { baseMs: 50, maxMs: 1000 }), undefined, { ref: false });
        }
      } finally {
        this.flight = undefined;
      }
    }
    this.running = undefined;
  }
}
