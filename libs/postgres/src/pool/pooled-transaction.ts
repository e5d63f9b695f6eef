import type { Row } from '../driver.js';
import { CommitOutcomeUnknownError, isConnectionLost } from '../postgres.errors.js';
import type { StatementCall } from '../transaction-connection.js';
import type { BegunConnection } from './database.js';
import type { PooledConnection } from './pooled-connection.js';
import { sending, sendingText, type Send } from './send.js';
import { assertCommitted, succeeded } from './statement.js';
import type { TextResult } from './text-statement.js';

/** Where a transaction gets its connection from. */
interface Connections {
  acquire(): Promise<PooledConnection>;
  release(connection: PooledConnection): void;
}

const COMMIT = sending({ text: 'commit', params: [] });

/** A transaction on a connection of the pool. BEGIN goes with the first statement, which saves a round trip. */
export class PooledTransaction implements BegunConnection {
  private isBegun = false;
  private ahead: string[] = [];
  private listener: ((reason: unknown) => void) | undefined;

  constructor(
    private connection: PooledConnection,
    private readonly modes: string,
    private readonly connections: Connections,
  ) {}

  onLost(listener: (reason: unknown) => void): void {
    this.listener = listener;
    this.connection.onLost = (reason) => this.lose(reason);
    const { endReason } = this.connection;
    // Before it has begun, another connection will do.
    if (endReason !== undefined && this.isBegun) listener(endReason);
  }

  /** Sends BEGIN by itself. */
  async begin(): Promise<void> {
    await this.run([]);
  }

  async query(text: string, params: readonly unknown[]): Promise<Row[]> {
    const results = await this.runOne(sending({ text, params }));
    return results.at(-1) ?? [];
  }

  async queryAll(statements: readonly StatementCall[]): Promise<Row[][]> {
    const results = succeeded(await this.run(statements.map(sending)));
    return results.map((result) => result.at(-1) ?? []);
  }

  queryAhead(text: string): void {
    this.ahead.push(text);
  }

  async queryText(text: string, params: readonly (string | null)[]): Promise<TextResult> {
    return this.runOne(sendingText(text, params));
  }

  async commit(last: readonly StatementCall[] = []): Promise<void> {
    this.ahead = [];
    try {
      if (!this.isBegun) {
        // Nothing was done.
        if (last.length === 0) return;
        // By itself: behind a COMMIT that was not answered, nothing may be sent again.
        await this.begin();
      }
      const outcomes = await this.run([...last.map(sending), COMMIT]);
      const failed = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failed?.status === 'rejected' && isConnectionLost(failed.reason)) {
        throw new CommitOutcomeUnknownError(failed.reason);
      }
      assertCommitted(succeeded(outcomes).at(-1)!);
    } finally {
      this.connections.release(this.connection);
    }
  }

  async rollback(): Promise<void> {
    const { connection } = this;
    // A connection that cannot roll back is of no use to anybody; PostgreSQL rolls back what it leaves.
    if (this.isBegun) await connection.run('rollback', []).catch(() => connection.destroy());
    this.connections.release(connection);
  }

  private lose(reason: unknown): void {
    if (this.isBegun) this.listener?.(reason);
  }

  private async runOne<T>(statement: Send<T>): Promise<T> {
    if (this.isBegun && this.ahead.length === 0) return this.connection.send(statement);
    const [result] = succeeded(await this.run([statement]));
    return result!;
  }

  private async run<T>(statements: readonly Send<T>[]): Promise<PromiseSettledResult<T>[]> {
    const ahead = this.ahead.splice(0);
    if (this.isBegun) {
      if (ahead.length === 0) return this.connection.sendAll(statements);
      const [sent, ...outcomes] = await this.connection.sendAll<unknown>([together(ahead), ...statements]);
      // Those behind it fail because of it.
      if (sent!.status === 'rejected') return statements.map(() => sent as PromiseRejectedResult);
      return outcomes as PromiseSettledResult<T>[];
    }
    const begin = together([`begin ${this.modes}`.trimEnd(), ...ahead]);
    for (;;) {
      const { isFresh } = this.connection;
      const [begun, ...outcomes] = await this.connection.sendAll<unknown>([begin, ...statements]);
      if (begun!.status === 'fulfilled') {
        this.isBegun = true;
        // Lost since: what tells of it was not listening yet.
        const { endReason } = this.connection;
        if (endReason !== undefined) this.listener?.(endReason);
        return outcomes as PromiseSettledResult<T>[];
      }
      this.connection.destroy();
      // An idle connection may turn out to be dead. Nothing has taken effect then, so all can be sent on another.
      if (isFresh || !isConnectionLost(begun!.reason)) throw begun!.reason;
      this.connection = await this.connections.acquire();
      this.connection.onLost = (reason) => this.lose(reason);
    }
  }
}

/** One message for all. */
function together(texts: readonly string[]): Send<unknown> {
  return sending({ text: texts.join('; '), params: [] });
}
