import type postgres from 'postgres';
import type { Row } from '../driver.js';
import { CommitOutcomeUnknownError, TransactionClosedError, isConnectionLost } from '../postgres.errors.js';

/** A postgres.js client, or one of its transactions. */
export type Executor = Pick<postgres.ISql, 'unsafe'>;

/** The rows of one statement, as postgres.js gives them. */
export interface StatementResult extends Array<Row> {
  /** The command tag, such as `INSERT`. */
  command: string;
}

/**
 * Runs a text on a client. Without parameters it may hold several statements (the simple protocol), and every one has
 * its result; an empty text has none.
 */
export async function execute(
  sql: Executor,
  text: string,
  params: readonly unknown[],
  prepare: boolean,
): Promise<StatementResult[]> {
  const query = sql.unsafe<Row[]>(text, params as postgres.ParameterOrJSON<never>[], { prepare });
  let result: StatementResult | StatementResult[];
  try {
    result = await query;
  } finally {
    // A query that was answered is kept from being collected by those before it, until the next full collection;
    // what weighs most in it are the parameters, which nobody needs any more.
    void Object.assign(query, { args: [], parameters: [] });
  }
  return isSeveral(result) ? result : [result];
}

/** The results of statements that were sent at once. @throws the error of the first that failed */
export function succeeded<T>(outcomes: readonly PromiseSettledResult<T>[]): T[] {
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
}

/** postgres.js gives a plain array for several statements. */
function isSeveral(result: StatementResult | StatementResult[]): result is StatementResult[] {
  return !('command' in result);
}

/** @throws as `BegunConnection.commit` */
export async function commit(run: (text: string) => Promise<StatementResult[]>): Promise<void> {
  let results: StatementResult[];
  try {
    results = await run('commit');
  } catch (error) {
    if (isConnectionLost(error)) throw new CommitOutcomeUnknownError(error);
    throw error;
  }
  assertCommitted(results);
}

/** @throws TransactionClosedError when the answer to a COMMIT was ROLLBACK */
export function assertCommitted(results: readonly StatementResult[]): void {
  // PostgreSQL answers the COMMIT of an aborted transaction with ROLLBACK, and calls that a success.
  if (results[0]?.command !== 'COMMIT') {
    throw new TransactionClosedError(
      'rolled back',
      'PostgreSQL rolled the transaction back instead of committing it, because a statement in it had failed.',
    );
  }
}
