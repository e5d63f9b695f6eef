import { setTimeout as sleep } from 'node:timers/promises';
import { UnsupportedOperationError, backoffMs } from '@nestbox/core';
import {
  OrderedLog,
  isConnectionLost,
  isDataError,
  isTransactionConflict,
  postgresOf,
  quoteIdentifier,
  type Migrations,
  type Postgres,
  type PostgresSource,
} from '@nestbox/postgres';
import type {
  AppendOutcome,
  AppendRequest,
  EventStoreBackend,
  LogQuery,
  Snapshot,
  SnapshotKey,
  StoredMessage,
  StreamInfo,
  StreamQuery,
  StreamSlice,
  StreamState,
} from '../event-store.backend.js';
import type { DocumentLock, StoredDocument } from '../documents/document.backend.js';
import { PartitionNotFoundError } from '../event-store.errors.js';
import type { ExpectedStreamVersion } from '../event.types.js';
import { DEFAULT_SCHEMA, POSITION_SEQUENCE, eventStoreMigrations } from './event-store-schema.js';
import { MessageReader } from './message-reader.js';
import { MessageWriter } from './message-writer.js';
import { PgDocuments } from './pg-documents.js';
import { PgProcessors } from './pg-processors.js';
import { SnapshotTable } from './snapshot-table.js';

/** Options of an event store on PostgreSQL. */
export interface PgEventStoreBackendOptions {
  /** Default: `event_store`. */
  schema?: string | undefined;
  /** Creates and upgrades the schema at start; false only checks it. Default: true. */
  migrate?: boolean | undefined;
}

/** Events in PostgreSQL, in the tables `emt_streams` and `emt_messages`. */
export class PgEventStoreBackend implements EventStoreBackend {
  readonly kind = 'postgres';
  readonly postgres: Postgres;
  readonly schema: string;
  readonly migrations: Migrations;
  readonly documents: PgDocuments;
  readonly processors: PgProcessors;
  private readonly owned: boolean;
  private readonly migrate: boolean;
  private readonly quoted: string;
  private readonly topic: string;
  private readonly log: OrderedLog;
  private readonly reader: MessageReader;
  private readonly writer: MessageWriter;
  private readonly snapshots: SnapshotTable;

  /** @throws InvalidArgumentError */
  constructor(
    source: PostgresSource,
    { schema = DEFAULT_SCHEMA, migrate = true }: PgEventStoreBackendOptions = {},
  ) {
    const { postgres, owned } = postgresOf(source, 'source');
    this.postgres = postgres;
    this.owned = owned;
    this.migrate = migrate;
    this.schema = schema;
    this.migrations = eventStoreMigrations(postgres, { schema });
    this.quoted = quoteIdentifier(schema);
    this.topic = `events:${schema}`;
    this.log = new OrderedLog(postgres, { sequence: { schema, name: POSITION_SEQUENCE } });
    this.reader = new MessageReader(postgres, schema);
    this.writer = new MessageWriter(postgres, schema);
    this.snapshots = new SnapshotTable(postgres, schema);
    this.documents = new PgDocuments(postgres, schema);
    this.processors = new PgProcessors(postgres, schema);
  }

  async init(): Promise<void> {
    await this.postgres.init();
    if (this.migrate) await this.migrations.run();
    else await this.migrations.check();
  }

  async close(): Promise<void> {
    if (this.owned) await this.postgres.close();
  }

  async ping(timeoutMs: number): Promise<void> {
    await this.postgres.ping(timeoutMs);
  }

  async append(requests: readonly AppendRequest[]): Promise<readonly AppendOutcome[]> {
    try {
      const { outcomes, heard } = await this.writer.append(requests);
      if (heard) this.notify();
      return outcomes;
    } catch (error) {
      throw asPartitionError(error, requests) ?? error;
    }
  }

  async appendAndLock(
    requests: readonly AppendRequest[],
    locks: readonly DocumentLock[],
  ): Promise<{
    outcomes: readonly AppendOutcome[];
    documents: readonly (readonly (StoredDocument | undefined)[])[];
  }> {
    const append = this.writer.appendCall(requests);
    const calls = locks.map(({ table, keys, isOwned }) => this.documents.lockCall(table, keys, isOwned));
    try {
      const transaction = this.postgres.currentTransaction!;
      const [rows, ...found] = await transaction.queryAll([append, ...calls]);
      const { outcomes, heard } = append.parse(rows!);
      if (heard) this.notify();
      return { outcomes, documents: calls.map((call, i) => call.parse(found[i]!)) };
    } catch (error) {
      throw asPartitionError(error, requests) ?? this.documents.known(error, locks) ?? error;
    }
  }

  readStream(query: StreamQuery): Promise<StreamSlice> {
    return this.reader.readStream(query);
  }

  streamState(
    partition: string,
    streamName: string,
  ): Promise<{ state: StreamState; version: bigint; position: bigint }> {
    return this.reader.streamState(partition, streamName);
  }

