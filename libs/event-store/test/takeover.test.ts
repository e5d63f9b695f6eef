import { setTimeout as sleep } from 'node:timers/promises';
import { createEventStore, type EventStore } from '@nestbox/event-store';
import { Postgres } from '@nestbox/postgres';
import { eventually, spawnFixture, testDatabase, type Fixture, type TestDatabase } from '@nestbox/testing';

interface Said {
  type: 'started' | 'active' | 'passive' | 'begun' | 'handled' | 'closed';
  /** By `Date.now()`, which all processes of a machine share. */
  at: number;
}

let database: TestDatabase;
let postgres: Postgres;
let store: EventStore;
let instances: Map<string, Fixture>;
let appended: number;

beforeEach(async () => {
  database = await testDatabase();
  postgres = new Postgres({ url: database.url, options: { max: 6 } });
  store = createEventStore(postgres);
  await store.init();
  await postgres.query(
    `create table event_store.tally
       (stream text primary key, count integer not null, sum bigint not null, last bigint not null);
     create table event_store.tallied
       (id bigserial, position bigint not null, instance text not null, at timestamptz default clock_timestamp())`,
  );
  instances = new Map();
  appended = 0;
});

afterEach(async () => {
  await Promise.all([...instances.values()].map((instance) => instance.kill()));
  await store.close();
  await postgres.close();
  await database.drop();
});

async function spawn(
  name: string,
  lease: number,
  eventMs: number,
  kind: 'projector' | 'reactor' = 'projector',
): Promise<Fixture> {
  const instance = await spawnFixture(new URL('./fixtures/tally-consumer.mjs', import.meta.url), {
    args: [database.url, String(lease), name, String(eventMs), kind],
  });
  instances.set(name, instance);
  await instance.waitFor('started', 20_000);
  return instance;
}

async function append(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const n = ++appended;
    await store.appendToStream(`counter-${n % 5}`, [{ type: 'Counted', data: { n } }]);
  }
}

/** What it has said last, of the types named. */
function last(instance: Fixture, ...types: Said['type'][]): Said | undefined {
  return (instance.messages as Said[]).filter(({ type }) => types.includes(type)).at(-1);
}

/** The instance that is in the middle of a batch which it began after a time. */
async function working(after: number): Promise<{ name: string; instance: Fixture; at: number }> {
  return eventually(
    () => {
      for (const [name, instance] of instances) {
        const said = last(instance, 'begun', 'handled');
        if (said?.type === 'begun' && said.at > after) return { name, instance, at: said.at };
      }
      throw new Error('No instance goes on.');
    },
    { timeoutMs: 20_000, intervalMs: 3 },
  );
}

async function rows(text: string): Promise<Record<string, unknown>[]> {
  return postgres.query(text);
}

/** Waits until as many events are counted as there are, and compares with the log what they add up to. */
async function expectEachCountedOnce(): Promise<void> {
  await eventually(
    async () => {
      const [row] = await rows(
        'select coalesce(max(position), 0)::text as position from event_store.tallied',
      );
      expect(row!['position']).toBe(String(await store.backend.head()));
    },
    { timeoutMs: 30_000 },
  );
  const folded = await rows(
    `select stream_id as stream, count(*)::integer as count, sum((message_data ->> 'n')::integer)::text as sum,
            max(stream_position)::text as last
       from event_store.emt_messages group by stream_id order by stream_id`,
  );
  const counted = await rows(
    'select stream, count, sum::text as sum, last::text as last from event_store.tally order by stream',
  );
  expect(counted).toEqual(folded);
  const inOrder = await rows('select position::text as position from event_store.tallied order by id');
  const log = await rows(
    'select global_position::text as position from event_store.emt_messages order by global_position',
  );
  expect(inOrder).toEqual(log);
}

