/* oxlint-disable jest/no-standalone-expect -- the commands run inside the test at the end */
/// <reference types="jest" />
import { compareUtf8 } from '@nestbox/core';
import { VersionConflictError, type KeyValueStore } from '@nestbox/kv';
import fc from 'fast-check';
import type { KvSuite } from './subject.js';

/** What the store has to hold, as plain as can be. */
interface Model {
  entries: Map<string, { value: unknown; version: bigint }>;
  /** The highest version that each key has had. */
  last: Map<string, bigint>;
}

type StoreCommand = fc.AsyncCommand<Model, KeyValueStore>;

const KEYS = ['{x}a', '{x}b', '{x}%', '{x}🦊'];
const key = fc.constantFrom(...KEYS);
const value = fc.oneof(
  fc.integer({ min: -5, max: 5 }),
  fc.constantFrom(null, 'text', 1.5, [], { a: { b: [null] } }),
);

function current(model: Model, name: string): bigint | undefined {
  return model.entries.get(name)?.version;
}

/** Checks a version that the store gave, and makes the change. */
function put(model: Model, name: string, newValue: unknown, version: bigint | undefined): void {
  const before = model.entries.get(name);
  const last = model.last.get(name) ?? 0n;
  if (before !== undefined || last === 0n) expect(version).toBe(last + 1n);
  else expect(version).toBeGreaterThan(last);
  model.entries.set(name, { value: newValue, version: version! });
  model.last.set(name, version!);
}

function drop(model: Model, name: string): boolean {
  return model.entries.delete(name);
}

function command(name: string, run: (model: Model, store: KeyValueStore) => Promise<void>): StoreCommand {
  return { check: () => true, run, toString: () => name };
}

const commands = [
  fc.tuple(key, value).map(([k, v]) =>
    command(`set ${k} ${JSON.stringify(v)}`, async (model, store) => {
      put(model, k, v, (await store.set(k, v)).version);
    }),
  ),
  fc.tuple(key, value, fc.constantFrom('right', 'wrong', 'absent')).map(([k, v, kind]) =>
    command(`set ${k} if ${kind}`, async (model, store) => {
      const version = current(model, k);
      const ifVersion = kind === 'absent' ? 'absent' : kind === 'wrong' ? 1_000_000n : (version ?? 'absent');
      const holds = ifVersion === (version ?? 'absent');
      const result = await store.set(k, v, { ifVersion }).catch((error: unknown) => {
        expect(error).toBeInstanceOf(VersionConflictError);
        expect(error).toMatchObject({ key: k, current: version });
        return undefined;
      });
      expect(result !== undefined).toBe(holds);
      if (result !== undefined) put(model, k, v, result.version);
    }),
  ),
  key.map((k) =>
    command(`delete ${k}`, async (model, store) => {
      expect(await store.delete(k)).toBe(drop(model, k));
    }),
  ),
  fc.array(fc.tuple(key, value), { maxLength: 5 }).map((pairs) =>
    command(`setMany ${JSON.stringify(pairs)}`, async (model, store) => {
      const written = await store.setMany(pairs);
      const last = new Map(pairs);
      expect(new Set(written.keys())).toEqual(new Set(last.keys()));
      for (const [k, v] of last) put(model, k, v, written.get(k));
    }),
  ),
  fc.array(key, { maxLength: 4 }).map((keys) =>
    command(`deleteMany ${JSON.stringify(keys)}`, async (model, store) => {
      const there = [...new Set(keys)].filter((k) => drop(model, k));
      expect(await store.deleteMany(keys)).toBe(there.length);
    }),
  ),
  fc.tuple(key, fc.integer({ min: -3, max: 3 })).map(([k, by]) =>
    command(`increment ${k} ${by}`, async (model, store) => {
      const before = model.entries.get(k)?.value ?? (model.entries.has(k) ? null : 0);
      if (!Number.isInteger(before)) {
        await expect(store.increment(k, by)).rejects.toMatchObject({ code: 'NOT_A_COUNTER' });
        return;
      }
      const sum = (before as number) + by;
      expect(await store.increment(k, by)).toBe(BigInt(sum));
      put(model, k, sum, (await store.entry(k))?.version);
    }),
  ),
  key.map((k) =>
    command(`update ${k}`, async (model, store) => {
      const before = model.entries.get(k)?.value;
      const result = await store.update(k, (found) => {
        expect(found).toEqual(before);
        return { was: found ?? null };
      });
      put(model, k, { was: before ?? null }, result.version);
    }),
  ),
  fc.tuple(key, key, value, fc.boolean()).map(([checked, written, v, right]) =>
    command(`atomic check ${checked} ${right}, set ${written}`, async (model, store) => {
      const version = right ? (current(model, checked) ?? 'absent') : 1_000_000n;
      const deleted = KEYS.find((k) => k !== written)!;
      const result = await store.atomic().check(checked, version).set(written, v).delete(deleted).commit();
      expect(result.ok).toBe(right);
      if (!result.ok) {
        expect(result.failed).toEqual([checked]);
        return;
      }
      expect([...result.versions.keys()]).toEqual([written]);
      drop(model, deleted);
      put(model, written, v, result.versions.get(written));
    }),
  ),
  fc.tuple(key, value).map(([k, v]) =>
    command(`getOrSet ${k}`, async (model, store) => {
      const before = model.entries.get(k);
      expect(await store.getOrSet(k, () => v)).toEqual(before === undefined ? v : before.value);
      if (before === undefined) put(model, k, v, (await store.entry(k))?.version);
    }),
  ),
  fc.constant(
    command('clear', async (model, store) => {
      expect(await store.clear()).toBe(model.entries.size);
      model.entries.clear();
    }),
  ),
  fc.boolean().map((reverse) =>
    command(`read all${reverse ? ' in reverse' : ''}`, async (model, store) => {
      const sorted = [...model.entries].sort(([a], [b]) => compareUtf8(a, b));
      if (reverse) sorted.reverse();
      const { entries } = await store.list({ reverse });
      expect(entries.map(({ key: k, value: v, version }) => [k, { value: v, version }])).toEqual(sorted);
      expect(await store.getMany(KEYS)).toEqual(new Map(sorted.map(([k, { value: v }]) => [k, v])));
      expect((await store.stats()).count).toBe(sorted.length);
      for (const k of KEYS) {
        expect(await store.get(k)).toEqual(model.entries.get(k)?.value);
        expect((await store.entry(k))?.version).toBe(current(model, k));
        expect(await store.has(k)).toBe(model.entries.has(k));
      }
    }),
  ),
];

export function modelled(suite: KvSuite): void {
  it('behaves like a plain map with versions, whatever is done to it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.commands(commands, { maxCommands: 40 }), async (sequence) => {
        const { store } = await suite.scene();
        await fc.asyncModelRun(
          () => ({ model: { entries: new Map(), last: new Map() }, real: store }),
          sequence,
        );
      }),
      { numRuns: 40 },
    );
  });
}
