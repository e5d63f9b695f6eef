/// <reference types="jest" />
import { setImmediate as tick } from 'node:timers/promises';
import { eventually } from '../../eventually.js';
import { numbers, type KvSuite } from './subject.js';

export function updates(suite: KvSuite): void {
  describe('update', () => {
    it('loses none of 200 concurrent updates', async () => {
      const { store } = await suite.scene();
      await Promise.all(numbers(200).map(() => store.update<number>('a', (a = 0) => a + 1)));
      expect(await store.entry('a')).toMatchObject({ value: 200, version: 200n });
    });

    it('loses none when two processes update the same key', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      const append = (list: string[] = [], item: string): string[] => [...list, item];
      await Promise.all(
        numbers(30).flatMap((i) => [
          store.update<string[]>('a', (list) => append(list, `here ${i}`)),
          other.update<string[]>('a', async (list) => {
            await tick();
            return append(list, `there ${i}`);
          }),
        ]),
      );
      const list = (await store.get<string[]>('a'))!;
      expect(new Set(list).size).toBe(60);
      expect(list).toHaveLength(60);
    });

    it('gives the value and its version', async () => {
      const { store } = await suite.scene();
      expect(await store.update('a', (a) => ({ was: a === undefined }))).toEqual({
        value: { was: true },
        version: 1n,
      });
      expect(await store.update('a', () => null)).toEqual({ value: null, version: 2n });
      expect(await store.get('a')).toBeNull();
    });

    it('gives the function a copy of its own', async () => {
      const { store } = await suite.scene();
      await store.set('a', { items: [1] });
      const result = await store.update<{ items: number[] }>('a', (a) => {
        a!.items.push(2);
        return undefined;
      });
      expect(result).toEqual({ value: { items: [1] }, version: 1n });
      expect(await store.get('a')).toEqual({ items: [1] });
    });

    it('leaves an entry as it is when the function returns undefined', async () => {
      const { store } = await suite.scene();
      await store.set('a', 1);
      expect(await store.update('a', () => undefined)).toEqual({ value: 1, version: 1n });
      expect(await store.update('b', () => undefined)).toEqual({ value: undefined, version: undefined });
      expect(await store.update('b', async () => undefined)).toEqual({
        value: undefined,
        version: undefined,
      });
      expect(await store.has('b')).toBe(false);
    });

    it('writes nothing when the function fails, and lets the next one in', async () => {
      const { store } = await suite.scene();
      await store.set('a', 1);
      const failure = new Error('no');
      const results = await Promise.allSettled([
        store.update('a', () => Promise.reject(failure)),
        store.update<number>('a', (a) => a! + 1),
        store.update('a', () => {
          throw failure;
        }),
        store.update<number>('a', (a) => a! + 1),
      ]);
      expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected', 'fulfilled']);
      expect(results[0]).toMatchObject({ reason: failure });
      expect(await store.get('a')).toBe(3);
    });

    it('starts anew when somebody writes in between', async () => {
      const { store } = await suite.scene();
      await store.set('a', 1);
      let calls = 0;
      await store.update<number>('a', async (a) => {
        calls++;
        if (calls === 1) await store.set('a', 100);
        if (calls === 2) await store.delete('a');
        return (a ?? 0) + 1;
      });
      expect(calls).toBe(3);
      expect(await store.get('a')).toBe(1);
    });

    it('does not hang when updates call each other', async () => {
      const { store } = await suite.scene();
      const both = (first: string, second: string) =>
        store.update<number>(first, async (a = 0) => {
          await tick();
          await store.update<number>(second, (b = 0) => b + 1);
          return a + 1;
        });
      await Promise.all([both('a', 'b'), both('b', 'a'), both('a', 'b')]);
      expect((await store.get<number>('a'))! + (await store.get<number>('b'))!).toBeGreaterThanOrEqual(6);
    });

    it('refuses to update a key inside its own update', async () => {
      const { store } = await suite.scene();
      const nested = store.update('a', async () => {
        await store.update('a', () => 1);
        return 2;
      });
      await expect(nested).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', path: 'key' });
      // What outlives an update is not inside it any more.
      let later: Promise<unknown> | undefined;
      await store.update('a', () => {
        later = tick().then(() => eventually(() => store.update<number>('a', (a = 0) => a + 1)));
        return 1;
      });
      await later;
      expect(await store.get('a')).toBe(2);
    });

    it('refuses what is not a function', async () => {
      const { store } = await suite.scene();
      await expect(store.update('a', 1 as never)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        path: 'fn',
      });
    });
  });
}
