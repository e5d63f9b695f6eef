import type { Row } from '../driver.js';
import { CommitOutcomeUnknownError, isConnectionLost } from '../postgres.errors.js';
import type { StatementCall } from '../transaction-connection.js';
import type { BegunConnection } from './database.js';
import type { Outcome, PooledConnection } from './pooled-connection.js';
import { assertCommitted, succeeded } from './statement.js';

/** Where a transaction gets its connection from. */
interface Connections {
  acquire(): Promise<PooledConnection>;
  release(connection: PooledConnection): void;
}

const COMMIT: StatementCall = { text: 'commit', params: [] };

/** A transaction on a connection of the pool. BEGIN goes with the first statement, which saves a round trip. */
export class PooledTransaction implements BegunConnection {
  private isBegun = false;
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
    const [rows] = await this.queryAll([{ text, params }]);
    return rows!;
  }

  async queryAll(statements: readonly StatementCall[]): Promise<Row[][]> {
    const results = succeeded(await this.run(statements));
    return results.map((result) => result.at(-1) ?? []);
  }

  async commit(last: readonly StatementCall[] = []): Promise<void> {
    try {
      if (!this.isBegun) {
        // Nothing was done.
        if (last.length === 0) return;
        // By itself: behind a COMMIT that was not answered, nothing may be sent again.
        await this.begin();
      }
      const outcomes = await this.run([...last, COMMIT]);
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

  private async run(statements: readonly StatementCall[]): Promise<Outcome[]> {
    if (this.isBegun) return this.connection.runAll(statements);
    const begin: StatementCall = { text: `begin ${this.modes}`.trimEnd(), params: [] };
    for (;;) {
      const { isFresh } = this.connection;
      const [begun, ...outcomes] = await this.connection.runAll([begin, ...statements]);
      if (begun!.status === 'fulfilled') {
        this.isBegun = true;
        // Lost since: what tells of it was not listening yet.
        const { endReason } = this.connection;
        if (endReason !== undefined) this.listener?.(endReason);
        return outcomes;
      }
      this.connection.destroy();
      // An idle connection may turn out to be dead. Nothing has taken effect then, so all can be sent on another.
      if (isFresh || !isConnectionLost(begun!.reason)) throw begun!.reason;
      this.connection = await this.connections.acquire();
      this.connection.onLost = (reason) => this.lose(reason);
    }
  }
}
