import { execFile } from 'node:child_process';
import { lstat, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { KeyValueStore, PostgresAdapter, RedisAdapter } from '@nestbox/kv';
import { testDatabase, testRedis, type TestDatabase, type TestRedisSpace } from '@nestbox/testing';
import { run, type Around, type Ran } from './support/command.js';

let database: TestDatabase;
let redis: TestRedisSpace;
let folder: string;

beforeAll(async () => {
  database = await testDatabase();
  redis = await testRedis();
  folder = await mkdtemp(join(tmpdir(), 'nestbox-cli-'));
});

afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

let spaces = 0;

describe.each(['postgres', 'redis'] as const)('nestbox kv in %s', (kind) => {
  let place: string[];
  let name: string;
  let store: KeyValueStore;

  /** As an application would have made it. */
  beforeEach(async () => {
    name = `t${spaces++}`;
    if (kind === 'postgres') {
      place = ['--table', name];
      store = new KeyValueStore({
        adapter: new PostgresAdapter({ connectionString: database.url, tableName: name }),
        enableVersioning: true,
      });
    } else {
      place = ['--store', 'redis', '--key-prefix', `${redis.prefix}${name}`];
      store = new KeyValueStore({
        adapter: new RedisAdapter(redis.url, `${redis.prefix}${name}`),
        enableVersioning: true,
      });
    }
    await store.init();
  });

  afterEach(() => store.close());

  function kv(args: readonly string[], around: Around = {}): Promise<Ran> {
    const env = { DATABASE_URL: database.url, REDIS_URL: redis.url };
    return run(['kv', ...args, ...place], { env, cwd: folder, ...around });
  }

  it('sets and gets a value', async () => {
    expect(await kv(['set', 'user:7', '{"name":"Ada","tags":["a"]}'])).toMatchObject({
      code: 0,
      out: '"user:7" is at version 1',
      error: '',
    });
    expect(await store.get('user:7')).toEqual({ name: 'Ada', tags: ['a'] });
    const got = await kv(['get', 'user:7']);
    expect(got).toMatchObject({ code: 0, error: '' });
    expect(got.json()).toEqual({ name: 'Ada', tags: ['a'] });
    expect((await kv(['get', 'user:7', '--json'])).json()).toEqual({
      key: 'user:7',
      value: { name: 'Ada', tags: ['a'] },
      version: '1',
      createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
      updatedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      expiresAt: null,
    });
    expect((await kv(['set', 'user:7', 'null', '--json'])).json()).toEqual({ key: 'user:7', version: '2' });
    expect((await kv(['get', 'user:7'])).out).toBe('null');
  });

  it('takes texts, texts that are piped in, and numbers below zero', async () => {
    await kv(['set', 'text', 'dark "mode"', '--string']);
    await kv(['set', 'page', '-', '--string'], { input: 'line 1\nline 2 é\n' });
    await kv(['set', 'json', '-'], { input: '{"a": [1, 2]}\n' });
    await kv(['set', 'below', '-5']);
    expect(await store.getAll()).toEqual({
      text: 'dark "mode"',
      page: 'line 1\nline 2 é\n',
      json: { a: [1, 2] },
      below: -5,
    });
    expect((await kv(['get', 'text'])).out).toBe(String.raw`"dark \"mode\""`);
    expect((await kv(['get', 'text', '--raw'])).out).toBe('dark "mode"');
  });

  it('replaces a value without a question, unless --if-version says otherwise', async () => {
    await kv(['set', 'a', '1']);
    expect(await kv(['set', 'a', '2', '--if-version', 'absent'])).toMatchObject({
      code: 1,
      error: expect.stringContaining('Key "a" is at version 1, but no entry was expected'),
    });
    expect(await kv(['set', 'a', '2', '--if-version', '1'])).toMatchObject({ code: 0 });
    expect(await kv(['set', 'a', '3'])).toMatchObject({ code: 0, questions: [] });
    expect(await store.entry('a')).toMatchObject({ value: 3, version: 3n });
  });

  it('gives an entry a time to live', async () => {
    await kv(['set', 'a', '1', '--ttl', '1h']);
    const entry = await store.entry('a');
    expect(entry!.expiresAt!.getTime() - entry!.updatedAt.getTime()).toBe(3_600_000);
    expect((await kv(['list'])).out).toContain(entry!.expiresAt!.toISOString().slice(0, 19));
  });

  it('keeps history only when it is told that the store does', async () => {
    await kv(['set', 'a', '1', '--versioning']);
    await kv(['set', 'a', '2']);
    await kv(['delete', 'a', '--yes', '--versioning']);
    expect((await store.history('a')).map(({ version, deleted }) => [version, deleted])).toEqual([
      [3n, true],
      [1n, false],
    ]);
  });

  it('says that a key is not there', async () => {
    expect(await kv(['get', 'nope\nreally'])).toMatchObject({
      code: 4,
      out: '',
      error: expect.stringMatching(/^nestbox: There is no key "nope\\nreally" in .*\.$/),
    });
  });

  it('lists pages of entries, and says how to go on', async () => {
    expect(await kv(['list'])).toMatchObject({
      code: 0,
      out: '',
      error: expect.stringMatching(/^No such entries in /),
    });
    expect((await kv(['list', '--json'])).json()).toEqual({ entries: [], cursor: null });
    for (const key of ['b:1', 'a:2', 'a:1', 'a:3']) await store.set(key, { of: key });
    const keys = async (...args: string[]): Promise<string[]> => {
      const { entries } = (await kv(['list', '--json', ...args])).json<{ entries: { key: string }[] }>();
      return entries.map(({ key }) => key);
    };
    expect(await keys()).toEqual(['a:1', 'a:2', 'a:3', 'b:1']);
    expect(await keys('--prefix', 'a:', '--reverse')).toEqual(['a:3', 'a:2', 'a:1']);
    expect(await keys('--start', 'a:2', '--end', 'b')).toEqual(['a:2', 'a:3']);

    const first = await kv(['list', '--limit', '3']);
    expect(first.out.split('\n').map((line) => line.split(/\s+/)[0])).toEqual(['KEY', 'a:1', 'a:2', 'a:3']);
    const [, cursor] = /^There are more: --cursor (\S+)$/.exec(first.error)!;
    expect(await keys('--limit', '3', '--cursor', cursor!)).toEqual(['b:1']);
  });

  it('confines itself to a namespace', async () => {
    await store.namespace('mine').set('a', 1);
    await store.set('a', 2);
    expect((await kv(['get', 'a', '--namespace', 'mine'])).out).toBe('1');
    expect((await kv(['list', '--namespace', 'mine', '--json'])).json().entries).toMatchObject([
      { key: 'a', value: 1 },
    ]);
  });

  it('deletes keys when that was confirmed', async () => {
    for (const key of ['a', 'b', 'c']) await store.set(key, 1);
    expect(await kv(['delete', 'a'])).toMatchObject({
      code: 2,
      error: expect.stringMatching(/^nestbox: This deletes key "a" from .*; pass --yes\.$/),
    });
    expect(await kv(['delete', 'a'], { answer: false })).toMatchObject({
      code: 1,
      error: 'nestbox: Not confirmed; nothing was changed.',
      questions: [expect.stringMatching(/^This deletes key "a" from .*\. Go on\? \[y\/N\] $/)],
    });
    expect(await store.has('a')).toBe(true);
    expect(await kv(['delete', 'a'], { answer: true })).toMatchObject({ code: 0, out: 'Deleted 1 key.' });
    expect((await kv(['delete', 'b', 'c', 'd', '--yes', '--json'])).json()).toEqual({ deleted: 2 });
    expect(await store.getAll()).toEqual({});
    expect(await kv(['delete', 'a', '--yes'])).toMatchObject({
      code: 4,
      error: expect.stringContaining('There is no key "a"'),
    });
  });

  it('exports to a file, as a whole or not at all, and imports it', async () => {
    const entries = Array.from({ length: 1200 }, (_, i) => ({ key: `k${i}`, value: { i } }));
    await store.setMany(entries);
    const file = `${kind}.jsonl`;
    const exported = await kv(['export', file], { showsProgress: true });
    expect(exported).toMatchObject({ code: 0, error: '' });
    expect(exported.out).toMatch(/^Exported 1,200 entries of .* to \w+\.jsonl\.$/);
    expect(exported.progress[0]).toMatch(/^Exporting \[[#.]{24}\] +\d+%  \d+ of 1,200 entries$/);
    expect(exported.progress.at(-1)).toBe('');
    const text = await readFile(join(folder, file), 'utf8');
    expect(text.trim().split('\n')).toHaveLength(1200);
    expect((await readdir(folder)).filter((each) => each.includes('partial'))).toEqual([]);

    expect(await kv(['export', file])).toMatchObject({ code: 2, error: expect.stringContaining('replaces') });
    expect((await kv(['export', file, '--yes', '--json'])).json()).toEqual({ exported: 1200, file });

    await store.clear();
    // Nobody is asked where there is nothing to lose.
    const imported = await kv(['import', file], { showsProgress: true });
    expect(imported).toMatchObject({ code: 0 });
    expect(imported.out).toMatch(/^Imported 1,200 entries into /);
    expect(imported.progress[0]).toMatch(/^Importing \[[#.]{24}\] +\d+%  [\d,]+ of [\d,]+ bytes$/);
    expect(await store.get('k7')).toEqual({ i: 7 });
  });

  it('imports over what is there only when that was confirmed', async () => {
    await store.set('a', 'old');
    const input = '{"key":"a","value":"new"}\n{"key":"b","value":1}\n';
    expect(await kv(['import'], { input })).toMatchObject({
      code: 2,
      error: expect.stringMatching(
        /replaces entries with the same keys in .*, which has 1 entry\. .* pass --yes\.$/,
      ),
    });
    expect((await kv(['import', '--skip-existing', '--json'], { input })).json()).toEqual({
      imported: 1,
      skipped: 1,
    });
    expect(await store.getAll()).toEqual({ a: 'old', b: 1 });
    expect(await kv(['import', '-', '--yes'], { input })).toMatchObject({ code: 0 });
    expect(await store.getAll()).toEqual({ a: 'new', b: 1 });
  });

  it('says which line of an import is wrong', async () => {
    const input = '{"key":"a","value":1}\n{"key":"b"}\n';
    expect(await kv(['import'], { input })).toMatchObject({
      code: 1,
      error: 'nestbox: Invalid line 2, value: is missing. Nothing was imported.',
    });
    expect(await kv(['import', 'nope.jsonl'])).toMatchObject({
      code: 4,
      error: 'nestbox: There is no file nope.jsonl.',
    });
    expect(await kv(['import', '.'])).toMatchObject({ code: 1, error: 'nestbox: . is not a file.' });
    expect(await kv(['import'])).toMatchObject({
      code: 2,
      error: expect.stringContaining('nothing is piped in'),
    });
  });

  it('leaves a file as it was when an export cannot be written', async () => {
    expect(await kv(['export', 'no/such/folder'])).toMatchObject({
      code: 1,
      error: expect.stringContaining('Cannot write no/such/folder: '),
    });
    await writeFile(join(folder, 'kept'), 'mine');
    expect(await kv(['export', 'kept'], { answer: false })).toMatchObject({ code: 1 });
    expect(await readFile(join(folder, 'kept'), 'utf8')).toBe('mine');
    expect(await kv(['export', '.'])).toMatchObject({
      code: 1,
      error: 'nestbox: Cannot write .: it is a folder.',
    });
  });

  it('leaves what it exports to as private as it was, and a link a link', async () => {
    await store.set('a', 1);
    const target = join(folder, `private-${kind}`);
    const link = join(folder, `link-${kind}`);
    await writeFile(target, 'mine', { mode: 0o600 });
    await symlink(target, link);
    expect(await kv(['export', link, '--yes'])).toMatchObject({ code: 0 });
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readFile(target, 'utf8')).toContain('"key":"a"');
    expect((await stat(target)).mode & 0o777).toBe(0o600);
  });

  it('exports into a pipe, and imports from one', async () => {
    await store.set('a', 1);
    const pipe = join(folder, `pipe-${kind}`);
    await promisify(execFile)('mkfifo', [pipe]);
    // It replaces nothing, so nobody has to confirm it.
    const [text, exported] = await Promise.all([readFile(pipe, 'utf8'), kv(['export', pipe])]);
    expect(exported).toMatchObject({ code: 0 });
    expect(text).toContain('"key":"a"');
    expect((await lstat(pipe)).isFIFO()).toBe(true);
    const [, imported] = await Promise.all([writeFile(pipe, text), kv(['import', pipe, '--yes'])]);
    expect(imported).toMatchObject({ code: 0, out: expect.stringMatching(/^Imported 1 entry /) });
  });

  it('says how much of an import is stored when it ends early', async () => {
    const lines = Array.from({ length: 1000 }, (_, i) => `{"key":"k${i}","value":1}\n`);
    const bytes = Buffer.concat([Buffer.from(lines.join('')), Buffer.from([0x22, 0xff])]);
    await writeFile(join(folder, 'bytes'), bytes);
    // The first half comes in a piece of its own.
    async function* pieces(): AsyncGenerator<string | Uint8Array> {
      yield lines.join('');
      yield new Uint8Array([0xff]);
    }
    expect(await kv(['import'], { input: pieces() })).toMatchObject({
      code: 1,
      error: expect.stringMatching(
        /^nestbox: Invalid line \d+: or one after it is not valid UTF-8\. 1,000 entries were imported before\.$/,
      ),
    });
    expect((await store.stats()).count).toBe(1000);
    expect(await kv(['import', 'bytes', '--yes'])).toMatchObject({ code: 1 });
  });

  it('says how much of an import is stored when it is interrupted, also while it waits', async () => {
    const controller = new AbortController();
    const lines = Array.from({ length: 500 }, (_, i) => `{"key":"k${i}","value":1}\n`);
    async function* pieces(): AsyncGenerator<string> {
      yield lines.join('');
      setTimeout(() => controller.abort(), 1);
      await new Promise(() => undefined);
    }
    expect(await kv(['import'], { input: pieces(), signal: controller.signal })).toMatchObject({
      code: 1,
      error: 'nestbox: Interrupted. 500 entries were imported before.',
    });
    expect((await store.stats()).count).toBe(500);
  });

  it('refuses what it could not store as it was given', async () => {
    for (const number of ['12345678901234567890', '{"a":["1\\"2",-9007199254740993]}']) {
      expect(await kv(['set', 'a', number])).toMatchObject({
        code: 2,
        error: expect.stringMatching(/^nestbox: the number -?\d+ would be rounded; put it in quotes\n/),
      });
    }
    async function* bytes(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array([0x61, 0xff]);
    }
    expect(await kv(['set', 'a', '-', '--string'], { input: bytes() })).toMatchObject({
      code: 2,
      error: expect.stringContaining('is not a text in UTF-8'),
    });
    expect(await store.has('a')).toBe(false);
    expect(await kv(['set', 'a', '{"a\\"":["12345678901234567890",9007199254740991,1e3]}'])).toMatchObject({
      code: 0,
    });
  });

  it('counts', async () => {
    await store.set('a', 'x');
    expect((await kv(['stats'])).out).toMatch(/^store {4}.*\nentries {2}1\nsize {5}\S+ \w+$/);
    expect((await kv(['stats', '--json'])).json()).toEqual({
      store: expect.stringContaining(name),
      count: 1,
      bytes: expect.any(Number),
    });
  });
});
