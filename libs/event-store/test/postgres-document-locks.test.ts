import { Postgres } from '@nestbox/postgres';
import fc from 'fast-check';
import { parseFilter } from '../src/documents/filter.js';
import { TransactionCollection } from '../src/documents/transaction-collection.js';
import { DEFAULT_PARTITION } from '../src/event.types.js';
import { PgEventStoreBackend } from '../src/postgres/pg.event-store-backend.js';
import { freshName, keyOf, openPostgres, type OpenPostgres } from './support/document-backends.js';

let opened: OpenPostgres;
let backend: OpenPostgres['backend'];
let name: string;

beforeAll(async () => {
  opened = await openPostgres();
  ({ backend } = opened);
});

afterAll(() => opened.close());

beforeEach(() => {
  name = freshName();
});

const ensure = (indexes: string[] = [], indexAll = false, table = name): Promise<void> =>
  backend.documents.ensure({ name: table, indexes, indexAll });

describe('locks of documents', () => {
  it('lose no increment and never end in a deadlock, whatever keys transactions take, there or not', async () => {
    const partitions = [DEFAULT_PARTITION, 'locks'];
    await backend.createPartition('locks');
    let runs = 0;
    const key = fc.record({
      partition: fc.constantFrom(...partitions),
      id: fc.constantFrom('a', 'b', 'B', 'ä', '🦊', '\uffff'),
    });
    const step = fc.record({
      keys: fc.uniqueArray(key, { minLength: 1, maxLength: 5, selector: (each) => JSON.stringify(each) }),
      // Documents go, so that others find them absent again.
      deletes: fc.boolean(),
      rollsBack: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 30 }), async (steps) => {
        const table = `locks_${++runs}`;
        await ensure(['n'], false, table);
        const expected = new Map<string, number>();
        const written = new Map<string, number>();
        const count = (counts: Map<string, number>, of: unknown, by: number): void => {
          counts.set(JSON.stringify(of), (counts.get(JSON.stringify(of)) ?? 0) + by);
        };
        await Promise.all(
          steps.map(async ({ keys, deletes, rollsBack }) => {
            const taken: [unknown, number][] = [];
            const work = backend.transaction(async () => {
              const found = await backend.documents.lock(table, keys);
              const changes = keys.map((each, i) => {
                const n = (found[i]?.data['n'] as number | undefined) ?? 0;
                if (deletes) taken.push([each, n]);
                return { ...each, data: deletes ? null : { n: n + 1 } };
              });
              await backend.documents.write(table, changes);
              if (rollsBack) throw new Error('rolled back');
            });
            if (rollsBack) return expect(work).rejects.toThrow('rolled back');
            await work;
            // What a deletion found is counted where it was found.
            for (const [each, n] of taken) count(written, each, n);
            if (!deletes) for (const each of keys) count(expected, each, 1);
          }),
        );
        for (const partition of partitions) {
          for (const { id, data } of await backend.documents.find(table, partition, parseFilter(undefined))) {
            count(written, { partition, id }, data['n'] as number);
          }
        }
        for (const [each, n] of written) if (n === 0) written.delete(each);
        expect(Object.fromEntries(written)).toEqual(Object.fromEntries(expected));
        await backend.documents.drop([table]);
      }),
      { numRuns: 25 },
    );
  }, 120_000);

  it('keep others from an absent document until the transaction is over, and only from that', async () => {
    await ensure();
    const order: string[] = [];
    let finish!: () => void;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    let held!: () => void;
    const isHeld = new Promise<void>((resolve) => (held = resolve));
    const first = backend.transaction(async () => {
      await backend.documents.lock(name, [keyOf('a')]);
      held();
      await finished;
      await backend.documents.write(name, [{ ...keyOf('a'), data: { by: 'first' } }]);
      order.push('first');
    });
    await isHeld;
    const second = backend.transaction(async () => {
      const found = await backend.documents.lock(name, [keyOf('a')]);
      order.push('second');
      return found;
    });
    await backend.transaction(async () => {
      await backend.documents.lock(name, [keyOf('b')]);
      order.push('other');
    });
    finish();
    await first;
    expect(await second).toEqual([{ id: 'a', data: { by: 'first' }, version: 1n }]);
    expect(order).toEqual(['other', 'first', 'second']);
  });

  it('of one, or of several in any order, see what was written while they waited', async () => {
    const ids = ['b', 'ä', 'a', 'B'];
    for (const asked of [['a'], ids, [...ids].reverse()]) {
      await ensure();
      const write = (n: number): Promise<void> =>
        backend.documents.write(
          name,
          ids.map((id) => ({ ...keyOf(id), data: { n } })),
        );
      await backend.transaction(() => write(1));
      const other = new Postgres({ url: opened.database.url });
      const { documents } = new PgEventStoreBackend(other);
      let found: ReturnType<typeof documents.lock> | undefined;
      await backend.transaction(async () => {
        await write(2);
        found = other.transaction(() =>
          documents.lock(
            name,
            asked.map((id) => keyOf(id)),
            true,
          ),
        );
        await blocked();
      });
      expect(await found).toEqual(asked.map((id) => ({ id, data: { n: 2 }, version: 2n })));
      await other.close();
      await backend.documents.drop([name]);
    }
  });

  it('and writes take one round trip each', async () => {
    await ensure();
    const sent: string[] = [];
    const counted = new Postgres({ url: opened.database.url });
    const { query } = counted;
    counted.query = ((text: string, params?: readonly unknown[]) => {
      sent.push(text);
      return query.call(counted, text, params);
    }) as typeof query;
    const { documents } = new PgEventStoreBackend(counted);
    const keys = ['a', 'b', 'c', 'd'].map((id) => keyOf(id));
    await counted.transaction(async () => {
      await documents.lock(name, keys);
      await documents.write(
        name,
        keys.map((key, i) => ({ ...key, data: i % 2 === 0 ? { i } : null })),
      );
    });
    expect(sent).toHaveLength(2);
    await counted.close();
  });

  it('are not in the way of readers', async () => {
    await ensure();
    await backend.transaction(async () => {
      await backend.documents.write(name, [{ ...keyOf('a'), data: {} }]);
    });
    await backend.transaction(async () => {
      await backend.documents.lock(name, [keyOf('a'), keyOf('b')]);
      await backend.documents.freeze([name]);
      const outside = new Postgres({ url: opened.database.url });
      const other = new PgEventStoreBackend(outside).documents;
      expect(await other.count(name, DEFAULT_PARTITION, parseFilter(undefined))).toBe(1);
      await outside.close();
    });
  });

  it('of a projection that was waiting for an exchange see the new documents', async () => {
    const shadow = backend.documents.shadowName(name);
    await ensure();
    await ensure([], false, shadow);
    await backend.transaction(async () => {
      await backend.documents.write(name, [{ ...keyOf('a'), data: { old: true } }]);
      await backend.documents.write(shadow, [{ ...keyOf('a'), data: { old: false } }]);
    });
    let waiting: Promise<unknown> | undefined;
    const other = new Postgres({ url: opened.database.url });
    const { documents } = new PgEventStoreBackend(other);
    await backend.transaction(async () => {
      await backend.documents.freeze([name]);
      waiting = other.transaction(() => documents.lock(name, [keyOf('a'), keyOf('b')]));
      await blocked();
      await backend.documents.swap([name]);
    });
    expect(await waiting).toEqual([{ id: 'a', data: { old: false }, version: 1n }, undefined]);
    await other.close();
  });

  it('that are held are waited for by an exchange, whatever is written under them', async () => {
    for (const isOwned of [false, true]) {
      await ensure();
      await ensure([], false, backend.documents.shadowName(name));
      await backend.transaction(() => backend.documents.write(name, [{ ...keyOf('a'), data: { n: 1 } }]));
      let exchange: Promise<unknown> | undefined;
      const other = new Postgres({ url: opened.database.url });
      const { documents } = new PgEventStoreBackend(other);
      await backend.transaction(async () => {
        await backend.documents.lock(name, [keyOf('a'), keyOf('b')], isOwned);
        exchange = other.transaction(async () => {
          await documents.freeze([name]);
          const before = await documents.find(name, DEFAULT_PARTITION, parseFilter(undefined));
          await documents.swap([name]);
          return before.map(({ data }) => data['n']);
        });
        await blocked();
        await backend.documents.write(name, [
          { ...keyOf('a'), data: { n: 2 } },
          { ...keyOf('b'), data: { n: 3 } },
        ]);
      });
      expect(await exchange).toEqual([2, 3]);
      await other.close();
    }
  });
});