describe('a processor of several processes', () => {
  it('goes on within the lease when the active one is killed half way, 30 times, and counts each event once', async () => {
    const lease = 700;
    let isOver = false;
    const writing = (async () => {
      while (!isOver) {
        await append(3);
        await sleep(25);
      }
    })();
    writing.catch(() => undefined);

    const takeovers: number[] = [];
    let halfWay = 0;
    let since = 0;
    for (let round = 0; round < 6; round++) {
      // All at once, so that none is just starting when it is to take over.
      const names = Array.from({ length: 6 - instances.size }, (_, i) => `instance ${round}.${i}`);
      await Promise.all(names.map((name) => spawn(name, lease, 2)));
      for (let kill = 0; kill < 5; kill++) {
        const { name, instance } = await working(since);
        since = Date.now();
        await instance.kill('SIGKILL');
        instances.delete(name);
        if (last(instance, 'begun', 'handled')!.type === 'begun') halfWay++;
        takeovers.push((await working(since)).at - since);
      }
    }
    isOver = true;
    await writing;
    await expectEachCountedOnce();

    expect(halfWay).toBeGreaterThan(20);
    takeovers.sort((a, b) => a - b);
    expect(takeovers[15]).toBeLessThan(2 * lease);
  }, 240_000);

  it('is not held up by a process that hangs in the middle of a batch, which changes nothing more', async () => {
    const lease = 700;
    const hanging = await spawn('hanging', lease, 10);
    await eventually(() => expect(last(hanging, 'active', 'passive')?.type).toBe('active'));
    await append(60);
    await working(0);
    hanging.freeze();
    const frozenAt = Date.now();
    expect(last(hanging, 'begun', 'handled')!.type).toBe('begun');
    const before = await rows('select count(*)::integer as count from event_store.tallied');
    const standby = await spawn('standby', lease, 1);
    // The server ends the transaction of the one that hangs, which has locked the lease.
    await eventually(() => expect(last(standby, 'begun')?.at).toBeGreaterThan(frozenAt));
    await append(20);
    await expectEachCountedOnce();

    hanging.unfreeze();
    await eventually(() => expect(last(hanging, 'active', 'passive')?.type).toBe('passive'));
    await append(40);
    await expectEachCountedOnce();
    const after = await rows(
      `select count(*)::integer as count from event_store.tallied where instance = 'hanging'`,
    );
    expect(after).toEqual(before);

    // It has not ended, and stands by.
    await standby.kill();
    await append(20);
    await expectEachCountedOnce();
    expect(last(hanging, 'active', 'passive')?.type).toBe('active');
  }, 60_000);

  it('is not held up by a process that hangs while there is nothing to do', async () => {
    const lease = 500;
    const hanging = await spawn('hanging', lease, 1);
    await append(5);
    await expectEachCountedOnce();
    hanging.freeze();
    const standby = await spawn('standby', lease, 1);
    await eventually(() => expect(last(standby, 'active')).toBeDefined());
    // Nothing was appended meanwhile that would wake it.
    hanging.unfreeze();
    await eventually(() => expect(last(hanging, 'active', 'passive')?.type).toBe('passive'));
    await append(10);
    await expectEachCountedOnce();
    const counts = await rows(
      'select instance, count(*)::integer as count from event_store.tallied group by instance order by instance',
    );
    expect(counts).toEqual([
      { instance: 'hanging', count: 5 },
      { instance: 'standby', count: 10 },
    ]);
  }, 60_000);

  it('has a reactor that hung begin no further event when it goes on after its lease', async () => {
    const lease = 500;
    const hanging = await spawn('hanging', lease, 50, 'reactor');
    await append(30);
    await eventually(() => expect(last(hanging, 'begun')).toBeDefined());
    hanging.freeze();
    const standby = await spawn('standby', lease, 1, 'reactor');
    await eventually(() => expect(last(standby, 'begun')).toBeDefined());
    const frozenUntil = Date.now();
    hanging.unfreeze();
    await eventually(() => expect(last(hanging, 'active', 'passive')?.type).toBe('passive'));
    await append(10);
    await eventually(async () => {
      // What the first had handled, but not saved, comes again.
      const [row] = await rows('select count(distinct position)::integer as count from event_store.tallied');
      expect(row!['count']).toBe(40);
    });
    // By its own clock: what it said just before it was frozen may arrive only now.
    const begun = (hanging.messages as Said[]).filter(({ type }) => type === 'begun');
    expect(begun.filter(({ at }) => at >= frozenUntil)).toEqual([]);
  }, 60_000);

  it('goes on at once when the active one is told to end, and not after the lease', async () => {
    const lease = 30_000;
    await append(1);
    const names = ['instance 1', 'instance 2', 'instance 3'];
    for (const name of names) await spawn(name, lease, 1);
    const gaps: number[] = [];
    for (let round = 0; round < 2; round++) {
      const active = names.find(
        (name) => last(instances.get(name)!, 'active', 'passive')?.type === 'active',
      )!;
      const instance = instances.get(active)!;
      await append(10);
      expect(await instance.kill('SIGTERM')).toEqual({ code: 0, signal: null });
      const { at } = last(instance, 'closed')!;
      instances.delete(active);
      names.splice(names.indexOf(active), 1);
      const next = await eventually(() => {
        const name = names.find((each) => last(instances.get(each)!, 'active', 'passive')?.type === 'active');
        return last(instances.get(name!)!, 'active')!;
      });
      gaps.push(next.at - at);
      await append(10);
      await expectEachCountedOnce();
    }
    expect(Math.max(...gaps)).toBeLessThan(1_500);
  }, 60_000);
});
