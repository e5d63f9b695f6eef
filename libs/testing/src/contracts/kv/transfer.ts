/// <reference types="jest" />
import { ImportLineError, KeyValueStore, MemoryAdapter } from '@nestbox/kv';
import { Readable } from 'node:stream';
import { eventually } from '../../eventually.js';
import { collect, failureOf, numbers, type KvSuite } from './subject.js';

const VALUES = { a: { x: [1, null] }, b: null, 'ключ "\n"': 'строка\n🦊', c: 1.5, __proto: -1 };

/** A text in pieces of some bytes, which cut characters and lines anywhere. */
function* pieces(text: string, size: number): Generator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
}

export function transfer(suite: KvSuite): void {
  describe('export and import', () => {
    it('bring everything back, in another store', async () => {
      const { store } = await suite.scene();
      await store.setMany(VALUES);
      await store.set('temporary', 1, { ttl: '1h' });
      await store.update('a', (a) => a);
      const lines = await collect(store.export());
      expect(lines).toHaveLength(6);
      const first = JSON.parse(lines.find((line) => line.includes('"a"'))!) as Record<string, unknown>;
      expect(first).toEqual({
        key: 'a',
        value: VALUES.a,
        version: '2',
        createdAt: expect.stringMatching(/Z$/) as unknown,
        updatedAt: expect.stringMatching(/Z$/) as unknown,
        expiresAt: null,
      });
      const target = store.namespace('target');
      expect(await target.import(lines)).toEqual({ imported: 6, skipped: 0 });
      expect(await target.getAll()).toEqual({ ...VALUES, temporary: 1 });
      const [from, to] = [await store.entry('temporary'), await target.entry('temporary')];
      expect(Math.abs(from!.expiresAt!.getTime() - to!.expiresAt!.getTime())).toBeLessThan(2000);
      expect((await target.entry('a'))?.version).toBe(1n);
    });

    it('take lines with and without line breaks, a whole text, and a text in any pieces', async () => {
      const { store } = await suite.scene();
      await store.setMany(VALUES);
      const text = (await collect(store.export())).join('');
      const target = store.namespace('target');
      const inputs: [string, Parameters<typeof target.import>[0]][] = [
        ['text', text],
        ['text without the last line break', text.trimEnd()],
        ['text with a byte order mark and Windows line breaks', `\uFEFF${text.replaceAll('\n', '\r\n')}`],
        ['blank lines', ['', text, '\n\n', '  ']],
        ['lines without line breaks', text.trimEnd().split('\n')],
        ['a stream of text', Readable.from([text.slice(0, 100), text.slice(100)])],
        ...[1, 2, 3, 7, 64, 1000].map((size): [string, Iterable<Uint8Array>] => [
          `${size}`,
          pieces(text, size),
        ]),
        ['pieces that end where lines end', text.split(/(?<=\})/)],
        ['nothing', []],
      ];
      for (const [name, input] of inputs) {
        await target.clear();
        const { imported } = await target.import(input);
        expect([name, imported]).toEqual([name, name === 'nothing' ? 0 : 5]);
        if (imported > 0) expect(await target.getAll()).toEqual(VALUES);
      }
    });

    it('replace what is there, or leave it', async () => {
      const { store } = await suite.scene();
      const lines = [
        { key: 'a', value: 'new' },
        { key: 'b', value: 'new' },
      ].map((line) => JSON.stringify(line));
      await store.set('a', 'old');
      const progress: unknown[] = [];
      const result = await store.import(lines, {
        overwrite: false,
        onProgress: (done) => progress.push(done),
      });
      expect(result).toEqual({ imported: 1, skipped: 1 });
      expect(progress).toEqual([{ imported: 1, skipped: 1 }]);
      expect(await store.getAll()).toEqual({ a: 'old', b: 'new' });
      expect(await store.import(lines)).toEqual({ imported: 2, skipped: 0 });
      expect(await store.getAll()).toEqual({ a: 'new', b: 'new' });
    });

    it('skip what has expired', async () => {
      const { store } = await suite.scene();
      await store.set('short', 1, { ttl: 300 });
      await store.set('long', 1, { ttl: '1h' });
      const lines = await collect(store.export());
      await eventually(async () => !(await store.has('short')));
      await eventually(async () => {
        await store.clear();
        expect(await store.import(lines)).toEqual({ imported: 1, skipped: 1 });
      });
      expect(Object.keys(await store.getAll())).toEqual(['long']);
    });

    it.each<[string, string, string]>([
      ['{"key":"b"', 'line 2', 'is not JSON'],
      ['not json', 'line 2', 'is not JSON'],
      ['[1]', 'line 2', 'is not a JSON object'],
      ['null', 'line 2', 'is not a JSON object'],
      ['{"value":1}', 'line 2, key', 'must be a string'],
      ['{"key":"","value":1}', 'line 2, key', 'must not be empty'],
      [`{"key":"${'k'.repeat(513)}","value":1}`, 'line 2, key', 'bytes long'],
      ['{"key":"b"}', 'line 2, value', 'is missing'],
      ['{"key":"b","value":{"x":["\\u0000"]}}', 'line 2, value.x[0]', 'NUL'],
      ['{"key":"b","value":"\\ud83e"}', 'line 2, value', 'surrogate'],
      ['{"key":"b","value":1,"expiresAt":"tomorrow"}', 'line 2, expiresAt', 'ISO 8601'],
      ['{"key":"b","value":1,"expiresAt":5}', 'line 2, expiresAt', 'ISO 8601'],
    ])('refuse the line %.40s and say where it is', async (line, path, problem) => {
      const { store } = await suite.scene();
      const good = (key: string): string => JSON.stringify({ key, value: 1 });
      for (const input of [
        [good('a'), line, good('c')],
        [good('a'), line],
        [`${good('a')}\n${line}\n${good('c')}\n`],
      ]) {
        const error = await failureOf(store.import(input));
        expect(error).toBeInstanceOf(ImportLineError);
        expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', path, line: 2, imported: 0, skipped: 0 });
        expect((error as Error).message).toContain(problem);
        expect((error as Error).message).toContain('Nothing was imported');
      }
      expect(await store.getAll()).toEqual({});
    });

    it('say how much is stored when a later line is refused', async () => {
      const { store } = await suite.scene();
      const lines = numbers(1200).map((i) => JSON.stringify({ key: `key ${i}`, value: i }));
      lines.push('oops');
      const progress: number[] = [];
      const importing = store.import(lines, { onProgress: ({ imported }) => progress.push(imported) });
      const error = (await failureOf(importing)) as ImportLineError;
      expect(error).toMatchObject({ line: 1201, path: 'line 1201' });
      expect(error.imported).toBe(progress.at(-1));
      expect((await store.stats()).count).toBe(error.imported);
      expect(error.imported).toBeGreaterThan(0);
      expect(error.message).toContain(`${error.imported} entries of the lines before are stored`);
    });
  });

  describe('copyTo', () => {
    it('moves everything to another backend and back', async () => {
      const { store } = await suite.scene();
      await store.setMany(numbers(120).map((i) => [`key ${i}`, { i }]));
      await store.setMany(VALUES);
      await store.set('temporary', 1, { ttl: '1h' });
      const memory = new KeyValueStore({ adapter: new MemoryAdapter(), namespace: 'copy' });
      const progress: unknown[] = [];
      const result = await store.copyTo(memory, { batchSize: 50, onProgress: (done) => progress.push(done) });
      expect(result).toEqual({ copied: 126, skipped: 0 });
      expect(progress).toEqual([
        { copied: 50, total: 126 },
        { copied: 100, total: 126 },
        { copied: 126, total: 126 },
      ]);
      expect(await memory.getAll()).toEqual(await store.getAll());
      const expiresAt = (await memory.entry('temporary'))!.expiresAt!.getTime();
      expect(Math.abs(expiresAt - (await store.entry('temporary'))!.expiresAt!.getTime())).toBeLessThan(2000);
      await memory.delete('a');
      await memory.set('b', 'changed');
      const back = store.namespace('back');
      await back.set('key 0', 'mine');
      expect(await memory.copyTo(back, { overwrite: false })).toEqual({ copied: 124, skipped: 1 });
      expect(await back.getAll()).toEqual({ ...(await memory.getAll()), 'key 0': 'mine' });
      await memory.close();
    });

    it('refuses to copy a store into itself', async () => {
      const { store } = await suite.scene();
      const refused = { code: 'INVALID_ARGUMENT', path: 'other' };
      await expect(store.copyTo(store)).rejects.toMatchObject(refused);
      await expect(store.copyTo(store.namespace('inside'))).rejects.toMatchObject(refused);
      await store.namespace('a').set('k', 1);
      expect(await store.namespace('a').copyTo(store.namespace('b'))).toEqual({ copied: 1, skipped: 0 });
      expect(await store.namespace('b').getAll()).toEqual({ k: 1 });
    });
  });
}
