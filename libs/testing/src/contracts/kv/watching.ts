/// <reference types="jest" />
import type { Change, Watch } from '@nestbox/kv';
import { eventually } from '../../eventually.js';
import { collect, failureOf, numbers, type KvSuite } from './subject.js';

type AnyChange = Change<unknown>;

/** What matters of changes, in short: `set a 1`, `delete a`, `expire a`. */
function brief(changes: AnyChange[]): string[] {
  return changes.map((change) =>
    change.type === 'set'
      ? `set ${change.key} ${JSON.stringify(change.value)}`
      : `${change.expired ? 'expire' : 'delete'} ${change.key}`,
  );
}

function ascending(revisions: bigint[]): boolean {
  return revisions.every((revision, i) => i === 0 || revision > revisions[i - 1]!);
}

/** Reads until a change of this key, which is not among the result. */
async function until(watch: Watch<unknown>, key: string): Promise<AnyChange[]> {
  const changes: AnyChange[] = [];
  for await (const change of watch) {
    if (change.key === key) break;
    changes.push(change);
  }
  return changes;
}

export function watching(suite: KvSuite): void {
  describe('watch', () => {
    it('sees every kind of change that is made after it was called', async () => {
      const { store } = await suite.scene();
      await store.set('before', 1);
      const watch = store.watch();
      await store.set('a', null);
      await store.update('a', () => ({ x: 1 }));
      await store.increment('n', 5);
      await store.setMany({ m: 1 });
      await store.atomic().set('{x}a', 1).commit();
      await store.atomic().increment('{x}a', 1).commit();
      await store.atomic().delete('{x}a').commit();
      await store.getOrSet('g', () => 1);
      await store.delete('a');
      await store.deleteMany(['m', 'absent']);
      await store.delete('absent');
      await store.set('e', 1, { ttl: 30 });
      const changes = await collect(watch, 12);
      expect(brief(changes)).toEqual([
        'set a null',
        'set a {"x":1}',
        'set n 5',
        'set m 1',
        'set {x}a 1',
        'set {x}a 2',
        'delete {x}a',
        'set g 1',
        'delete a',
        'delete m',
        'set e 1',
        'expire e',
      ]);
      expect(ascending(changes.map(({ revision }) => revision))).toBe(true);
      expect(changes.slice(0, 2).map(({ version }) => version)).toEqual([1n, 2n]);
      expect(changes[8]!.version).toBeGreaterThan(2n);
      for (const { at } of changes) expect(Math.abs(at.getTime() - Date.now())).toBeLessThan(20_000);
    });

    it('sees what clear deletes', async () => {
      const { store } = await suite.scene();
      await store.setMany({ a: 1, b: 2 });
      const watch = store.watch();
      await store.clear();
      expect(brief(await collect(watch, 2)).sort()).toEqual(['delete a', 'delete b']);
    });

    it('can be confined to a prefix or a key', async () => {
      const { store } = await suite.scene();
      const byPrefix = store.watch({ prefix: 'a%' });
      const byKey = store.watch({ key: 'a' });
      await store.setMany({ a: 1, 'a%b': 1, aab: 1, b: 1 });
      await store.set('a%end', 1);
      await store.set('a', 2);
      expect(brief(await until(byPrefix, 'a%end'))).toEqual(['set a%b 1']);
      expect(brief(await collect(byKey, 2))).toEqual(['set a 1', 'set a 2']);
      expect(() => store.watch({ key: 'a', prefix: 'a' })).toThrow('together');
    });

    it('sees the changes of another process, in order per key', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      const watch = store.watch();
      await watch.ready;
      await Promise.all(numbers(60).map((i) => (i % 2 === 0 ? store : other).increment(`counter ${i % 3}`)));
      const changes = await collect(watch, 60);
      expect(ascending(changes.map(({ revision }) => revision))).toBe(true);
      for (const i of numbers(3)) {
        const own = changes.filter(({ key }) => key === `counter ${i}`);
        expect(own.map((change) => change.type === 'set' && change.value)).toEqual(
          numbers(20).map((n) => n + 1),
        );
        expect(own.map(({ version }) => version)).toEqual(numbers(20).map((n) => BigInt(n + 1)));
      }
    });

    it('goes on from a revision, which is included', async () => {
      const { store } = await suite.scene();
      const first = store.watch();
      await store.setMany({ a: 1 });
      await store.set('b', 2);
      const before = await store.revision();
      await store.set('c', 3);
      await store.set('end', 0);
      const changes = await until(first, 'end');
      expect(brief(changes)).toEqual(['set a 1', 'set b 2', 'set c 3']);
      expect(before).toBeGreaterThanOrEqual(changes[1]!.revision);
      expect(before).toBeLessThan(changes[2]!.revision);
      const fromB = store.watch({ fromRevision: changes[1]!.revision });
      expect(brief(await until(fromB, 'end'))).toEqual(['set b 2', 'set c 3']);
      const afterB = store.watch({ fromRevision: changes[1]!.revision + 1n });
      expect(brief(await until(afterB, 'end'))).toEqual(['set c 3']);
      const later = store.watch({ fromRevision: (await store.revision()) + 1n });
      await store.set('d', 4);
      expect(brief(await collect(later, 1))).toEqual(['set d 4']);
    });

    it('ends without an error when it is closed, aborted or left', async () => {
      const { store } = await suite.scene();
      const aborting = new AbortController();
      const aborted = collect(store.watch({ signal: aborting.signal }));
      const closing = store.watch();
      const closed = collect(closing);
      const left = store.watch();
      await store.set('a', 1);
      expect(await collect(left, 1)).toHaveLength(1);
      expect(await collect(left)).toEqual([]);
      const waiting = store.watch();
      const iterator = waiting[Symbol.asyncIterator]();
      const next = iterator.next();
      await iterator.return!();
      expect(await next).toMatchObject({ done: true });
      aborting.abort();
      await closing.close();
      await closing.close();
      expect((await aborted).length).toBeLessThanOrEqual(1);
      expect((await closed).length).toBeLessThanOrEqual(1);
      expect(await collect(store.watch({ signal: AbortSignal.abort() }))).toEqual([]);
    });

    it('refuses bad arguments at once', async () => {
      const { store } = await suite.scene();
      const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error;
      expect(() => store.watch({ key: '' })).toThrow(refused);
      expect(() => store.watch({ prefix: '\0' })).toThrow(refused);
      expect(() => store.watch({ fromRevision: 1 as never })).toThrow(refused);
    });

    it('lets many watch the same, each with the whole of it', async () => {
      const { store } = await suite.scene();
      const watches = numbers(10).map(() => store.watch({ prefix: 'a' }));
      await store.setMany(numbers(50).map((i) => [`a${i + 10}`, i]));
      await store.set('a end', 1);
      for (const changes of await Promise.all(watches.map((watch) => until(watch, 'a end')))) {
        expect(changes).toHaveLength(50);
      }
    });

    it('ends with an error when the store is closed', async () => {
      await suite.own(async ({ adapter }) => {
        const { KeyValueStore } = await import('@nestbox/kv');
        const store = new KeyValueStore({ adapter });
        const watch = store.watch();
        await watch.ready;
        const failure = failureOf(collect(watch));
        await store.close();
        expect(await failure).toMatchObject({ code: 'CLOSED' });
        const late = store.watch();
        await expect(late.ready).rejects.toMatchObject({ code: 'CLOSED' });
        await expect(collect(late)).rejects.toMatchObject({ code: 'CLOSED' });
      });
    });
  });

  describe('history', () => {
    it('keeps every state of a key, newest first', async () => {
      const { store } = await suite.scene({ enableVersioning: true });
      await store.set('a', { n: 1 });
      await store.update('a', () => null);
      await store.delete('a');
      await store.setMany({ a: 5 });
      await store.increment('a');
      await store.atomic().set('{x}b', 1).commit();
      await store.atomic().increment('{x}b').commit();
      await store.atomic().delete('{x}b').commit();
      await store.getOrSet('g', () => 'computed');
      const history = await store.history('a');
      expect(history.map(({ value, deleted }) => (deleted ? 'deleted' : value))).toEqual([
        6,
        5,
        'deleted',
        null,
        { n: 1 },
      ]);
      expect(ascending(history.map(({ version }) => version).reverse())).toBe(true);
      expect(history.at(-1)).toEqual({
        key: 'a',
        version: 1n,
        value: { n: 1 },
        deleted: false,
        at: expect.any(Date) as unknown,
      });
      expect(history[2]).not.toHaveProperty('value');
      expect(history[0]?.version).toBe((await store.entry('a'))?.version);
      expect(await store.history('a', { limit: 2 })).toEqual(history.slice(0, 2));
      const other = await store.history('{x}b');
      expect(other.map(({ value, deleted }) => (deleted ? 'deleted' : value))).toEqual(['deleted', 2, 1]);
      expect((await store.history('g')).map(({ value }) => value)).toEqual(['computed']);
      expect(await store.history('never')).toEqual([]);
    });

    it('gives a state by its version', async () => {
      const { store } = await suite.scene({ enableVersioning: true });
      const { version } = await store.set('a', 'first');
      await store.set('a', 'second');
      expect(await store.getVersion('a', version)).toMatchObject({ value: 'first', version, deleted: false });
      expect((await store.getVersion('a', 2n))?.value).toBe('second');
      expect(await store.getVersion('a', 99n)).toBeUndefined();
      expect(await store.getVersion('b', 1n)).toBeUndefined();
      await expect(store.getVersion('a', 1 as never)).rejects.toMatchObject({ path: 'version' });
      await expect(store.history('a', { limit: 0 })).rejects.toMatchObject({ path: 'limit' });
    });

    it('records what clear and deleteMany delete', async () => {
      const { store } = await suite.scene({ enableVersioning: true });
      await store.setMany({ a: 1, b: 1 });
      await store.deleteMany(['a']);
      await store.clear();
      expect((await store.history('a'))[0]?.deleted).toBe(true);
      expect((await store.history('b'))[0]?.deleted).toBe(true);
    });

    it('loses none of many concurrent states', async () => {
      const { store } = await suite.scene({ enableVersioning: true });
      await Promise.all(numbers(40).map((i) => store.set('a', i)));
      expect((await store.history('a')).map(({ value }) => value)).toEqual(numbers(40).reverse());
    });

    it('is refused, with advice, by a store without versioning', async () => {
      const { store } = await suite.scene();
      await store.set('a', 1);
      const refused = {
        code: 'UNSUPPORTED_OPERATION',
        message: expect.stringContaining('enableVersioning') as unknown,
      };
      await expect(store.history('a')).rejects.toMatchObject(refused);
      await expect(store.getVersion('a', 1n)).rejects.toMatchObject(refused);
    });

    it('does not grow without versioning', async () => {
      const { store, storeWith } = await suite.scene();
      await store.set('a', 1);
      await eventually(async () => {
        expect(await storeWith({ enableVersioning: true }).history('a')).toEqual([]);
      });
    });
  });
}
