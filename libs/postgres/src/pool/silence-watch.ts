import { runInRootScope } from '@nestbox/core';
import type { PooledConnection } from './pooled-connection.js';
import { isThere } from './sign-of-life.js';
import type { Place } from './socket.js';

export interface SilenceOptions {
  /** How long a call may go without an answer until the server is asked whether it is there, in ms. */
  afterMs: number;
  /** How long the server has to answer that, in ms. */
  timeoutMs: number;
}

/** By how much a timer may be late on a machine that is busy. */
const HELD_UP_MS = 1_000;

/**
 * Ends connections to a server that has vanished without a word: its machine hangs, or the network is cut. The
 * system would wait for about a quarter of an hour, and no other server could take over until then. A server that is
 * there may take as long for a call as it likes.
 */
export class SilenceWatch {
  private timer: NodeJS.Timeout | undefined;
  private looking = false;

  constructor(
    private readonly connections: ReadonlySet<PooledConnection>,
    private readonly options: SilenceOptions,
  ) {}

  /** Call it when a connection is given to somebody. */
  start(): void {
    this.timer ??= setInterval(() => {
      if (!this.looking) void runInRootScope(() => this.look());
    }, this.options.afterMs / 2).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** Never rejects. */
  private async look(): Promise<void> {
    this.looking = true;
    const silent = [...this.connections].filter((connection) => connection.silentMs > this.options.afterMs);
    if (this.connections.size === 0) this.stop();
    const places = new Set(silent.map(({ place }) => place));
    await Promise.all(
      [...places].map(async (place) => {
        if (await this.isThere(place)) return;
        for (const connection of silent) {
          if (connection.place === place && connection.silentMs > this.options.afterMs) {
            connection.abandon();
          }
        }
      }),
    );
    this.looking = false;
  }

  private async isThere(place: Place): Promise<boolean> {
    const { timeoutMs } = this.options;
    const start = performance.now();
    if (await isThere(place, timeoutMs)) return true;
    // It connects and then waits for an answer, each for that long. What took longer was held up itself.
    return performance.now() - start > 2 * timeoutMs + HELD_UP_MS;
  }
}
