import { InvalidArgumentError, messageOf } from '@nestbox/core';
import type { Row } from './driver.js';
import { TransactionClosedError } from './postgres.errors.js';
import type { StatementCall, TransactionConnection } from './transaction-connection.js';
import type { TransactionSession } from './transaction-session.js';

type TransactionFunction<T> = (transaction: Transaction) => Promise<T>;

/**
 * An open transaction, or a savepoint in one. Statements and nested savepoints of one `Transaction` run one after
 * the other, in call order, also when they are called in parallel. Once a statement has failed, or the connection is
 * lost, nothing more is sent: PostgreSQL would refuse it, and a reconnected client might run it elsewhere.
 */
export class Transaction {
  readonly #session: TransactionSession<Transaction>;
  readonly #parent: Transaction | undefined;
  #state: 'open' | 'committed' | 'rolled back' = 'open';
  /** No new call is taken any more; those made before still run. */
  #ending = false;
  #failure: { cause: unknown } | undefined;
  #tail: Promise<void> = Promise.resolve();

  /** @internal Made by `Postgres`. */
  constructor(session: TransactionSession<Transaction>, parent?: Transaction) {
    this.#session = session;
    this.#parent = parent;
  }

  /**
   * Runs a statement in this transaction. `$1`, `$2`… stand for the parameters. BEGIN, COMMIT and ROLLBACK are not
   * yours to send.
   *
   * A failed statement dooms its transaction (or savepoint), even when you catch the error; put what may fail in a
   * {@link savepoint}.
   *
   * @throws TransactionClosedError, without sending anything, when the transaction is over or doomed;
   *   InvalidArgumentError for an undefined parameter; else the driver's error
   */
  query<R extends Row = Row>(text: string, params: readonly unknown[] = []): Promise<R[]> {
    const problem = paramsProblem(params);
    if (problem !== undefined) return Promise.reject(problem);
    const scope = this.#innermost();
    return scope.#inTurn(async () => (await scope.#send(text, params)) as R[]);
  }

  /**
   * Runs several statements that do not need each other's rows, in one round trip (one by one on a client that was
   * passed in). Each sees what those before it have done.
   *
   * @throws as {@link query}, for the first that fails; those behind it have no effect
   */
  queryAll(statements: readonly StatementCall[]): Promise<Row[][]> {
    for (const { params } of statements) {
      const problem = paramsProblem(params);
      if (problem !== undefined) return Promise.reject(problem);
    }
    const scope = this.#innermost();
    return scope.#inTurn(() => scope.#attempt(() => scope.#session.sendAll(statements)));
  }

  /**
   * Lets another library send one statement on this transaction's connection, in turn with all others. When it
   * rejects, the transaction (or savepoint) is doomed, as by a failed statement.
   *
   * @throws what `send` throws; TransactionClosedError, without calling it, when the transaction is over or doomed
   */
  onConnection<T>(send: (connection: TransactionConnection) => Promise<T>): Promise<T> {
    const scope = this.#innermost();
    return scope.#inTurn(() => scope.#attempt(() => scope.#session.use(send)));
  }

  /** The transaction in which all savepoints are; itself, if it is none. */
  get outermost(): Transaction {
    return this.#parent?.outermost ?? this;
  }

