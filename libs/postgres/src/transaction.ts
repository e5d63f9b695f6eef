import type { AsyncLocalStorage } from 'node:async_hooks';
import { Logger } from '@nestjs/common';
import { messageOf } from '@nestbox/core';
import type { Row } from './driver.js';
import { TransactionClosedError, isConnectionLost } from './postgres.errors.js';
import type { TransactionConnection } from './transaction-connection.js';

/** Where the innermost open transaction of the current async context is kept. */
export type AmbientTransaction = AsyncLocalStorage<Transaction | undefined>;

type ScopeState = 'open' | 'committed' | 'rolled back';

interface AfterCommit {
  scope: Transaction;
  fn: () => void | Promise<void>;
}

/** What a transaction and its savepoints share. */
interface Session {
  readonly connection: TransactionConnection;
  readonly ambient: AmbientTransaction;
  /** Why the connection was lost, once it was. */
  lost: { cause: unknown } | undefined;
  /** Rejects the statement that is under way. */
  rejectInFlight: ((reason: unknown) => void) | undefined;
  savepoints: number;
  afterCommit: AfterCommit[];
}

/**
 * An open transaction, or a savepoint in one. Statements and nested savepoints of one `Transaction` run one after
 * the other, in call order, also when they are called in parallel. Once a statement has failed, or the connection is
 * lost, nothing more is sent: PostgreSQL would refuse it, and a reconnected client might run it elsewhere.
 */
export class Transaction {
  readonly #session: Session;
  readonly #parent: Transaction | undefined;
  #state: ScopeState = 'open';
  /** No new call is taken any more; those made before still run. */
  #ending = false;
  #failure: { cause: unknown } | undefined;
  #tail: Promise<void> = Promise.resolve();

  /** @internal Made by `Postgres`. */
  constructor(session: Session, parent?: Transaction) {
    this.#session = session;
    this.#parent = parent;
  }

  /**
   * Runs a statement in this transaction. `$1`, `$2`… stand for the parameters.
   *
   * A failed statement dooms its transaction (or savepoint), even when you catch the error; put what may fail in a
   * {@link savepoint}.
   *
   * @throws TransactionClosedError, without sending anything, when the transaction is over or doomed; else the
   *   driver's error
   */
  query<R extends Row = Row>(text: string, params: readonly unknown[] = []): Promise<R[]> {
    const scope = this.#innermost();
    return scope.#inTurn(() => scope.#send<R>(text, params));
  }

  /**
   * Runs `fn` in a savepoint: when it rejects, only what was done inside is rolled back.
   *
   * @throws what `fn` throws; TransactionClosedError
   */
  savepoint<T>(fn: (transaction: Transaction) => Promise<T>): Promise<T> {
    const scope = this.#innermost();
    return scope.#inTurn(() => scope.#runSavepoint(fn));
  }

  /**
   * Registers work for after the commit of the outermost transaction: in the order of registration, one after the
   * other, outside the transaction's async context. `Postgres.transaction` resolves when all of it is done. It is
   * dropped when the transaction, or the savepoint in which it was registered, is rolled back. Errors in it are
   * logged, since the transaction is committed all the same.
   *
   * @throws TransactionClosedError when the transaction is over or doomed
   */
  afterCommit(fn: () => void | Promise<void>): void {
    const scope = this.#innermost();
    scope.#assertUsable();
    if (scope.#ending) throw scope.#closedError();
    scope.#session.afterCommit.push({ scope, fn });
  }

  /**
   * Runs `fn` with this transaction as the ambient one, then waits for the statements it left unawaited.
   *
   * @internal
   */
  async run<T>(fn: (transaction: Transaction) => Promise<T>): Promise<T> {
    try {
      const result = await this.#session.ambient.run(this, async () => fn(this));
      this.#ending = true;
      await this.#tail;
      this.#assertUsable(true);
      return result;
    } finally {
      this.#ending = true;
    }
  }

  /** @internal */
  end(state: 'committed' | 'rolled back'): void {
    this.#ending = true;
    this.#state = state;
    if (state === 'rolled back') {
      this.#session.afterCommit = this.#session.afterCommit.filter(({ scope }) => !scope.#isWithin(this));
    }
  }

  /** Waits until the statement under way, if any, has been answered. */
  async settled(): Promise<void> {
    await this.#tail;
  }

  /**
   * The scope in which a call on this one has to run: inside `savepoint(fn)`, also calls on the outer transaction
   * belong to the savepoint; waiting for its end would wait for ever.
   */
  #innermost(): Transaction {
    const ambient = this.#session.ambient.getStore();
    return ambient !== undefined && ambient !== this && !ambient.#ending && ambient.#isWithin(this)
      ? ambient
      : this;
  }

