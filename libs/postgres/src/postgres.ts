import { AsyncLocalStorage } from 'node:async_hooks';
import { ClosedError, InvalidArgumentError, parseDuration, runInRootScope } from '@nestbox/core';
import { connectWithin } from './connect-within.js';
import type { DriverOptions, Row, Sql } from './driver.js';
import { EmbeddedServer } from './embedded/embedded-server.js';
import { Leases } from './leases.js';
import { Listener, type Listening, type ListenerState } from './listener.js';
import { createClient, deriveClient, parseTarget, withoutAddress, type Target } from './owned-options.js';
import { ConnectionPool } from './pool/connection-pool.js';
import type { Database, PoolFigures } from './pool/database.js';
import type { ParsedOptions } from './pool/pooled-connection.js';
import { SharedClient } from './pool/shared-client.js';
import { EmbeddedPostgresError } from './postgres.errors.js';
import { checkOptions, type PostgresOptions } from './postgres.options.js';
import { joinTransaction, runTransaction, type JoinedTransaction } from './run-transaction.js';
import type { TransactionConnection } from './transaction-connection.js';
import type { AmbientTransaction } from './transaction-session.js';
import { paramsProblem, type Transaction } from './transaction.js';
import { beginModes, type TransactionOptions } from './transaction.options.js';
import { Wakeup } from './wakeup.js';
import { withTimeout } from './with-timeout.js';

/** A PostgreSQL database: connections, transactions, and notifications. It connects when it is first used. */
export class Postgres {
  readonly #createdAt = new Date();
  readonly #options: PostgresOptions;
  readonly #prepare: boolean;
  readonly #connectTimeoutMs: number;
  readonly #ambient: AmbientTransaction<Transaction> = new AsyncLocalStorage();
  readonly #server: EmbeddedServer | undefined;
  #target: Target;
  #parsed: ParsedOptions | undefined;
  #database: Database | undefined;
  #starting: Promise<Database> | undefined;
  #ready: Promise<void> | undefined;
  #client: Sql | undefined;
  #listener: Listener | undefined;
  #wakeup: Wakeup | undefined;
  #leases: Leases | undefined;
  #ping: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #closed = false;

  /** @throws InvalidArgumentError when the options contradict each other */
  constructor(options: PostgresOptions | string) {
    this.#options = checkOptions(options);
    const { client, embedded, prepare = true, connectTimeout = 10_000, url, options: driver } = this.#options;
    this.#prepare = prepare;
    this.#connectTimeoutMs = parseDuration(connectTimeout, 'options.connectTimeout');
    this.#client = client;
    this.#target = { url, options: driver };
    if (embedded !== undefined) this.#server = new EmbeddedServer(embedded);
  }

