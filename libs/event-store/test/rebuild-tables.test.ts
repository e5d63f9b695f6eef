import {
  PgEventStoreBackend,
  sqlProjection,
  type Consumer,
  type EventStore,
  type Projection,
} from '@nestbox/event-store';
import { textArray } from '@nestbox/postgres';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  catchUp,
  Gate,
  noted,
  notedUpTo,
  numbers,
  Stage,
  whileRunning,
  type Noted,
} from './support/stage.js';

beforeEach(() => {
  for (const level of ['log', 'warn', 'error'] as const)
    jest.spyOn(Logger.prototype, level).mockReturnValue();
});

/** How the projection counts, which changes from one version of the application to the next. */
interface Code {
  factor: number;
  before?: (n: number) => unknown;
}

/** The sum of each stream, and a row for each event. */
function totalsOf(code: Code): Projection<Noted> {
  return sqlProjection<Noted>({
    name: 'totals',
    canHandle: ['Noted'],
    tables: ['totals', 'notes'],
    init: async (context) => {
      const [totals, notes] = [context.table('totals'), context.table('notes')];
      await context.query(
        `create table if not exists ${totals} (stream text primary key, total bigint not null)`,
      );
      await context.query(
        `create table if not exists ${notes} (position bigint unique, n bigint check (n >= 0))`,
      );
      await context.query(`create index if not exists "Notes by n" on ${notes} (n desc) where n > 0`);
    },
    handle: async (events, context) => {
      for (const { data } of events) await code.before?.(data.n);
      const [streams, positions, values] = [
        events.map(({ metadata }) => metadata.streamName),
        events.map(({ metadata }) => String(metadata.globalPosition)),
        events.map(({ data }) => data.n),
      ];
      await context.query(
        `insert into ${context.table('totals')} as t
         select w.stream, sum(w.n * $3::int8) from unnest($1::text[], $2::int8[]) as w (stream, n)
          group by w.stream order by w.stream
         on conflict (stream) do update set total = t.total + excluded.total`,
        [textArray(streams), `{${values.join()}}`, String(code.factor)],
      );
      // That it is inserted twice is refused by the table.
      await context.query(
        `insert into ${context.table('notes')} select * from unnest($1::int8[], $2::int8[])`,
        [`{${positions.join()}}`, `{${values.join()}}`],
      );
    },
  });
}

