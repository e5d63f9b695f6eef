/// <reference types="jest" />
import { KeyValueStore, KvOperationError, type KvAdapter } from '@nestbox/kv';
import { collect, failureOf, type KvSuite } from './subject.js';

/** One call of each method of the port. */
const CALLS: [string, (adapter: KvAdapter) => Promise<unknown>][] = [
  ['init', (adapter) => adapter.init()],
  ['ping', (adapter) => adapter.ping()],
  ['get', (adapter) => adapter.get('test')],
  ['set', (adapter) => adapter.set('test', 1)],
  ['delete', (adapter) => adapter.delete('test')],
  ['all', (adapter) => adapter.all()],
  ['getEntry', (adapter) => adapter.getEntry('test')],
  ['getEntries', (adapter) => adapter.getEntries(['test'])],
  ['setMany', (adapter) => adapter.setMany([{ key: 'test', value: 1 }])],
  ['deleteMany', (adapter) => adapter.deleteMany(['test'])],
  ['increment', (adapter) => adapter.increment('test', 1n)],
  ['commit', (adapter) => adapter.commit([{ type: 'set', key: 'test', value: 1 }])],
  ['list', (adapter) => adapter.list({ limit: 1 })],
  ['clear', (adapter) => adapter.clear('')],
  ['stats', (adapter) => adapter.stats('')],
  ['history', (adapter) => adapter.history('test', 1)],
  ['getVersion', (adapter) => adapter.getVersion('test', 1n)],
  ['revision', (adapter) => adapter.revision()],
  ['openFeed', (adapter) => adapter.openFeed({ prefix: '' })],
  ['lease', (adapter) => adapter.lease('test', { ttl: '1s' })],
];

export function lifecycle(suite: KvSuite): void {
  describe('opening and closing', () => {
    it('opens by itself, and any number of times', async () => {
      await suite.own(async ({ adapter }) => {
        await Promise.all([adapter.set('a', 1), adapter.get('a'), adapter.init(), adapter.init()]);
        await adapter.init();
        expect(await adapter.get('a')).toBe(1);
        expect(adapter.backend).toMatch(/\w/);
        const ms = await adapter.ping();
        expect(ms).toBeGreaterThanOrEqual(0);
        expect(ms).toBeLessThan(10_000);
        const store = new KeyValueStore({ adapter });
        await store.init();
        expect(await store.ping()).toBeGreaterThanOrEqual(0);
        expect(store.getAdapter()).toBe(adapter);
      });
    });

    it('refuses every call once it is closed', async () => {
      await suite.own(async ({ adapter }) => {
        await adapter.set('test', 1);
        await adapter.close();
        await adapter.close();
        for (const [method, call] of CALLS) {
          const error = await failureOf(call(adapter));
          expect({ method, code: (error as { code?: string }).code }).toEqual({ method, code: 'CLOSED' });
        }
        const store = new KeyValueStore({ adapter });
        await expect(store.set('a', 1)).rejects.toMatchObject({ code: 'CLOSED' });
        await expect(collect(store.entries())).rejects.toMatchObject({ code: 'CLOSED' });
        await store.close();
      });
    });

    it('can be closed without having been opened', async () => {
      await suite.own(async ({ adapter }) => {
        await adapter.close();
        await expect(adapter.get('a')).rejects.toMatchObject({ code: 'CLOSED' });
        await adapter.close();
      });
    });

    it('ends what waits when it is closed', async () => {
      await suite.own(async ({ adapter }) => {
        await adapter.lease('a', { ttl: '30s' });
        const lease = failureOf(adapter.lease('a', { ttl: '30s', wait: '30s' }));
        const feed = await adapter.openFeed({ prefix: '' });
        const read = failureOf(feed.read());
        const closedFeed = await adapter.openFeed({ prefix: '' });
        const closedRead = failureOf(closedFeed.read());
        await closedFeed.close();
        await closedFeed.close();
        expect(await closedRead).toMatchObject({ code: 'CLOSED' });
        await adapter.close();
        expect(await lease).toMatchObject({ code: 'CLOSED' });
        expect(await read).toMatchObject({ code: 'CLOSED' });
        await expect(feed.read()).rejects.toMatchObject({ code: 'CLOSED' });
        await feed.close();
      });
    });

    it('lets the calls under way end when it is closed', async () => {
      await suite.own(async ({ adapter }) => {
        await adapter.init();
        const writes = Array.from({ length: 100 }, (_, i) => adapter.set(`key ${i}`, i));
        const closing = adapter.close();
        for (const result of await Promise.allSettled(writes)) {
          if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'CLOSED' });
        }
        await closing;
      });
    });

    it('names the operation and the key when the backend fails', async () => {
      await suite.own(async ({ adapter, ruin }) => {
        if (ruin === undefined) return;
        await adapter.set('test', 1);
        await ruin();
        const error = await failureOf(adapter.set('test', 2));
        expect(error).toBeInstanceOf(KvOperationError);
        expect(error).toMatchObject({
          code: 'KV_OPERATION_FAILED',
          key: 'test',
          operation: 'set key "test"',
        });
        expect((error as Error).message).toMatch(/^Failed to set key "test": .+/);
        // By shape: an error of Node's own is no instance of the `Error` that a test has.
        expect((error as Error).cause).toMatchObject({ message: expect.any(String) });
        await expect(adapter.get('test')).rejects.toThrow(/^Failed to get key "test": .+/);
        await expect(adapter.delete('test')).rejects.toThrow(/^Failed to delete key "test": .+/);
        await expect(adapter.increment('test', 1n)).rejects.toThrow(/^Failed to increment key "test": .+/);
        await expect(adapter.list({ limit: 1 })).rejects.toThrow(/^Failed to /);
      });
    });
  });
}
