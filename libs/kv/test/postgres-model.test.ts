import { NotACounterError, PostgresAdapter, VersionConflictError, type StoredChange } from '@nestbox/kv';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import fc from 'fast-check';
import { afterPrefix, boundsOf } from '../src/postgres/key-bounds.js';
import { compareUtf8 } from '@nestbox/core';

let database: TestDatabase;
let stores: { postgres: Postgres; adapter: PostgresAdapter }[];

beforeAll(async () => {
  database = await testDatabase();
  stores = Array.from({ length: 2 }, () => {
    const postgres = new Postgres({ url: database.url, options: { max: 4 } });
    return {
      postgres,
      adapter: new PostgresAdapter({ client: postgres, sweepInterval: 5, tombstoneTtl: 5 }),
    };
  });
});

afterAll(async () => {
  for (const { adapter, postgres } of stores) {
    await adapter.close();
    await postgres.close();
  }
  await database.drop();
});

const key = fc.constantFrom('a', 'b', 'c');
/** What is expected: the version that the client saw last, one above, or no entry. */
const expectation = fc.constantFrom('seen', 'next', 'absent');
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('set'), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('expiring'), key }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('conditional'), key, expectation }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('increment'), key }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete'), key }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('commit'), key, expectation }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('many'), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('transaction'), key, rollback: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('get'), key }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** What clients were told, to be held against what the log says. */
interface Told {
  /** Sets that took effect: the version by value. Every value is written once. */
  sets: Map<string, { key: string; version: bigint; expected?: bigint | 'absent' }>;
  /** Values that must not be found. */
  never: Set<string>;
  /** Sums of increments by key and version. */
  sums: { key: string; version: bigint; sum: bigint }[];
  /** Values that were written together. */
  together: string[][];
  deletions: Map<string, number>;
  read: { key: string; value: unknown }[];
}

class Rollback extends Error {}

async function client(
  n: number,
  { adapter, postgres }: (typeof stores)[number],
  prefix: string,
  steps: readonly Step[],
  told: Told,
): Promise<void> {
  const seen = new Map<string, bigint>();
  let writes = 0;
  const fresh = (): string => `${n}.${++writes}`;
  const expected = (name: string, kind: string): bigint | 'absent' => {
    if (kind === 'absent') return 'absent';
    return (seen.get(name) ?? 1n) + (kind === 'next' ? 1n : 0n);
  };
  const made = (name: string, value: string, version: bigint, condition?: bigint | 'absent'): void => {
    told.sets.set(value, { key: name, version, expected: condition });
    seen.set(name, version);
  };
  for (const each of steps) {
    const name = prefix + each.key;
    const value = fresh();
    try {
      switch (each.type) {
        case 'set':
          made(name, value, (await adapter.set(name, value)).version);
          break;
        case 'expiring':
          made(name, value, (await adapter.set(name, value, { expiry: { ttl: 3 } })).version);
          break;
        case 'conditional': {
          const ifVersion = expected(name, (each as { expectation: string }).expectation);
          made(name, value, (await adapter.set(name, value, { ifVersion })).version, ifVersion);
          break;
        }
        case 'increment': {
          const { value: sum, version } = await adapter.increment(name, 1n);
          told.sums.push({ key: name, version, sum });
          seen.set(name, version);
          break;
        }
        case 'delete':
          if (await adapter.delete(name)) told.deletions.set(name, (told.deletions.get(name) ?? 0) + 1);
          break;
        case 'commit': {
          const other = `${prefix}${each.key === 'a' ? 'b' : 'a'}`;
          const otherValue = fresh();
          const version = expected(name, (each as { expectation: string }).expectation);
          const result = await adapter.commit([
            { type: 'set', key: other, value: otherValue },
            { type: 'check', key: name, version },
            { type: 'set', key: name, value },
          ]);
          if (result.ok) {
            made(name, value, result.versions.get(name)!, version);
            made(other, otherValue, result.versions.get(other)!);
            told.together.push([value, otherValue]);
          } else {
            expect(result.failed).toEqual([name]);
            told.never.add(value).add(otherValue);
          }
          break;
        }
        case 'many': {
          const values = ['c', 'a', 'b'].map((suffix) => [`${prefix}${suffix}`, fresh()] as const);
          const versions = await adapter.setMany(values.map(([k, v]) => ({ key: k, value: v })));
          for (const [k, v] of values) made(k, v, versions.get(k)!);
          told.together.push(values.map(([, v]) => v));
          break;
        }
        case 'transaction': {
          const { rollback } = each as { rollback: boolean };
          let version: bigint | undefined;
          try {
            await postgres.transaction(async () => {
              ({ version } = await adapter.set(name, value));
              expect(await adapter.get(name)).toBe(value);
              if (rollback) throw new Rollback();
            });
            made(name, value, version!);
          } catch (error) {
            if (!(error instanceof Rollback)) throw error;
            told.never.add(value);
          }
          break;
        }
        case 'get':
          told.read.push({ key: name, value: await adapter.get(name) });
      }
    } catch (error) {
      if (error instanceof VersionConflictError) told.never.add(value);
      else if (!(error instanceof NotACounterError)) throw error;
    }
  }
}

