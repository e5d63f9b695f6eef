/// <reference types="jest" />
import type { KvSuite } from './subject.js';

class Point {
  constructor(readonly x: number) {}
}

const deep = JSON.parse(`${'['.repeat(500)}1${']'.repeat(500)}`) as unknown;

const STORABLE: [string, unknown][] = [
  ['null', null],
  ['true', true],
  ['false', false],
  ['zero', 0],
  ['a negative number', -12.5],
  ['a large number', 1.7976931348623157e308],
  ['a tiny number', 5e-324],
  ['the largest exact whole number', Number.MAX_SAFE_INTEGER],
  ['a whole number beyond it', 2 ** 60],
  ['a number with many digits', 0.1 + 0.2],
  ['an empty string', ''],
  ['a string of JSON', '{"a":1}'],
  ['a string of digits', '42'],
  ['the string null', 'null'],
  ['quotes, backslashes and control characters', '"\'\\ \u0001\u001f\n\r\t\b\f'],
  ['line separators', '\u2028\u2029'],
  ['characters of every length', 'aé€🦊'],
  ['an empty array', []],
  ['an empty object', {}],
  ['nested values', { a: [1, null, { b: [[], {}, ''] }], c: { d: { e: false } } }],
  [
    'members with odd names',
    { '': 1, ' ': 2, '%': 3, "'": 4, '"': 5, '\\': 6, '🦊': 7, toString: 8, '1': 9 },
  ],
  ['a member called __proto__', JSON.parse('{"__proto__":{"a":1},"constructor":2}')],
  ['500 levels', deep],
];

const circular: Record<string, unknown> = {};
circular['self'] = circular;

const NOT_STORABLE: [string, unknown, string | undefined][] = [
  ['undefined', undefined, 'value'],
  ['an undefined member', { a: { b: undefined } }, 'value.a.b'],
  ['a hole in an array', { items: Array(2) }, 'value.items[0]'],
  ['a function', () => 1, 'value'],
  ['a symbol', Symbol('x'), 'value'],
  ['NaN', { items: [0, NaN] }, 'value.items[1]'],
  ['infinity', -Infinity, 'value'],
  ['a bigint', { count: 1n }, 'value.count'],
  ['a Date', [new Date(0)], 'value[0]'],
  ['a Map', new Map(), 'value'],
  ['an instance of a class', { point: new Point(1) }, 'value.point'],
  ['a NUL character', { a: 'x\0y' }, 'value.a'],
  ['a NUL character in a member name', { 'a\0': 1 }, 'value["a\\u0000"]'],
  ['a lone high surrogate', 'x\ud83e', 'value'],
  ['a lone low surrogate in an array', ['\udd8a'], 'value[0]'],
  ['a value that contains itself', circular, undefined],
];

export function values(suite: KvSuite): void {
  describe('values', () => {
    it.each(STORABLE)('gives back %s as it was', async (_, value) => {
      const { store, adapter, outer } = await suite.scene();
      await store.set('a', value);
      expect(await store.get('a')).toStrictEqual(value);
      expect((await store.entry('a'))?.value).toStrictEqual(value);
      expect((await store.getMany(['a'])).get('a')).toStrictEqual(value);
      expect((await store.list()).entries[0]?.value).toStrictEqual(value);
      expect(await store.getAll()).toStrictEqual({ a: value });
      expect((await adapter.getEntries([outer('a')])).get(outer('a'))?.value).toStrictEqual(value);
      await store.setMany([['b', value]]);
      expect(await store.get('b')).toStrictEqual(value);
    });

    it.each(NOT_STORABLE)('refuses %s before anything is written', async (_, value, path) => {
      const { store } = await suite.scene();
      const refusal = expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        ...(path === undefined ? undefined : { path }),
      }) as unknown;
      await store.set('a', 'before');
      await expect(store.set('a', value)).rejects.toEqual(refusal);
      await expect(
        store.update('a', () => value ?? Symbol('undefined means unchanged')),
      ).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
      await expect(store.setMany({ b: 1, a: value })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      expect(() => store.atomic().set('a', value)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
      expect(await store.getAll()).toStrictEqual({ a: 'before' });
    });

    it('stores -0 as 0', async () => {
      const { store } = await suite.scene();
      await store.set('a', [-0]);
      expect(Object.is((await store.get<number[]>('a'))?.[0], 0)).toBe(true);
    });

    it('tells null from no entry', async () => {
      const { store } = await suite.scene();
      await store.set('a', null);
      expect(await store.get('a')).toBeNull();
      expect(await store.has('a')).toBe(true);
      expect((await store.entry('a'))?.value).toBeNull();
      expect([...(await store.getMany(['a', 'b'])).keys()]).toEqual(['a']);
      expect(await store.get('b')).toBeUndefined();
      expect(await store.entry('b')).toBeUndefined();
      expect(await store.has('b')).toBe(false);
    });

    it('stores a value of a megabyte', async () => {
      const { store } = await suite.scene();
      const value = { text: 'é"'.repeat(350_000) };
      await store.set('a', value);
      expect(await store.get('a')).toStrictEqual(value);
    });

    it('stores a value as it was when it was given, whatever happens to it afterwards', async () => {
      const { store } = await suite.scene();
      const value = { items: [1] };
      const atomic = store.atomic().set('atomic', value);
      const writes = [store.set('set', value), store.setMany([['many', value]])];
      value.items.push(2);
      await Promise.all(writes);
      await atomic.commit();
      expect(await store.getAll()).toStrictEqual({
        atomic: { items: [1] },
        many: { items: [1] },
        set: { items: [1] },
      });
    });

    it('gives each caller a copy of its own', async () => {
      const { store, adapter, outer } = await suite.scene();
      await store.set('a', { items: [1] });
      const reads: (() => Promise<unknown>)[] = [
        () => store.get('a'),
        async () => (await store.entry('a'))?.value,
        async () => (await store.getMany(['a'])).get('a'),
        async () => (await store.list()).entries[0]?.value,
        async () => (await store.getAll())['a'],
        async () => (await adapter.getEntry(outer('a')))?.value,
      ];
      for (const read of reads) ((await read()) as { items: number[] }).items.push(2);
      const [first, second] = await Promise.all([store.get<{ items: number[] }>('a'), store.get('a')]);
      first!.items.push(3);
      expect(second).toStrictEqual({ items: [1] });
      for (const read of reads) expect(await read()).toStrictEqual({ items: [1] });
    });

    it('keeps concurrent writes of one key in the order of the calls', async () => {
      const { store } = await suite.scene();
      const written = await Promise.all([1, 2, 3, 4, 5].map((value) => store.set('a', value)));
      expect(written.map(({ version }) => version)).toEqual([1n, 2n, 3n, 4n, 5n]);
      expect(await store.get('a')).toBe(5);
    });
  });
}