describe('a rebuild of tables', () => {
  let stage: Stage;
  beforeEach(async () => (stage = await Stage.onPostgres()));
  afterEach(() => stage.close());

  const query = (store: EventStore, text: string): Promise<Record<string, unknown>[]> =>
    (store.backend as PgEventStoreBackend).postgres.query(text);
  const totalsIn = async (store: EventStore): Promise<[unknown, unknown][]> => {
    const rows = await query(
      store,
      'select t.stream, t.total::float8 as total from event_store.totals t order by t.stream collate "C"',
    );
    return rows.map(({ stream, total }) => [stream, total]);
  };
  const expectFold = async (store: EventStore, factor: number): Promise<void> => {
    const expected = new Map<string, number>();
    let count = 0;
    for await (const { data, metadata } of store.readAll<Noted>()) {
      expected.set(metadata.streamName, (expected.get(metadata.streamName) ?? 0) + data.n * factor);
      count++;
    }
    expect(await totalsIn(store)).toEqual([...expected].sort(([a], [b]) => (a < b ? -1 : 1)));
    const [notes] = await query(store, 'select count(*)::float8 as count from event_store.notes');
    expect(notes).toEqual({ count });
  };
  const relations = async (store: EventStore): Promise<unknown[]> => {
    const rows = await query(
      store,
      `select c.relname as name, pg_get_indexdef(i.indexrelid) as definition
         from pg_class c left join pg_index i on i.indexrelid = c.oid
        where c.relnamespace = 'event_store'::regnamespace and c.relkind in ('r', 'i', 'p', 'S')
          and c.relname not like 'emt\\_%'
        order by c.relname`,
    );
    return rows;
  };

  it.each(['async', 'inline'] as const)(
    'of an %s projection loses and repeats nothing that is written meanwhile',
    async (type) => {
      const code: Code = { factor: 1 };
      const projection = totalsOf(code);
      const settings = { projections: type === 'inline' ? [{ type, projection }] : [] };
      const [store, other] = [await stage.store(settings), await stage.store(settings)];
      for (const i of numbers(5)) await store.appendToStream(`old-${i}`, notedUpTo(20));
      const consumers: Consumer[] = [];
      if (type === 'async') {
        const consumer = other.consumer();
        consumer.projector({ projection, batchSize: 10 });
        consumers.push(consumer);
      }
      await whileRunning(consumers, async () => {
        for (const factor of [2, 3]) {
          code.factor = factor;
          let isOver = false;
          const writing = [store, other].map(async (its, writer) => {
            for (let i = 1; !isOver; i++) await its.appendToStream(`w-${writer}-${i % 3}`, [noted(i)]);
          });
          await store.rebuild(projection, { batchSize: 25 });
          isOver = true;
          await Promise.all(writing);
          for (const consumer of consumers) await consumer.whenCaughtUp();
          await expectFold(store, factor);
        }
      });
    },
  );

  it('keeps grants, constraints and indexes, those included that have a name of their own', async () => {
    const projection = totalsOf({ factor: 1 });
    const store = await stage.store({ projections: [projection] });
    const role = `reader_${process.pid}`;
    await query(store, `create role ${role}`);
    try {
      await query(store, `grant select on event_store.totals to ${role}`);
      await query(store, 'grant select, insert on event_store.notes to public');
      await query(store, 'create index "by hand" on event_store.totals (total)');
      await store.appendToStream('cart-1', notedUpTo(5));
      const grants = () =>
        query(
          store,
          `select table_name, grantee, privilege_type from information_schema.role_table_grants
            where table_schema = 'event_store' and table_name in ('totals', 'notes') order by 1, 2, 3`,
        );
      const before = { relations: await relations(store), grants: await grants() };
      expect(before.grants).toContainEqual({ table_name: 'totals', grantee: role, privilege_type: 'SELECT' });
      for (const _ of numbers(2)) {
        await store.rebuild(projection);
        expect({ relations: await relations(store), grants: await grants() }).toEqual(before);
      }
      await expect(query(store, 'insert into event_store.notes values (0, -1)')).rejects.toThrow(/check/);
      await expectFold(store, 1);
    } finally {
      await query(store, `drop owned by ${role}`);
      await query(store, `drop role ${role}`);
    }
  });

  it('carries no index over whose columns the new version has not', async () => {
    const store = await stage.store();
    const versionOf = (column: string): Projection<Noted> =>
      sqlProjection<Noted>({
        name: 'numbers',
        tables: ['numbers'],
        init: async (context) => {
          await context.query(`create table if not exists ${context.table('numbers')} (${column} bigint)`);
        },
        handle: async (events, context) => {
          for (const { data } of events) {
            await context.query(`insert into ${context.table('numbers')} (${column}) values ($1)`, [
              String(data.n),
            ]);
          }
        },
      });
    const old = store.consumer();
    old.projector({ projection: versionOf('n') });
    await store.appendToStream('cart-1', notedUpTo(3));
    await catchUp(old);
    await query(store, 'create index old_numbers on event_store.numbers (n)');
    await store.rebuild(versionOf('number'));
    expect(await query(store, 'select sum(number)::int4 as sum from event_store.numbers')).toEqual([
      { sum: 6 },
    ]);
    expect(await relations(store)).toMatchObject([{ name: 'numbers' }]);
  });

  it('shows readers the old tables until it is done, and leaves them as they are when it fails', async () => {
    const code: Code = { factor: 1 };
    const projection = totalsOf(code);
    const store = await stage.store({ projections: [projection] });
    await store.appendToStream('cart-1', notedUpTo(9));
    const before = await relations(store);
    const gate = new Gate();
    Object.assign(code, {
      factor: 2,
      before: async (n: number) => {
        if (n !== 5) return;
        await gate.pass();
        throw new Error('cannot stand 5');
      },
    });
    const rebuilding = store.rebuild(projection, { batchSize: 2 }).catch((error: unknown) => error);
    await gate.someoneWaits();
    expect(await totalsIn(store)).toEqual([['cart-1', 45]]);
    gate.open();
    expect(await rebuilding).toMatchObject({ code: 'PROJECTION_FAILED' });
    expect(await totalsIn(store)).toEqual([['cart-1', 45]]);
    expect(await relations(store)).toEqual(before);
    // What depends on the old tables is not dropped with them.
    Object.assign(code, { before: undefined });
    await query(store, 'create view event_store.report as select * from event_store.totals');
    await expect(store.rebuild(projection)).rejects.toThrow(/depend/);
    expect(await totalsIn(store)).toEqual([['cart-1', 45]]);
    await query(store, 'drop view event_store.report');
    await store.rebuild(projection);
    expect(await totalsIn(store)).toEqual([['cart-1', 90]]);
    expect(await relations(store)).toEqual(before);
  });

  it('of what is not in declared tables empties it, and has the processor begin anew in place', async () => {
    let factor = 1;
    const projection = sqlProjection<Noted>({
      name: 'elsewhere',
      init: async ({ execute }) => {
        await execute.command('create table if not exists public.sums (stream text primary key, total int8)');
      },
      truncate: async ({ execute }) => execute.command('delete from public.sums'),
      handle: async (events, { execute }) => {
        for (const { data, metadata } of events) {
          await execute.command(
            `insert into public.sums as s values ($1, $2)
             on conflict (stream) do update set total = s.total + excluded.total`,
            [metadata.streamName, String(data.n * factor)],
          );
        }
      },
    });
    const store = await stage.store();
    const consumer = store.consumer();
    consumer.projector({ projection, batchSize: 5 });
    await store.appendToStream('cart-1', notedUpTo(20));
    await whileRunning(consumer, async () => {
      await consumer.whenCaughtUp();
      factor = 2;
      const writing = Promise.all(numbers(20).map((n) => store.appendToStream('cart-2', [noted(n)])));
      expect(await store.rebuild('elsewhere')).toEqual({ events: 0 });
      await writing;
      await consumer.whenCaughtUp();
    });
    expect(
      await query(store, 'select stream, total::float8 as total from public.sums order by stream'),
    ).toEqual([
      { stream: 'cart-1', total: 420 },
      { stream: 'cart-2', total: 420 },
    ]);
  });
});
