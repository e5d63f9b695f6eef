import { backoffMs, KeyedMutex, messageOf, runInRootScope } from '@nestbox/core';
import type { Logger } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChannelStore } from '../channel.store.js';
import type { Listeners } from './listeners.js';
import type { LocalChannel } from './local-channel.js';
import type { NodeBus } from './node-bus.js';

const BATCH = 1000;
const RETRY = { baseMs: 50, maxMs: 5000 } as const;

export interface TakeoversOptions {
  store: Pick<ChannelStore, 'locate'>;
  nodeId: string;
  /** Channels of this instance. */
  local: Map<string, LocalChannel>;
  bus: Pick<NodeBus, 'post'>;
  /** Called when an older connection of this instance was ended. */
  closedListeners: Listeners<[channelId: string, isReplaced: boolean]>;
  logger: Logger;
}

/**
 * Sees to it that of all connections with one id only the newest stays, on whichever instances they are. That is the
 * one that was added last, so its instance owns the channel in the store; whoever finds that it does not own what it
 * holds ends it. What one instance tells another is only a hint to look, and may come late, twice, or when the older
 * connection is the newest again.
 */
export class Takeovers {
  /** What is opened or ended under one id happens one after the other. */
  private readonly turns = new KeyedMutex();
  /** Whom nobody could tell yet, by the channel. */
  private readonly untold = new Map<string, string>();
  private telling: Promise<void> | undefined;
  private readonly closing = new AbortController();

  constructor(private readonly options: TakeoversOptions) {}

  inTurn<T>(channelId: string, fn: () => Promise<T>): Promise<T> {
    return this.turns.run(channelId, fn);
  }

  /** Ends the older connection of this instance, if there is one; the channel stays in the store. Call it in turn. */
  end(channelId: string): void {
    const { local, closedListeners } = this.options;
    const channel = local.get(channelId);
    if (channel === undefined) return;
    // Taken out before it ends, so that it is not removed from the store.
    local.delete(channelId);
    channel.close(4000, 'replaced');
    void closedListeners.call(channelId, true);
  }

  /** Tells who has held a channel until now; when that fails, again and again. Never rejects. */
  async tell(nodeId: string, channelId: string): Promise<void> {
    try {
      await this.post(nodeId, channelId);
    } catch (error) {
      this.options.logger.warn(
        `The older connection of channel "${channelId}" is ended later: ${messageOf(error)}`,
      );
      this.untold.set(channelId, nodeId);
      this.telling ??= runInRootScope(() => this.tellLater());
    }
  }

  /** Ends the connection that this instance holds, unless it still owns the channel. Never rejects. */
  async check(channelId: string): Promise<void> {
    const { local, store, nodeId } = this.options;
    await this.untilDone(`Whose channel "${channelId}" is could not be asked`, () =>
      this.turns.run(channelId, async () => {
        if (!local.has(channelId)) return;
        const owner = (await store.locate([channelId])).get(channelId);
        if (owner !== nodeId) this.end(channelId);
      }),
    );
  }

  /**
   * Checks all that others own, since this instance may have missed what they told. What nobody owns any more is for the
   * lease to find out: the store may have lost everything. Never rejects.
   */
  async checkAll(): Promise<void> {
    const { local, store, nodeId } = this.options;
    const ids = [...local.keys()];
    for (let i = 0; i < ids.length; i += BATCH) {
      const some = ids.slice(i, i + BATCH);
      await this.untilDone('Whose channels these are could not be asked', async () => {
        const owners = await store.locate(some);
        for (const id of some) {
          const owner = owners.get(id) ?? nodeId;
          if (owner !== nodeId) await this.check(id);
        }
      });
    }
  }

  close(): void {
    this.closing.abort();
  }

  private async tellLater(): Promise<void> {
    for (let attempt = 1; this.untold.size > 0; attempt++) {
      if (!(await this.pause(attempt))) break;
      for (const [channelId, nodeId] of this.untold) {
        try {
          await this.post(nodeId, channelId);
          if (this.untold.get(channelId) === nodeId) this.untold.delete(channelId);
        } catch {
          break;
        }
      }
    }
    this.telling = undefined;
  }

  private post(nodeId: string, channelId: string): Promise<void> {
    return this.options.bus.post(nodeId, { do: 'replace', ids: [channelId] });
  }

  private async untilDone(problem: string, fn: () => Promise<void>): Promise<void> {
    for (let attempt = 1; !this.closing.signal.aborted; attempt++) {
      try {
        await fn();
        return;
      } catch (error) {
        if (attempt === 1) this.options.logger.warn(`${problem}: ${messageOf(error)}`);
        if (!(await this.pause(attempt))) return;
      }
    }
  }

  /** @returns false when nothing is to be tried again, since it is closed */
  private async pause(attempt: number): Promise<boolean> {
    const { signal } = this.closing;
    await sleep(backoffMs(attempt, RETRY), undefined, { ref: false, signal }).catch(() => undefined);
    return !signal.aborted;
  }
}
