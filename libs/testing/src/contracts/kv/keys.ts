/// <reference types="jest" />
import { compareUtf8 } from '@nestbox/core';
import { type KvSuite } from './subject.js';

const ODD_KEYS = [
  ' ',
  '!',
  '"quoted"',
  '$1',
  '%',
  '%s',
  "'; drop table kv_store; --",
  '*',
  ':',
  '::a',
  '?[a-z]',
  'A',
  '[]',
  '\\',
  '\\x00',
  '\n',
  '\t',
  '_',
  '__proto__',
  'a',
  'a b',
  'a%b',
  'a_b',
  'a{b}c',
  'constructor',
  'order',
  'select',
  '{}',
  '{a}',
  '{a}b',
  '~',
  'é',
  'ключ',
  '日本',
  '\ufffd',
  '\uffee',
  '🦊',
  '👩‍👩‍👧',
  'k'.repeat(400),
];

const REFUSED: [string, unknown][] = [
  ['an empty key', ''],
  ['a key of 513 bytes', 'k'.repeat(513)],
  ['a key of 129 emoji', '🦊'.repeat(129)],
  ['a NUL character', 'a\0b'],
  ['a lone surrogate', 'a\ud83e'],
  ['undefined', undefined],
  ['null', null],
  ['a number', 7],
];

export function keys(suite: KvSuite): void {
  describe('keys', () => {
    it('are any text', async () => {
      const { store } = await suite.scene();
      await Promise.all(ODD_KEYS.map((key) => store.set(key, { key })));
      for (const key of ODD_KEYS) {
        expect(await store.get(key)).toEqual({ key });
        expect((await store.entry(key))?.key).toBe(key);
      }
      const sorted = [...ODD_KEYS].sort(compareUtf8);
      expect((await store.list()).entries.map(({ key }) => key)).toEqual(sorted);
      expect([...(await store.getMany(ODD_KEYS)).keys()]).toEqual(ODD_KEYS);
      const all = await store.getAll();
      expect(Object.keys(all).sort(compareUtf8)).toEqual(sorted);
      expect(Object.hasOwn(all, '__proto__')).toBe(true);
      for (const key of ODD_KEYS) expect(await store.delete(key)).toBe(true);
      expect(await store.getAll()).toEqual({});
    });

    it('may be 512 bytes long', async () => {
      const { adapter } = await suite.scene();
      for (const key of ['m'.repeat(512), '🦊'.repeat(128)]) {
        await adapter.set(key, 'x');
        expect(await adapter.get(key)).toBe('x');
        expect(await adapter.delete(key)).toBe(true);
      }
    });

    it.each(REFUSED)('are refused when they are %s', async (_, bad) => {
      const { adapter, store } = await suite.scene();
      const key = bad as string;
      const refused = { code: 'INVALID_ARGUMENT' };
      for (const target of [adapter, store]) {
        await expect(target.get(key)).rejects.toMatchObject({ ...refused, path: 'key' });
        await expect(target.set(key, 1)).rejects.toMatchObject({ ...refused, path: 'key' });
        await expect(target.delete(key)).rejects.toMatchObject({ ...refused, path: 'key' });
        await expect(target.deleteMany(['a', key])).rejects.toMatchObject({ ...refused, path: 'keys[1]' });
        await expect(target.lease(key, { ttl: '1s' })).rejects.toMatchObject({ ...refused, path: 'key' });
      }
      await expect(adapter.getEntry(key)).rejects.toMatchObject(refused);
      await expect(adapter.getEntries(['a', key])).rejects.toMatchObject({ ...refused, path: 'keys[1]' });
      await expect(adapter.setMany([{ key, value: 1 }])).rejects.toMatchObject(refused);
      await expect(adapter.increment(key, 1n)).rejects.toMatchObject(refused);
      await expect(adapter.commit([{ type: 'delete', key }])).rejects.toMatchObject(refused);
      await expect(adapter.history(key, 1)).rejects.toMatchObject(refused);
      await expect(adapter.getVersion(key, 1n)).rejects.toMatchObject(refused);
    });

    it('are matched by a prefix as they are, whatever it would mean in a pattern', async () => {
      const { store, adapter, outer } = await suite.scene();
      const found: string[] = ['a%c', 'a*c', 'a?c', 'a[bc]c', 'a\\c', 'a_c'];
      await store.setMany(['abc', 'a', ...found].map((key) => [key, key]));
      for (const key of found) {
        const { entries } = await store.list({ prefix: key.slice(0, -1) });
        expect(entries.map((entry) => entry.key)).toEqual([key]);
        expect((await adapter.stats(outer(key.slice(0, -1)))).count).toBe(1);
      }
      expect(await adapter.clear(outer('a_'))).toBe(1);
      expect(await adapter.clear(outer('a%'))).toBe(1);
      expect(await adapter.clear(outer('a*'))).toBe(1);
      expect(await store.has('abc')).toBe(true);
      expect((await store.stats()).count).toBe(found.length + 2 - 3);
    });
  });
}
