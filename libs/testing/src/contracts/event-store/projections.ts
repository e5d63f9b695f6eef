/// <reference types="jest" />
import {
  ProjectionFailedError,
  documentProjection,
  multiStreamProjection,
  singleStreamProjection,
  typedCodec,
  type EventStore,
  type Projection,
  type ReadEvent,
} from '@nestbox/event-store';
import {
  added,
  addedUpTo,
  failureOf,
  numbers,
  removed,
  unique,
  valuesIn,
  withId,
  type Added,
  type Change,
  type EventStoreSuite,
} from './subject.js';

export interface Sum {
  sum: number;
  items: number[];
}

/** The document after an event: nothing is left of it when the sum is 0 again. */
export function evolve(document: Sum | null, { type, data }: ReadEvent<Change>): Sum | null {
  const before = document ?? { sum: 0, items: [] };
  const sum = before.sum + (type === 'Added' ? data.n : -data.n);
  return sum === 0 ? null : { sum, items: [...before.items, data.n] };
}

/** One document for each stream, of the sum of its numbers. */
function sums(): { projection: Projection; name: string } {
  const name = unique('sums');
  return { name, projection: singleStreamProjection<Sum, Change>({ collectionName: name, evolve }) };
}

const boom = new Error('does not project');

/** Fails for the number 13. */
function unlucky(name = unique('unlucky')): Projection<Added> {
  return multiStreamProjection<Sum, Added>({
    collectionName: name,
    getDocumentId: () => 'all',
    evolve: (document, event) => {
      if (event.data.n === 13) throw boom;
      return evolve(document, event);
    },
  });
}

