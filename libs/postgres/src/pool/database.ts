import type { Row } from '../driver.js';
import type { StatementCall, TransactionConnection } from '../transaction-connection.js';

/** What runs our statements: our own pool of connections, or a postgres.js client that was passed in. */
export interface Database {
  /** Where it is, for messages: `127.0.0.1:5432, database "app"`. Holds no password. */
  readonly address: string;
  readonly figures: PoolFigures;
  /** Runs a statement on any connection. */
  query(text: string, params: readonly unknown[]): Promise<Row[]>;
  /** Makes a round trip. Rejects when a connection was had but did not answer within 5 seconds. */
  probe(): Promise<void>;
  /**
   * Takes a connection. BEGIN is sent with the first statement.
   *
   * @param modes such as `isolation level serializable read only`; may be empty
   */
  begin(modes: string): Promise<BegunConnection>;
  /** Ends what is ours to end. */
  close(): Promise<void>;
}

/** How busy the connections are. */
export interface PoolFigures {
  /** Connections at the most. */
  max: number;
  /** Connections that are open, where we know. */
  open?: number;
  /** Connections with a statement or transaction of ours; more than `max` where a shared client queues them. */
  busy: number;
  /** Calls that wait for a connection, where we know. */
  waiting?: number;
}

/** A connection for a transaction. Exactly one of `commit` and `rollback` gives it back. */
export interface BegunConnection extends TransactionConnection {
  /**
   * @param last sent together with the COMMIT
   * @throws what one of them is refused with; CommitOutcomeUnknownError when the connection is lost meanwhile; PostgreSQL's error (a deferred
   *   constraint, a serialization failure) or TransactionClosedError when it rolled back instead
   */
  commit(last?: readonly StatementCall[]): Promise<void>;
  /** Never rejects: a connection that is lost has rolled back. */
  rollback(): Promise<void>;
  /** Calls `listener`, with the reason, if the connection is lost before it is given back. */
  onLost(listener: (reason: unknown) => void): void;
}

/** How long {@link Database.probe} waits for an answer. */
export const PROBE_TIMEOUT_MS = 5_000;
