import { FileAdapter, KeyValueStore } from '@nestbox/kv';
import { eventually } from '@nestbox/testing';
import {
  chmod,
  mkdir,
  mkdtemp,
  lstat,
  readFile,
  readdir,
  rm,
  rmdir,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';

describe('the file adapter', () => {
  let folder: string;
  let filePath: string;
  const open: KeyValueStore[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nestbox-kv-'));
    filePath = join(folder, 'store.json');
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((store) => store.close()));
    await rm(folder, { recursive: true });
  });

  const start = (path = filePath, enableVersioning = false): KeyValueStore => {
    const store = new KeyValueStore({ adapter: new FileAdapter({ filePath: path }), enableVersioning });
    open.push(store);
    return store;
  };

  describe('after a restart', () => {
    it('has the entries as they were', async () => {
      const before = start();
      await before.setMany({ a: { x: [1, null] }, 'ключ "\n': 'line\nbreak', __proto: -0.5 });
      await before.set('temporary', 1, { ttl: '1h' });
      await before.set('short', 1, { ttl: 20 });
      await before.set('a', { x: 2 });
      await eventually(async () => !(await before.has('short')));
      const { entries } = await before.list();
      await before.close();
      const after = start();
      expect((await after.list()).entries).toEqual(entries);
      expect((await after.entry('a'))?.version).toBe(2n);
    });

    it('uses no version, revision or fencing token again', async () => {
      const before = start();
      await before.set('a', 1);
      await before.set('a', 2);
      await before.delete('a');
      const revision = await before.revision();
      const lease = await before.lease('l', { ttl: '1h' });
      await before.close();
      const after = start();
      expect((await after.set('a', 3)).version).toBe(4n);
      expect(await after.revision()).toBeGreaterThan(revision);
      // Who held it has ended with the process.
      expect((await after.lease('l', { ttl: '1h' })).fencingToken).toBeGreaterThan(lease.fencingToken);
    });

    it('has the history, and every digit of a counter', async () => {
      const before = start(filePath, true);
      await before.increment('n', 2n ** 53n);
      await before.increment('n');
      await before.delete('n');
      await before.increment('n', -(2n ** 63n));
      await before.set('text', '9007199254740993');
      const history = await before.history('n');
      await before.close();
      const after = start(filePath, true);
      expect(await after.increment('n', 0)).toBe(-(2n ** 63n));
      expect((await after.history('n')).slice(1)).toEqual(history);
      expect(await after.get('text')).toBe('9007199254740993');
      await after.close();
      expect(await readFile(filePath, 'utf8')).toContain('"counter":"9007199254740993"');
    });

    it('tells a watcher that the changes before it are gone', async () => {
      const before = start();
      await before.set('a', 1);
      const revision = await before.revision();
      await before.close();
      const after = start();
      await expect(after.watch({ fromRevision: revision }).ready).rejects.toMatchObject({
        code: 'REVISION_TRIMMED',
        fromRevision: revision,
        oldestRevision: revision + 1n,
      });
      const watch = after.watch({ fromRevision: revision + 1n });
      await after.set('b', 1);
      for await (const change of watch) {
        expect(change).toMatchObject({ key: 'b', revision: revision + 1n });
        break;
      }
    });
  });

  describe('a file that is not sound', () => {
    const sound = `{"nestbox":"key-value store","format":1,"revision":"1","floor":"0","leases":"0","entries":[{"key":"a","version":"1","createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z","expiresAt":null,"value":1}],"tombstones":[],"history":[]}`;

    it('is told from a sound one', async () => {
      await writeFile(filePath, sound);
      expect(await start().getAll()).toEqual({ a: 1 });
    });

    it.each<[string, string | Uint8Array, string]>([
      ['garbage', 'hello', 'not sound JSON'],
      ['cut', sound.slice(0, -30), 'not sound JSON'],
      ['empty', '', 'is empty'],
      ['not UTF-8', Buffer.from(sound.replace('"a"', '"\u00ff"'), 'latin1'), 'not sound JSON'],
      ['somebody else’s', '{"a":1}', 'was not written by this adapter'],
      ['an array', '[]', 'not an object'],
      ['of a later format', sound.replace('"format":1', '"format":2'), 'format 2'],
      ['without entries', sound.replace('"entries"', '"x"'), 'entries are missing'],
      ['with a bad version', sound.replace('"version":"1"', '"version":1'), 'entries[0].version'],
      ['with a bad time', sound.replace('2026-01-01', '2026-41-01'), 'entries[0].createdAt'],
      ['without a value', sound.replace('"value":1', '"v":1'), 'entries[0].value'],
      ['with an empty key', sound.replace('"a"', '""'), 'entries[0].key'],
    ])('is refused with the reason, and left as it is (%s)', async (_, content, reason) => {
      await writeFile(filePath, content);
      const before = await readFile(filePath);
      const store = start();
      await expect(store.set('b', 1)).rejects.toThrow(`Failed to set key "b": ${filePath} cannot be used`);
      await expect(store.get('a')).rejects.toThrow(reason);
      await expect(store.init()).rejects.toThrow('left as it is');
      await store.close();
      expect(await readFile(filePath)).toEqual(before);
      expect(await readdir(folder)).toEqual(['store.json']);
    });
  });

  it('takes back what could not be saved, and goes on when the disk does', async () => {
    const store = start();
    await store.setMany({ a: 1, b: 1 });
    const watch = store.watch();
    await watch.ready;
    // Nothing can be written where a folder stands.
    await mkdir(`${filePath}.tmp`);
    const writes = await Promise.allSettled([
      store.set('a', 2),
      store.delete('b'),
      store.set('c', 1),
      store.increment('a'),
      store.set('t', 1, { ttl: '1h' }),
    ]);
    for (const write of writes) expect(write.status).toBe('rejected');
    expect(writes[0]).toMatchObject({
      reason: {
        code: 'KV_OPERATION_FAILED',
        key: undefined,
        message: expect.stringMatching(/^Failed to set key "a": EISDIR/) as unknown,
      },
    });
    expect(await store.getAll()).toEqual({ a: 1, b: 1 });
    expect((await store.list()).entries.map(({ key }) => key)).toEqual(['a', 'b']);
    await rmdir(`${filePath}.tmp`);
    expect(await store.set('a', 3)).toEqual({ version: 2n });
    for await (const change of watch) {
      expect(change).toMatchObject({ key: 'a', value: 3, version: 2n });
      break;
    }
    await store.close();
    expect(await start().getAll()).toEqual({ a: 3, b: 1 });
  });

  it('saves writes that are made together at once', async () => {
    const store = start();
    await store.set('a', 0);
    const started = performance.now();
    await store.set('a', 1);
    const single = performance.now() - started;
    const restarted = performance.now();
    await Promise.all(Array.from({ length: 1000 }, (_, i) => store.set(`key ${i}`, i)));
    expect(performance.now() - restarted).toBeLessThan(Math.max(500, single * 100));
    expect((await store.stats()).count).toBe(1001);
  });

  it('writes JSON with an entry per line', async () => {
    const store = start();
    await store.setMany({ a: 1, b: { x: 2 } });
    const text = await readFile(filePath, 'utf8');
    expect(JSON.parse(text)).toMatchObject({ entries: [{ key: 'a' }, { key: 'b', value: { x: 2 } }] });
    expect(text.split('\n').filter((line) => line.startsWith('{"key"'))).toHaveLength(2);
  });

  it('creates its folder, and no file before there is something in it', async () => {
    const path = join(folder, 'deep', 'er', 'store.json');
    const store = start(path);
    expect(await store.get('a')).toBeUndefined();
    await store.close();
    expect(await readdir(join(folder, 'deep', 'er'))).toEqual([]);
  });

  it('keeps the permissions of the file, and the link that leads to it', async () => {
    const target = join(folder, 'target.json');
    const first = start(target);
    await first.set('a', 1);
    await first.close();
    await chmod(target, 0o640);
    await symlink(target, filePath);
    const store = start();
    await store.init();
    await expect(start(target).set('b', 1)).rejects.toThrow('in use by another FileAdapter in this process');
    await store.set('b', 1);
    expect((await lstat(filePath)).isSymbolicLink()).toBe(true);
    expect((await stat(target)).mode & 0o777).toBe(0o640);
    await store.close();
    expect(await start(target).getAll()).toEqual({ a: 1, b: 1 });
  });

  it('serves one adapter at a time', async () => {
    const first = start();
    await first.set('a', 1);
    const second = start();
    await expect(second.get('a')).rejects.toThrow('in use by another FileAdapter in this process');
    await first.close();
    expect(await second.get('a')).toBe(1);
  });

  describe('its lock', () => {
    const lock = (owner: object | string): Promise<void> =>
      writeFile(`${filePath}.lock`, typeof owner === 'string' ? owner : JSON.stringify(owner));

    it.each<[string, () => object | string]>([
      ['of a process that has ended', () => ({ id: 'x', pid: 2 ** 22 + 1, host: hostname() })],
      [
        'of an earlier process with the same number',
        () => ({ id: 'x', pid: process.pid, host: hostname(), start: 'long ago' }),
      ],
      ['that was never written', () => ''],
    ])('is taken over from one %s', async (_, owner) => {
      await lock(owner());
      const store = start();
      expect(await store.set('a', 1)).toEqual({ version: 1n });
      await store.close();
      expect(await readdir(folder)).toEqual(['store.json']);
    });

    it.each<[string, object | string, string]>([
      [
        'on another computer',
        { id: 'x', pid: 1, host: 'elsewhere.example' },
        'on the computer elsewhere.example',
      ],
      ['that is not ours', 'something', 'is not a lock file of this adapter'],
      ['that is not ours either', '{"pid":"1"}', 'is not a lock file of this adapter'],
    ])('is left alone when it is one %s', async (_, owner, reason) => {
      await lock(owner);
      await expect(start().get('a')).rejects.toThrow(reason);
      expect(await readFile(`${filePath}.lock`, 'utf8')).toBe(
        typeof owner === 'string' ? owner : JSON.stringify(owner),
      );
    });

    it('stops the writing when it is lost', async () => {
      const store = start();
      await store.set('a', 1);
      await unlink(`${filePath}.lock`);
      await expect(store.set('a', 2)).rejects.toThrow('was removed or taken over');
      expect(await store.get('a')).toBe(1);
      await expect(store.ping()).rejects.toThrow('Failed to ping the store: its lock');
      const second = start();
      await second.set('a', 3);
      await store.close();
      expect(await second.get('a')).toBe(3);
      expect(await second.set('a', 4)).toEqual({ version: 3n });
    });
  });

  it.each(['', 'a\0b', undefined, 5])('refuses %p as a path', (path) => {
    expect(() => new FileAdapter({ filePath: path as string })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', path: 'filePath' }),
    );
  });
});
