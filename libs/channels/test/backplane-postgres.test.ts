import { BackplaneError, PgBackplane, backplaneMigrations } from '@nestbox/channels';
import { Postgres } from '@nestbox/postgres';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { backplaneContract } from '@nestbox/testing/contracts';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { BackplaneMessage, Position } from '../src/backplane/backplane.js';

let database: TestDatabase;
let postgres: Postgres;
let names = 0;
const opened: PgBackplane[] = [];

beforeAll(async () => {
  for (const level of ['log', 'warn', 'error'] as const)
    jest.spyOn(Logger.prototype, level).mockReturnValue();
  database = await testDatabase();
  postgres = new Postgres(database.url);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((backplane) => backplane.close()));
});
afterAll(async () => {
  await postgres.close();
  await database.drop();
});

backplaneContract('PgBackplane', {
  create: async () => {
    const other = new Postgres(database.url);
    let count = 0;
    return {
      // Half of them in another process, as it were.
      open: async () => new PgBackplane(count++ % 2 === 0 ? postgres : other, { name: 'Contract "1"' }),
      dispose: () => other.close(),
    };
  },
});

interface Instance {
  backplane: PgBackplane;
  messages: BackplaneMessage[];
  texts(): string[];
  gaps: [string, Position][];
  recoveries: number;
}

async function instance(
  nodeId: string,
  options: ConstructorParameters<typeof PgBackplane>[1],
): Promise<Instance> {
  const backplane = new PgBackplane(postgres, options);
  opened.push(backplane);
  const one: Instance = {
    backplane,
    messages: [],
    texts: () => one.messages.map(({ payload }) => payload.toString()),
    gaps: [],
    recoveries: 0,
  };
  await backplane.open(nodeId, {
    onMessage: (message) => one.messages.push(message),
    onGap: (topic, head) => one.gaps.push([topic, head]),
    onRecovered: () => one.recoveries++,
  });
  return one;
}

function text(topic: string, payload: string | number) {
  return { topic, payload: Buffer.from(String(payload)), binary: false, except: [] };
}