  /**
   * Sends a statement together with the COMMIT, which saves a round trip. When it fails, the transaction rejects with
   * its error. What is queried meanwhile does not see what it does.
   *
   * @throws InvalidArgumentError; TransactionClosedError when the transaction is over or doomed
   */
  queryAtCommit(text: string, params: readonly unknown[] = []): void {
    const problem = paramsProblem(params);
    if (problem !== undefined) throw problem;
    const scope = this.#innermost();
    scope.#assertUsable();
    if (scope.#ending) throw scope.#closedError();
    scope.#session.atCommit(scope, { text, params });
  }

  /**
   * Runs `fn` in a savepoint: when it rejects, only what was done inside is rolled back. It costs no round trips of its
   * own, unless it is rolled back.
   *
   * @throws what `fn` throws; TransactionClosedError
   */
  async savepoint<T>(fn: TransactionFunction<T>): Promise<T> {
    const scope = this.#innermost();
    return scope.#inTurn(() => scope.#runSavepoint(fn));
  }

  /**
   * Registers work for after the commit of the outermost transaction. It runs in the order of registration, one after
   * the other, outside the transaction's async context, and `Postgres.transaction` resolves when all of it is done. It
   * is dropped when the transaction, or the savepoint in which it was registered, is rolled back. Errors in it are
   * logged, since the transaction is committed all the same.
   *
   * @throws TransactionClosedError when the transaction is over or doomed
   */
  afterCommit(fn: () => void | Promise<void>): void {
    const scope = this.#innermost();
    scope.#assertUsable();
    if (scope.#ending) throw scope.#closedError();
    scope.#session.register(scope, fn);
  }

  /**
   * Runs `fn` with this transaction as the ambient one, then waits for what it left unawaited.
   *
   * @internal
   */
  async run<T>(fn: TransactionFunction<T>): Promise<T> {
    try {
      const result = await this.#session.ambient.run(this, async () => fn(this));
      this.#ending = true;
      await this.#tail;
      this.#assertUsable('at its end');
      return result;
    } finally {
      this.#ending = true;
    }
  }

  /** @internal */
  end(state: 'committed' | 'rolled back'): void {
    this.#ending = true;
    this.#state = state;
    if (state === 'rolled back') this.#session.drop((scope) => scope.#isWithin(this));
  }

  /**
   * Ends it as rolled back: nothing more is sent in it. Resolves when the statement under way, if any, was answered.
   *
   * @internal
   */
  async abandon(): Promise<void> {
    this.end('rolled back');
    await this.#session.settled();
  }

  /**
   * The scope in which a call on this one has to run: inside `savepoint(fn)`, also calls on the outer transaction
   * belong to the savepoint; waiting for its end would wait for ever.
   */
  #innermost(): Transaction {
    const ambient = this.#session.ambient.getStore();
    const isInside = ambient !== undefined && !ambient.#ending && ambient.#isWithin(this);
    return isInside ? ambient : this;
  }

  #isWithin(outer: Transaction): boolean {
    return this === outer || (this.#parent !== undefined && this.#parent.#isWithin(outer));
  }

  #inTurn<T>(operation: () => Promise<T>): Promise<T> {
    if (this.#ending) return Promise.reject(this.#closedError());
    const result = this.#tail.then(operation);
    // This also means that a statement which nobody awaits is no unhandled rejection: the transaction reports it.
    this.#tail = result.then(noop, noop);
    return result;
  }

  #send(text: string, params: readonly unknown[]): Promise<Row[]> {
    return this.#attempt(() => this.#session.send(text, params));
  }

  async #attempt<T>(send: () => Promise<T>): Promise<T> {
    this.#assertUsable();
    try {
      return await send();
    } catch (error) {
      this.#failure ??= { cause: error };
      throw error;
    }
  }

  async #runSavepoint<T>(fn: TransactionFunction<T>): Promise<T> {
    this.#assertUsable();
    const { savepoints } = this.#session;
    const name = savepoints.open();
    const savepoint = new Transaction(this.#session, this);
    let result: T;
    try {
      result = await savepoint.run(fn);
    } catch (error) {
      await savepoint.abandon();
      const rollback = savepoints.rollback(name);
      // Where this fails, the outer transaction is doomed, and says so; here, the first error matters.
      if (rollback !== undefined) await this.#send(rollback, []).catch(noop);
      throw error;
    }
    savepoints.release(name);
    savepoint.end('committed');
    return result;
  }

  #assertUsable(when?: 'at its end'): void {
    const isOver = this.#state !== 'open' || this.#failure !== undefined || this.#session.lost !== undefined;
    if (isOver) throw this.#closedError(when);
    if (this.#parent !== undefined) this.#parent.#assertUsable();
  }

  #closedError(when?: 'at its end'): TransactionClosedError {
    const what = this.#parent === undefined ? 'transaction' : 'savepoint';
    const { lost } = this.#session;
    if (lost !== undefined) {
      const problem = `The connection of this transaction was lost (${messageOf(lost.cause)}), so PostgreSQL rolls it back.`;
      return new TransactionClosedError('lost', `${problem} Run the transaction again.`, lost);
    }
    if (this.#failure !== undefined) {
      const reason = messageOf(this.#failure.cause);
      const problem =
        when === 'at its end'
          ? `The ${what} was rolled back, because a statement in it failed: ${reason}. Catching the error is not enough; put a statement that may fail in a nested transaction.`
          : `A statement of this ${what} failed before (${reason}), so it can only be rolled back.`;
      return new TransactionClosedError('failed', problem, this.#failure);
    }
    return new TransactionClosedError(
      this.#state === 'open' ? 'committed' : this.#state,
      `This ${what} is over. Await everything that belongs to it before its function returns.`,
    );
  }
}

/** PostgreSQL has nothing like undefined. */
export function paramsProblem(params: readonly unknown[]): InvalidArgumentError | undefined {
  const index = params.indexOf(undefined);
  if (index < 0) return undefined;
  return new InvalidArgumentError(`params[${index}]`, 'is undefined; use null.');
}

function noop(): void {
  // The failure is kept in the transaction.
}
