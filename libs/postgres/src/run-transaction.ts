import type { BegunConnection } from './pool/database.js';
import type { TransactionConnection } from './transaction-connection.js';
import { TransactionSession, type AmbientTransaction } from './transaction-session.js';
import { Transaction } from './transaction.js';

/** A transaction that was joined, and is still open. */
export interface JoinedTransaction<T> {
  /** What `fn` resolved to. */
  result: T;
  /** Call it after your commit: runs what was registered with `afterCommit`. Never rejects. */
  runAfterCommit(): Promise<void>;
}

/** Commits when `fn` resolves, and rolls back when it rejects. */
export async function runTransaction<T>(
  connection: BegunConnection,
  ambient: AmbientTransaction<Transaction>,
  fn: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const session = new TransactionSession(connection, ambient);
  connection.onLost((reason) => session.lose(reason));
  const transaction = new Transaction(session);
  let result: T;
  try {
    result = await transaction.run(fn);
  } catch (error) {
    await transaction.abandon();
    await connection.rollback();
    throw error;
  }
  try {
    await connection.commit(session.takeLast());
  } catch (error) {
    transaction.end('rolled back');
    throw error;
  }
  transaction.end('committed');
  await session.runAfterCommit();
  return result;
}

/** Runs `fn` on a connection whose transaction belongs to the caller. */
export async function joinTransaction<T>(
  connection: TransactionConnection,
  ambient: AmbientTransaction<Transaction>,
  fn: (transaction: Transaction) => Promise<T>,
): Promise<JoinedTransaction<T>> {
  const session = new TransactionSession(connection, ambient);
  const transaction = new Transaction(session);
  try {
    const result = await transaction.run(fn);
    const last = session.takeLast();
    if (last.length > 0) await session.sendAll(last);
    // The caller may go on with it for long.
    await session.flush();
    transaction.end('committed');
    return { result, runAfterCommit: () => session.runAfterCommit() };
  } catch (error) {
    await transaction.abandon();
    throw error;
  }
}
