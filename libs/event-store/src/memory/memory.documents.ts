import { encodeJson, type JsonObject, RowTable, type RowLayer } from '@nestbox/core';
import { quoteIdentifier } from '@nestbox/postgres';
import type { DocumentQuery } from '../documents/document-query.js';
import type {
  CollectionSchema,
  DocumentBackend,
  DocumentChange,
  DocumentKey,
  StoredDocument,
} from '../documents/document.backend.js';
import { matchesQuery, selectDocuments } from '../documents/match.js';
import { NotFoundError, PartitionNotFoundError } from '../event-store.errors.js';
import type { MemoryDatabase } from './memory.database.js';
import { COLLECTIONS, PARTITIONS, drawNext, keyOf, type DocumentRow } from './memory.tables.js';

const SHADOW_SUFFIX = '__rebuild';

/** Documents in this process. Transactions run one at a time here, so that locks need nothing done. */
export class MemoryDocuments implements DocumentBackend {
  constructor(private readonly database: MemoryDatabase) {}

  ensure({ name }: CollectionSchema): Promise<void> {
    return this.database.write((tables) => {
      if (tables.get(COLLECTIONS, name) !== undefined) return;
      tables.set(COLLECTIONS, name, Number(drawNext(tables, 'collection')));
    });
  }

  lock(table: string, keys: readonly DocumentKey[]): Promise<readonly (StoredDocument | undefined)[]> {
    return this.database.writeInTransaction('Locking documents', (tables) => {
      assertPartitions(tables, keys);
      return read(tables, table, keys);
    });
  }

  write(table: string, changes: readonly DocumentChange[]): Promise<void> {
    return this.database.writeInTransaction('Writing documents', (tables) => {
      const documents = documentsOf(tables, table);
      assertPartitions(tables, changes);
      for (const { partition, id, data } of changes) {
        const key = keyOf(partition, id);
        const version = (tables.get(documents, key)?.version ?? 0n) + 1n;
        if (data === null) tables.delete(documents, key);
        else tables.set(documents, key, { partition, id, data: encodeJson(data, 'document'), version });
      }
    });
  }

  getMany(table: string, keys: readonly DocumentKey[]): Promise<readonly (StoredDocument | undefined)[]> {
    return this.database.read((tables) => read(tables, table, keys));
  }

  find(table: string, partition: string, query: DocumentQuery): Promise<readonly StoredDocument[]> {
    return this.database.read((tables) => selectDocuments(inPartition(tables, table, partition), query));
  }

  count(table: string, partition: string, query: DocumentQuery): Promise<number> {
    return this.database.read(
      (tables) =>
        inPartition(tables, table, partition).filter((document) => matchesQuery(document, query)).length,
    );
  }

  clear(table: string, partition: string | undefined): Promise<void> {
    return this.database.write((tables) => {
      tables.deleteWhere(
        documentsOf(tables, table),
        (row) => partition === undefined || row.partition === partition,
      );
    });
  }

  shadowName(name: string): string {
    return name + SHADOW_SUFFIX;
  }

  freeze(names: readonly string[]): Promise<void> {
    return this.database.writeInTransaction('Freezing collections', (tables) => {
      for (const name of names) documentsOf(tables, name);
    });
  }

  swap(names: readonly string[]): Promise<void> {
    return this.database.writeInTransaction('Exchanging collections', (tables) => {
      for (const name of names) {
        const shadow = this.shadowName(name);
        documentsOf(tables, shadow);
        drop(tables, name);
        tables.set(COLLECTIONS, name, tables.get(COLLECTIONS, shadow)!);
        tables.delete(COLLECTIONS, shadow);
      }
    });
  }

  drop(names: readonly string[]): Promise<void> {
    return this.database.write((tables) => {
      for (const name of names) drop(tables, name);
    });
  }

  quoted(table: string): string {
    return quoteIdentifier(table);
  }
}

/** Removes the documents of a partition from all collections. */
export function clearPartition(tables: RowLayer, partition: string): void {
  for (const [name] of tables.entries(COLLECTIONS)) {
    tables.deleteWhere(documentsOf(tables, name), (row) => row.partition === partition);
  }
}

/** @throws NotFoundError */
function documentsOf(tables: RowLayer, name: string): RowTable<DocumentRow> {
  const number = tables.get(COLLECTIONS, name);
  if (number === undefined) {
    throw new NotFoundError('collection', name, 'Register a projection that declares it.');
  }
  // Not by its name: a rebuild gives that to the documents of another.
  return new RowTable<DocumentRow>(`documents ${number}`);
}

/** @throws PartitionNotFoundError */
function assertPartitions(tables: RowLayer, keys: readonly DocumentKey[]): void {
  for (const { partition } of keys) {
    if (tables.get(PARTITIONS, partition) === undefined) throw new PartitionNotFoundError(partition);
  }
}

function drop(tables: RowLayer, name: string): void {
  if (tables.get(COLLECTIONS, name) === undefined) return;
  tables.deleteWhere(documentsOf(tables, name));
  tables.delete(COLLECTIONS, name);
}

function read(tables: RowLayer, name: string, keys: readonly DocumentKey[]): (StoredDocument | undefined)[] {
  const documents = documentsOf(tables, name);
  return keys.map(({ partition, id }) => {
    const row = tables.get(documents, keyOf(partition, id));
    return row === undefined ? undefined : documentOf(row);
  });
}

function inPartition(tables: RowLayer, name: string, partition: string): StoredDocument[] {
  return [...tables.rows(documentsOf(tables, name))]
    .filter((row) => row.partition === partition)
    .map(documentOf);
}

function documentOf({ id, data, version }: DocumentRow): StoredDocument {
  return { id, data: JSON.parse(data) as JsonObject, version };
}
