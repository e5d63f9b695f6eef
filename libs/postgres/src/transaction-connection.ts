import type { Row } from './driver.js';

/** A statement, and the values of `$1`, `$2`… */
export interface StatementCall {
  readonly text: string;
  readonly params: readonly unknown[];
}

/** A connection on which a transaction is open. It is given one call at a time. */
export interface TransactionConnection {
  /**
   * Runs a statement; `$1`, `$2`… stand for the parameters. Without parameters the text may hold several
   * statements. Rejects with the driver's error.
   */
  query(text: string, params: readonly unknown[]): Promise<Row[]>;
  /**
   * Sends several statements at once, each of which runs when the one before has succeeded. Absent where they can only
   * be sent one by one. Rejects with the first error.
   */
  queryAll?(statements: readonly StatementCall[]): Promise<Row[][]>;
}
