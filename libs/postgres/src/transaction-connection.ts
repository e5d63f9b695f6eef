import type { Row } from './driver.js';

/** A connection on which a transaction is open. It is given one call at a time. */
export interface TransactionConnection {
  /**
   * Runs a statement; `$1`, `$2`… stand for the parameters. Without parameters the text may hold several
   * statements. Rejects with the driver's error.
   */
  query(text: string, params: readonly unknown[]): Promise<Row[]>;
}
