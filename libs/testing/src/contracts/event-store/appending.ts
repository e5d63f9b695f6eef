/// <reference types="jest" />
import { typedCodec, type Event } from '@nestbox/event-store';
import {
  added,
  addedUpTo,
  failureOf,
  positionsOf,
  removed,
  unique,
  valuesIn,
  type EventStoreSuite,
} from './subject.js';

/** What JSON holds, and databases are known to change. */
const VALUES: unknown[] = [
  null,
  true,
  0,
  -1.5,
  5e-324,
  1.7976931348623157e308,
  Number.MAX_SAFE_INTEGER,
  '',
  `"quotes', \\backslashes\\, $1 and {braces}`,
  'new\nline \u2028 \u001f',
  '🦊 ünï',
  [],
  {},
  [[[null]], { a: [] }],
  { '': 1, __proto__x: 2, 'a.b': { $c: [1, '2'] } },
];

/** What it does not hold, with the path at which that is said. */
const REFUSED: [string, unknown, string][] = [
  ['a date', { at: new Date(0) }, 'events[1].data.at'],
  ['a bigint', [1n], 'events[1].data[0]'],
  ['NaN', { price: NaN }, 'events[1].data.price'],
  ['undefined in an array', [undefined], 'events[1].data[0]'],
  ['a map', { of: new Map() }, 'events[1].data.of'],
  ['a function', { f: () => 1 }, 'events[1].data.f'],
  ['NUL in a text', { text: 'a\0b' }, 'events[1].data.text'],
  ['half a character', { text: '\ud83e' }, 'events[1].data.text'],
];

