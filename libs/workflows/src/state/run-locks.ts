import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClosedError, KeyedMutex, backoffMs, runInRootScope } from '@nestbox/core';
import { isConnectionLost, type Postgres } from '@nestbox/postgres';
import { HeldLocks } from './held-locks.js';
import { LockConnection } from './lock-connection.js';
import { operation } from './operation.js';
import { RunLockLostError } from './state.errors.js';

/** Between the looks at a lock that somebody else has: the next in turn looks more often. */
const NEXT = { baseMs: 2, maxMs: 40, factor: 1.5 };
const BEHIND = { baseMs: 5, maxMs: 150, factor: 1.5 };
/** How often a connection may be lost, while one waits, before that is an error. */
const LOSSES = 3;
/** An unused connection is closed after so long. */
const IDLE_MS = 10_000;

/** Locks on runs that hold across processes, all on one connection of their own. */
export class RunLocks {
  private readonly mutex = new KeyedMutex();
  private readonly held = new HeldLocks();
  private readonly closing = new AbortController();
  private opening: Promise<LockConnection> | undefined;
  private users = 0;
  private idleTimer: NodeJS.Timeout | undefined;

  constructor(
    private readonly postgres: Postgres,
    private readonly schema: string,
  ) {
    // Each that waits listens to it.
    setMaxListeners(0, this.closing.signal);
  }

  async run<T>(id: string, fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.held.assertFree(id);
    this.users++;
    clearTimeout(this.idleTimer);
    try {
      return await this.mutex.run(id, () => this.runAlone(id, fn));
    } finally {
      this.users--;
      if (this.users === 0) this.startIdling();
    }
  }

  /** Gives up all locks: whoever has one gets a RunLockLostError. */
  async close(): Promise<void> {
    clearTimeout(this.idleTimer);
    this.closing.abort();
    await this.disconnect();
  }

  private async runAlone<T>(id: string, fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const [lock, turn] = keysOf(this.schema, id);
    const connection = await operation(`lock run "${id}"`, () => this.acquire(lock, turn));
    const controller = new AbortController();
    const lose = (): void => controller.abort(new RunLockLostError(id, connection.lost.reason));
    if (connection.lost.aborted) lose();
    connection.lost.addEventListener('abort', lose, { once: true });
    const [outcome] = await Promise.allSettled([this.held.run(id, () => fn(controller.signal))]);
    connection.lost.removeEventListener('abort', lose);
    const reason = await giveBack(connection, lock, turn);
    if (reason !== undefined) {
      throw new RunLockLostError(id, outcome.status === 'rejected' ? outcome.reason : reason.cause);
    }
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  }

  private async acquire(lock: bigint, turn: bigint): Promise<LockConnection> {
    let withTurn: LockConnection | undefined;
    let losses = 0;
    for (let attempt = 1; ; attempt++) {
      const connection = await this.connection();
      try {
        const outcome = await connection.take(lock, turn, withTurn === connection);
        if (outcome === 'held') return connection;
        withTurn = outcome === 'turn' ? connection : undefined;
      } catch (error) {
        if (this.closing.signal.aborted) throw closedError();
        if (++losses > LOSSES || !(connection.lost.aborted || isConnectionLost(error))) throw error;
      }
      const pause = backoffMs(attempt, withTurn === undefined ? BEHIND : NEXT);
      await sleep(pause, undefined, { signal: this.closing.signal }).catch(() => undefined);
    }
  }

  private async connection(): Promise<LockConnection> {
    if (this.closing.signal.aborted) throw closedError();
    // It serves many callers, so it must not keep the context of one.
    this.opening ??= runInRootScope(() => this.open());
    return this.opening;
  }

  private async open(): Promise<LockConnection> {
    try {
      const connection = await LockConnection.open(this.postgres.sessionOptions);
      const forget = (): void => void (this.opening = undefined);
      connection.lost.addEventListener('abort', forget, { once: true });
      if (connection.lost.aborted) forget();
      if (this.closing.signal.aborted) connection.fail(closedError());
      return connection;
    } catch (error) {
      this.opening = undefined;
      throw error;
    }
  }

  private startIdling(): void {
    clearTimeout(this.idleTimer);
    if (this.opening === undefined || this.closing.signal.aborted) return;
    this.idleTimer = runInRootScope(() => setTimeout(() => void this.disconnect(), IDLE_MS).unref());
  }

  private async disconnect(): Promise<void> {
    const connection = await this.opening?.catch(() => undefined);
    if (this.users === 0 || this.closing.signal.aborted) connection?.fail(closedError());
  }
}

/** The reason, if it was not held to the end. */
async function giveBack(
  connection: LockConnection,
  lock: bigint,
  turn: bigint,
): Promise<{ cause: unknown } | undefined> {
  try {
    if (await connection.giveBack(lock, turn)) return undefined;
    return { cause: new Error('PostgreSQL says that it was not held.') };
  } catch (cause) {
    return { cause };
  }
}

/** Keys of advisory locks, which are numbers of 64 bits. */
function keysOf(schema: string, id: string): [lock: bigint, turn: bigint] {
  const hash = createHash('sha256').update(`workflows\0${schema}\0${id}`).digest();
  return [hash.readBigInt64BE(0), hash.readBigInt64BE(8)];
}

function closedError(): ClosedError {
  return new ClosedError('PgWorkflowStateService');
}
