import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import type { DocumentChange, DocumentKey } from '../../src/documents/document.backend.js';
import type { EventStoreBackend } from '../../src/event-store.backend.js';
import { DEFAULT_PARTITION } from '../../src/event.types.js';
import { MemoryEventStoreBackend } from '../../src/memory/memory.event-store-backend.js';
import { PgEventStoreBackend } from '../../src/postgres/pg.event-store-backend.js';

export interface OpenBackend {
  readonly backend: EventStoreBackend;
  close(): Promise<void>;
}

/** What keeps documents, for tests that run on each. */
export const DOCUMENT_BACKENDS: readonly { name: string; open: () => Promise<OpenBackend> }[] = [
  {
    name: 'memory',
    open: async () => ({ backend: new MemoryEventStoreBackend(), close: async () => undefined }),
  },
  { name: 'PostgreSQL', open: openPostgres },
];

export interface OpenPostgres extends OpenBackend {
  readonly backend: PgEventStoreBackend;
  readonly postgres: Postgres;
  /** Of a database that nobody else has. */
  readonly database: TestDatabase;
}

export async function openPostgres(): Promise<OpenPostgres> {
  const database = await testDatabase();
  const postgres = new Postgres({ url: database.url, options: { max: 12 } });
  const backend = new PgEventStoreBackend(postgres);
  await backend.init();
  return {
    backend,
    postgres,
    database,
    close: async () => {
      await postgres.close();
      await database.drop();
    },
  };
}

let collections = 0;

/** A name for a collection that no other test has. */
export function freshName(): string {
  return `c${++collections}`;
}

export const keyOf = (id: string, partition = DEFAULT_PARTITION): DocumentKey => ({ partition, id });

/** Locks documents and writes them, in a transaction. */
export async function store(
  { backend }: OpenBackend,
  table: string,
  documents: Readonly<Record<string, DocumentChange['data']>>,
  partition = DEFAULT_PARTITION,
): Promise<void> {
  const changes = Object.entries(documents).map(([id, data]) => ({ partition, id, data }));
  await backend.transaction(async () => {
    await backend.documents.lock(table, changes);
    await backend.documents.write(table, changes);
  });
}
