import type { Migrations } from '@nestbox/postgres';
import type { JsonObject, JsonValue } from '@nestbox/core';
import type { DocumentBackend, DocumentLock, StoredDocument } from './documents/document.backend.js';
import type { ProcessorBackend } from './consumers/processor.backend.js';
import type { ExpectedStreamVersion } from './event.types.js';

/** One event to append. */
export interface NewMessage {
  readonly type: string;
  readonly messageId: string;
  /** Whether the caller chose the id, so that it may be there already. */
  readonly hasOwnId: boolean;
  readonly data: JsonValue;
  readonly metadata: JsonObject;
}

/** Events to append to one stream. There is at least one, and names have been checked. */
export interface AppendRequest {
  readonly partition: string;
  readonly streamName: string;
  readonly category: string;
  readonly expected: ExpectedStreamVersion;
  readonly messages: readonly NewMessage[];
  /** The messages as the backend sends them; their size counts for batches. */
  readonly encoded: string;
}

/** What became of an {@link AppendRequest}. Only the last four kinds have changed nothing. */
export type AppendOutcome =
  | {
      readonly kind: 'appended';
      /** The stream's version now. */
      readonly version: bigint;
      /** The global positions of the messages, in order. */
      readonly positions: readonly bigint[];
      readonly createdAt: Date;
    }
  /** All messages were appended before; version and position of the last of them. */
  | { readonly kind: 'repeated'; readonly version: bigint; readonly position: bigint }
  | { readonly kind: 'conflict'; readonly current: bigint }
  /** Some messages are there already, others are not. */
  | { readonly kind: 'overlap'; readonly messageId: string }
  | { readonly kind: 'archived' }
  | { readonly kind: 'deleted' };

/** A message as it is stored. */
export interface StoredMessage {
  readonly partition: string;
  readonly streamName: string;
  readonly streamPosition: bigint;
  readonly globalPosition: bigint;
  readonly messageId: string;
  readonly type: string;
  readonly data: JsonValue;
  readonly metadata: JsonObject;
  readonly createdAt: Date;
}

/** `deleted` streams had events; `absent` ones never did. */
export type StreamState = 'absent' | 'open' | 'archived' | 'deleted';

/** Which events a backend reads from a stream. */
export interface StreamQuery {
  readonly partition: string;
  readonly streamName: string;
  /** The lowest position, inclusive; from 1. */
  readonly from: bigint;
  /** The highest position, inclusive. */
  readonly to: bigint | undefined;
  readonly maxCount: number | undefined;
  readonly backwards: boolean;
}

/** What a backend has read from a stream. */
export interface StreamSlice {
  readonly state: StreamState;
  /** The stream's version, whatever was read; 0 for one that is not there. */
  readonly version: bigint;
  readonly messages: readonly StoredMessage[];
}

/** A stretch of the log: `after < position <= upTo`. */
export interface LogQuery {
  readonly after: bigint;
  readonly upTo: bigint;
  readonly limit: number;
  /** Of all partitions if undefined. */
  readonly partition: string | undefined;
  /** All if undefined, but for `$StreamDeleted`. */
  readonly types: readonly string[] | undefined;
  /** Whether all includes `$StreamDeleted`. Default: false. */
  readonly withDeleted?: boolean | undefined;
  readonly category: string | undefined;
  /** Only the streams whose hash modulo `count` is `index`. */
  readonly shard: { readonly index: number; readonly count: number } | undefined;
}

/** A state of a stream that was kept, so that aggregating begins there. */
export interface Snapshot {
  /** The version of the stream that it holds. */
  readonly version: bigint;
  readonly state: JsonValue;
}

/** Which snapshot it is: of which stream, and in which shape. */
export interface SnapshotKey {
  readonly partition: string;
  readonly streamName: string;
  /** Which of several ways to aggregate the stream it belongs to. */
  readonly name: string;
  /** Snapshots of another version of the code are not used. */
  readonly schemaVersion: number;
}

/** A stream as it is listed. */
export interface StreamInfo {
  readonly streamName: string;
  readonly category: string;
  readonly version: bigint;
  readonly state: StreamState;
}

/** What an SQL handler gets to run statements with, inside the transaction. */
export type RunStatement = (text: string, params?: readonly unknown[]) => Promise<Record<string, unknown>[]>;

