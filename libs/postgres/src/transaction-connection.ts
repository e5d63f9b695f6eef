import type postgres from 'postgres';
import type { Row, Sql } from './driver.js';
import { CommitOutcomeUnknownError, TransactionClosedError, isConnectionLost } from './postgres.errors.js';

/** A connection on which a transaction is open. It is given one call at a time. */
export interface TransactionConnection {
  /**
   * Runs a statement; `$1`, `$2`… stand for the parameters. Without parameters the text may hold several
   * statements. Rejects with the driver's error.
   */
  query(text: string, params: readonly unknown[]): Promise<Row[]>;
}

/** A pooled connection on which BEGIN was sent. Exactly one of `commit` and `rollback` gives it back to the pool. */
export interface BegunConnection extends TransactionConnection {
  /**
   * @throws CommitOutcomeUnknownError when the connection is lost meanwhile; PostgreSQL's error (a deferred
   *   constraint, a serialization failure) when it rolled back instead
   */
  commit(): Promise<void>;
  /** Never rejects: a connection that is lost has rolled back. */
  rollback(): Promise<void>;
  /** Resolves with the reason once the connection is lost. */
  readonly lost: Promise<unknown>;
}

/**
 * Runs a statement on a client or one of its transactions. Without parameters the text may hold several statements
 * (the simple protocol); the rows are those of the last.
 */
export async function execute(
  sql: Pick<postgres.ISql, 'unsafe'>,
  text: string,
  params: readonly unknown[],
  prepare: boolean,
): Promise<Row[]> {
  const result: Row[] | Row[][] = await sql.unsafe<Row[]>(text, params as postgres.ParameterOrJSON<never>[], {
    prepare,
  });
  if (isResultOfSeveral(result)) return result[result.length - 1] ?? [];
  return result;
}

/** postgres.js gives a plain array of results for several statements, and a `Result` with its command for one. */
function isResultOfSeveral(result: Row[] | Row[][]): result is Row[][] {
  return !('command' in result);
}

/**
 * Takes a connection from the pool and sends BEGIN.
 *
 * `sql.begin` is used for these two only, and the function that we give it never settles: postgres.js 3.4 would
 * otherwise send ROLLBACK on a connection that is dead, or that already serves somebody else after a reconnect.
 * We send COMMIT or ROLLBACK ourselves, as an ordinary statement; when its answer says that no transaction is open,
 * postgres.js returns the connection to the pool. What remains of `sql.begin` is its signal that the connection was
 * lost.
 */
export function begin(sql: Sql, modes: string, prepare: boolean): Promise<BegunConnection> {
  return new Promise((resolve, reject) => {
    let loseConnection: (reason: unknown) => void;
    const lost = new Promise<unknown>((resolveLost) => {
      loseConnection = resolveLost;
    });
    sql
      .begin(modes, (transactionSql) => {
        resolve({
          lost,
          query: (text, params) => execute(transactionSql, text, params, prepare),
          commit: () => commit(transactionSql),
          rollback: () => rollback(transactionSql),
        });
        return new Promise<never>(() => undefined);
      })
      .catch((error: unknown) => {
        // Before the connection was had, the first counts; after, the second.
        reject(error);
        loseConnection(error);
      });
  });
}

async function commit(sql: postgres.TransactionSql): Promise<void> {
  let command: string;
  try {
    ({ command } = await sql.unsafe('commit'));
  } catch (error) {
    if (isConnectionLost(error)) throw new CommitOutcomeUnknownError(error);
    throw error;
  }
  // PostgreSQL answers the COMMIT of an aborted transaction with ROLLBACK, and calls that a success.
  if (command !== 'COMMIT') {
    throw new TransactionClosedError(
      'rolled back',
      'PostgreSQL rolled the transaction back instead of committing it.',
    );
  }
}

async function rollback(sql: postgres.TransactionSql): Promise<void> {
  try {
    await sql.unsafe('rollback');
  } catch {
    // The connection is gone, and PostgreSQL rolls back what it leaves.
  }
}
