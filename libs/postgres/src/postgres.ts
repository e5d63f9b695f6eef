import { AsyncLocalStorage } from 'node:async_hooks';
import { ClosedError, InvalidArgumentError, TimeoutError } from '@nestbox/core';
import { loadDriver, type DriverOptions, type Row, type Sql } from './driver.js';
import { checkOptions, type PostgresOptions } from './postgres.options.js';
import { begin, execute, type TransactionConnection } from './transaction-connection.js';
import { Leases } from './leases.js';
import { Listener, type Listening, type ListenerState } from './listener.js';
import { RootTransaction, type AmbientTransaction, type Transaction } from './transaction.js';
import { Wakeup } from './wakeup.js';

export interface TransactionOptions {
  /** Default: the database's, which is `read committed` unless configured otherwise. */
  isolationLevel?: 'read committed' | 'repeatable read' | 'serializable';
  /** Default: false. */
  readOnly?: boolean;
}

/** What {@link Postgres.joinTransaction} gives back: the transaction is still open. */
export interface JoinedTransaction<T> {
  result: T;
  /** Call it after your commit: runs what was registered with `afterCommit`. Never rejects. */
  runAfterCommit(): Promise<void>;
}

/** A PostgreSQL database: a pool of connections, transactions, and notifications. */
export class Postgres {
  readonly #options: PostgresOptions;
  readonly #prepare: boolean;
  readonly #ambient: AmbientTransaction = new AsyncLocalStorage();
  #client: Sql | undefined;
  #listener: Listener | undefined;
  #wakeup: Wakeup | undefined;
  #leases: Leases | undefined;
  #closing: Promise<void> | undefined;
  #closed = false;

  constructor(options: PostgresOptions | string) {
    this.#options = checkOptions(options);
    this.#prepare = this.#options.prepare ?? true;
    this.#client = this.#options.client;
  }