/** Replays what the log has of a key, and holds it against what the clients were told. */
function checkKey(name: string, changes: readonly StoredChange[], told: Told): unknown {
  let live: { value: unknown; version: bigint } | undefined;
  let before: bigint = 0n;
  let deletions = 0;
  for (const change of changes) {
    expect(change.version).toBeGreaterThan(before);
    before = change.version;
    if (change.type === 'delete') {
      expect(live).toBeDefined();
      live = undefined;
      if (!change.expired) deletions++;
      continue;
    }
    if (typeof change.value === 'string') {
      expect(told.never.has(change.value)).toBe(false);
      const set = told.sets.get(change.value);
      expect(set).toMatchObject({ key: name, version: change.version });
      if (typeof set!.expected === 'bigint') expect(live?.version).toBe(set!.expected);
      told.sets.delete(change.value);
    } else {
      const index = told.sums.findIndex(({ key: k, version }) => k === name && version === change.version);
      expect(told.sums[index]).toMatchObject({ sum: BigInt(change.value as number) });
      // An entry that has just expired counts for none before it is swept.
      const counted = typeof live?.value === 'number' ? live.value : 0;
      expect([counted + 1, 1]).toContain(change.value);
      told.sums.splice(index, 1);
    }
    live = { value: change.value, version: change.version };
  }
  expect(deletions).toBe(told.deletions.get(name) ?? 0);
  return live?.value;
}

describe('concurrent writers of a PostgreSQL store', () => {
  it('are told what the log says, in an order that explains it all', async () => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { minLength: 1, maxLength: 12 }), { minLength: 2, maxLength: 6 }),
        async (clients) => {
          const prefix = `run ${++runs}:`;
          const told: Told = {
            sets: new Map(),
            never: new Set(),
            sums: [],
            together: [],
            deletions: new Map(),
            read: [],
          };
          const feed = await stores[0]!.adapter.openFeed({ prefix });
          await Promise.all(clients.map((steps, n) => client(n, stores[n % 2]!, prefix, steps, told)));
          const written = new Set(told.sets.keys());
          await stores[1]!.adapter.set(`${prefix}end`, 1);
          const changes: StoredChange[] = [];
          while (!changes.some((change) => change.key === `${prefix}end`))
            changes.push(...(await feed.read()));
          await feed.close();

          const revisions = changes.map(({ revision }) => revision);
          expect(revisions).toEqual([...new Set(revisions)].sort((x, y) => (x < y ? -1 : 1)));
          for (const name of ['a', 'b', 'c'].map((suffix) => prefix + suffix)) {
            const own = changes.filter((change) => change.key === name);
            const value = checkKey(name, own, told);
            const current = await stores[0]!.adapter.get(name);
            // It may have expired without having been swept.
            if (current !== undefined) expect(current).toBe(value);
          }
          expect(told.sets.size).toBe(0);
          expect(told.sums).toEqual([]);
          for (const values of told.together)
            for (const value of values) expect(written.has(value)).toBe(true);
          for (const { value } of told.read) {
            if (typeof value === 'string') expect(told.never.has(value)).toBe(false);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('the bounds of a range of keys', () => {
  const text = fc.string({
    unit: fc.constantFrom('a', 'b', '\u{d7ff}', '\ue000', '\uffff', '🦊', '\u{10ffff}'),
    maxLength: 4,
  });

  it('hold exactly the keys that the range has', () => {
    fc.assert(
      fc.property(
        text,
        fc.record(
          { prefix: text, start: text, end: text, after: text, reverse: fc.boolean() },
          { requiredKeys: [] },
        ),
        (name, range) => {
          const { prefix = '', start, end, after, reverse = false } = range;
          const inside =
            name.startsWith(prefix) &&
            (start === undefined || compareUtf8(name, start) >= 0) &&
            (end === undefined || compareUtf8(name, end) < 0) &&
            (after === undefined || (reverse ? compareUtf8(name, after) < 0 : compareUtf8(name, after) > 0));
          const { from, below } = boundsOf(range);
          expect(compareUtf8(name, from) >= 0 && (below === undefined || compareUtf8(name, below) < 0)).toBe(
            inside,
          );
          expect(below?.isWellFormed() ?? true).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
    expect(afterPrefix('')).toBeUndefined();
    expect(afterPrefix('\u{10ffff}')).toBeUndefined();
    expect(afterPrefix('a\u{10ffff}')).toBe('b');
  });
});
