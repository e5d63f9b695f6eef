import type { Row } from './driver.js';
import type { TextResult } from './pool/text-statement.js';

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
  /**
   * Sends a text without parameters together with the next call, before it; its failure is that call's. When none
   * comes before the COMMIT, it is dropped. Absent where each call is a round trip of its own.
   */
  queryAhead?(text: string): void;
  /**
   * Runs a statement whose parameters and values are PostgreSQL's text forms, so that a library with types of its own
   * can read them its way. Absent where the driver reads the values before we see them.
   */
  queryText?(text: string, params: readonly (string | null)[]): Promise<TextResult>;
}
