import { EventStoreOperationError, createEventStore, type EventStore } from '@nestbox/event-store';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import postgres from 'postgres';

let database: TestDatabase;
let store: EventStore;

beforeAll(async () => {
  database = await testDatabase();
  store = createEventStore(database.url);
  await store.init();
  const sql = postgres(database.url, { max: 1, onnotice: () => undefined });
  await sql`drop schema event_store cascade`;
  await sql.end({ timeout: 5 });
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

async function readFirst(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events) return;
}

describe('an error of the backend', () => {
  it.each<[string, () => PromiseLike<unknown>]>([
    ['append to stream "a"', () => store.appendToStream('a', [{ type: 'A', data: {} }])],
    ['read stream "a"', () => store.readStream('a')],
    ['read stream "a"', () => readFirst(store.streamEvents('a'))],
    ['aggregate stream "a"', () => store.aggregateStream('a', { evolve: () => 0, initialState: () => 0 })],
    ['read the log', () => store.readAll()],
    ['read the log', () => readFirst(store.readAll())],
    ['list streams', () => store.listStreams()],
    ['read the head of the log', () => store.head()],
    ['list the partitions', () => store.partitions.list()],
    ['list the processors', () => store.processors.list()],
  ])('names what could not be done: %s', async (operation, call) => {
    const error = await Promise.resolve(call()).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(EventStoreOperationError);
    expect(error).toMatchObject({ operation, cause: { message: expect.any(String) } });
    expect(String(error)).toContain(`Failed to ${operation}: `);
  });
});