/**
 * What an event store keeps its events in. Each method joins the ambient transaction where there is one. Errors are
 * the backend's own; the store wraps them.
 */
export interface EventStoreBackend {
  readonly kind: 'postgres' | 'memory';

  /** Creates or checks the schema; may be called again after it failed. */
  init(): Promise<void>;
  close(): Promise<void>;
  /** Makes a round trip. */
  ping(timeoutMs: number): Promise<void>;

  /**
   * Appends to several streams, all of them distinct, in one round trip. All or nothing but for the outcomes that
   * changed nothing.
   *
   * @throws PartitionNotFoundError
   */
  append(requests: readonly AppendRequest[]): Promise<readonly AppendOutcome[]>;
  /**
   * Appends and locks documents, in one round trip. In a transaction only.
   *
   * @returns the outcomes; and what is there, for each lock in the order of its keys
   */
  appendAndLock(
    requests: readonly AppendRequest[],
    locks: readonly DocumentLock[],
  ): Promise<{
    outcomes: readonly AppendOutcome[];
    documents: readonly (readonly (StoredDocument | undefined)[])[];
  }>;
  readStream(query: StreamQuery): Promise<StreamSlice>;
  /** State and version of a stream, and the global position of its last event. */
  streamState(
    partition: string,
    streamName: string,
  ): Promise<{ state: StreamState; version: bigint; position: bigint }>;
  /** Sorted by name (UTF-8 bytes). */
  listStreams(query: {
    partition: string;
    category: string | undefined;
    prefix: string;
    after: string | undefined;
    limit: number;
  }): Promise<StreamInfo[]>;
  /** @returns false when there is no such stream, or it was deleted */
  setArchived(partition: string, streamName: string, archived: boolean): Promise<boolean>;
  /** Deletes the events and snapshots, keeps the name taken, and logs `$StreamDeleted`. @returns false when there is no such stream */
  deleteStream(
    partition: string,
    streamName: string,
    expected: ExpectedStreamVersion,
  ): Promise<{ deleted: boolean } | { conflict: bigint }>;

  /** The position up to which the log is complete. */
  watermark(): Promise<bigint>;
  /** The position of the last event, of all partitions, that is there (at or below `upTo`); 0 when there is none. */
  head(upTo?: bigint): Promise<bigint>;
  readLog(query: LogQuery): Promise<readonly StoredMessage[]>;

  readSnapshot(key: SnapshotKey): Promise<Snapshot | undefined>;
  /** Keeps the one with the highest stream version. */
  writeSnapshot(key: SnapshotKey, snapshot: Snapshot): Promise<void>;

  createPartition(partition: string): Promise<boolean>;
  listPartitions(): Promise<string[]>;
  dropPartition(partition: string): Promise<boolean>;

  /** Where there is a schema to migrate. */
  readonly migrations?: Pick<Migrations, 'run' | 'sql'> | undefined;
  readonly documents: DocumentBackend;
  readonly processors: ProcessorBackend;

  /** Runs `fn` in a transaction, or in a savepoint of the ambient one. */
  transaction<T>(fn: () => Promise<T>): Promise<T>;
  readonly inTransaction: boolean;
  /** Runs after the commit of the ambient transaction, or at once. Dropped with a rollback. */
  afterCommit(fn: () => void): void;
  /** Runs SQL in the ambient transaction. @throws UnsupportedOperationError where there is no SQL */
  readonly run: RunStatement;

  /** Whether one request of a batch may have bad data, and nothing of the batch took effect. */
  isDataError(error: unknown): boolean;
  /** Whether doing the same again may succeed, because nothing took effect (a deadlock, say). */
  isTransient(error: unknown): boolean;
  /** Whether somebody else held a lock for longer than was waited for; nothing took effect. */
  isBusy(error: unknown): boolean;
  /** Whether the backend could not be reached, which is not the fault of what was asked of it. */
  isUnavailable(error: unknown): boolean;

  /** Tells the consumers of all processes that there is something to read; after the commit of the ambient transaction. */
  notify(): void;
  /**
   * Calls `fn` when there may be something to read: when woken, when connected again, and at the latest after
   * `pollMs`. Calls never overlap.
   */
  onWakeup(fn: () => void | Promise<void>, pollMs: number): Disposable;
}
