import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import {
  EventStoreOperationError,
  createEventStore,
  rawSqlProjection,
  type EventStore,
} from '@nestbox/event-store';
import { Postgres } from '@nestbox/postgres';
import { startPostgres, type TestPostgres } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { committedLog } from './support/log-truth.js';

type Written = { type: 'Written'; data: { n: number } };

let server: TestPostgres;
let postgres: Postgres;
let store: EventStore;
let errors: unknown[];
let events = 0;

beforeEach(async () => {
  jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  server = await startPostgres();
  postgres = new Postgres({ url: server.url, options: { max: 8 } });
  store = createEventStore(postgres);
  errors = [];
});

afterEach(async () => {
  await store.close();
  await postgres.close();
  await server[Symbol.asyncDispose]();
  jest.restoreAllMocks();
});

/** Appends with ids of its own until it is acknowledged. */
async function insist(stream: string): Promise<number> {
  const n = ++events;
  for (;;) {
    try {
      await store.appendToStream(stream, [{ type: 'Written', data: { n }, messageId: `event ${n}` }]);
      return n;
    } catch (error) {
      errors.push(error);
      await sleep(20);
    }
  }
}

/** Runs while `fn` upsets the server. @returns the numbers of the events that were acknowledged */
async function writeDuring(fn: () => Promise<void>): Promise<number[]> {
  let isOver = false;
  const written: number[] = [];
  const writing = Promise.all(
    Array.from({ length: 6 }, async (_, i) => {
      while (!isOver) {
        written.push(await insist(`stream-${i % 4}`));
        await sleep(2);
      }
    }),
  );
  try {
    await fn();
  } finally {
    isOver = true;
    await writing;
  }
  return written;
}

describe('a store whose server', () => {
  it.each([
    ['restarts', () => server.restart()],
    [
      'crashes and comes back',
      async () => {
        await server.kill();
        await sleep(300);
        await server.start();
      },
    ],
  ])(
    '%s goes on by itself, with no event lost, doubled or out of order',
    async (_, upset) => {
      const handled: bigint[] = [];
      const consumer = store.consumer({ pollMs: 60_000 });
      const lease = '1s';
      consumer.reactor<Written>({
        processorId: 'handler',
        lease,
        eachMessage: ({ metadata }) => void handled.push(metadata.globalPosition),
      });
      // Handles nothing, so that its checkpoint moves on over the log.
      consumer.reactor<Written>({
        processorId: 'idle',
        lease,
        canHandle: ['Other' as 'Written'],
        eachMessage: () => undefined,
      });
      consumer.projector<Written>({
        lease,
        projection: rawSqlProjection<Written>({
          name: 'copied',
          tables: ['copied'],
          init: (context) =>
            `create table if not exists ${context.table('copied')} (id bigserial, n integer not null)`,
          evolve: ({ data }, context) => ({
            text: `insert into ${context.table('copied')} (n) values ($1::integer)`,
            params: [data.n],
          }),
        }),
      });
      await consumer.start();
      const written = await writeDuring(async () => {
        for (let round = 0; round < 2; round++) {
          await sleep(300);
          await upset();
          await sleep(500);
        }
      });
      await consumer.whenCaughtUp();

      expect(errors.length).toBeGreaterThan(0);
      for (const error of errors) {
        expect(error).toBeInstanceOf(EventStoreOperationError);
        expect((error as Error).message).toMatch(/^Failed to append to stream "stream-\d": ./);
      }
      const log = await committedLog(postgres);
      expect(log.map(({ n }) => n).sort((a, b) => a - b)).toEqual(written.sort((a, b) => a - b));
      const copied = await postgres.query<{ n: number }>('select n from event_store.copied order by id');
      expect(copied.map(({ n }) => n)).toEqual(log.map(({ n }) => n));
      // A reactor may get the last batch again, and skips nothing.
      expect([...new Set(handled)]).toEqual(log.map(({ position }) => position));
      const { position } = (await store.processors.get('idle'))!;
      expect(position).toBeLessThanOrEqual(log.at(-1)!.position);
      await consumer.stop();
    },
    60_000,
  );
});
