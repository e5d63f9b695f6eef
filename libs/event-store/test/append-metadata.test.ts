import { runInNewContext } from 'node:vm';
import { messageContext } from '../src/append/message-context.js';
import { typedCodec } from '../src/codec/typed-codec.js';
import type { AppendRequest } from '../src/event-store.backend.js';
import type { AppendToStreamOptions } from '../src/event-store.types.js';
import type { Event } from '../src/event.types.js';
import { good, prepare, problemOf, withData, withMetadata } from './support/prepare.js';

class Money {
  amount = 1;
}

describe('The metadata of an append', () => {
  it.each<[string, unknown]>([
    ['a text', 'by ann'],
    ['null', null],
    ['a number', 1],
    ['an array', [{ by: 'ann' }]],
    ['a Date', new Date()],
    ['a Map', new Map([['by', 'ann']])],
    ['an instance of a class', new Money()],
  ])('refuses %s as metadata', (_name, metadata) => {
    const refused = { path: 'events[1].metadata', problem: 'must be a plain object.' };
    expect(problemOf(withMetadata(metadata))).toEqual(refused);
    expect(problemOf(withMetadata(metadata), {}, { codec: typedCodec })).toEqual(refused);
  });

  it('refuses a symbol as a name in metadata', () => {
    expect(problemOf(withMetadata({ [Symbol('s')]: 1 }))).toEqual({
      path: 'events[1].metadata',
      problem: expect.stringMatching(/symbol/),
    });
  });

  it('takes metadata of another realm, or without a prototype', () => {
    const foreign: unknown = runInNewContext('({ by: "ann" })');
    const bare: unknown = Object.assign(Object.create(null), { by: 'ann' });
    for (const metadata of [foreign, bare]) {
      expect(prepare(withMetadata(metadata)).messages[1]!.metadata).toEqual({ by: 'ann' });
    }
  });

  it('keeps a __proto__ of metadata a property like any other', () => {
    const { messages, encoded } = prepare(withMetadata(JSON.parse('{"__proto__":{"admin":true}}')));
    expect(encoded).toContain('"__proto__":{"admin":true}');
    expect(Object.getPrototypeOf(messages[1]!.metadata)).toBe(Object.prototype);
  });

  it('leaves out of metadata what the store itself knows of an event that was read', () => {
    const metadata = {
      messageId: 'm-1',
      streamName: 'cart-9',
      streamPosition: 7n,
      globalPosition: 70n,
      createdAt: new Date(),
      partition: 'emt:default',
      by: 'ann',
    };
    const before = structuredClone(metadata);
    const [message] = prepare([{ ...good, kind: 'Event', metadata }]).messages;
    expect(message).toEqual({ ...good, metadata: { by: 'ann' }, messageId: 'm-1', hasOwnId: true });
    expect(metadata).toEqual(before);
  });

  it('takes ids of the caller, the event before its metadata', () => {
    const { messages } = prepare([{ ...good, messageId: 'mine', metadata: { messageId: 'other' } }, good]);
    expect(messages[0]).toMatchObject({ messageId: 'mine', hasOwnId: true, metadata: {} });
    expect(messages[1]!.hasOwnId).toBe(false);
  });

  it('sets what belongs together: by the event, else by the options, else by the message that is handled', () => {
    const events = [{ ...good, metadata: { correlationId: 'event' } }, good];
    const options = { correlationId: 'options', causationId: 'cause' };
    const metadataOf = (given: AppendToStreamOptions): unknown =>
      prepare(events, given).messages.map(({ metadata }) => metadata);
    expect(metadataOf(options)).toEqual([
      { correlationId: 'event', causationId: 'cause' },
      { correlationId: 'options', causationId: 'cause' },
    ]);
    expect(metadataOf({})).toEqual([{ correlationId: 'event' }, {}]);
    messageContext.run({ correlationId: 'handled', causationId: 'message' }, () => {
      expect(metadataOf({ correlationId: 'options' })).toEqual([
        { correlationId: 'event', causationId: 'message' },
        { correlationId: 'options', causationId: 'message' },
      ]);
      expect(metadataOf({})).toEqual([
        { correlationId: 'event', causationId: 'message' },
        { correlationId: 'handled', causationId: 'message' },
      ]);
    });
  });

  it('with a codec takes what the codec takes, and names the path of the rest', () => {
    const codec = typedCodec;
    const { messages } = prepare(
      [{ type: 'A', data: { at: new Date(0), n: 1n }, metadata: { at: new Date(0) } }],
      {},
      {
        codec,
      },
    );
    expect(messages[0]).toMatchObject({
      data: { at: '1970-01-01T00:00:00.000Z', n: '1', $types: {} },
      metadata: { at: '1970-01-01T00:00:00.000Z', $types: {} },
    });
    expect(problemOf(withData({ a: [() => 1] }), {}, { codec }).path).toBe('events[1].data.a[0]');
    expect(problemOf(withMetadata({ a: [Symbol('s')] }), {}, { codec }).path).toBe('events[1].metadata.a[0]');
  });

  it('stores events as a downcast makes them; what it leaves out stays', () => {
    const event = { ...good, messageId: 'm', metadata: { by: 'ann' } };
    const downcasting = (downcast: (given: Event) => Event): AppendRequest =>
      prepare([event], { schema: { versioning: { downcast } } });
    expect(downcasting(() => ({ type: 'Old', data: 1 })).messages).toEqual([
      { type: 'Old', data: 1, metadata: { by: 'ann' }, messageId: 'm', hasOwnId: true },
    ]);
    expect(downcasting((given) => ({ ...given, metadata: { v: 1 } })).messages[0]!.metadata).toEqual({
      by: 'ann',
      v: 1,
    });
    expect(() => downcasting(() => ({ type: 'Old', data: 1n }))).toThrow('events[0].data');
  });
});
