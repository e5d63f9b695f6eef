/// <reference types="jest" />
import { compareUtf8 } from '@nestbox/core';
import type { EventStore, ListStreamsOptions } from '@nestbox/event-store';
import { added, addedUpTo, type EventStoreSuite } from './subject.js';

/** The names of all pages. */
async function namesOf(store: EventStore, options: ListStreamsOptions): Promise<string[]> {
  const names: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.listStreams({ ...options, ...(cursor !== undefined && { cursor }) });
    names.push(...page.streams.map(({ streamName }) => streamName));
    ({ cursor } = page);
  } while (cursor !== undefined);
  return names;
}

export function listing(suite: EventStoreSuite): void {
  describe('listing streams', () => {
    it('gives their names, categories, versions and states', async () => {
      const { store, partition } = await suite.tenant();
      await store.appendToStream('cart-1', addedUpTo(2), { partition });
      await store.appendToStream('cart-2', [added(1)], { partition });
      await store.archiveStream('cart-2', { partition });
      await store.appendToStream('order-1', [added(1)], { partition });
      await store.deleteStream('order-1', { partition });
      const { streams, cursor } = await store.listStreams({ partition });
      expect(cursor).toBeUndefined();
      expect(streams).toEqual([
        { streamName: 'cart-1', category: 'cart', version: 2n, state: 'open' },
        { streamName: 'cart-2', category: 'cart', version: 1n, state: 'archived' },
        { streamName: 'order-1', category: 'order', version: 2n, state: 'deleted' },
      ]);
    });

    it('sorts names by their bytes, whatever the language of the server', async () => {
      const { store, partition } = await suite.tenant();
      const names = ['b', 'B', 'a', 'ä', 'a b', 'a-b', '🦊', 'ﬀ', '_', '10', '9', '%'];
      for (const name of names) await store.appendToStream(name, [added(1)], { partition });
      const sorted = names.toSorted(compareUtf8);
      for (const limit of [1, 2, 5, 12, 100])
        expect(await namesOf(store, { partition, limit })).toEqual(sorted);
    });

    it('goes by category and prefix', async () => {
      const { store, partition } = await suite.tenant();
      for (const name of ['cart-1', 'cart-2', 'cart-21', 'carton-2', 'order-2', 'ca%t-1', 'cart_1']) {
        await store.appendToStream(name, [added(1)], { partition });
      }
      const names = (options: ListStreamsOptions) => namesOf(store, { partition, limit: 2, ...options });
      expect(await names({ category: 'cart' })).toEqual(['cart-1', 'cart-2', 'cart-21']);
      expect(await names({ prefix: 'cart-2' })).toEqual(['cart-2', 'cart-21']);
      expect(await names({ prefix: 'cart-2', category: 'cart' })).toEqual(['cart-2', 'cart-21']);
      expect(await names({ prefix: 'cart' })).toEqual(['cart-1', 'cart-2', 'cart-21', 'cart_1', 'carton-2']);
      expect(await names({ prefix: 'ca%' })).toEqual(['ca%t-1']);
      expect(await names({ prefix: 'cart_' })).toEqual(['cart_1']);
      expect(await names({ category: 'car' })).toEqual([]);
      expect(await names({ prefix: 'x' })).toEqual([]);
      expect(await names({ prefix: '' })).toHaveLength(7);
    });

    it('gives no stream to which nothing was ever appended', async () => {
      const { store, partition } = await suite.tenant();
      await store.appendToStream('a', [], { partition });
      await expect(
        store.appendToStream('b', [added(1)], { partition, expectedStreamVersion: 3n }),
      ).rejects.toMatchObject({ code: 'EXPECTED_VERSION_CONFLICT' });
      await store.archiveStream('c', { partition });
      expect(await store.listStreams({ partition })).toEqual({ streams: [] });
    });

    it.each<[string, object]>([
      ['limit', { limit: 0 }],
      ['category', { category: '' }],
      ['prefix', { prefix: 5 }],
      ['prefix', { prefix: 'a\0' }],
      ['cursor', { cursor: '' }],
      ['cursor', { cursor: 'not one?' }],
    ])('refuses a bad %s: %p', async (path, options) => {
      const { store } = await suite.scene();
      await expect(store.listStreams(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', path });
    });
  });
}
