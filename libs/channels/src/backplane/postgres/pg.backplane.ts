import {
  ClosedError,
  Coalescer,
  InvalidArgumentError,
  Lifecycle,
  OverloadedError,
  parseDuration,
  runInRootScope,
  type Duration,
} from '@nestbox/core';
import { isDataError, postgresOf, type Postgres, type PostgresSource } from '@nestbox/postgres';
import { BackplaneError } from '../../channel.errors.js';
import {
  Backplane,
  type AmbientTransactions,
  type BackplaneReceiver,
  type BackplaneState,
  type HistoryPage,
  type OutgoingMessage,
  type Position,
  type Retention,
} from '../backplane.js';
import { Joins } from '../joins.js';
import { migrationsOf } from './backplane-schema.js';
import { PgReader } from './pg-reader.js';
import { PgStream, type Publication } from './pg-stream.js';
import { PgTrimmer } from './pg-trimmer.js';
import { StreamNames } from './stream-names.js';

/** Where a backplane on PostgreSQL has its tables, and how it reads them. */
export interface PgBackplaneOptions {
  /** Created when it does not exist. Default: `serverless`. */
  schema?: string;
  /** What its tables' names begin with: `<name>_stream`, … Instances with the same one hear each other. Default: `hub`. */
  name?: string;
  /** Whether to create and upgrade the tables; else they are checked. Default: true. */
  migrate?: boolean;
  /**
   * How long messages stay in the stream at the least. An instance whose link is cut for longer misses some. Default:
   * 60 s.
   */
  keepFor?: Duration;
  /** How often to look for messages when nothing wakes, as while the LISTEN connection is lost. Default: 1 s. */
  pollInterval?: Duration;
}

/** A lost LISTEN connection is made again within a moment; only then messages come late. */
const LISTEN_GRACE_MS = 1000;
/** A page of the stream takes some ms; a server that is silent for so long hangs. */
const ANSWER_GRACE_MS = 2000;
const DEFAULT_LIMIT = 1000;

/**
 * Carries messages through a table of PostgreSQL, an ordered log that every instance reads. NOTIFY says only that there
 * is something new; when that is lost, polling finds it.
 *
 * The offset of a message is its position in the stream, so offsets of a topic grow, but not by one.
 */
export class PgBackplane extends Backplane {
  readonly backend = 'postgres';
  private readonly postgres: Postgres;
  private readonly owned: boolean;
  private readonly names: StreamNames;
  private readonly stream: PgStream;
  private readonly trimmer: PgTrimmer;
  private readonly joins = new Joins();
  private readonly lifecycle: Lifecycle;
  private readonly publications: Coalescer<Publication, Position | undefined>;
  private readonly migrate: boolean;
  private readonly pollMs: number;
  private readonly wakeupTopic: string;
  /** Topics that were seen to have a history of these limits. */
  private readonly kept = new Map<string, Promise<void>>();
  private nodeId = '';
  private reader: PgReader | undefined;
  private openedAt = new Date();

  /** @throws InvalidArgumentError */
  constructor(source: PostgresSource, options: PgBackplaneOptions = {}) {
    super();
    const { schema = 'serverless', name = 'hub', migrate = true } = options;
    const { keepFor = '60s', pollInterval = 1000 } = options;
    this.names = new StreamNames(schema, name);
    this.pollMs = parseDuration(pollInterval, 'options.pollInterval');
    const keepMs = parseDuration(keepFor, 'options.keepFor');
    this.migrate = migrate;
    this.wakeupTopic = `backplane:${this.names.target}`;
    ({ postgres: this.postgres, owned: this.owned } = postgresOf(source));
    this.stream = new PgStream(this.postgres, this.names);
    this.trimmer = new PgTrimmer(this.stream, keepMs);
    this.lifecycle = new Lifecycle(
      'PgBackplane',
      () => this.prepare(),
      () => this.shut(),
    );
    this.publications = new Coalescer({
      name: `The publications to ${this.names.target}`,
      flush: (items) => this.append(items),
      size: ({ message }) => message.payload.length,
      isDataError,
      // Two at a time could overtake each other.
      maxInFlight: 1,
    });
  }

  get state(): BackplaneState {
    const { reader } = this;
    if (reader === undefined || this.lifecycle.isClosed) return { status: 'idle', since: this.openedAt };
    if (reader.failure !== undefined) return { status: 'down', ...reader.failure };
    if (reader.waitingMs > ANSWER_GRACE_MS) {
      const since = new Date(Date.now() - reader.waitingMs);
      return { status: 'degraded', since, reason: 'the database does not answer' };
    }
    const { status, since, reason } = this.postgres.listening;
    const isLate = status !== 'connected' && Date.now() - since.getTime() > LISTEN_GRACE_MS;
    if (!isLate) return { status: 'up', since: status === 'connected' ? since : this.openedAt };
    return { status: 'degraded', since, reason: `LISTEN is down: ${reason ?? 'not connected yet'}` };
  }

  override get transactions(): AmbientTransactions {
    return this.postgres;
  }

