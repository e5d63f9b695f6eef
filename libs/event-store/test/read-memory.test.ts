import { createEventStore } from '@nestbox/event-store';
import { spawnFixture, testDatabase, type TestDatabase } from '@nestbox/testing';

const EVENTS = 100_000;
const BATCH = 1_000;

interface Read {
  type: 'read';
  count: number;
  heap: number;
  resident: number;
}

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
  const store = createEventStore({ url: database.url, options: { max: 2 } });
  const text = 'some text of the length that events have '.repeat(5);
  for (let i = 0; i < EVENTS; i += BATCH) {
    await store.appendToStream(
      'long-1',
      Array.from({ length: BATCH }, (_, n) => ({ type: 'Written', data: { n: i + n, text } })),
    );
  }
  await store.close();
}, 120_000);

afterAll(async () => {
  await database.drop();
});

describe('100,000 events', () => {
  it.each(['streamEvents', 'readAll', 'consumer'])(
    'are read by %s in constant memory',
    async (way) => {
      await using reader = await spawnFixture(new URL('./fixtures/read-many.mjs', import.meta.url), {
        args: [database.url, way],
        execArgv: ['--expose-gc'],
      });
      const { count, heap, resident } = await reader.waitFor<Read>('read', 85_000);
      expect(count).toBe(EVENTS);
      // All of them would be some 100 MB.
      expect(heap).toBeLessThan(10);
      expect(resident).toBeLessThan(40);
    },
    90_000,
  );
});