/** Resolves when some connection to the database waits for a lock. */
async function blocked(): Promise<void> {
  const observer = new Postgres({ url: opened.database.url, options: { max: 1 } });
  for (let isBlocked = false; !isBlocked;) {
    const [row] = await observer.query(
      `select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock') as is`,
    );
    isBlocked = row!['is'] === true;
  }
  await observer.close();
}

describe('a collection inside of a transaction', () => {
  it('reads, writes, updates and deletes what it locks', async () => {
    await ensure();
    const collection = new TransactionCollection<{ n: number }>(
      backend.documents,
      name,
      DEFAULT_PARTITION,
      undefined,
    );
    await backend.transaction(async () => {
      expect(await collection.get('a')).toBeUndefined();
      await collection.set('a', { n: 1 });
      await collection.set('b', { n: 2 });
      expect(await collection.update('a', (before) => ({ n: before!.n + 1 }))).toEqual({ n: 2 });
      expect(await collection.update('c', (before) => (before === null ? { n: 3 } : null))).toEqual({ n: 3 });
      expect(await collection.update('b', () => null)).toBeNull();
      expect(await collection.update('d', async () => null)).toBeNull();
      await collection.delete('e');
      expect(await collection.getMany(['c', 'b', 'a'])).toEqual([
        { _id: 'c', n: 3 },
        undefined,
        { _id: 'a', n: 2 },
      ]);
      expect(await collection.getMany([])).toEqual([]);
      // What was read may be written again; its id and version are not part of it.
      await collection.set('a', (await collection.get('a'))!);
    });
    const found = await backend.documents.find(name, DEFAULT_PARTITION, parseFilter(undefined));
    expect(found).toEqual([
      { id: 'a', data: { n: 2 }, version: 3n },
      { id: 'c', data: { n: 3 }, version: 1n },
    ]);
  });

  it('refuses what is no document, or no id, with the path', async () => {
    await ensure();
    const collection = new TransactionCollection<object>(
      backend.documents,
      name,
      DEFAULT_PARTITION,
      undefined,
    );
    const cases: [string, () => Promise<unknown>][] = [
      ['document', () => collection.set('a', [])],
      ['document', () => collection.set('a', null as never)],
      ['document.at', () => collection.set('a', { at: new Date() })],
      ['document', () => collection.update('a', () => undefined as never)],
      ['id', () => collection.set('', {})],
      ['ids[0]', () => collection.getMany([7 as never])],
    ];
    for (const [path, call] of cases) {
      await expect(backend.transaction(call)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', path });
    }
    expect(await backend.documents.count(name, DEFAULT_PARTITION, parseFilter(undefined))).toBe(0);
  });
});
