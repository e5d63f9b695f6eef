import {
  documentProjection,
  MemoryEventStoreBackend,
  createEventStore,
  PgEventStoreBackend,
  rawSqlProjection,
  sqlProjection,
  type EventStore,
  type Projection,
  type ProjectionContext,
} from '@nestbox/event-store';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  catchUp,
  Gate,
  ignored,
  noted,
  notedUpTo,
  numbers,
  quick,
  Stage,
  type Ignored,
  type Noted,
} from './support/stage.js';

beforeAll(() => {
  for (const level of ['log', 'warn', 'error'] as const)
    jest.spyOn(Logger.prototype, level).mockReturnValue();
});

describe('projections that write tables', () => {
  let stage: Stage;
  beforeAll(async () => (stage = await Stage.onPostgres()));
  afterAll(() => stage.close());
  afterEach(() => stage.closeStores());

  const query = (store: EventStore, text: string): Promise<Record<string, unknown>[]> =>
    (store.backend as PgEventStoreBackend).postgres.query(text);
  const contentOf = async (store: EventStore, table: string): Promise<unknown[]> => [
    ...(await query(store, `select t.* from event_store.${table} t order by t`)),
  ];
  /** Adds to the row of each rest modulo 2, in the order of the events. */
  const sumsOf = (name: string, fail?: (n: number) => boolean): Projection<Noted> =>
    sqlProjection<Noted>({
      name,
      canHandle: ['Noted'],
      tables: [name],
      init: async (context) => {
        await context.query(
          `create table if not exists ${context.table(name)} (rest int4 primary key, count int4, sum int4)`,
        );
      },
      handle: async (events, context) => {
        for (const { data } of events) {
          await context.execute.command(
            `insert into ${context.table(name)} as s values ($1, 1, $2)
             on conflict (rest) do update set count = s.count + 1, sum = s.sum + excluded.sum`,
            [data.n % 2, data.n],
          );
          if (fail?.(data.n) === true) throw new RangeError(`cannot stand ${data.n}`);
        }
      },
    });

  it('are there as soon as the append is, and with the session', async () => {
    const name = stage.name('sums');
    const store = await stage.store({ projections: [sumsOf(name)] });
    await store.appendToStream<Noted | Ignored>('cart-1', [...notedUpTo(4), ignored(99)]);
    expect(await contentOf(store, name)).toEqual([
      { rest: 0, count: 2, sum: 6 },
      { rest: 1, count: 2, sum: 4 },
    ]);
    const undone = new Error('undone');
    const session = store.withSession(async ({ eventStore }) => {
      await eventStore.appendToStream('cart-1', [noted(5)]);
      expect(await contentOf(store, name)).toContainEqual({ rest: 1, count: 3, sum: 9 });
      throw undone;
    });
    await expect(session).rejects.toBe(undone);
    expect(await contentOf(store, name)).toContainEqual({ rest: 1, count: 2, sum: 4 });
  });

  it('take back what they have written when they fail, and the append with it', async () => {
    const name = stage.name('sums');
    const stream = stage.name('cart');
    const store = await stage.store({ projections: [sumsOf(name, (n) => n === 2)] });
    await expect(store.appendToStream(stream, notedUpTo(3))).rejects.toMatchObject({
      code: 'PROJECTION_FAILED',
      projection: name,
      cause: expect.any(RangeError) as RangeError,
    });
    expect(await contentOf(store, name)).toEqual([]);
    expect(await store.streamExists(stream)).toBe(false);
  });

  it('say which projection a statement of was refused, and why', async () => {
    const name = stage.name('wrong');
    const projection = rawSqlProjection<Noted>({
      name,
      evolve: () => ({ text: 'select $1::int4 / $2::int4', params: [1, 0] }),
    });
    const store = await stage.store({ projections: [projection] });
    await expect(store.appendToStream(stage.name('cart'), [noted(1)])).rejects.toMatchObject({
      code: 'PROJECTION_FAILED',
      message: expect.stringContaining(`"${name}" failed: division by zero`) as string,
      cause: expect.objectContaining({ code: '22012' }) as object,
    });
  });

  it('run by a consumer are in one transaction with its checkpoint', async () => {
    const name = stage.name('sums');
    const failing = new Set([7]);
    const projection = sumsOf(name, (n) => failing.has(n));
    const store = await stage.store();
    const partition = await stage.partition();
    await store.appendToStream('cart-1', notedUpTo(9), { partition });
    const consumer = store.consumer({ partition });
    consumer.projector({ projection, retry: quick });
    await consumer.start();
    await expect(consumer.whenCaughtUp()).rejects.toMatchObject({ code: 'PROCESSOR_FAILED' });
    expect(await contentOf(store, name)).toEqual([
      { rest: 0, count: 3, sum: 12 },
      { rest: 1, count: 3, sum: 9 },
    ]);
    failing.clear();
    await store.processors.resume(name, { partition });
    await consumer.whenCaughtUp();
    await consumer.stop();
    expect(await contentOf(store, name)).toEqual([
      { rest: 0, count: 4, sum: 20 },
      { rest: 1, count: 5, sum: 25 },
    ]);
  });

  it('count each of 400 events that come at once', async () => {
    const name = stage.name('sums');
    const projection = sumsOf(name);
    const stores = [
      await stage.store({ projections: [projection] }),
      await stage.store({ projections: [projection] }),
    ];
    const stream = stage.name('s');
    await Promise.all(
      numbers(200).map((i) => stores[i % 2]!.appendToStream(`${stream}-${i % 50}`, [noted(1), noted(2)])),
    );
    expect(await contentOf(stores[0]!, name)).toEqual([
      { rest: 0, count: 200, sum: 400 },
      { rest: 1, count: 200, sum: 200 },
    ]);
  });

  it('that took rows in different orders try again, instead of failing by the deadlock', async () => {
    const name = stage.name('sums');
    const gate = new Gate();
    const sums = sumsOf(name);
    let calls = 0;
    const projection: Projection<Noted> = {
      ...sums,
      handle: async ([first, ...rest], context) => {
        calls++;
        await sums.handle([first!], context);
        // Both have a row by now that the other one wants.
        if (gate.arrived === 1) gate.open();
        await gate.pass();
        await sums.handle(rest, context);
      },
    };
    const store = await stage.store({ projections: [projection] });
    const stream = stage.name('s');
    await Promise.all([
      store.appendToStream(`${stream}-1`, [noted(1), noted(2)]),
      store.appendToStream(`${stream}-2`, [noted(2), noted(1)]),
    ]);
    expect(calls).toBe(3);
    expect(await contentOf(store, name)).toEqual([
      { rest: 0, count: 2, sum: 4 },
      { rest: 1, count: 2, sum: 2 },
    ]);
  });

  it('may consist of statements: none, one, or several for each event, with values of all kinds', async () => {
    const name = stage.name('raw');
    const at = new Date('2026-02-03T04:05:06.789Z');
    const projection = rawSqlProjection<Noted>({
      name,
      tables: [name],
      init: (context) => [
        `create table if not exists ${context.table(name)} (n int4, big int8, flag boolean, at timestamptz, doc jsonb, note text)`,
        { text: `comment on table ${context.table(name)} is 'statements'` },
      ],
      evolve: ({ data: { n } }, context) => {
        const table = context.table(name);
        const all = {
          text: `insert into ${table} values ($1, $2, $3, $4, $5, $6)`,
          params: [n, 2n ** 60n, true, at, { deep: [n, null] }, null],
        };
        if (n === 1) return null;
        if (n === 2) return `insert into ${table} (n) values (2)`;
        if (n === 3) return all;
        return n === 4 ? [all, `update ${table} set note = 'seen' where n = 4`] : undefined;
      },
    });
    const store = await stage.store({ projections: [projection] });
    await store.appendToStream(stage.name('cart'), notedUpTo(5));
    const rows = await query(
      store,
      `select n, big::text, flag, at = '${at.toISOString()}' as at, doc, note from event_store.${name} order by n`,
    );
    const all = { big: String(2n ** 60n), flag: true, at: true };
    expect([...rows]).toEqual([
      { n: 2, big: null, flag: null, at: null, doc: null, note: null },
      { n: 3, ...all, doc: { deep: [3, null] }, note: null },
      { n: 4, ...all, doc: { deep: [4, null] }, note: 'seen' },
    ]);
  });

  it.each<[string, 'string' | 'statement' | 'list']>([
    ['a text', 'string'],
    ['a statement', 'statement'],
    ['a list', 'list'],
  ])('may create what they need by %s', async (_what, kind) => {
    const name = stage.name('made');
    const text = `create table if not exists public.${name} (n int4)`;
    const init = {
      string: text,
      statement: { text },
      list: [text, { text: 'select $1::int4', params: [1] }],
    };
    const projection = rawSqlProjection<Noted>({
      name,
      init: init[kind],
      evolve: ({ data }) => ({ text: `insert into public.${name} values ($1)`, params: [data.n] }),
    });
    const store = await stage.store({ projections: [projection] });
    await store.appendToStream(stage.name('cart'), [noted(1)]);
    expect([...(await query(store, `select n from public.${name}`))]).toEqual([{ n: 1 }]);
  });

  it('use no tables that they do not declare, and no statements once they are done', async () => {
    const name = stage.name('strict');
    let kept: ProjectionContext | undefined;
    const projection = sqlProjection<Noted>({
      name,
      tables: [name],
      handle: ([event], context) => {
        kept = context;
        if (event?.data.n === 1) context.table('others');
        if (event?.data.n === 2) context.collection(name);
      },
    });
    const store = await stage.store({ projections: [projection] });
    for (const [n, path] of [
      [1, 'table'],
      [2, 'collection'],
    ] as const) {
      await expect(store.appendToStream(stage.name('cart'), [noted(n)])).rejects.toMatchObject({
        code: 'PROJECTION_FAILED',
        cause: expect.objectContaining({ code: 'INVALID_ARGUMENT', path }) as object,
      });
    }
    await store.appendToStream(stage.name('cart'), [noted(3)]);
    const late = (async () => kept?.query('select 1'))();
    await expect(late).rejects.toMatchObject({ code: 'UNSUPPORTED_OPERATION' });
  });

  it('get the events of each partition apart', async () => {
    const name = stage.name('parts');
    const calls: [string, number][] = [];
    const projection = sqlProjection<Noted>({
      name,
      handle: (events, context) => {
        calls.push([context.partition, events.length]);
        expect(events.every(({ metadata }) => metadata.partition === context.partition)).toBe(true);
      },
    });
    const store = await stage.store();
    const partitions = [await stage.partition(), await stage.partition()];
    for (const partition of [...partitions, ...partitions]) {
      await store.appendToStream(stage.name('cart'), notedUpTo(2), { partition });
    }
    const consumer = store.consumer({ partition: '*' });
    consumer.projector({ projection });
    await catchUp(consumer);
    for (const partition of partitions) expect(calls).toContainEqual([partition, 4]);
  });

  it('of documents write several collections in one transaction, inline and by a consumer', async () => {
    const projectionOf = (suffix: string): Projection<Noted> =>
      documentProjection<Noted>({
        name: `both_${suffix}`,
        collections: [`counts_${suffix}`, { name: `lasts_${suffix}`, indexes: ['n'] }],
        handle: async (events, context) => {
          const counts = context.collection<{ count: number }>(`counts_${suffix}`);
          const before = await counts.get('all');
          await counts.set('all', { count: (before?.count ?? 0) + events.length });
          const last = events.at(-1)!;
          await context.collection(`lasts_${suffix}`).set(last.metadata.streamName, { n: last.data.n });
          if (last.data.n === 13) throw new Error('unlucky');
        },
      });
    const store = await stage.store({ projections: [projectionOf('inline')] });
    const partition = await stage.partition();
    for (const n of [1, 2, 3])
      await store.appendToStream(`cart-${n}`, [noted(n), noted(n + 1)], { partition });
    await expect(store.appendToStream('cart-4', [noted(13)], { partition })).rejects.toMatchObject({
      code: 'PROJECTION_FAILED',
    });
    const consumer = store.consumer({ partition });
    consumer.projector({ projection: projectionOf('async'), batchSize: 2 });
    await catchUp(consumer);
    for (const suffix of ['inline', 'async']) {
      const counts = store.collection(`counts_${suffix}`, { partition });
      expect(await counts.get('all')).toMatchObject({ count: 6 });
      expect(await store.collection(`lasts_${suffix}`, { partition }).find({ n: 3 })).toMatchObject([
        { _id: 'cart-2' },
      ]);
    }
  });

  it('are refused where there is no SQL', async () => {
    const projection = rawSqlProjection<Noted>({ name: 'sql', evolve: () => 'select 1' });
    const store = createEventStore(new MemoryEventStoreBackend(), { projections: [projection] });
    await expect(store.appendToStream('cart-1', [noted(1)])).rejects.toMatchObject({
      code: 'PROJECTION_FAILED',
      cause: expect.objectContaining({ code: 'UNSUPPORTED_OPERATION' }) as object,
    });
    expect(await store.streamExists('cart-1')).toBe(false);
    await store.close();
  });
});
