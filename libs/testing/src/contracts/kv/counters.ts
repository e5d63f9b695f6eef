/// <reference types="jest" />
import { NotACounterError } from '@nestbox/kv';
import { failureOf, numbers, type KvSuite } from './subject.js';

const MAX = 2n ** 63n - 1n;
const MIN = -(2n ** 63n);

const NOT_COUNTERS: [string, unknown][] = [
  ['a string', '1'],
  ['a fraction', 1.5],
  ['null', null],
  ['a boolean', true],
  ['an object', { count: 1 }],
  ['an array', [1]],
  ['a number beyond 64 bits', 1e21],
  ['a number just beyond 64 bits', 2 ** 63],
];

export function counters(suite: KvSuite): void {
  describe('counters', () => {
    it('count from 0, by 1 or by any whole number', async () => {
      const { store } = await suite.scene();
      expect(await store.increment('a')).toBe(1n);
      expect(await store.increment('a', 10)).toBe(11n);
      expect(await store.increment('a', -20n)).toBe(-9n);
      expect(await store.increment('a', 0)).toBe(-9n);
      expect(await store.get('a')).toBe(-9);
      expect((await store.entry('a'))?.version).toBe(4n);
      await store.set('b', 41);
      expect(await store.increment('b')).toBe(42n);
      await store.delete('b');
      expect(await store.increment('b')).toBe(1n);
    });

    it('lose none of fifty concurrent increments', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      const sums = await Promise.all(numbers(50).map((i) => (i % 2 === 0 ? store : other).increment('a')));
      expect(sums.map(Number).sort((x, y) => x - y)).toEqual(numbers(50).map((i) => i + 1));
      expect(await store.increment('a', 0)).toBe(50n);
    });

    it('are exact up to 64 bits', async () => {
      const { store } = await suite.scene();
      await store.set('a', Number.MAX_SAFE_INTEGER);
      expect(await store.increment('a')).toBe(2n ** 53n);
      expect(await store.increment('a')).toBe(2n ** 53n + 1n);
      expect(await store.increment('a', MAX - 2n ** 53n - 1n)).toBe(MAX);
      expect(await store.increment('b', MIN)).toBe(MIN);
      expect(await store.increment('b', MAX)).toBe(-1n);
    });

    it('refuse a sum beyond 64 bits, and stay as they are', async () => {
      const { store } = await suite.scene();
      await store.increment('a', MAX);
      await store.increment('b', MIN);
      for (const [key, by] of [
        ['a', 1n],
        ['a', MAX],
        ['b', -1n],
        ['b', MIN],
      ] as const) {
        const error = await failureOf(store.increment(key, by));
        expect(error).toBeInstanceOf(NotACounterError);
        expect(error).toMatchObject({ code: 'NOT_A_COUNTER', key });
      }
      expect(await store.increment('a', 0)).toBe(MAX);
      expect(await store.increment('b', 0)).toBe(MIN);
    });

    it.each(NOT_COUNTERS)('cannot be made of %s', async (_, value) => {
      const { store } = await suite.scene();
      await store.set('a', value);
      await expect(store.increment('a')).rejects.toMatchObject({ code: 'NOT_A_COUNTER', key: 'a' });
      await expect(store.atomic().increment('a').commit()).rejects.toMatchObject({
        code: 'NOT_A_COUNTER',
        key: 'a',
      });
      expect(await store.entry('a')).toMatchObject({ value, version: 1n });
    });

    it('fail alone when many are counted at once', async () => {
      const { store } = await suite.scene();
      await store.set('bad', 'text');
      const results = await Promise.allSettled(
        numbers(30).map((i) => store.increment(i === 13 ? 'bad' : `good ${i % 3}`)),
      );
      expect(results.map(({ status }) => status)).toEqual(
        numbers(30).map((i) => (i === 13 ? 'rejected' : 'fulfilled')),
      );
      expect(await store.getAll()).toEqual({ bad: 'text', 'good 0': 10, 'good 1': 9, 'good 2': 10 });
    });

    it.each([0.5, NaN, Infinity, 2 ** 53, '1', null, MAX + 1n, MIN - 1n])(
      'cannot be incremented by %p',
      async (by) => {
        const { store, adapter, outer } = await suite.scene();
        const refused = { code: 'INVALID_ARGUMENT', path: 'by' };
        await expect(store.increment('a', by as number)).rejects.toMatchObject(refused);
        await expect(adapter.increment(outer('a'), by as bigint)).rejects.toMatchObject(refused);
        expect(() => store.atomic().increment('a', by as number)).toThrow(expect.objectContaining(refused));
        expect(await store.has('a')).toBe(false);
      },
    );
  });
}
