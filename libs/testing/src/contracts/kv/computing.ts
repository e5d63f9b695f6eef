/// <reference types="jest" />
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../eventually.js';
import { failureOf, numbers, type KvSuite } from './subject.js';

/** A function that counts its calls, and gives its number when it is let go. */
function slow(): { fn: () => Promise<number>; calls: () => number; go: () => void } {
  let calls = 0;
  let go: (() => void) | undefined;
  const gone = new Promise<void>((resolve) => (go = resolve));
  return {
    fn: async () => {
      const call = ++calls;
      await gone;
      return call;
    },
    calls: () => calls,
    go: () => go!(),
  };
}

export function computing(suite: KvSuite): void {
  describe('getOrSet', () => {
    it('computes once, and reads from then on', async () => {
      const { store } = await suite.scene();
      const { fn, calls, go } = slow();
      go();
      expect(await store.getOrSet('a', fn)).toBe(1);
      expect(await store.getOrSet('a', fn)).toBe(1);
      expect(await store.get('a')).toBe(1);
      expect(calls()).toBe(1);
    });

    it('takes null for a value', async () => {
      const { store } = await suite.scene();
      expect(await store.getOrSet('a', () => null)).toBeNull();
      expect(await store.getOrSet('a', () => 'again')).toBeNull();
    });

    it('computes once for all callers of a process', async () => {
      const { store } = await suite.scene();
      const { fn, calls, go } = slow();
      const all = numbers(50).map(() => store.getOrSet('a', fn));
      await eventually(() => calls() > 0);
      go();
      expect(await Promise.all(all)).toEqual(numbers(50).map(() => 1));
      expect(calls()).toBe(1);
      expect((await store.entry('a'))?.version).toBe(1n);
    });

    it('gives each caller a copy of its own', async () => {
      const { store } = await suite.scene();
      const all = await Promise.all(numbers(3).map(() => store.getOrSet('a', () => ({ items: [1] }))));
      all[0]!.items.push(2);
      expect(all[1]).toEqual({ items: [1] });
      expect(await store.get('a')).toEqual({ items: [1] });
    });

    it('gives a failure to all who wait, and tries again at the next call', async () => {
      const { store } = await suite.scene();
      const failure = new Error('not now');
      let calls = 0;
      const fail = async (): Promise<never> => {
        calls++;
        await delay(20);
        throw failure;
      };
      const failures = await Promise.all(numbers(5).map(() => failureOf(store.getOrSet('a', fail))));
      expect(failures).toEqual(numbers(5).map(() => failure));
      expect(calls).toBe(1);
      expect(await store.getOrSet('a', () => 'now')).toBe('now');
      expect(
        await failureOf(
          store.getOrSet('b', () => {
            throw failure;
          }),
        ),
      ).toBe(failure);
    });

    it('refuses what cannot be stored', async () => {
      const { store } = await suite.scene();
      await expect(store.getOrSet('a', () => undefined)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(store.getOrSet('a', () => new Date())).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(store.getOrSet('a', 5 as never)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        path: 'fn',
      });
      expect(await store.has('a')).toBe(false);
    });

    it('gives and keeps what somebody sets meanwhile, here or elsewhere', async () => {
      const { store, elsewhere } = await suite.scene();
      for (const other of [store, await elsewhere()]) {
        await store.delete('a');
        const { fn, calls, go } = slow();
        const computed = store.getOrSet('a', fn);
        await eventually(() => calls() > 0);
        await other.set('a', 'set');
        go();
        expect(await computed).toBe('set');
        expect(await store.get('a')).toBe('set');
        expect(await store.getOrSet('a', fn)).toBe('set');
      }
    });

    it('does not bring back what was deleted meanwhile', async () => {
      const { store } = await suite.scene();
      const { fn, calls, go } = slow();
      const computed = store.getOrSet('a', fn);
      await eventually(() => calls() > 0);
      await store.delete('a');
      expect(await store.getOrSet('a', () => 'anew')).toBe('anew');
      await store.delete('a');
      go();
      expect(await computed).toBe(1);
      expect(await store.has('a')).toBe(false);
    });

    it('computes once for all processes with lock', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      const { fn, calls, go } = slow();
      const all = numbers(8).map((i) => (i % 2 === 0 ? store : other).getOrSet('a', fn, { lock: true }));
      await eventually(() => calls() > 0);
      await delay(60);
      go();
      expect(await Promise.all(all)).toEqual(numbers(8).map(() => 1));
      expect(calls()).toBe(1);
      // The lock is free again.
      await store.delete('a');
      expect(await other.getOrSet('a', () => 'again', { lock: true })).toBe('again');
    });

    it('lets another one try, with lock, when the first fails', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      let calls = 0;
      const flaky = async (): Promise<string> => {
        calls++;
        await delay(30);
        if (calls === 1) throw new Error('first');
        return 'second';
      };
      const results = await Promise.allSettled([
        store.getOrSet('a', flaky, { lock: true }),
        other.getOrSet('a', flaky, { lock: true }),
      ]);
      // On one adapter both share the failure; else the one who waits goes on.
      expect(results.map(({ status }) => status)).toContain('rejected');
      expect(await store.getOrSet('a', flaky, { lock: true })).toBe('second');
    });

    it('refuses to compute a key inside its own computation', async () => {
      const { store } = await suite.scene();
      const nested = store.getOrSet('a', () => store.getOrSet('a', () => 1));
      await expect(nested).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', path: 'key' });
      expect(await store.getOrSet('a', () => store.getOrSet('b', () => 2))).toBe(2);
    });
  });
}
