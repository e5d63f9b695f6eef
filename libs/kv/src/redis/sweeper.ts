import { runInRootScope } from '@nestbox/core';
import type { RedisScript } from '@nestbox/redis';
import { FailureLog } from './failure-log.js';
import type { KeySpace } from './key-space.js';
import type { RedisLink } from './redis-link.js';
import type { RedisAdapterSettings } from './redis-options.js';

/** Keys that one run of the script handles, so that it does not hold up everybody else. */
const SWEEP_KEYS = 250;

export interface SweepScripts {
  due: RedisScript;
  sweep: RedisScript;
}

/**
 * Sweeps every shard once in an interval, in turn with all other processes: who sets a key that lasts for the
 * interval sweeps. The scripts do no harm when two should sweep at once.
 */
export class Sweeper {
  private readonly failures = new FailureLog('Sweeping expired entries from Redis');
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;
  private closed = false;

  /** @param onExpired called when expired entries have been reported */
  constructor(
    private readonly space: KeySpace,
    private readonly settings: RedisAdapterSettings,
    private readonly link: RedisLink,
    private readonly scripts: SweepScripts,
    private readonly onExpired: () => void,
  ) {}

  start(): void {
    runInRootScope(() => this.schedule());
  }

  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    await this.sweeping;
  }

  private schedule(): void {
    if (this.closed) return;
    // Jitter keeps processes that were started together from asking all at once.
    const delay = this.settings.sweepMs * (0.9 + Math.random() * 0.2);
    this.timer = setTimeout(() => {
      this.sweeping = this.takeTurn().finally(() => {
        this.sweeping = undefined;
        this.schedule();
      });
    }, delay);
    this.timer.unref();
  }

  private async takeTurn(): Promise<void> {
    try {
      const turn = ['1', 'PX', Math.max(1, Math.floor(this.settings.sweepMs * 0.8)), 'NX'];
      const mine = await this.link.command('SET', [this.space.sweeper, ...turn]);
      if (mine === null) return;
      // One shard's master may be gone while the others are not.
      const shards = Array.from({ length: this.space.shardCount }, (_, shard) => this.sweep(shard));
      const failed = (await Promise.allSettled(shards)).find((sweep) => sweep.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
      this.failures.succeeded();
    } catch (error) {
      // The next turn sweeps what is due then.
      this.failures.failed(error);
    }
  }

  private async sweep(shard: number): Promise<void> {
    const { meta, changes, due, marks, index } = this.space.shard(shard);
    const { maxChanges, forgetMs, maxChangeBytes } = this.settings;
    let keys: string[];
    do {
      keys = (await this.scripts.due.run([due], [SWEEP_KEYS])) as string[];
      const expired = await this.scripts.sweep.run(
        [meta, changes, due, marks, index, ...keys.map((key) => this.space.entry(key))],
        [maxChanges, maxChangeBytes, forgetMs, ...keys],
      );
      if (Number(expired) > 0) this.onExpired();
    } while (keys.length === SWEEP_KEYS && !this.closed);
  }
}