  /**
   * The postgres.js client: the one that was passed in; else one of the same options, made at the first use, with
   * connections of its own. It knows nothing of the ambient transaction.
   *
   * @throws ClosedError; MissingDriverError; EmbeddedPostgresError for an embedded server before `init` has resolved
   */
  get client(): Sql {
    if (this.#closed) throw new ClosedError('Postgres');
    this.#client ??= createClient(this.#parsedOptions());
    return this.#client;
  }

  /**
   * The URL of the database, with its password, for libraries with connections of their own: the one that was given,
   * or that of the embedded server once `init` has resolved. Undefined where there is none, since the address is in
   * `options` or in a client that was passed in.
   *
   * @throws EmbeddedPostgresError for an embedded server before `init` has resolved
   */
  get url(): string | undefined {
    if (this.#server !== undefined && this.#target.url === undefined) throw notRunning();
    return this.#target.url;
  }

  /**
   * The parsed options of postgres.js for a connection that keeps its session, for whoever needs locks of a session:
   * through `listenUrl` where given, else those of {@link client}.
   *
   * @throws ClosedError; MissingDriverError; EmbeddedPostgresError for an embedded server before `init` has resolved
   */
  get sessionOptions(): object {
    this.#assertOpen();
    const { client, listenUrl } = this.#options;
    if (listenUrl === undefined) return client?.options ?? this.#parsedOptions();
    const options = withoutAddress(this.#options.options);
    return parseTarget({ url: listenUrl, options }, this.#prepare);
  }

  /**
   * Starts the embedded server, if there is one, and makes a round trip to the database, trying again for
   * `connectTimeout` while it cannot be reached. May be called twice. Without it, the first statement connects.
   *
   * @throws PostgresUnavailableError; EmbeddedPostgresError; ClosedError
   */
  init(): Promise<void> {
    this.#ready ??= runInRootScope(() => this.#init()).catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    return this.#ready;
  }

  /**
   * Runs a statement, in the ambient transaction where there is one. `$1`, `$2`… stand for the parameters. Without
   * parameters the text may hold several statements; the rows are those of the last. Rows are as postgres.js gives
   * them, int8 as bigint unless the client was passed in.
   *
   * Each call may run on another connection, so `set`, `listen` and the like have no place here.
   *
   * @throws the driver's error; InvalidArgumentError for an undefined parameter; TransactionClosedError
   */
  query<R extends Row = Row>(text: string, params: readonly unknown[] = []): Promise<R[]> {
    const transaction = this.#ambient.getStore();
    return transaction === undefined ? this.#query<R>(text, params) : transaction.query<R>(text, params);
  }

  /** The transaction in which the caller runs, if any. */
  get currentTransaction(): Transaction | undefined {
    return this.#ambient.getStore();
  }

  /**
   * Runs `fn` in a transaction that every call on this `Postgres` inside of `fn` joins. Commits when it resolves,
   * rolls back when it rejects. Inside another transaction it is a savepoint. Nothing is tried again.
   *
   * @throws what `fn` throws; TransactionClosedError when `fn` swallowed the error of a statement, or the connection
   *   was lost; CommitOutcomeUnknownError when it was lost during COMMIT; InvalidArgumentError
   */
  async transaction<T>(
    fn: (transaction: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    const modes = beginModes(options);
    const outer = this.#ambient.getStore();
    if (outer !== undefined) {
      if (modes === '') return outer.savepoint(fn);
      throw new InvalidArgumentError(
        'options',
        'isolationLevel and readOnly cannot be set on a nested transaction, which is a savepoint of the outer one.',
      );
    }
    const database = this.#database ?? (await this.#open());
    return runTransaction(await database.begin(modes), this.#ambient, fn);
  }

  /**
   * Makes a transaction that somebody else began on `connection` the ambient one while `fn` runs. To commit it, or to
   * roll it back when this rejects, is up to the caller.
   *
   * @throws as {@link transaction}
   */
  joinTransaction<T>(
    connection: TransactionConnection,
    fn: (transaction: Transaction) => Promise<T>,
  ): Promise<JoinedTransaction<T>> {
    return joinTransaction(connection, this.#ambient, fn);
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
    this.#assertOpen();
    this.#listener ??= new Listener((overrides) => this.#createListenClient(overrides));
    return this.#listener.listen(channel, onNotify, onListening);
  }

  /** The LISTEN connection's state and since when it has it; `idle` while nobody listens. */
  get listening(): ListenerState {
    return this.#listener?.state ?? { status: 'idle', since: this.#createdAt };
  }

  get listenerState(): ListenerState['status'] {
    return this.listening.status;
  }

  /** Wakes other processes when there is something new to read. */
  get wakeup(): Wakeup {
    this.#assertOpen();
    this.#wakeup ??= new Wakeup(this);
    return this.#wakeup;
  }

  /** Locks that end by themselves. */
  get leases(): Leases {
    this.#assertOpen();
    this.#leases ??= new Leases(this);
    return this.#leases;
  }

  /** How busy the connections are; undefined before the first use. */
  get poolFigures(): PoolFigures | undefined {
    return this.#database?.figures;
  }

  /**
   * The milliseconds that a round trip took. One at a time is under way, however many ask for it, so that asking a
   * server that hangs piles nothing up.
   *
   * @throws TimeoutError; the driver's error
   */
  async ping(timeoutMs = 1000): Promise<number> {
    const start = performance.now();
    await withTimeout(this.#roundTrip(), timeoutMs);
    return performance.now() - start;
  }

  /** The server's version as a number, such as 150020 for 15.20. */
  async serverVersion(): Promise<number> {
    const [row] = await this.query(`select current_setting('server_version_num') as version`);
    return Number(row!['version']);
  }

  /**
   * Ends what this object opened: leases are released, statements and transactions under way get 5 seconds, an
   * embedded server is stopped. A client that was passed in stays open. May be called twice.
   */
  close(): Promise<void> {
    this.#closing ??= runInRootScope(() => this.#close());
    return this.#closing;
  }

  async #query<R extends Row>(text: string, params: readonly unknown[]): Promise<R[]> {
    const problem = paramsProblem(params);
    if (problem !== undefined) throw problem;
    const database = this.#database ?? (await this.#open());
    return (await database.query(text, params)) as R[];
  }

  async #init(): Promise<void> {
    const database = await this.#open();
    await connectWithin(database, this.#connectTimeoutMs);
  }

  /** The database, after its embedded server has been started where it has one. */
  #open(): Promise<Database> {
    this.#starting ??= this.#start().catch((error: unknown) => {
      this.#starting = undefined;
      throw error;
    });
    return this.#starting;
  }

  async #start(): Promise<Database> {
    this.#assertOpen();
    const { client, options } = this.#options;
    if (this.#server !== undefined) {
      const url = await runInRootScope(() => this.#server!.start());
      this.#target = { url, options: withoutAddress(options) };
    }
    this.#database =
      client === undefined
        ? new ConnectionPool(this.#parsedOptions(), this.#prepare)
        : new SharedClient(client, this.#prepare);
    return this.#database;
  }

  async #close(): Promise<void> {
    // Leases tell others that they are free, which is a wake-up to send.
    await this.#leases?.close();
    await this.#wakeup?.close();
    this.#closed = true;
    await this.#listener?.close();
    const owned = this.#options.client === undefined ? this.#client : undefined;
    const database = await this.#starting?.catch(() => undefined);
    await Promise.all([database?.close(), owned?.end({ timeout: 5 })]);
    await this.#server?.stop();
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError('Postgres');
  }

  #roundTrip(): Promise<void> {
    this.#ping ??= runInRootScope(async () => (await this.#open()).probe()).finally(() => {
      this.#ping = undefined;
    });
    return this.#ping;
  }

  async #createListenClient(overrides: DriverOptions): Promise<Sql> {
    await this.#open();
    const { client, listenUrl } = this.#options;
    if (client !== undefined && listenUrl === undefined) return deriveClient(client, overrides);
    if (listenUrl === undefined) return createClient(this.#parsedOptions(), overrides);
    const options = withoutAddress(this.#options.options);
    return createClient(parseTarget({ url: listenUrl, options }, this.#prepare), overrides);
  }

  #parsedOptions(): ParsedOptions {
    if (this.#server !== undefined && this.#target.url === undefined) throw notRunning();
    this.#parsed ??= parseTarget(this.#target, this.#prepare);
    return this.#parsed;
  }
}

function notRunning(): EmbeddedPostgresError {
  return new EmbeddedPostgresError('it is not running yet; await postgres.init() first.');
}