function gate(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

const KEEP = { size: 1000, ttlMs: 60_000 };

describe('PgBackplane', () => {
  it('publishes with the transaction around it, and not at all when that is rolled back', async () => {
    const name = `tx_${++names}`;
    const [a, b] = [await instance('a', { name }), await instance('b', { name })];
    await b.backplane.join('t');
    await postgres.transaction(async () => {
      await a.backplane.publish(text('t', 1));
      await a.backplane.publish(text('t', 2), KEEP);
      expect(b.messages).toEqual([]);
      expect((await b.backplane.history('t'))?.messages ?? []).toEqual([]);
    });
    await eventually(() => expect(b.texts()).toEqual(['1', '2']));
    const rolledBack = postgres.transaction(async () => {
      await a.backplane.publish(text('t', 3), KEEP);
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    await a.backplane.publish(text('t', 4), KEEP);
    await eventually(() => expect(b.texts()).toEqual(['1', '2', '4']));
    expect((await a.backplane.history('t'))?.messages).toHaveLength(2);
  });

  it('keeps what comes behind an open transaction that has published until that ends, in this stream only', async () => {
    const name = `open_${++names}`;
    const [a, b] = [await instance('a', { name }), await instance('b', { name })];
    await b.backplane.join('t');
    const [elsewhere, reader] = [
      await instance('a', { name: `${name}_2` }),
      await instance('b', { name: `${name}_2` }),
    ];
    await reader.backplane.join('t');
    const [published, mayEnd] = [gate(), gate()];
    const transaction = postgres.transaction(async () => {
      await a.backplane.publish(text('t', 'early'));
      published.resolve();
      await mayEnd.promise;
    });
    await published.promise;
    await a.backplane.publish(text('t', 'late'));
    // Another stream does not wait.
    await elsewhere.backplane.publish(text('t', 'at once'));
    await eventually(() => expect(reader.texts()).toEqual(['at once']));
    expect(b.texts()).toEqual([]);
    mayEnd.resolve();
    await transaction;
    await eventually(() => expect(b.texts()).toEqual(['early', 'late']));
  });

  it('deletes what was read and what histories do not need, and knows the floor', async () => {
    const name = `trim_${++names}`;
    const a = await instance('a', { name, keepFor: 200 });
    const positions = [];
    for (let n = 1; n <= 6; n++) {
      await a.backplane.publish(text('live', n));
      positions.push((await a.backplane.publish(text('kept', n), { size: 2, ttlMs: 60_000 }))!);
    }
    await a.backplane.publish(text('short', 1), { size: 2, ttlMs: 100 });
    await eventually(async () => {
      const rows = await postgres.query(`select topic from serverless.${name}_stream order by position`);
      expect(rows).toEqual([{ topic: 'kept' }, { topic: 'kept' }]);
    });
    expect(await postgres.query(`select topic, floor::text from serverless.${name}_topics`)).toEqual([
      { topic: 'kept', floor: String(positions[3]!.offset) },
    ]);
    expect((await a.backplane.history('kept', { since: positions[3] }))?.complete).toBe(true);
    expect((await a.backplane.history('kept', { since: positions[2] }))?.complete).toBe(false);
    expect(await a.backplane.head('kept')).toEqual(positions[5]);
    expect(await a.backplane.head('short')).toBeUndefined();
    // Who opens behind what was deleted has missed nothing.
    const b = await instance('b', { name });
    await b.backplane.join('kept');
    await a.backplane.publish(text('kept', 7), KEEP);
    await eventually(() => expect(b.texts()).toEqual(['7']));
    expect([b.gaps, b.recoveries]).toEqual([[], 0]);
  });

  it('tells who was away for too long what it has missed', async () => {
    const name = `gap_${++names}`;
    const [a, b] = [await instance('a', { name }), await instance('b', { name })];
    await Promise.all([b.backplane.join('t'), b.backplane.join('other')]);
    const positions: Position[] = [];
    // Written and deleted in one transaction, so that nobody can have read it.
    await postgres.transaction(async () => {
      for (const n of [1, 2, 3]) {
        positions.push((await a.backplane.publish(text('t', n), { size: 1, ttlMs: 60_000 }))!);
      }
      await postgres.query(`select serverless.${name}_trim(0, array['t'], 1000)`);
    });
    await eventually(() => expect(b.texts()).toEqual(['3']));
    expect(b.gaps).toEqual([['t', positions[1]]]);
    await eventually(() => expect(b.recoveries).toBe(1));
    expect(b.backplane.state.status).toBe('up');
  });

  it('never moves the head of a history back', async () => {
    const name = `head_${++names}`;
    const a = await instance('a', { name, keepFor: 100 });
    await a.backplane.publish(text('t', 1), KEEP);
    const head = await a.backplane.publish(text('t', 2), { size: 1000, ttlMs: 50 });
    await eventually(async () =>
      expect(await postgres.query(`select from serverless.${name}_stream`)).toHaveLength(1),
    );
    expect(await a.backplane.head('t')).toEqual(head);
  });

  it('reads what is new through the index, however long the stream is', async () => {
    const name = `plan_${++names}`;
    const a = await instance('a', { name });
    await postgres.query(
      `insert into serverless.${name}_stream (position, topic, origin, is_binary, payload)
       select nextval('serverless.${name}_position'), 'topic ' || i % 100, 'x', false, '\\x00'
         from generate_series(1, 20000) i`,
    );
    await postgres.query(`analyze serverless.${name}_stream`);
    await a.backplane.publish(text('t', 1));
    const explain = (): Promise<Record<string, unknown>[]> =>
      postgres.transaction(() =>
        postgres.query(
          `explain (analyze, buffers, format json) select * from serverless.${name}_follow(20000, 'b', array['t'], 500)`,
        ),
      );
    const [{ n: pages }] = (await postgres.query(
      `select (pg_relation_size('serverless.${name}_stream') / 8192)::int as n`,
    )) as [{ n: number }];
    // The first call of a connection also reads the catalog.
    const [, row] = await postgres.transaction(async () => [...(await explain()), ...(await explain())]);
    const [explained] = row!['QUERY PLAN'] as { Plan: Record<string, number> }[];
    const { Plan: plan } = explained!;
    expect(plan['Actual Rows']).toBe(2);
    expect(plan['Shared Hit Blocks']! + plan['Shared Read Blocks']!).toBeLessThan(pages / 3);
  });

  it('is set up by many instances at once, and checked without migrate', async () => {
    const name = `many_${++names}`;
    const unready = new PgBackplane(postgres, { name, migrate: false });
    opened.push(unready);
    await expect(unready.publish(text('t', 1))).rejects.toThrow(BackplaneError);
    const all = await Promise.all(Array.from({ length: 8 }, (_, i) => instance(`n${i}`, { name })));
    await Promise.all(all.map(async ({ backplane }) => backplane.join('t')));
    // The same instance, now that the schema is there.
    await unready.publish(text('t', 'hello'));
    await eventually(() => expect(all.map((one) => one.texts())).toEqual(all.map(() => ['hello'])));
    expect((await backplaneMigrations(postgres, { name }).status()).pending).toEqual([]);
  });

  it('refuses names that are none, before it connects', () => {
    expect(() => new PgBackplane(postgres, { name: '' })).toThrow(/name/);
    expect(() => new PgBackplane(postgres, { name: 'x'.repeat(60) })).toThrow(/name/);
    expect(() => new PgBackplane(postgres, { keepFor: 'soon' as '1s' })).toThrow(/keepFor/);
  });
});
