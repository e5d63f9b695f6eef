import {
  UnsupportedOperationError,
  compareUtf8,
  encodeJson,
  type JsonValue,
  type RowLayer,
  type RowKey,
} from '@nestbox/core';
import { WakeupSubscription } from '@nestbox/postgres';
import type {
  AppendOutcome,
  AppendRequest,
  EventStoreBackend,
  LogQuery,
  RunStatement,
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
import { DEFAULT_PARTITION, type ExpectedStreamVersion } from '../event.types.js';
import { appendAll, deleteStream } from './memory.append.js';
import { MemoryDatabase } from './memory.database.js';
import { MemoryDocuments, clearPartition } from './memory.documents.js';
import { MemoryProcessors } from './memory.processors.js';
import { headOf, listStreams, readLog, readStream, setArchived, streamState } from './memory.streams.js';
import {
  CHECKPOINTS,
  EVENTS,
  LOG,
  MESSAGE_IDS,
  PARKED,
  PARTITIONS,
  SNAPSHOTS,
  STREAMS,
  keyOf,
  lastPosition,
} from './memory.tables.js';

/**
 * Events in this process, lost with it: for the tests of applications. Transactions run one at a time, and writes
 * outside of one wait for its end; projections that run SQL are not supported.
 *
 * Closing it keeps what it has, so that another `EventStore` on the same object finds it, as after a restart.
 */
export class MemoryEventStoreBackend implements EventStoreBackend {
  readonly kind = 'memory';
  readonly documents: MemoryDocuments;
  readonly processors: MemoryProcessors;
  private readonly database = new MemoryDatabase();
  private readonly wakeups = new Set<WakeupSubscription>();

  constructor() {
    this.documents = new MemoryDocuments(this.database);
    this.processors = new MemoryProcessors(this.database);
    this.database.committed.set(PARTITIONS, DEFAULT_PARTITION, { partition: DEFAULT_PARTITION });
  }

  async init(): Promise<void> {}

  async close(): Promise<void> {}

  async ping(_timeoutMs: number): Promise<void> {}

  async append(requests: readonly AppendRequest[]): Promise<readonly AppendOutcome[]> {
    const outcomes = await this.database.write((tables) => appendAll(tables, requests));
    if (outcomes.some(({ kind }) => kind === 'appended')) this.notify();
    return outcomes;
  }

  async appendAndLock(
    requests: readonly AppendRequest[],
    locks: readonly DocumentLock[],
  ): Promise<{
    outcomes: readonly AppendOutcome[];
    documents: readonly (readonly (StoredDocument | undefined)[])[];
  }> {
    const outcomes = await this.append(requests);
    const documents: (readonly (StoredDocument | undefined)[])[] = [];
    for (const { table, keys } of locks) documents.push(await this.documents.lock(table, keys));
    return { outcomes, documents };
  }

  readStream(query: StreamQuery): Promise<StreamSlice> {
    return this.database.read((tables) => readStream(tables, query));
  }

  streamState(
    partition: string,
    streamName: string,
  ): Promise<{ state: StreamState; version: bigint; position: bigint }> {
    return this.database.read((tables) => streamState(tables, partition, streamName));
  }

  listStreams(query: Parameters<EventStoreBackend['listStreams']>[0]): Promise<StreamInfo[]> {
    return this.database.read((tables) => listStreams(tables, query));
  }

  setArchived(partition: string, streamName: string, archived: boolean): Promise<boolean> {
    return this.database.write((tables) => setArchived(tables, partition, streamName, archived));
  }

  async deleteStream(
    partition: string,
    streamName: string,
    expected: ExpectedStreamVersion,
  ): Promise<{ deleted: boolean } | { conflict: bigint }> {
    const result = await this.database.write((tables) =>
      deleteStream(tables, partition, streamName, expected),
    );
    this.notify();
    return result;
  }

  /** What a transaction has not committed yet is behind it, also inside that transaction. */
  async watermark(): Promise<bigint> {
    return lastPosition(this.database.committed);
  }

  head(upTo?: bigint): Promise<bigint> {
    return this.database.read((tables) => headOf(tables, upTo));
  }

  readLog(query: LogQuery): Promise<readonly StoredMessage[]> {
    return this.database.read((tables) => readLog(tables, query));
  }

  readSnapshot(key: SnapshotKey): Promise<Snapshot | undefined> {
    return this.database.read((tables) => {
      const row = tables.get(SNAPSHOTS, snapshotKey(key));
      return row && { version: row.version, state: JSON.parse(row.state) as JsonValue };
    });
  }

  writeSnapshot(key: SnapshotKey, { version, state }: Snapshot): Promise<void> {
    return this.database.write((tables) => {
      const { partition, streamName } = key;
      const there = tables.get(SNAPSHOTS, snapshotKey(key));
      if (there !== undefined && there.version >= version) return;
      const row = { partition, streamName, version, state: encodeJson(state, 'state') };
      tables.set(SNAPSHOTS, snapshotKey(key), row);
    });
  }

  createPartition(partition: string): Promise<boolean> {
    return this.database.write((tables) => {
      if (tables.get(PARTITIONS, partition) !== undefined) return false;
      tables.set(PARTITIONS, partition, { partition });
      return true;
    });
  }

  listPartitions(): Promise<string[]> {
    return this.database.read((tables) =>
      [...tables.rows(PARTITIONS)].map(({ partition }) => partition).sort(compareUtf8),
    );
  }

  dropPartition(partition: string): Promise<boolean> {
    return this.database.write((tables) => dropPartition(tables, partition));
  }

  transaction<T>(fn: () => Promise<T>): Promise<T> {
    return this.database.transaction(fn);
  }

  get inTransaction(): boolean {
    return this.database.inTransaction;
  }

  afterCommit(fn: () => void): void {
    this.database.afterCommit(fn);
  }

  readonly run: RunStatement = () =>
    Promise.reject(
      new UnsupportedOperationError(
        'SQL in a projection',
        'the memory backend',
        'Test it on PostgreSQL, or use a projection of documents.',
      ),
    );

  isDataError(error: unknown): boolean {
    return error instanceof PartitionNotFoundError;
  }

  isTransient(_error: unknown): boolean {
    return false;
  }

  isBusy(_error: unknown): boolean {
    return false;
  }

  isUnavailable(_error: unknown): boolean {
    return false;
  }

  notify(): void {
    this.afterCommit(() => {
      for (const wakeup of this.wakeups) wakeup.wake();
    });
  }

  onWakeup(fn: () => void | Promise<void>, pollMs: number): Disposable {
    const wakeup = new WakeupSubscription('memory event store', fn, pollMs, (disposed) =>
      this.wakeups.delete(disposed),
    );
    this.wakeups.add(wakeup);
    wakeup.wake();
    return wakeup;
  }
}

function snapshotKey({ partition, streamName, name, schemaVersion }: SnapshotKey): string {
  return keyOf(partition, streamName, name, schemaVersion);
}

function dropPartition(tables: RowLayer, partition: string): boolean {
  if (tables.get(PARTITIONS, partition) === undefined) return false;
  tables.delete(PARTITIONS, partition);
  const isInside = (row: { readonly partition: string }): boolean => row.partition === partition;
  for (const table of [STREAMS, LOG, EVENTS, MESSAGE_IDS, SNAPSHOTS, CHECKPOINTS] as const) {
    tables.deleteWhere<{ readonly partition: string }, RowKey>(table, isInside);
  }
  tables.deleteWhere(PARKED, (row) => isInside(row) || isInside(row.message));
  clearPartition(tables, partition);
  return true;
}