export function projections(suite: EventStoreSuite): void {
  describe('inline projections', () => {
    it('have their documents there as soon as the append is', async () => {
      const { name, projection } = sums();
      const { store } = await suite.scene({ projections: [{ type: 'inline', projection }] });
      const [a, b] = [unique('cart'), unique('cart')];
      const documents = store.collection<Sum>(name);
      await store.appendToStream(a, [added(1), added(2)]);
      expect(await documents.get(a)).toEqual({ _id: a, sum: 3, items: [1, 2] });
      await store.appendToStream(b, [added(10)]);
      await store.appendToStream(a, [removed(2), added(7)]);
      expect(await documents.get(a)).toEqual({ _id: a, sum: 8, items: [1, 2, 2, 7] });
      expect(await documents.getMany([b, 'none', a])).toMatchObject([{ sum: 10 }, undefined, { sum: 8 }]);
      expect((await documents.get(a))!._version).toBe(2n);
      expect(await documents.count()).toBe(2);
    });

    it('delete a document by null, and may make it anew', async () => {
      const { name, projection } = sums();
      const { store } = await suite.scene({ projections: [projection] });
      const stream = unique('cart');
      const documents = store.collection<Sum>(name);
      await store.appendToStream(stream, [added(5)]);
      await store.appendToStream(stream, [removed(5)]);
      expect(await documents.get(stream)).toBeUndefined();
      expect(await documents.find()).toEqual([]);
      await store.appendToStream(stream, [added(6)]);
      expect(await documents.get(stream)).toEqual({ _id: stream, sum: 6, items: [6] });
      await store.appendToStream(stream, [removed(6), added(1), removed(1)]);
      expect(await documents.count()).toBe(0);
      await store.appendToStream(unique('cart'), [added(1), removed(1)]);
      expect(await documents.count()).toBe(0);
    });

    it('begin a document with the initial state, and get the types that they name', async () => {
      const name = unique('sums');
      const projection = singleStreamProjection<Sum, Added>({
        collectionName: name,
        canHandle: ['Added'],
        initialState: () => ({ sum: 100, items: [] }),
        getDocumentId: ({ metadata }) => `document of ${metadata.streamName}`,
        evolve,
      });
      const { store } = await suite.scene({ projections: [projection] });
      const stream = unique('cart');
      await store.appendToStream(stream, [removed(5)]);
      expect(await store.collection(name).count()).toBe(0);
      await store.appendToStream(stream, [removed(5), added(1), { type: 'Other', data: null }]);
      expect(await store.collection(name).find()).toEqual([
        { _id: `document of ${stream}`, sum: 101, items: [1] },
      ]);
    });

    it('may change several documents by one event, or none', async () => {
      const name = unique('sums');
      const projection = multiStreamProjection<Sum, Change>({
        collectionName: name,
        getDocumentIds: ({ type, data }) => (type === 'Removed' ? [] : ['all', `number ${data.n}`, 'all']),
        evolve,
      });
      const { store } = await suite.scene({ projections: [projection] });
      await store.appendToStream(unique('cart'), [added(1), added(2), removed(3)]);
      await store.appendToStream(unique('cart'), [removed(1), added(2)]);
      expect(await store.collection<Sum>(name).find()).toEqual([
        { _id: 'all', sum: 5, items: [1, 2, 2] },
        { _id: 'number 1', sum: 1, items: [1] },
        { _id: 'number 2', sum: 4, items: [2, 2] },
      ]);
    });

    it('skip an event by null for its document', async () => {
      const name = unique('sums');
      const projection = multiStreamProjection<Sum, Change>({
        collectionName: name,
        getDocumentId: ({ data }) => (data.n < 0 ? null : data.n % 2 === 0 ? 'even' : 'odd'),
        evolve,
      });
      const { store } = await suite.scene({ projections: [projection] });
      await store.appendToStream(unique('cart'), [-1, 1, 2, 3].map(added));
      expect(await store.collection<Sum>(name).find()).toMatchObject([{ items: [2] }, { items: [1, 3] }]);
    });

    it('write what they like by a handler', async () => {
      const [totals, names] = [unique('totals'), unique('names')];
      const projection = documentProjection<Change>({
        name: unique('handler'),
        collections: [totals, { name: names, indexes: ['count'] }],
        handle: async (events, context) => {
          const count = await context.collection<{ count: number }>(totals).update('all', (document) => ({
            count: (document?.count ?? 0) + events.length,
          }));
          for (const { metadata } of events) {
            await context
              .collection(names)
              .set(metadata.streamName, { ...count, partition: context.partition });
          }
        },
      });
      const { store } = await suite.scene({ projections: [projection] });
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(2));
      await store.appendToStream(stream, addedUpTo(3));
      expect(await store.collection(totals).get('all')).toEqual({ _id: 'all', count: 5 });
      expect(await store.collection<{ count: number }>(names).find({ count: 5 })).toEqual([
        { _id: stream, count: 5, partition: 'emt:default' },
      ]);
    });

    it('that fail leave neither event nor document, and the cause in the error', async () => {
      const { name, projection } = sums();
      const unlucky13 = unlucky();
      const { store, partition } = await suite.tenant({ projections: [projection, unlucky13] });
      const [there, fresh] = [unique('cart'), unique('cart')];
      await store.appendToStream(there, [added(1)], { partition });
      for (const stream of [there, fresh]) {
        const error = await failureOf(store.appendToStream(stream, [added(2), added(13)], { partition }));
        expect(error).toBeInstanceOf(ProjectionFailedError);
        expect(error).toMatchObject({ code: 'PROJECTION_FAILED', projection: unlucky13.name, cause: boom });
        expect((error as Error).message).toContain('does not project');
      }
      expect(await valuesIn(store, there, partition)).toEqual([1]);
      expect(await store.streamExists(fresh, { partition })).toBe(false);
      expect((await store.readAll({ partition })).events).toHaveLength(1);
      const documents = store.collection<Sum>(name, { partition });
      expect(await documents.find()).toEqual([{ _id: there, sum: 1, items: [1] }]);
      expect(await store.appendToStream(there, [added(3)], { partition })).toMatchObject({
        nextExpectedStreamVersion: 2n,
      });
    });

    it('that fail for one of many appends at once let the others through', async () => {
      const name = unique('unlucky');
      const { store } = await suite.scene({ projections: [unlucky(name)] });
      const streams = numbers(30).map(() => unique('cart'));
      const results = await Promise.allSettled(
        streams.map((stream, i) => store.appendToStream(stream, [added(i + 1)])),
      );
      expect(results.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []))).toEqual([12]);
      expect(results[12]).toMatchObject({ reason: { code: 'PROJECTION_FAILED', cause: boom } });
      expect(await store.streamExists(streams[12]!)).toBe(false);
      const document = await store.collection<Sum>(name).get('all');
      expect(document!.items.toSorted((a, b) => a - b)).toEqual(
        numbers(30)
          .map((i) => i + 1)
          .filter((n) => n !== 13),
      );
    });

    it.each<[string, unknown]>([
      ['undefined', undefined],
      ['an array', []],
      ['a text', 'document'],
      ['what JSON cannot hold', { at: new Date(0) }],
    ])('that make %s of a document fail', async (_, document) => {
      const projection = singleStreamProjection<Sum, Change>({
        collectionName: unique('bad'),
        evolve: () => document as Sum,
      });
      const { store } = await suite.scene({ projections: [projection] });
      const stream = unique('cart');
      await expect(store.appendToStream(stream, [added(1)])).rejects.toMatchObject({
        code: 'PROJECTION_FAILED',
        cause: { code: 'INVALID_ARGUMENT' },
      });
      expect(await store.streamExists(stream)).toBe(false);
    });

    it('do not see again what is appended again', async () => {
      const { name, projection } = sums();
      const { store } = await suite.scene({ projections: [projection] });
      const stream = unique('cart');
      const event = withId('one', added(1));
      await store.appendToStream(stream, [event]);
      await store.appendToStream(stream, [event]);
      await expect(
        store.appendToStream(stream, [added(2)], { expectedStreamVersion: 7n }),
      ).rejects.toMatchObject({ code: 'EXPECTED_VERSION_CONFLICT' });
      expect(await store.collection(name).get(stream)).toEqual({ _id: stream, sum: 1, items: [1] });
    });

    it('go with the session, and are read inside of it', async () => {
      const { name, projection } = sums();
      const { store } = await suite.scene({ projections: [projection] });
      const [a, b] = [unique('cart'), unique('cart')];
      const documents = store.collection<Sum>(name);
      const session = store.withSession(async ({ eventStore }) => {
        await eventStore.appendToStream(a, [added(1)]);
        await eventStore.appendToStream(b, [added(2)]);
        await eventStore.appendToStream(a, [added(3)]);
        expect(await documents.get(a)).toMatchObject({ items: [1, 3] });
        throw boom;
      });
      expect(await failureOf(session)).toBe(boom);
      expect(await documents.count()).toBe(0);
      await store.withSession(async ({ eventStore }) => {
        await eventStore.appendToStream(a, [added(1)]);
        await eventStore.appendToStream(b, [added(2)]);
      });
      expect(await documents.count()).toBe(2);
    });

    it('keep the documents of partitions apart', async () => {
      const name = unique('sums');
      const projection = multiStreamProjection<Sum, Change>({
        collectionName: name,
        getDocumentId: () => 'all',
        evolve,
      });
      const { store, partition } = await suite.tenant({ projections: [projection] });
      const stream = unique('cart');
      await Promise.all([
        store.appendToStream(stream, [added(1)]),
        store.appendToStream(stream, [added(2)], { partition }),
      ]);
      await store.appendToStream(stream, [added(4)], { partition });
      const documents = store.collection<Sum>(name);
      expect(await documents.find()).toEqual([{ _id: 'all', sum: 1, items: [1] }]);
      expect(await documents.in(partition).find()).toEqual([{ _id: 'all', sum: 6, items: [2, 4] }]);
      expect(await store.collection(name, { partition }).get('all')).toMatchObject({ sum: 6 });
      await store.partitions.drop(partition);
      expect(await documents.count()).toBe(1);
      await store.partitions.create(partition);
      expect(await documents.in(partition).count()).toBe(0);
      await store.appendToStream(stream, [added(8)], { partition });
      expect(await documents.in(partition).get('all')).toMatchObject({ sum: 8 });
    });

    it('get events as they look today, by the type that they have today', async () => {
      const name = unique('sums');
      const renamed = (event: ReadEvent): ReadEvent =>
        event.type === 'OldAdded' ? { ...event, type: 'Added', data: { n: event.data as number } } : event;
      const projection = singleStreamProjection<Sum, Added>({
        collectionName: name,
        canHandle: ['Added'],
        evolve,
      });
      for (const settings of [
        { projections: [projection], upcast: renamed },
        { projections: [{ ...projection, upcast: renamed }] },
      ]) {
        const { store } = await suite.scene(settings);
        const stream = unique('cart');
        await store.appendToStream(stream, [{ type: 'OldAdded', data: 4 }]);
        expect(await store.collection(name).get(stream)).toMatchObject({ sum: 4 });
      }
    });

    it('keep what the codec can keep', async () => {
      const name = unique('times');
      const projection = singleStreamProjection<{ at: Date; total: bigint }, Change>({
        collectionName: name,
        evolve: (document, { data }) => ({
          at: new Date((document?.at.getTime() ?? 0) + data.n),
          total: (document?.total ?? 2n ** 64n) + 1n,
        }),
      });
      const { store } = await suite.scene({ projections: [projection], codec: typedCodec });
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(2));
      await store.appendToStream(stream, [added(4)]);
      expect(await store.collection(name).get(stream)).toEqual({
        _id: stream,
        at: new Date(7),
        total: 2n ** 64n + 3n,
      });
    });

    it('may be added later, and are refused when two of them meet', async () => {
      const { name, projection } = sums();
      const { store } = await suite.scene();
      await store.init();
      store.registerProjections([projection]);
      const stream = unique('cart');
      await store.appendToStream(stream, [added(1)]);
      expect(await store.collection(name).count()).toBe(1);
      const register = (name2: string, collectionName: string) => () =>
        store.registerProjections([
          singleStreamProjection<Sum, Change>({ name: name2, collectionName, evolve }),
        ]);
      const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error;
      expect(register(name, unique('sums'))).toThrow(refused);
      expect(register(unique('sums'), name)).toThrow(refused);
    });

    it('that nobody has made have no documents to read', async () => {
      const { store }: { store: EventStore } = await suite.scene();
      await expect(store.collection(unique('none')).get('a')).rejects.toMatchObject({
        code: 'NOT_FOUND',
        what: 'collection',
      });
    });
  });
}