  /** The postgres.js client, created at the first use. It does not join the ambient transaction. */
  get client(): Sql {
    if (this.#closed) throw new ClosedError('Postgres');
    this.#client ??= this.#create(this.#options.url, {});
    return this.#client;
  }

  async init(): Promise<void> {
    await execute(this.client, 'select 1', [], this.#prepare);
  }

  /**
   * Runs a statement, in the ambient transaction when there is one. `$1`, `$2`… stand for the parameters. Without
   * parameters the text may hold several statements; the rows are those of the last.
   */
  async query<R extends Row = Row>(text: string, params: readonly unknown[] = []): Promise<R[]> {
    const transaction = this.#ambient.getStore();
    if (transaction !== undefined) return transaction.query<R>(text, params);
    return (await execute(this.client, text, params, this.#prepare)) as R[];
  }

  /** The transaction in which the caller runs, if any. */
  get currentTransaction(): Transaction | undefined {
    return this.#ambient.getStore();
  }

  /**
   * Runs `fn` in a transaction, which every call on this `Postgres` inside of `fn` joins. Commits when it resolves,
   * rolls back when it rejects. Inside another transaction it is a savepoint.
   *
   * @throws what `fn` throws; TransactionClosedError when a statement failed whose error `fn` swallowed, or the
   *   connection was lost; CommitOutcomeUnknownError
   */
  async transaction<T>(
    fn: (transaction: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    const outer = this.#ambient.getStore();
    if (outer !== undefined) {
      if (options.isolationLevel !== undefined || options.readOnly !== undefined) {
        throw new InvalidArgumentError(
          'options',
          'isolationLevel and readOnly cannot be set on a nested transaction, which is a savepoint of the outer one.',
        );
      }
      return outer.savepoint(fn);
    }
    const connection = await begin(this.client, beginModes(options), this.#prepare);
    const root = new RootTransaction(connection, this.#ambient);
    void connection.lost.then((reason) => root.lose(reason));
    let result: T;
    try {
      result = await root.transaction.run(fn);
    } catch (error) {
      await root.transaction.settled();
      root.transaction.end('rolled back');
      if (!root.isLost) await connection.rollback();
      throw error;
    }
    root.transaction.end('committed');
    await connection.commit();
    await root.runAfterCommit();
    return result;
  }

  /**
   * Makes a transaction that somebody else opened on `connection` the ambient one while `fn` runs. Committing it, or
   * rolling it back when this rejects, is up to the caller.
   */
  async joinTransaction<T>(
    connection: TransactionConnection,
    fn: (transaction: Transaction) => Promise<T>,
  ): Promise<JoinedTransaction<T>> {
    const root = new RootTransaction(connection, this.#ambient);
    try {
      const result = await root.transaction.run(fn);
      root.transaction.end('committed');
      return { result, runAfterCommit: () => root.runAfterCommit() };
    } catch (error) {
      await root.transaction.settled();
      root.transaction.end('rolled back');
      throw error;
    }
  }

  /** The milliseconds that a round trip took. @throws TimeoutError */
  async ping(timeoutMs = 1000): Promise<number> {
    const start = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new TimeoutError('PostgreSQL', timeoutMs)), timeoutMs);
    });
    try {
      await Promise.race([execute(this.client, 'select 1', [], this.#prepare), timeout]);
    } finally {
      clearTimeout(timer);
    }
    return performance.now() - start;
  }

  /** The server's version as a number, such as 150020 for 15.20. */
  async serverVersion(): Promise<number> {
    const [row] = await this.query<{ version: string }>(
      `select current_setting('server_version_num') as version`,
    );
    return Number(row!.version);
  }

  /**
   * Listens to a channel, on the one LISTEN connection that this object opens when it is first needed (through
   * `listenUrl` where given) and opens again whenever it is lost. What was sent meanwhile is lost: `onListening`,
   * called after each (re)connect, is the moment to read the tables.
   *
   * @throws InvalidArgumentError for a channel that is no identifier; ClosedError
   */
  async listen(
    channel: string,
    onNotify: (payload: string) => void,
    onListening?: () => void,
  ): Promise<Listening> {
    if (this.#closing !== undefined) throw new ClosedError('Postgres');
    this.#listener ??= new Listener((overrides) => this.#createListenClient(overrides));
    return this.#listener.listen(channel, onNotify, onListening);
  }

  /** Whether the LISTEN connection stands; `idle` while nobody listens. */
  get listenerState(): ListenerState['status'] {
    return this.#listener?.state.status ?? 'idle';
  }

  /** Wakes other processes when there is something new to read. */
  get wakeup(): Wakeup {
    this.#wakeup ??= new Wakeup(this);
    return this.#wakeup;
  }

  /** Locks that end by themselves. */
  get leases(): Leases {
    this.#leases ??= new Leases(this);
    return this.#leases;
  }

  get poolFigures(): { max: number } {
    return { max: this.client.options.max };
  }

  /** Closes what this object opened; a client that was passed in stays open. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([this.#leases?.close(), this.#wakeup?.close()]);
    await this.#listener?.close();
    this.#closed = true;
    if (this.#options.client === undefined) await this.#client?.end({ timeout: 5 });
  }

  async #createListenClient(overrides: DriverOptions): Promise<Sql> {
    const { client, listenUrl, url } = this.#options;
    if (client === undefined || listenUrl !== undefined) return this.#create(listenUrl ?? url, overrides);
    const derived: Record<string, unknown> = { ...client.options, ...overrides };
    return loadDriver()(derived as DriverOptions);
  }

  #create(url: string | undefined, overrides: DriverOptions): Sql {
    const postgres = loadDriver();
    const { types, ...options } = { ...this.#options.options, ...overrides };
    const merged: DriverOptions = {
      connect_timeout: 5,
      backoff: (attempt: number) => (0.5 + Math.random() / 2) * Math.min(3 ** attempt / 100, 1),
      onnotice: () => undefined,
      prepare: this.#prepare,
      ...options,
      types: { bigint: postgres.BigInt, ...types },
    };
    return url === undefined ? postgres(merged) : postgres(url, merged);
  }
}

function beginModes({ isolationLevel, readOnly }: TransactionOptions): string {
  const modes: string[] = [];
  if (isolationLevel !== undefined) modes.push(`isolation level ${isolationLevel}`);
  if (readOnly !== undefined) modes.push(readOnly ? 'read only' : 'read write');
  return modes.join(' ');
}
