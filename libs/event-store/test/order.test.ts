import { setTimeout as sleep } from 'node:timers/promises';
import {
  DEFAULT_PARTITION,
  createEventStore,
  sqlProjection,
  type EventStore,
  type ReadEvent,
} from '@nestbox/event-store';
import { Postgres } from '@nestbox/postgres';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import fc from 'fast-check';
import connect, { type Sql } from 'postgres';
import { BusyWriter, step } from './support/busy-writers.js';
import { byStream, committedLog, gate, type LoggedEvent } from './support/log-truth.js';

type Written = { type: 'Written'; data: { n: number } };

const OTHER = 'other tenant';

let database: TestDatabase;
let postgres: Postgres;
let client: Sql;
let stores: EventStore[];

beforeEach(async () => {
  database = await testDatabase();
  postgres = new Postgres({ url: database.url, options: { max: 6 } });
  client = connect(database.url, { max: 6, onnotice: () => undefined });
  stores = [
    createEventStore(postgres),
    createEventStore({ url: database.url, options: { max: 6 } }),
    createEventStore(client),
  ];
  await stores[0]!.init();
});

afterEach(async () => {
  await Promise.all(stores.map((store) => store.close()));
  await Promise.all([postgres.close(), client.end()]);
  await database.drop();
});

const logged = ({ data, metadata }: ReadEvent<Written>): LoggedEvent => ({
  position: metadata.globalPosition,
  partition: metadata.partition,
  stream: metadata.streamName,
  at: metadata.streamPosition,
  n: data.n,
});

/** Reads in the order of positions what is there, as a reader that knows no better would. */
class NaiveReader {
  readonly seen: LoggedEvent[] = [];
  async read(): Promise<void> {
    const after = this.seen.at(-1)?.position ?? 0n;
    const rows = await postgres.query<Record<'position' | 'partition' | 'stream' | 'at' | 'n', string>>(
      `select global_position::text as position, partition, stream_id as stream, stream_position::text as at,
              message_data ->> 'n' as n
         from event_store.emt_messages where global_position > $1::text::bigint order by global_position`,
      [String(after)],
    );
    for (const { position, partition, stream, at, n } of rows) {
      this.seen.push({ position: BigInt(position), partition, stream, at: BigInt(at), n: Number(n) });
    }
  }
}

/** Pages through the log by position, as the store offers it. */
class LogReader {
  readonly seen: LoggedEvent[] = [];
  constructor(private readonly store: EventStore) {}
  async read(): Promise<void> {
    const after = this.seen.at(-1)?.position ?? 0n;
    for await (const event of this.store.readAll<Written>({ after, partition: '*' })) {
      this.seen.push(logged(event));
    }
  }
}

function reading(...readers: { read(): Promise<void> }[]): { stop(): Promise<void> } {
  let isOver = false;
  const loops = readers.map(async (reader) => {
    while (!isOver) {
      await reader.read();
      await sleep(1);
    }
  });
  const done = Promise.all(loops);
  // The first to fail shows at the end.
  done.catch(() => undefined);
  return {
    stop: async () => {
      isOver = true;
      await done;
    },
  };
}