  #isWithin(outer: Transaction): boolean {
    for (let scope: Transaction | undefined = this; scope !== undefined; scope = scope.#parent) {
      if (scope === outer) return true;
    }
    return false;
  }

  #inTurn<T>(operation: () => Promise<T>): Promise<T> {
    if (this.#ending) return Promise.reject(this.#closedError());
    const result = this.#tail.then(() => {
      this.#assertUsable();
      return operation();
    });
    // A statement that is not awaited fails the transaction, and is reported there; not as an unhandled rejection.
    this.#tail = result.then(noop, noop);
    return result;
  }

  async #send<R extends Row>(text: string, params: readonly unknown[]): Promise<R[]> {
    const session = this.#session;
    try {
      return await new Promise<R[]>((resolve, reject) => {
        session.rejectInFlight = reject;
        session.connection.query(text, params).then((rows) => resolve(rows as R[]), reject);
      });
    } catch (error) {
      if (isConnectionLost(error)) session.lost ??= { cause: error };
      else this.#failure ??= { cause: error };
      throw error;
    } finally {
      session.rejectInFlight = undefined;
    }
  }

  async #runSavepoint<T>(fn: (transaction: Transaction) => Promise<T>): Promise<T> {
    const name = `nestbox_${++this.#session.savepoints}`;
    await this.#send(`savepoint ${name}`, []);
    const savepoint = new Transaction(this.#session, this);
    let result: T;
    try {
      result = await savepoint.run(fn);
    } catch (error) {
      await savepoint.settled();
      savepoint.end('rolled back');
      if (this.#session.lost === undefined) {
        await this.#send(`rollback to savepoint ${name}; release savepoint ${name}`, []);
      }
      throw error;
    }
    await this.#send(`release savepoint ${name}`, []);
    savepoint.end('committed');
    return result;
  }

  #assertUsable(atEnd = false): void {
    if (this.#session.lost !== undefined || this.#failure !== undefined || this.#state !== 'open') {
      throw this.#closedError(atEnd);
    }
  }

  #closedError(atEnd = false): TransactionClosedError {
    const what = this.#parent === undefined ? 'transaction' : 'savepoint';
    const { lost } = this.#session;
    if (lost !== undefined) {
      return new TransactionClosedError(
        'lost',
        `The connection of this transaction was lost (${messageOf(lost.cause)}); PostgreSQL rolls it back. Run the transaction again.`,
        lost,
      );
    }
    if (this.#failure !== undefined) {
      const { cause } = this.#failure;
      return new TransactionClosedError(
        'failed',
        atEnd
          ? `The ${what} was rolled back, because a statement in it failed: ${messageOf(cause)}. Catching the error is not enough; put a statement that may fail in a nested transaction.`
          : `A statement of this ${what} failed before (${messageOf(cause)}), so it can only be rolled back.`,
        this.#failure,
      );
    }
    const state = this.#state === 'open' ? 'committed' : this.#state;
    return new TransactionClosedError(
      state,
      `This ${what} is over. Await everything that belongs to it before its function returns.`,
    );
  }
}

/** @internal The outermost transaction on a connection. */
export class RootTransaction {
  readonly transaction: Transaction;
  readonly #session: Session;

  constructor(connection: TransactionConnection, ambient: AmbientTransaction) {
    this.#session = {
      connection,
      ambient,
      lost: undefined,
      rejectInFlight: undefined,
      savepoints: 0,
      afterCommit: [],
    };
    this.transaction = new Transaction(this.#session);
  }

  get isLost(): boolean {
    return this.#session.lost !== undefined;
  }

  lose(cause: unknown): void {
    this.#session.lost ??= { cause };
    this.#session.rejectInFlight?.(cause);
  }

  /** Runs what was registered for after the commit. Never rejects. */
  async runAfterCommit(): Promise<void> {
    const work = this.#session.afterCommit.splice(0);
    for (const { fn } of work) {
      try {
        await this.#session.ambient.run(undefined, fn);
      } catch (error) {
        logger.error(`Work registered with afterCommit failed: ${messageOf(error)}`, error);
      }
    }
  }
}

const logger = new Logger('Transaction');

function noop(): void {
  // The failure is kept in the transaction.
}
