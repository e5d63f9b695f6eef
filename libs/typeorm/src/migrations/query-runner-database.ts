import type { Queryable, TransactionalQueryable } from '@nestbox/postgres';

/** What migrations need of TypeORM's QueryRunner, of 0.3 or 1. */
export interface MigrationQueryRunner {
  readonly isTransactionActive: boolean;
  query(
    text: string,
    params: unknown[] | undefined,
    useStructuredResult: true,
  ): Promise<{ records?: unknown[] }>;
  startTransaction(isolationLevel: 'READ COMMITTED'): Promise<void>;
  commitTransaction(): Promise<void>;
  rollbackTransaction(): Promise<void>;
}

type Row = Record<string, unknown>;

/** The connection of a QueryRunner, with the transaction that is open on it, for `Migrations`. */
export class QueryRunnerDatabase implements TransactionalQueryable {
  constructor(private readonly runner: MigrationQueryRunner) {}

  async query<R extends Row = Row>(text: string, params: readonly unknown[] = []): Promise<R[]> {
    // Without parameters a text may hold several statements.
    const { records } = await this.runner.query(text, params.length === 0 ? undefined : [...params], true);
    return (records ?? []) as R[];
  }

  transaction<T>(fn: (transaction: Queryable) => Promise<T>): Promise<T> {
    return this.runner.isTransactionActive ? this.joinTransaction(fn) : this.ownTransaction(fn);
  }

  private async ownTransaction<T>(fn: (transaction: Queryable) => Promise<T>): Promise<T> {
    await this.runner.startTransaction('READ COMMITTED');
    try {
      const result = await fn(this);
      await this.runner.commitTransaction();
      return result;
    } catch (error) {
      // What it reports says less than the error that led to it, such as a lost connection.
      await this.runner.rollbackTransaction().catch(() => undefined);
      throw error;
    }
  }

  /** A failure is left to whoever began the transaction. */
  private async joinTransaction<T>(fn: (transaction: Queryable) => Promise<T>): Promise<T> {
    const names = ['statement_timeout', 'lock_timeout'];
    const values = await this.query(
      'select name, current_setting(name) as value from unnest($1::text[]) as n (name)',
      [names],
    );
    const result = await fn(this);
    // Taking the lock has changed them until the end of the transaction, in which other migrations may follow.
    for (const { name, value } of values) await this.query('select set_config($1, $2, true)', [name, value]);
    return result;
  }
}
