import type { JsonObject } from '@nestbox/core';
import type { DocumentQuery } from './document-query.js';

/** A collection: a table of JSON documents. */
export interface CollectionSchema {
  /** The name of the table. */
  readonly name: string;
  /**
   * Paths such as `status` or `customer.city` that get an index of their own for equality, order and ranges. A value
   * there of more than some 2,600 bytes is refused.
   */
  readonly indexes: readonly string[];
  /** Whether any containment is indexed (GIN). */
  readonly indexAll: boolean;
}

/** Which document of a table. */
export interface DocumentKey {
  readonly partition: string;
  readonly id: string;
}

/** A document as it is stored; `data` holds no `_id`. */
export interface StoredDocument {
  readonly id: string;
  readonly data: JsonObject;
  readonly version: bigint;
}

/** Documents to lock; see {@link DocumentBackend.lock}. */
export interface DocumentLock {
  readonly table: string;
  readonly keys: readonly DocumentKey[];
  readonly isOwned: boolean;
}

/** A document to write, or (`null`) to delete. */
export interface DocumentChange extends DocumentKey {
  readonly data: JsonObject | null;
}

/** Where documents are kept. Tables are named by collection; a rebuild fills another table before it takes the name. */
export interface DocumentBackend {
  /** Creates the table, and indexes that it lacks; for all partitions, also those created later. */
  ensure(schema: CollectionSchema): Promise<void>;
  /**
   * Locks documents until the transaction is over, those that are not there included, in the order of their keys, so
   * that nobody waits in a circle. In a transaction only.
   *
   * @param isOwned whether the caller holds a lock already that keeps all others from changing these documents, so that
   *   those that are not there need none. Default: false
   * @returns what is there, in the order of `keys`
   * @throws NotFoundError when there is no such table, as all but `ensure` and `drop` do; PartitionNotFoundError
   */
  lock(
    table: string,
    keys: readonly DocumentKey[],
    isOwned?: boolean,
  ): Promise<readonly (StoredDocument | undefined)[]>;
  /**
   * Writes locked documents, each of them once; `_version` starts at 1 and grows by 1. In a transaction only.
   *
   * @param atCommit whether nobody reads them in this transaction any more, so that they may be written at its end.
   *   Default: false
   */
  write(table: string, changes: readonly DocumentChange[], atCommit?: boolean): Promise<void>;
  /** In the order of `keys`. */
  getMany(table: string, keys: readonly DocumentKey[]): Promise<readonly (StoredDocument | undefined)[]>;
  find(table: string, partition: string, query: DocumentQuery): Promise<readonly StoredDocument[]>;
  count(table: string, partition: string, query: DocumentQuery): Promise<number>;
  /** Removes all documents of one partition, or of all. */
  clear(table: string, partition: string | undefined): Promise<void>;

  /** The name of the table that a rebuild of `name` fills. */
  shadowName(name: string): string;
  /**
   * Keeps all others from writing to these tables, and from creating others, until the transaction is over. In a
   * transaction only. From here on, the transaction waits 300 ms at the most for any lock; see `isBusy`.
   *
   * @param tables locked in this order
   */
  freeze(tables: readonly string[]): Promise<void>;
  /** Drops each table and gives its name, and grants, to its shadow, all at once. In a transaction only. */
  swap(tables: readonly string[]): Promise<void>;
  /** Drops the tables that are there. */
  drop(tables: readonly string[]): Promise<void>;
  /** The quoted name, for SQL. */
  quoted(table: string): string;
}
