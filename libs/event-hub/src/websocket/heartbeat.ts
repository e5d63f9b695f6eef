import type { WsConnection } from './ws-connection.js';

/** Finds out which clients are gone without a word: they do not answer a ping. */
export class Heartbeat {
  private pinging: NodeJS.Timeout | undefined;
  private checking: NodeJS.Timeout | undefined;

  /** @param timeoutMs at most the interval */
  constructor(
    private readonly connections: ReadonlySet<WsConnection>,
    private readonly intervalMs: number,
    private readonly timeoutMs: number,
  ) {}

  start(): void {
    this.pinging ??= setInterval(() => this.ping(), this.intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.pinging);
    clearTimeout(this.checking);
    this.pinging = undefined;
  }

  private ping(): void {
    // What was asked the last time was looked at before, unless the process was held up.
    for (const connection of this.connections) connection.ping();
    clearTimeout(this.checking);
    this.checking = setTimeout(() => {
      // A process that was held up reads the answers that have come meanwhile first.
      setImmediate(() => {
        for (const connection of this.connections) connection.endIfSilent();
      });
    }, this.timeoutMs).unref();
  }
}