describe('the order of the log', () => {
  it('is the same for all readers and has every event once, whoever writes and in whatever way', async () => {
    const [first, second, third] = stores as [EventStore, EventStore, EventStore];
    await first.partitions.create(OTHER);
    const naive = new NaiveReader();
    const readers = [new LogReader(second), new LogReader(third)];
    const handled: LoggedEvent[] = [];
    const spread: LoggedEvent[] = [];
    const consumer = second.consumer({ partition: '*' });
    consumer.reactor<Written>({
      processorId: 'one by one',
      eachMessage: (e) => void handled.push(logged(e)),
    });
    consumer.reactor<Written>({
      processorId: 'spread',
      parallelism: 3,
      batchSize: 7,
      eachBatch: (events) => void spread.push(...events.map(logged)),
    });
    consumer.projector<Written>({
      projection: sqlProjection<Written>({
        name: 'copied',
        tables: ['copied'],
        init: async (context) => {
          await context.query(
            `create table if not exists ${context.table('copied')} (id bigserial, partition text, position bigint)`,
          );
        },
        handle: async (events, context) => {
          for (const { metadata } of events) {
            await context.query(
              `insert into ${context.table('copied')} (partition, position) values ($1, $2::text::bigint)`,
              [context.partition, String(metadata.globalPosition)],
            );
          }
        },
      }),
    });
    await consumer.start();
    const background = reading(naive, ...readers);
    const committed = new Map<number, bigint>();

    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { minLength: 4, maxLength: 10 }), { minLength: 6, maxLength: 9 }),
        async (scripts) => {
          const writers = scripts.map(
            (_, i) => new BusyWriter(stores[i % 3]!, i % 4 === 3 ? OTHER : undefined),
          );
          await Promise.all(writers.map((writer, i) => writer.run(scripts[i]!)));
          for (const writer of writers)
            for (const [n, position] of writer.committed) committed.set(n, position);

          const truth = await committedLog(postgres);
          // What was acknowledged is there, and nothing of what was rolled back.
          expect(truth.map(({ n }) => n).sort((a, b) => a - b)).toEqual(
            [...committed.keys()].sort((a, b) => a - b),
          );
          for (const events of byStream(truth).values()) {
            expect(events.map(({ at }) => at)).toEqual(events.map((_, i) => BigInt(i + 1)));
          }
          for (const { n, position } of truth) expect(position).toBeLessThanOrEqual(committed.get(n)!);

          await consumer.whenCaughtUp();
          expect(handled).toEqual(truth);
          for (const reader of readers) {
            await eventually(() => expect(reader.seen.length).toBeGreaterThanOrEqual(truth.length));
            expect(reader.seen).toEqual(truth);
          }
          expect(spread).toHaveLength(truth.length);
          expect(byStream(spread)).toEqual(byStream(truth));
          for (const partition of [DEFAULT_PARTITION, OTHER]) {
            const rows = await postgres.query<{ position: string }>(
              'select position::text as position from event_store.copied where partition = $1 order by id',
              [partition],
            );
            const ofPartition = truth.filter((event) => event.partition === partition);
            expect(rows.map(({ position }) => BigInt(position))).toEqual(
              ofPartition.map(({ position }) => position),
            );
          }
        },
      ),
      { numRuns: 12, interruptAfterTimeLimit: 20_000, endOnFailure: true },
    );

    await background.stop();
    await consumer.stop();
    // The same events would have led a reader astray that takes positions as they appear.
    expect(naive.seen.length).toBeLessThan(committed.size);
    expect(committed.size).toBeGreaterThan(100);
  }, 60_000);

  it('makes readers wait for a position that is drawn and not yet committed, where others would skip it', async () => {
    const [first, second] = stores as [EventStore, EventStore];
    const [naive, reader] = [new NaiveReader(), new LogReader(second)];
    const handled: number[] = [];
    const consumer = second.consumer({ pollMs: 60_000 });
    consumer.reactor<Written>({
      processorId: 'handler',
      eachMessage: ({ data }) => void handled.push(data.n),
    });
    await consumer.start();

    const { opened, open } = gate();
    const drawn = gate();
    const session = first.withSession(async ({ eventStore }) => {
      await eventStore.appendToStream('early-1', [{ type: 'Written', data: { n: 1 } }]);
      drawn.open();
      await opened;
      await eventStore.appendToStream('late-1', [{ type: 'Written', data: { n: 3 } }]);
    });
    await drawn.opened;
    await second.appendToStream('single-1', [{ type: 'Written', data: { n: 2 } }]);
    await Promise.all([naive.read(), reader.read()]);
    expect(naive.seen.map(({ n }) => n)).toEqual([2]);
    expect(reader.seen).toEqual([]);
    expect(await second.readStream('single-1')).toMatchObject({ currentStreamVersion: 1n });

    open();
    await session;
    await Promise.all([naive.read(), reader.read()]);
    expect(naive.seen.map(({ n }) => n)).toEqual([2, 3]);
    expect(reader.seen.map(({ n }) => n)).toEqual([1, 2, 3]);
    await eventually(() => expect(handled).toEqual([1, 2, 3]));
    await consumer.stop();
  });

  it('is not upset by a transaction that has its id before all others and writes after them', async () => {
    const [first, second] = stores as [EventStore, EventStore];
    const reader = new LogReader(second);
    const early = gate();
    const { opened, open } = gate();
    const session = first.withSession(async ({ eventStore }) => {
      await first.backend.run('select pg_current_xact_id()');
      early.open();
      await opened;
      await eventStore.appendToStream('early-1', [{ type: 'Written', data: { n: 2 } }]);
    });
    await early.opened;
    await second.appendToStream('single-1', [{ type: 'Written', data: { n: 1 } }]);
    // It has drawn no position, and holds up nobody.
    await reader.read();
    expect(reader.seen.map(({ n }) => n)).toEqual([1]);
    open();
    await session;
    await reader.read();
    expect(reader.seen.map(({ n }) => n)).toEqual([1, 2]);
  });
});
