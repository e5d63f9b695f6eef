/// <reference types="jest" />
import { eventually } from '../../eventually.js';
import { numbers, type KvSuite } from './subject.js';

/** Keys with the same hash tag, so that a Redis cluster can change them together. */
const A = '{x}a';
const B = '{x}b';
const C = '{x}c';

export function atomic(suite: KvSuite): void {
  describe('atomic', () => {
    it('makes all writes when all checks hold', async () => {
      const { store } = await suite.scene();
      const { version } = await store.set(A, 1);
      await store.set(B, 5);
      const result = await store
        .atomic()
        .check(A, version)
        .check('{x}new', 'absent')
        .set(A, { x: 1 })
        .increment(B, 2)
        .delete(C)
        .set('{x}new', null)
        .commit();
      expect(result).toEqual({
        ok: true,
        versions: new Map([
          [A, 2n],
          [B, 2n],
          ['{x}new', 1n],
        ]),
      });
      expect(await store.getAll()).toEqual({ [A]: { x: 1 }, [B]: 7, '{x}new': null });
    });

    it('makes no write when a check does not hold, and names the keys', async () => {
      const { store } = await suite.scene();
      await store.setMany({ [A]: 1, [B]: 1 });
      const result = await store
        .atomic()
        .check(A, 1n)
        .check(B, 2n)
        .check(C, 1n)
        .check(C, 'absent')
        .set(A, 2)
        .delete(B)
        .increment(C)
        .commit();
      expect(result.ok).toBe(false);
      expect(new Set(result.ok ? [] : result.failed)).toEqual(new Set([B, C]));
      expect(await store.getAll()).toEqual({ [A]: 1, [B]: 1 });
      const onTaken = await store.atomic().check(A, 'absent').delete(A).commit();
      expect(onTaken).toEqual({ ok: false, failed: [A] });
      expect(await store.has(A)).toBe(true);
    });

    it('takes an expired or deleted entry for absent', async () => {
      const { store } = await suite.scene();
      await store.set(A, 1);
      await store.delete(A);
      await store.set(B, 1, { ttl: 20 });
      await eventually(async () => !(await store.has(B)));
      expect(await store.atomic().check(A, 1n).set(C, 1).commit()).toEqual({ ok: false, failed: [A] });
      expect(await store.atomic().check(B, 1n).set(C, 1).commit()).toEqual({ ok: false, failed: [B] });
      const result = await store
        .atomic()
        .check(A, 'absent')
        .check(B, 'absent')
        .set(A, 2)
        .increment(B)
        .commit();
      expect(result.ok).toBe(true);
      expect(await store.getAll()).toEqual({ [A]: 2, [B]: 1 });
    });

    it('writes nothing when a counter cannot be incremented', async () => {
      const { store } = await suite.scene();
      await store.set(B, 'text');
      await expect(store.atomic().set(A, 1).increment(B).commit()).rejects.toMatchObject({
        code: 'NOT_A_COUNTER',
        key: B,
      });
      expect(await store.getAll()).toEqual({ [B]: 'text' });
    });

    it('can do nothing, or only check', async () => {
      const { store, adapter } = await suite.scene();
      expect(await store.atomic().commit()).toEqual({ ok: true, versions: new Map() });
      expect(await adapter.commit([])).toEqual({ ok: true, versions: new Map() });
      expect(await store.atomic().check(A, 'absent').commit()).toEqual({ ok: true, versions: new Map() });
      expect(await store.atomic().check(A, 1n).commit()).toEqual({ ok: false, failed: [A] });
    });

    it('moves an amount between two entries without ever losing or making any', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      await store.setMany({ [A]: 100, [B]: 100 });
      const move = async (from: typeof store): Promise<void> => {
        for (;;) {
          const [a, b] = [(await from.entry<number>(A))!, (await from.entry<number>(B))!];
          const { ok } = await from
            .atomic()
            .check(A, a.version)
            .check(B, b.version)
            .set(A, a.value - 1)
            .set(B, b.value + 1)
            .commit();
          if (ok) return;
        }
      };
      await Promise.all(numbers(16).map((i) => move(i % 2 === 0 ? store : other)));
      expect(await store.getAll()).toEqual({ [A]: 84, [B]: 116 });
    });

    it('does not deadlock when commits write the same keys in different orders', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      await Promise.all(
        numbers(40).map((i) => {
          const [first, second] = i % 4 < 2 ? [A, B] : [B, A];
          return (i % 2 === 0 ? store : other).atomic().increment(first).increment(second).commit();
        }),
      );
      expect(await store.getAll()).toEqual({ [A]: 40, [B]: 40 });
    });

    it('refuses to write a key twice, and bad arguments', async () => {
      const { store, adapter, outer } = await suite.scene();
      const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error;
      expect(() => store.atomic().set(A, 1).delete(A)).toThrow(refused);
      expect(() => store.atomic().check(A, 1 as never)).toThrow(refused);
      expect(() => store.atomic().check(A, undefined as never)).toThrow(refused);
      expect(() => store.atomic().set('', 1)).toThrow(refused);
      await expect(
        adapter.commit([
          { type: 'delete', key: outer(A) },
          { type: 'increment', key: outer(A), by: 1n },
        ]),
      ).rejects.toEqual(refused);
      expect(await store.getAll()).toEqual({});
    });

    it(
      suite.capabilities.atomicAcrossKeys
        ? 'changes any keys together'
        : 'says that it cannot change keys of different hash slots together',
      async () => {
        const { store } = await suite.scene();
        const commit = store.atomic().set('one', 1).set('two', 2).set('three', 3).commit();
        if (suite.capabilities.atomicAcrossKeys) {
          expect((await commit).ok).toBe(true);
        } else {
          await expect(commit).rejects.toMatchObject({ code: 'UNSUPPORTED_OPERATION' });
          expect(await store.getAll()).toEqual({});
        }
      },
    );
  });
}
