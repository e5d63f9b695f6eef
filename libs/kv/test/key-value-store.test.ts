import { KeyValueStore, MemoryAdapter, type ChangeFeed } from '@nestbox/kv';
import { eventually } from '@nestbox/testing';
import { AsyncLocalStorage } from 'node:async_hooks';

/** A memory store whose feeds open when they are told, and that can pretend to be in a transaction. */
class Controlled extends MemoryAdapter {
  inTransaction = false;
  feedsOpened = 0;
  feedsClosed = 0;
  private gate: Promise<void> = Promise.resolve();
  release: () => void = () => undefined;

  hold(): void {
    this.gate = new Promise((resolve) => (this.release = resolve));
  }

  override async openFeed(options: { prefix: string; fromRevision?: bigint }): Promise<ChangeFeed> {
    await this.gate;
    this.feedsOpened++;
    const feed = await super.openFeed(options);
    return {
      read: () => feed.read(),
      close: () => {
        this.feedsClosed++;
        return feed.close();
      },
    };
  }
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  const later = new Promise((resolve) => setTimeout(resolve, 20, pending));
  return (await Promise.race([promise, later])) === pending;
}

describe('KeyValueStore', () => {
  let adapter: Controlled;
  let store: KeyValueStore;
  beforeEach(() => {
    adapter = new Controlled();
    store = new KeyValueStore({ adapter });
  });
  afterEach(async () => {
    adapter.release();
    await store.close();
  });

  it('lets every kind of write wait for watches that are still being opened', async () => {
    await store.setMany({ d: 1, m: 1 });
    adapter.hold();
    const watch = store.watch();
    const value = { items: [1] };
    const writes = [
      store.set('a', value),
      store.setMany({ b: value }),
      store.increment('n'),
      store.update('u', () => value),
      store.atomic().set('t', value).commit(),
      store.delete('d'),
      store.deleteMany(['m']),
      store.getOrSet('g', () => value),
      store.namespace('space').set('a', value),
      store.import('{"key":"i","value":1}'),
    ];
    expect(await isPending(Promise.race(writes))).toBe(true);
    // What was given is stored, not what became of it.
    value.items.push(2);
    adapter.release();
    await Promise.all(writes);
    const seen = new Set<string>();
    for await (const change of watch) {
      seen.add(change.key);
      if (change.type === 'set' && typeof change.value === 'object')
        expect(change.value).toEqual({ items: [1] });
      if (seen.size === writes.length) break;
    }
    expect([...seen].sort((a, b) => a.localeCompare(b))).toEqual(
      ['a', 'b', 'd', 'g', 'i', 'm', 'n', 'space:a', 't', 'u'].sort((a, b) => a.localeCompare(b)),
    );
    expect(adapter.feedsClosed).toBe(1);
  });

  it('does not let a write in a transaction wait for long, since the transaction may hold what the watch needs', async () => {
    adapter.hold();
    const watch = store.watch();
    adapter.inTransaction = true;
    await store.set('a', 1);
    expect(adapter.feedsOpened).toBe(0);
    adapter.inTransaction = false;
    adapter.release();
    await watch.close();
  });

  it('goes on writing when a watch cannot be opened', async () => {
    adapter.openFeed = () => Promise.reject(new Error('no feed'));
    const watch = store.watch();
    await store.set('a', 1);
    await expect(watch.ready).rejects.toThrow('no feed');
    await expect(watch[Symbol.asyncIterator]().next()).rejects.toThrow('no feed');
    await watch.close();
  });

  it('ends a watch that is aborted while it is being opened, and closes its feed later', async () => {
    adapter.hold();
    const abort = new AbortController();
    const watch = store.watch({ signal: abort.signal });
    const next = watch[Symbol.asyncIterator]().next();
    abort.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    adapter.release();
    await eventually(() => adapter.feedsClosed === 1);
  });

  it('opens watches outside the scope of whoever calls', async () => {
    const scope = new AsyncLocalStorage<string>();
    const open = adapter.openFeed.bind(adapter);
    adapter.openFeed = (options) => {
      expect(scope.getStore()).toBeUndefined();
      return open(options);
    };
    const watch = scope.run('transaction', () => store.watch());
    await watch.ready;
    await watch.close();
  });

  it('shares nothing in a transaction, and needs no turn there', async () => {
    let inside = 0;
    const { promise, resolve } = gate();
    const outside = store.getOrSet('a', async () => {
      await promise;
      return 'outside';
    });
    const turn = store.update('n', async () => {
      await promise;
      return 1;
    });
    await eventually(() => isPending(outside));
    adapter.inTransaction = true;
    expect(await store.getOrSet('a', () => `inside ${++inside}`)).toBe('inside 1');
    expect(await store.update('n', () => 5)).toEqual({ value: 5, version: 1n });
    adapter.inTransaction = false;
    resolve();
    expect(await outside).toBe('inside 1');
    expect(await turn).toEqual({ value: 1, version: 2n });
  });

  it('keeps renewing the lock of a computation that takes longer than it', async () => {
    const other = new KeyValueStore({ adapter });
    let computations = 0;
    const compute = async (): Promise<number> => {
      computations++;
      await new Promise((resolve) => setTimeout(resolve, 400));
      return computations;
    };
    const options = { lock: true, lockTtl: 100 };
    const values = await Promise.all([
      store.getOrSet('a', compute, options),
      other.getOrSet('a', compute, options),
    ]);
    expect(values).toEqual([1, 1]);
  });

  it.each([undefined, null, {}, 'memory'])('refuses %p as an adapter', (bad) => {
    expect(() => new KeyValueStore({ adapter: bad as never })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', path: 'adapter' }),
    );
  });

  it('refuses bad options', () => {
    expect(() => new KeyValueStore({ adapter, ttl: 'soon' })).toThrow(
      expect.objectContaining({ path: 'ttl' }),
    );
    expect(() => new KeyValueStore({ adapter, namespace: '' })).toThrow(
      expect.objectContaining({ path: 'namespace' }),
    );
  });

  it('types values as it is told', async () => {
    interface User {
      name: string;
    }
    const users: KeyValueStore<User> = store.namespace<User>('users');
    await users.set('ann', { name: 'Ann' });
    const ann: User | undefined = await users.get('ann');
    const { value }: { value: User; version: bigint } = await users.update('ann', (user) => ({
      name: `${user!.name}!`,
    }));
    // @ts-expect-error -- not a user
    await users.set('bob', { age: 5 });
    // @ts-expect-error -- may be undefined
    const perhaps: { value: User } = await users.update('ann', () => undefined);
    for (const entry of (await users.list()).entries) expect(typeof entry.value).toBe('object');
    expect([ann, value, perhaps.value]).toEqual([{ name: 'Ann' }, { name: 'Ann!' }, { name: 'Ann!' }]);
    expect(await store.get<User>('users:ann')).toEqual({ name: 'Ann!' });
  });
});

function gate(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((r) => (resolve = r));
  return { promise, resolve };
}