  async open(nodeId: string, receiver: BackplaneReceiver): Promise<void> {
    await this.lifecycle.ready();
    if (this.reader !== undefined) throw new InvalidArgumentError('nodeId', 'the backplane is open already.');
    const { postgres, stream, joins, wakeupTopic, pollMs } = this;
    const reader = new PgReader({ postgres, stream, joins, nodeId, receiver, wakeupTopic, pollMs });
    await runInRootScope(() => reader.open());
    this.nodeId = nodeId;
    this.reader = reader;
    this.openedAt = new Date();
    this.trimmer.start();
  }

  close(): Promise<void> {
    return this.lifecycle.close();
  }

  join(topic: string): Promise<void> | undefined {
    this.joins.add(topic);
    return this.reader?.settled();
  }

  override afterJoin(joining: Promise<void>): Promise<void> | undefined {
    // What is read at the moment may wait for the connection that the caller has.
    if (!this.mustStayInside) return joining;
    this.postgres.currentTransaction!.afterCommit(() => joining);
    return undefined;
  }

  leave(topic: string): void {
    this.joins.remove(topic);
  }

  joinAll(): Promise<void> | undefined {
    this.joins.addAll();
    return this.reader?.settled();
  }

  leaveAll(): void {
    this.joins.removeAll();
  }

  async publish(message: OutgoingMessage, retention?: Retention): Promise<Position | undefined> {
    const { topic } = message;
    const item: Publication = { message: { ...message, payload: Buffer.from(message.payload) }, retention };
    return this.run(`publish to topic "${topic}"`, async () => {
      const position = await this.send(item);
      this.postgres.wakeup.notify(this.wakeupTopic);
      if (position !== undefined) this.trimmer.noteGrown(topic);
      return position;
    });
  }

  async head(topic: string): Promise<Position | undefined> {
    const found = await this.read(topic, Number.MAX_SAFE_INTEGER, 1);
    return found?.head;
  }

  async history(
    topic: string,
    { since, limit = DEFAULT_LIMIT }: { since?: Position; limit?: number } = {},
  ): Promise<HistoryPage | undefined> {
    const found = await this.read(topic, since?.offset, limit);
    if (found === undefined) return undefined;
    const { head, gone, messages, isWhole } = found;
    if (since === undefined) return { messages, head, complete: true };
    if (since.epoch === head.epoch && since.offset <= head.offset) {
      return { messages, head, complete: isWhole && since.offset >= gone };
    }
    // Another life of the history, which has nothing to do with that offset.
    const all = await this.read(topic, 0, limit);
    return all && { messages: all.messages, head: all.head, complete: false };
  }

  private async send(item: Publication): Promise<Position | undefined> {
    if (this.postgres.currentTransaction === undefined) return this.publications.run(item);
    // A history that begins in here would keep all others from its topic until the commit.
    if (item.retention !== undefined) await this.keep(item.message.topic, item.retention);
    const [position] = await this.stream.publish(this.nodeId, [item], false);
    return position;
  }

  private async append(items: Publication[]): Promise<readonly (Position | undefined)[]> {
    // Live messages are delivered at most once; only a history has to survive a crash.
    const isRelaxed = items.every(({ retention }) => retention === undefined);
    return this.stream.publish(this.nodeId, items, isRelaxed);
  }

  /** Begins a history beside the caller's transaction. Where that cannot be, publishing begins it in there. */
  private async keep(topic: string, retention: Retention): Promise<void> {
    const key = JSON.stringify([topic, retention.size, retention.ttlMs]);
    let keeping = this.kept.get(key);
    if (keeping === undefined) {
      if (!this.hasFreeConnection()) return;
      keeping = runInRootScope(() => this.stream.keep(topic, retention));
      this.kept.set(key, keeping);
      keeping.catch(() => this.kept.delete(key));
      // It spares a statement; to forget all of them now and then costs little.
      if (this.kept.size > 10_000) this.kept.clear();
    }
    await keeping;
  }

  /** Transactions that all waited for one more connection each would wait for ever. */
  private hasFreeConnection(): boolean {
    const figures = this.postgres.poolFigures;
    // Of a client that was passed in, we do not know how many its owner uses.
    return figures?.open !== undefined && figures.busy < figures.max;
  }

  private read(topic: string, since: number | undefined, limit: number) {
    return this.run(`read the history of topic "${topic}"`, async () => {
      const read = () => this.stream.history(topic, since, limit);
      // A transaction might not see what was committed since it began.
      const isWhole = !this.mustStayInside;
      const found = await (isWhole ? runInRootScope(read) : read());
      return found && { ...found, isWhole };
    });
  }

  private get mustStayInside(): boolean {
    return this.postgres.currentTransaction !== undefined && !this.hasFreeConnection();
  }

  private async run<R>(operation: string, fn: () => Promise<R>): Promise<R> {
    try {
      const opening = this.lifecycle.ready();
      if (opening !== undefined) await opening;
      return await fn();
    } catch (error) {
      if (error instanceof ClosedError || error instanceof OverloadedError) throw error;
      throw new BackplaneError(operation, error);
    }
  }

  private async prepare(): Promise<void> {
    const migrations = migrationsOf(this.postgres, this.names);
    await (this.migrate ? migrations.run() : migrations.check());
  }

  private async shut(): Promise<void> {
    await this.publications.close();
    await this.reader?.close();
    await this.trimmer.close();
    if (this.owned) await this.postgres.close();
  }
}