export function appending(suite: EventStoreSuite): void {
  describe('appending', () => {
    it('numbers the events of a stream from 1, and says where it ended', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const first = await store.appendToStream(stream, [added(1)]);
      expect(first).toEqual({
        nextExpectedStreamVersion: 1n,
        createdNewStream: true,
        lastEventGlobalPosition: expect.any(BigInt) as bigint,
      });
      const second = await store.appendToStream(stream, [added(2), removed(3)]);
      expect(second).toMatchObject({ nextExpectedStreamVersion: 3n, createdNewStream: false });
      expect(second.lastEventGlobalPosition).toBeGreaterThan(first.lastEventGlobalPosition);
      const { events } = await store.readStream(stream);
      expect(events.map(({ metadata }) => metadata.streamPosition)).toEqual([1n, 2n, 3n]);
      expect(positionsOf(events)[0]).toBe(first.lastEventGlobalPosition);
      expect(positionsOf(events)[2]).toBe(second.lastEventGlobalPosition);
      expect(positionsOf(events)[1]).toBeLessThan(second.lastEventGlobalPosition);
    });

    it('says that the stream is new when it begins with several events', async () => {
      const { store } = await suite.scene();
      expect(await store.appendToStream(unique('cart'), addedUpTo(3))).toMatchObject({
        nextExpectedStreamVersion: 3n,
        createdNewStream: true,
      });
    });

    it('gives each event what the store knows of it, beside its own metadata', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const before = Date.now();
      await store.appendToStream(stream, [{ ...added(1), metadata: { user: 'ann', tags: ['a'] } }, added(2)]);
      const { events } = await store.readStream(stream);
      expect(events[0]).toEqual({
        type: 'Added',
        kind: 'Event',
        data: { n: 1 },
        metadata: {
          user: 'ann',
          tags: ['a'],
          messageId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
          streamName: stream,
          streamPosition: 1n,
          globalPosition: expect.any(BigInt) as bigint,
          createdAt: expect.any(Date) as Date,
          partition: 'emt:default',
        },
      });
      expect(Object.keys(events[1]!.metadata)).toHaveLength(6);
      expect(events[0]!.metadata.messageId).not.toBe(events[1]!.metadata.messageId);
      const at = events[0]!.metadata.createdAt.getTime();
      expect(Math.abs(at - before)).toBeLessThan(60_000);
    });

    it('keeps correlation and causation, of all events or of one', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(
        stream,
        [added(1), { ...added(2), metadata: { correlationId: 'own', causationId: 'its own' } }],
        { correlationId: 'request 7', causationId: 'command 8' },
      );
      await store.appendToStream(stream, [added(3)]);
      const { events } = await store.readStream(stream);
      expect(events.map(({ metadata }) => [metadata.correlationId, metadata.causationId])).toEqual([
        ['request 7', 'command 8'],
        ['own', 'its own'],
        [undefined, undefined],
      ]);
    });

    it('does not keep as metadata what the store knew of an event that was read elsewhere', async () => {
      const { store } = await suite.scene();
      const [source, target] = [unique('cart'), unique('cart')];
      await store.appendToStream(source, [{ ...added(1), metadata: { user: 'ann' } }, added(2)]);
      const { events } = await store.readStream(source);
      await store.appendToStream(target, events);
      const copies = (await store.readStream(target)).events;
      expect(copies.map(({ metadata }) => metadata.streamName)).toEqual([target, target]);
      expect(copies[0]!.metadata).toMatchObject({ user: 'ann', messageId: events[0]!.metadata.messageId });
      expect(copies[0]!.metadata.globalPosition).toBeGreaterThan(events[1]!.metadata.globalPosition);
    });

    it('changes nothing when there is nothing to append, and tells the version', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const nothing = { createdNewStream: false, lastEventGlobalPosition: 0n, nextExpectedStreamVersion: 0n };
      expect(await store.appendToStream(stream, [])).toEqual(nothing);
      expect(await store.streamExists(stream)).toBe(false);
      const { lastEventGlobalPosition } = await store.appendToStream(stream, addedUpTo(2));
      const same = { createdNewStream: false, lastEventGlobalPosition, nextExpectedStreamVersion: 2n };
      expect(await store.appendToStream(stream, [])).toEqual(same);
      expect(await store.appendToStream(stream, [], { expectedStreamVersion: 2n })).toEqual(same);
      expect(await store.appendToStream(stream, [], { expectedStreamVersion: 'STREAM_EXISTS' })).toEqual(
        same,
      );
      expect(await valuesIn(store, stream)).toEqual([1, 2]);
    });

    it('checks the expectation when there is nothing to append, too', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const conflict = { code: 'EXPECTED_VERSION_CONFLICT', streamName: stream };
      const nothing = (expectedStreamVersion: bigint | 'STREAM_EXISTS' | 'STREAM_DOES_NOT_EXIST') =>
        store.appendToStream(stream, [], { expectedStreamVersion });
      await expect(nothing('STREAM_EXISTS')).rejects.toMatchObject({ ...conflict, current: 0n });
      await expect(nothing(1n)).rejects.toMatchObject({ ...conflict, current: 0n, expected: 1n });
      await store.appendToStream(stream, addedUpTo(2));
      await expect(nothing(1n)).rejects.toMatchObject({ ...conflict, current: 2n, expected: 1n });
      await expect(nothing('STREAM_DOES_NOT_EXIST')).rejects.toMatchObject({ ...conflict, current: 2n });
    });

    it.each(VALUES.map((value) => [JSON.stringify(value), value]))(
      'gives back %s as it was',
      async (_, data) => {
        const { store } = await suite.scene();
        const stream = unique('values');
        await store.appendToStream(stream, [{ type: 'Kept', data, metadata: { own: data } }]);
        const { events } = await store.readStream<Event<string, unknown, { own: unknown }>>(stream);
        expect(events[0]!.data).toEqual(data);
        expect(events[0]!.metadata.own).toEqual(data);
      },
    );

    it.each(REFUSED)('refuses %s, and names the place', async (_, data, path) => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const appended = store.appendToStream(stream, [added(1), { type: 'Bad', data }]);
      await expect(appended).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', path });
      expect(await store.streamExists(stream)).toBe(false);
    });

    it('keeps dates and bigints with a codec', async () => {
      const { store } = await suite.scene({ codec: typedCodec });
      const stream = unique('cart');
      const data = { at: new Date(1234), total: 2n ** 70n, plain: [1, null] };
      await store.appendToStream(stream, [{ type: 'Paid', data, metadata: { at: new Date(0) } }]);
      const [event] = (await store.readStream<Event<'Paid', typeof data, { at: Date }>>(stream)).events;
      expect(event!.data).toEqual(data);
      expect(event!.metadata.at).toEqual(new Date(0));
      expect(event!.metadata.streamName).toBe(stream);
    });

    it('refuses events that are too large, and events that are none', async () => {
      const { store } = await suite.scene({ maxEventBytes: 2_000 });
      const stream = unique('cart');
      const append = (event: unknown) => store.appendToStream(stream, [event as Event]);
      const refused = { code: 'INVALID_ARGUMENT' };
      await expect(append({ type: 'Big', data: 'x'.repeat(2_000) })).rejects.toMatchObject(refused);
      await expect(append({ type: 'Big', data: '🦊'.repeat(600) })).rejects.toMatchObject(refused);
      await expect(append({ type: '', data: 1 })).rejects.toMatchObject(refused);
      await expect(append({ data: 1 })).rejects.toMatchObject(refused);
      await expect(append({ type: '$StreamDeleted', data: 1 })).rejects.toMatchObject(refused);
      await expect(append(null)).rejects.toMatchObject({ ...refused, path: 'events[0]' });
      await expect(append({ ...added(1), metadata: [1] })).rejects.toMatchObject(refused);
      await expect(store.appendToStream('', [added(1)])).rejects.toMatchObject(refused);
      await expect(store.appendToStream(stream, added(1) as never)).rejects.toMatchObject(refused);
      await append({ type: 'Large', data: 'x'.repeat(1_800) });
      expect((await store.readStream(stream)).currentStreamVersion).toBe(1n);
    });

    it('takes names of any characters', async () => {
      const { store } = await suite.scene();
      const names = ["it's; drop table--", 'a"b', '%_\\', 'ünï 🦊', '-', '{x},{y}', 'null', ' '].map(
        (name) => name + unique('x'),
      );
      await Promise.all(names.map((name, i) => store.appendToStream(name, [{ type: name, data: { n: i } }])));
      for (const [i, name] of names.entries()) {
        const { events } = await store.readStream(name);
        expect(events).toMatchObject([{ type: name, data: { n: i }, metadata: { streamName: name } }]);
      }
    });

    it('appends what many callers send at once, each to where it belongs', async () => {
      const { store } = await suite.scene();
      const streams = Array.from({ length: 40 }, () => unique('cart'));
      const results = await Promise.all(
        streams.flatMap((stream, i) => [
          store.appendToStream(stream, [added(i)]),
          store.appendToStream(stream, [added(i + 1), added(i + 2)]),
        ]),
      );
      for (const [i, stream] of streams.entries()) {
        expect((await valuesIn(store, stream)).toSorted((a, b) => a - b)).toEqual([i, i + 1, i + 2]);
        const own = results.slice(2 * i, 2 * i + 2);
        expect(own.filter(({ createdNewStream }) => createdNewStream)).toHaveLength(1);
        const { events } = await store.readStream(stream);
        for (const { nextExpectedStreamVersion: version, lastEventGlobalPosition: position } of own) {
          expect(events[Number(version) - 1]!.metadata.globalPosition).toBe(position);
        }
      }
    });

    it('fails alone when others are appended at the same time', async () => {
      const { store } = await suite.scene();
      const [missing, full] = [unique('nowhere'), unique('cart')];
      await store.appendToStream(full, [added(0)]);
      const good = Array.from({ length: 20 }, () => unique('cart'));
      const [bad, late, ...others] = await Promise.allSettled([
        store.appendToStream(unique('cart'), [added(1)], { partition: missing }),
        store.appendToStream(full, [added(1)], { expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' }),
        ...good.map((stream) => store.appendToStream(stream, [added(1)])),
      ]);
      expect(bad).toMatchObject({ reason: { code: 'PARTITION_NOT_FOUND', partition: missing } });
      expect(late).toMatchObject({ reason: { code: 'EXPECTED_VERSION_CONFLICT', current: 1n } });
      expect(others.filter(({ status }) => status === 'fulfilled')).toHaveLength(20);
      for (const stream of good) expect(await valuesIn(store, stream)).toEqual([1]);
    });

    it('turns events into how they are stored', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const downcast = ({ data }: Event<'New', { value: number }>) => added(data.value);
      await store.appendToStream(stream, [{ type: 'New', data: { value: 7 } } as const], {
        schema: { versioning: { downcast } },
      });
      expect((await store.readStream(stream)).events).toMatchObject([added(7)]);
    });

    it('says in its error which stream it was', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const error = await failureOf(store.appendToStream(stream, [added(1)], { expectedStreamVersion: 5n }));
      expect((error as Error).message).toContain(`"${stream}"`);
      expect((error as Error).message).toContain('version 5');
      expect((error as Error).message).toContain('version 0');
    });
  });
}
