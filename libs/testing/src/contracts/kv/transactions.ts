/// <reference types="jest" />
import { runInRootScope } from '@nestbox/core';
import { setImmediate as tick } from 'node:timers/promises';
import { collect, numbers, type KvSuite } from './subject.js';

class Rollback extends Error {}

export function transactions(suite: KvSuite): void {
  if (suite.capabilities.transactions !== true) return;
  describe('transactions', () => {
    const runner = async (): Promise<<R>(fn: () => Promise<R>) => Promise<R>> => {
      const { transaction, adapter } = await suite.subject();
      expect(adapter.inTransaction).toBe(false);
      return transaction!;
    };

    const rollBack = async (
      transaction: <R>(fn: () => Promise<R>) => Promise<R>,
      fn: () => Promise<unknown>,
    ): Promise<void> => {
      const rolledBack = transaction(async () => {
        await fn();
        throw new Rollback();
      });
      await expect(rolledBack).rejects.toBeInstanceOf(Rollback);
    };

    it('take every kind of call in, and back when they are rolled back', async () => {
      const transaction = await runner();
      const { store, adapter } = await suite.scene({ enableVersioning: true });
      await store.setMany({ a: 1, d: 1 });
      await rollBack(transaction, async () => {
        expect(adapter.inTransaction).toBe(true);
        await store.set('a', 2);
        await Promise.all([store.set('b', 1), store.set('c', 1), store.increment('n', 5)]);
        await store.delete('d');
        await store.update<number>('a', (a) => a! + 1);
        await store.atomic().set('{x}e', 1).increment('{x}f').commit();
        await store.setMany({ g: 1, h: 1 });
        await store.deleteMany(['g']);
        expect(await store.getOrSet('i', () => 'computed')).toBe('computed');
        expect(await store.getAll()).toEqual({
          a: 3,
          b: 1,
          c: 1,
          n: 5,
          '{x}e': 1,
          '{x}f': 1,
          h: 1,
          i: 'computed',
        });
        expect((await store.list({ limit: 2 })).entries.map(({ key }) => key)).toEqual(['a', 'b']);
        expect((await store.history('a'))[0]?.value).toBe(3);
        await store.clear();
      });
      expect(await store.getAll()).toEqual({ a: 1, d: 1 });
      expect((await store.history('a')).map(({ value }) => value)).toEqual([1]);
      await transaction(async () => {
        await store.set('a', 2);
        await store.delete('d');
      });
      expect(await store.getAll()).toEqual({ a: 2 });
    });

    it('can go on after a conflict or a bad counter', async () => {
      const transaction = await runner();
      const { store } = await suite.scene();
      await store.set('a', 'text');
      await transaction(async () => {
        await store.set('b', 1);
        await expect(store.set('a', 1, { ifVersion: 9n })).rejects.toMatchObject({
          code: 'VERSION_CONFLICT',
        });
        await expect(store.increment('a')).rejects.toMatchObject({ code: 'NOT_A_COUNTER' });
        expect((await store.atomic().check('a', 9n).set('b', 2).commit()).ok).toBe(false);
        await store.set('c', 1);
      });
      expect(await store.getAll()).toEqual({ a: 'text', b: 1, c: 1 });
    });

    it('do not wait for updates that wait for them', async () => {
      const transaction = await runner();
      const { store } = await suite.scene();
      const add = (): Promise<unknown> => store.update<number>('a', (a = 0) => a + 1);
      let outside: Promise<unknown> | undefined;
      await transaction(async () => {
        await add();
        // It takes its turn in this process, and waits for the row that the transaction has locked.
        outside = runInRootScope(add);
        await tick();
        await add();
      });
      await outside;
      expect(await store.get('a')).toBe(3);
    });

    it('share no computation with what is outside', async () => {
      const transaction = await runner();
      const { store } = await suite.scene();
      await rollBack(transaction, async () => {
        await store.set('secret', 'uncommitted');
        const inside = store.getOrSet('a', async () => `has seen ${await store.get<string>('secret')}`);
        expect(await inside).toBe('has seen uncommitted');
      });
      expect(await store.getOrSet('a', async () => `has seen ${await store.get<string>('secret')}`)).toBe(
        'has seen undefined',
      );
    });

    it('show their changes to watchers when they are committed, and not otherwise', async () => {
      const transaction = await runner();
      const { store } = await suite.scene();
      const watch = store.watch();
      await rollBack(transaction, () => store.set('a', 'rolled back'));
      await transaction(async () => {
        await store.set('a', 1);
        await store.set('b', 1);
        await store.set('a', 2);
      });
      const changes = await collect(watch, 3);
      expect(changes.map((change) => [change.key, change.type === 'set' && change.value])).toEqual([
        ['a', 1],
        ['b', 1],
        ['a', 2],
      ]);
    });

    it('lose no change to a watcher when they overlap', async () => {
      const transaction = await runner();
      const { store } = await suite.scene();
      const watch = store.watch();
      await watch.ready;
      await Promise.all(
        numbers(24).map((i) =>
          transaction(async () => {
            await store.set(`key ${i}`, 'first');
            for (const _ of numbers(i % 5)) await tick();
            if (i % 6 === 5) throw new Rollback();
            await store.set(`key ${i}`, 'second');
          }).catch((error: unknown) => {
            if (!(error instanceof Rollback)) throw error;
          }),
        ),
      );
      const changes = await collect(watch, 40);
      expect(new Set(changes.map((change) => `${change.key} ${change.version}`)).size).toBe(40);
      const revisions = changes.map(({ revision }) => revision);
      expect(revisions).toEqual([...revisions].sort((x, y) => (x < y ? -1 : 1)));
    });
  });
}
