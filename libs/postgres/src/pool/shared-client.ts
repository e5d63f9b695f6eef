import { ClosedError } from '@nestbox/core';
import type { Row, Sql } from '../driver.js';
import { isConnectionLost } from '../postgres.errors.js';
import type { StatementCall } from '../transaction-connection.js';
import { withTimeout } from '../with-timeout.js';
import { PROBE_TIMEOUT_MS, type BegunConnection, type Database, type PoolFigures } from './database.js';
import { commit, execute, type Executor, type StatementResult } from './statement.js';
import { executeText, passTexts, type TextResult } from './text-statement.js';

/** A postgres.js client that was passed in, with its own pool. It is never closed here. */
export class SharedClient implements Database {
  private busy = 0;
  private closed = false;

  constructor(
    private readonly sql: Sql,
    private readonly prepare: boolean,
  ) {}

  get address(): string {
    const { host, port, database } = this.sql.options;
    return `${host.map((name, i) => `${name}:${port[i] ?? port[0]}`).join(', ')}, database "${database}"`;
  }

  get figures(): PoolFigures {
    return { max: this.sql.options.max, busy: this.busy };
  }

  async query(text: string, params: readonly unknown[]): Promise<Row[]> {
    this.assertOpen();
    this.busy++;
    try {
      return (await execute(this.sql, text, params, this.prepare)).at(-1) ?? [];
    } finally {
      this.busy--;
    }
  }

  async probe(): Promise<void> {
    await withTimeout(this.query('select 1', []), PROBE_TIMEOUT_MS);
  }

  /**
   * `sql.begin` is used to get a connection and to learn of its loss, and the function that we give it never settles:
   * postgres.js 3.4 would otherwise send ROLLBACK on a connection that is dead, or that already serves somebody else
   * after a reconnect. We send COMMIT or ROLLBACK ourselves, as an ordinary statement; when its answer says that no
   * transaction is open, postgres.js returns the connection to its pool.
   */
  async begin(modes: string): Promise<BegunConnection> {
    this.assertOpen();
    this.busy++;
    try {
      // BEGIN does nothing yet, so when it meets a connection that has died, it can be sent again.
      return await this.tryToBegin(modes).catch((error: unknown) => {
        if (!isConnectionLost(error)) throw error;
        return this.tryToBegin(modes);
      });
    } catch (error) {
      this.busy--;
      throw error;
    }
  }

  private tryToBegin(modes: string): Promise<BegunConnection> {
    return new Promise((resolve, reject) => {
      let transaction: SharedTransaction | undefined;
      this.sql
        .begin(modes, (transactionSql) => {
          transaction = new SharedTransaction(transactionSql, this.sql, this.prepare, () => this.busy--);
          resolve(transaction);
          return new Promise<never>(() => undefined);
        })
        .catch((error: unknown) => {
          if (transaction === undefined) reject(error);
          else transaction.lose(error);
        });
    });
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  private assertOpen(): void {
    if (this.closed) throw new ClosedError('Postgres');
  }
}

/** A transaction of a shared client. Once its connection is lost, nothing is sent on it any more. */
class SharedTransaction implements BegunConnection {
  private listener: ((reason: unknown) => void) | undefined;
  private lossReason: { cause: unknown } | undefined;
  private rejectRunning: ((reason: unknown) => void) | undefined;

  constructor(
    private readonly sql: Executor,
    private readonly client: Sql,
    private readonly prepare: boolean,
    private readonly release: () => void,
  ) {}

  onLost(listener: (reason: unknown) => void): void {
    this.listener = listener;
    if (this.lossReason !== undefined) listener(this.lossReason.cause);
  }

  lose(cause: unknown): void {
    this.lossReason ??= { cause };
    this.rejectRunning?.(cause);
    this.listener?.(cause);
  }

  async query(text: string, params: readonly unknown[]): Promise<Row[]> {
    return (await this.run(text, params)).at(-1) ?? [];
  }

  async commit(last: readonly StatementCall[] = []): Promise<void> {
    try {
      for (const { text, params } of last) await this.run(text, params);
    } catch (error) {
      await this.rollback();
      throw error;
    }
    try {
      await commit((text) => this.run(text, []));
    } finally {
      this.release();
    }
  }

  async rollback(): Promise<void> {
    try {
      await this.run('rollback', []);
    } catch {
      // The connection is gone, and PostgreSQL rolls back what it leaves.
    } finally {
      this.release();
    }
  }

  queryText(text: string, params: readonly (string | null)[]): Promise<TextResult> {
    // The client learns of arrays when it connects.
    passTexts(this.client.options.serializers);
    return this.send(() => executeText(this.sql, text, params, this.prepare));
  }

  private run(text: string, params: readonly unknown[]): Promise<StatementResult[]> {
    return this.send(() => execute(this.sql, text, params, this.prepare));
  }

  private async send<T>(statement: () => Promise<T>): Promise<T> {
    if (this.lossReason !== undefined) throw this.lossReason.cause;
    try {
      return await new Promise((resolve, reject) => {
        // postgres.js may leave a statement unanswered that it was given while the connection broke.
        this.rejectRunning = reject;
        statement().then(resolve, reject);
      });
    } catch (error) {
      if (isConnectionLost(error)) this.lossReason ??= { cause: error };
      throw error;
    } finally {
      this.rejectRunning = undefined;
    }
  }
}
