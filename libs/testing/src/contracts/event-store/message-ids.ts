/// <reference types="jest" />
import { DuplicateMessageError, type EventStore } from '@nestbox/event-store';
import { added, failureOf, numbers, unique, valuesIn, withId, type EventStoreSuite } from './subject.js';

export function messageIds(suite: EventStoreSuite): void {
  describe('ids of messages', () => {
    it('are kept, from the event or from its metadata', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, [
        withId('one', added(1)),
        { ...added(2), metadata: { messageId: 'two', user: 'ann' } },
      ]);
      const { events } = await store.readStream(stream);
      expect(events.map(({ metadata }) => metadata.messageId)).toEqual(['one', 'two']);
      expect(events[1]!.metadata).toMatchObject({ user: 'ann' });
    });

    it('make an append that is repeated give the first result, and append nothing', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const events = [withId('one', added(1)), withId('two', added(2))];
      const first = await store.appendToStream(stream, events);
      await store.appendToStream(stream, [added(3)]);
      expect(await store.appendToStream(stream, events)).toEqual(first);
      expect(first).toMatchObject({ createdNewStream: true, nextExpectedStreamVersion: 2n });
      expect(await valuesIn(store, stream)).toEqual([1, 2, 3]);
    });

    it('give the first result even when the expectation no longer holds', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const append = (id: string, expectedStreamVersion: bigint | 'STREAM_DOES_NOT_EXIST') =>
        store.appendToStream(stream, [withId(id, added(1))], { expectedStreamVersion });
      const first = await append('one', 'STREAM_DOES_NOT_EXIST');
      const second = await append('two', 1n);
      expect(await append('one', 'STREAM_DOES_NOT_EXIST')).toEqual(first);
      expect(await append('two', 1n)).toEqual(second);
      await expect(append('three', 1n)).rejects.toMatchObject({
        code: 'EXPECTED_VERSION_CONFLICT',
        current: 2n,
      });
      expect((await store.readStream(stream)).currentStreamVersion).toBe(2n);
    });

    it('refuse an append of which some events are there and others are not', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, [withId('one', added(1)), withId('two', added(2))]);
      for (const others of [[added(3)], [withId('three', added(3))]]) {
        const error = await failureOf(store.appendToStream(stream, [...others, withId('two', added(2))]));
        expect(error).toBeInstanceOf(DuplicateMessageError);
        expect(error).toMatchObject({ code: 'DUPLICATE_MESSAGE', streamName: stream, messageId: 'two' });
      }
      expect(await valuesIn(store, stream)).toEqual([1, 2]);
    });

    it('take events of several appends for repeated when all of them are there', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, [withId('one', added(1))]);
      const { lastEventGlobalPosition } = await store.appendToStream(stream, [withId('two', added(2))]);
      const both = [withId('two', added(2)), withId('one', added(1))];
      expect(await store.appendToStream(stream, both)).toMatchObject({
        nextExpectedStreamVersion: 2n,
        lastEventGlobalPosition,
      });
      expect(await valuesIn(store, stream)).toEqual([1, 2]);
    });

    it('are those of one stream: others may have the same', async () => {
      const { store, partition } = await suite.tenant();
      const [a, b] = [unique('cart'), unique('cart')];
      const event = withId('one', added(1));
      await store.appendToStream(a, [event]);
      expect(await store.appendToStream(b, [event])).toMatchObject({ createdNewStream: true });
      expect(await store.appendToStream(a, [event], { partition })).toMatchObject({ createdNewStream: true });
      expect(await valuesIn(store, b)).toEqual([1]);
      expect(await valuesIn(store, a, partition)).toEqual([1]);
    });

    it('let concurrent repetitions through once', async () => {
      const { store, elsewhere } = await suite.scene();
      const stores = [store, await elsewhere()];
      const stream = unique('cart');
      const events = [withId('one', added(1)), withId('two', added(2))];
      const append = (its: EventStore) =>
        its.appendToStream(stream, events, { expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' });
      const results = await Promise.all(numbers(20).map((i) => append(stores[i % 2]!)));
      for (const result of results) expect(result).toEqual(results[0]);
      expect(await valuesIn(store, stream)).toEqual([1, 2]);
    });

    it('count in a session, too', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const event = withId('one', added(1));
      await store.withSession(async ({ eventStore }) => {
        const first = await eventStore.appendToStream(stream, [event]);
        expect(await eventStore.appendToStream(stream, [event])).toEqual(first);
      });
      expect(await valuesIn(store, stream)).toEqual([1]);
    });

    it('make a repeated append succeed that archiving came after', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const first = await store.appendToStream(stream, [withId('one', added(1))]);
      await store.archiveStream(stream);
      expect(await store.appendToStream(stream, [withId('one', added(1))])).toEqual(first);
    });

    it('are refused twice in one append, and when they are none', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const twice = [withId('one', added(1)), withId('one', added(2))];
      await expect(store.appendToStream(stream, twice)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        path: 'events[1].messageId',
      });
      for (const bad of ['', 5, 'a\0b']) {
        const event = { ...added(1), messageId: bad as string };
        await expect(store.appendToStream(stream, [event])).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
          path: 'events[0].messageId',
        });
      }
    });
  });
}