  listStreams(query: Parameters<EventStoreBackend['listStreams']>[0]): Promise<StreamInfo[]> {
    return this.reader.listStreams(query);
  }

  async setArchived(partition: string, streamName: string, archived: boolean): Promise<boolean> {
    const rows = await this.postgres.query(
      `update ${this.quoted}.emt_streams s set is_archived = $3
        where s.partition = $1 and s.stream_id = $2 and not s.is_deleted and s.stream_position > 0
       returning 1 as one`,
      [partition, streamName, archived],
    );
    return rows.length > 0;
  }

  async deleteStream(
    partition: string,
    streamName: string,
    expected: ExpectedStreamVersion,
  ): Promise<{ deleted: boolean } | { conflict: bigint }> {
    const result = await this.writer.deleteStream(partition, streamName, expected);
    this.notify();
    return result;
  }

  watermark(): Promise<bigint> {
    return this.log.watermark();
  }

  head(upTo?: bigint): Promise<bigint> {
    return this.reader.lastPosition(upTo);
  }

  readLog(query: LogQuery): Promise<readonly StoredMessage[]> {
    return this.reader.readLog(query);
  }

  readSnapshot(key: SnapshotKey): Promise<Snapshot | undefined> {
    return this.snapshots.read(key);
  }

  writeSnapshot(key: SnapshotKey, snapshot: Snapshot): Promise<void> {
    return this.snapshots.write(key, snapshot);
  }

  createPartition(partition: string): Promise<boolean> {
    return this.ask(`select ${this.quoted}.emt_create_partition($1) as answer`, partition);
  }

  async listPartitions(): Promise<string[]> {
    const rows = await this.postgres.query(
      `select p.partition as name from ${this.quoted}.emt_partitions p order by p.partition`,
    );
    return rows.map(({ name }) => name as string);
  }

  /**
   * Its tables can only be dropped while nobody works on those that they are part of. All who come later wait behind
   * it, so it does not wait for long, and comes again.
   */
  async dropPartition(partition: string): Promise<boolean> {
    const call = `${this.quoted}.emt_drop_partition($1) as answer`;
    if (this.inTransaction) return this.ask(`select ${call}`, partition);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.ask(`select set_config('lock_timeout', '500', true), ${call}`, partition);
      } catch (error) {
        if (attempt === DROP_ATTEMPTS || !this.isBusy(error)) throw error;
        await sleep(backoffMs(attempt, DROP_PAUSE));
      }
    }
  }

  transaction<T>(fn: () => Promise<T>): Promise<T> {
    return this.postgres.transaction(fn);
  }

  get inTransaction(): boolean {
    return this.postgres.currentTransaction !== undefined;
  }

  afterCommit(fn: () => void): void {
    const transaction = this.postgres.currentTransaction;
    if (transaction === undefined) fn();
    else transaction.afterCommit(fn);
  }

  readonly run = (text: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]> => {
    if (!this.inTransaction) {
      throw new UnsupportedOperationError(
        'A statement of a projection',
        'its handler once that has ended',
        'Await all statements inside the handler.',
      );
    }
    return this.postgres.query(text, params);
  };

  isDataError(error: unknown): boolean {
    return isDataError(error);
  }

  isTransient(error: unknown): boolean {
    return isTransactionConflict(error);
  }

  isBusy(error: unknown): boolean {
    return isNamed(error, ['55P03']);
  }

  isUnavailable(error: unknown): boolean {
    return isConnectionLost(error) || isNamed(error, UNAVAILABLE);
  }

  notify(): void {
    this.postgres.wakeup.notify(this.topic);
  }

  onWakeup(fn: () => void | Promise<void>, pollMs: number): Disposable {
    return this.postgres.wakeup.on(this.topic, fn, { pollMs });
  }

  private async ask(text: string, partition: string): Promise<boolean> {
    const [row] = await this.postgres.query(text, [partition]);
    return row!['answer'] === true;
  }
}

const DROP_ATTEMPTS = 60;
const DROP_PAUSE = { baseMs: 50, maxMs: 1_000 };

/** Of errors that lie in the connection. By name: an application may have two copies of the package. */
const UNAVAILABLE = ['POSTGRES_UNAVAILABLE', 'COMMIT_OUTCOME_UNKNOWN'];

function isNamed(error: unknown, codes: readonly string[]): boolean {
  const code: unknown = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && codes.includes(code);
}

/** `no partition of relation "emt_streams" found for row` */
function asPartitionError(
  error: unknown,
  requests: readonly AppendRequest[],
): PartitionNotFoundError | undefined {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (code !== '23514' || !String(message).startsWith('no partition of relation')) return undefined;
  // Which of several it was shows when each is sent by itself; see `isDataError`.
  if (requests.length > 1) return undefined;
  return new PartitionNotFoundError(requests[0]!.partition);
}
