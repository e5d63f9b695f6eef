import { InvalidArgumentError } from '@nestbox/core';
import fc from 'fast-check';
import type { AppendRequest } from '../src/event-store.backend.js';
import type { AppendToStreamOptions } from '../src/event-store.types.js';
import { good, prepare, problemOf, withData, withMetadata } from './support/prepare.js';

class Money {
  amount = 1;
}
const circle: Record<string, unknown> = {};
circle['self'] = [circle];

/** What JSON cannot hold, wherever it is. */
const notJson: [string, unknown, RegExp][] = [
  ['a Date', new Date(), /is a Date, .* toISOString\(\)/],
  ['a bigint', 1n, /is a bigint, .* as a string/],
  ['undefined', undefined, /is undefined, .* null/],
  ['NaN', Number.NaN, /NaN is not a JSON number/],
  ['Infinity', -Infinity, /-Infinity is not a JSON number/],
  ['a NUL character', 'a\0b', /NUL character/],
  ['a lone surrogate', 'a\ud800', /lone surrogate/],
  ['a function', () => 1, /is a function/],
  ['a symbol', Symbol('s'), /is a symbol/],
  ['a Map', new Map(), /instance of Map/],
  ['bytes', new Uint8Array(1), /instance of Uint8Array/],
  ['an instance of a class', new Money(), /instance of Money/],
];

/** JSON.stringify writes -0 as 0, which is equal to all but a test. */
function withoutMinusZero(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMinusZero);
  if (typeof value !== 'object' || value === null) return value === 0 ? 0 : value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutMinusZero(inner)]));
}

describe('An append', () => {
  it('is taken as it was given', () => {
    const data = { items: [{ sku: 'ä', price: 1.5 }, null, true, ''] };
    const request = prepare([{ type: 'Added', data, metadata: { by: 'ann' } }], {
      expectedStreamVersion: 3n,
    });
    expect(request).toEqual({
      partition: 'emt:default',
      streamName: 'cart-1',
      category: 'cart',
      expected: 3n,
      messages: [
        { type: 'Added', data, metadata: { by: 'ann' }, messageId: expect.any(String), hasOwnId: false },
      ],
      encoded: expect.any(String),
    });
    const { messageId } = request.messages[0]!;
    expect(messageId).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-/);
    expect(JSON.parse(request.encoded)).toEqual([['Added', messageId, 0, data, { by: 'ann' }]]);
  });

  it.each([null, 0, -1.5, '', 'text', false, [], {}, [[{}]]])('takes %j for data', (data) => {
    expect(prepare([{ type: 'Added', data }]).messages[0]!.data).toEqual(data);
  });

  it.each(notJson)('refuses %s as data, and names its path', (_name, value, problem) => {
    const problems = [withData(value), withData({ items: [{ price: 1 }, { 'unit price': value }] })].map(
      (events) => problemOf(events),
    );
    expect(problems).toEqual([
      { path: 'events[1].data', problem: expect.stringMatching(problem) },
      { path: 'events[1].data.items[1]["unit price"]', problem: expect.stringMatching(problem) },
    ]);
  });

  it.each(notJson)('refuses %s in metadata, and names its path', (_name, value, problem) => {
    const refused = problemOf(withMetadata({ by: [value] }));
    expect(refused).toEqual({
      path: 'events[1].metadata.by[0]',
      problem: expect.stringMatching(problem),
    });
  });

  it.each<[string, unknown, string, RegExp]>([
    ['a NUL character in a name', { 'a\0': 1 }, 'events[1].data["a\\u0000"]', /NUL/],
    ['a lone surrogate in a name', { a: { '\udfff': 1 } }, 'events[1].data.a["\\udfff"]', /surrogate/],
    ['a symbol as a name', { a: { [Symbol('s')]: 1 } }, 'events[1].data.a', /symbol/],
    // oxlint-disable-next-line no-sparse-arrays -- It is what is tested.
    ['a hole in an array', [1, , 2], 'events[1].data[1]', /undefined/],
    ['a property of an array', Object.assign([1], { x: 1 }), 'events[1].data', /property "x"/],
    ['a toJSON method', { a: { toJSON: () => 1 } }, 'events[1].data.a', /toJSON/],
    ['a circle', circle, 'events[1].data.self[0]', /refers back to events\[1\]\.data,/],
  ])('refuses %s', (_name, data, path, problem) => {
    const refused = problemOf(withData(data));
    expect(refused).toEqual({ path, problem: expect.stringMatching(problem) });
  });

  it('refuses an event without data', () => {
    expect(problemOf([{ type: 'Added' }]).path).toBe('events[0].data');
  });

  it('refuses what is nested too deep', () => {
    let data: unknown = 1;
    for (let i = 0; i < 20_000; i++) data = [data];
    expect(problemOf(withData(data))).toEqual({
      path: 'events[1].data',
      problem: expect.stringMatching(/nested deeper than 1000 levels/),
    });
  });

  it.each<[string, unknown, RegExp]>([
    ['no text', 7, /must be a string, not number/],
    ['null', null, /must be a string, not null/],
    ['empty', '', /must not be empty/],
    ['with a NUL character', 'a\0', /NUL/],
    ['with a lone surrogate', '\udc00', /surrogate/],
    ['too long', 'x'.repeat(513), /is 513 bytes long; at most 512/],
    ['too long in bytes', '€'.repeat(171), /is 513 bytes long; at most 512/],
  ])('refuses names that are %s', (_name, name, problem) => {
    const refused = (path: string): unknown => ({ path, problem: expect.stringMatching(problem) });
    expect(problemOf([good], {}, { streamName: name })).toEqual(refused('streamName'));
    expect(problemOf([good, { ...good, type: name }])).toEqual(refused('events[1].type'));
    expect(problemOf([good], { partition: name as string })).toEqual(refused('partition'));
    expect(problemOf([good], {}, { categoryOf: () => name as string })).toEqual(
      refused('categoryOf(streamName)'),
    );
    if (name === null) return; // Ids may be left out by null, too.
    expect(problemOf([good, { ...good, messageId: name }])).toEqual(refused('events[1].messageId'));
    expect(problemOf(withMetadata({ messageId: name }))).toEqual(refused('events[1].metadata.messageId'));
    expect(problemOf(withMetadata({ correlationId: name }))).toEqual(
      refused('events[1].metadata.correlationId'),
    );
    expect(problemOf(withMetadata({ causationId: name }))).toEqual(refused('events[1].metadata.causationId'));
    expect(problemOf([], { correlationId: name as string })).toEqual(refused('correlationId'));
    expect(problemOf([], { causationId: name as string })).toEqual(refused('causationId'));
  });

  it('takes names of 512 bytes', () => {
    const name = '€'.repeat(170) + 'xx';
    const event = { ...good, type: name, messageId: name };
    expect(prepare([event], { partition: name }, { streamName: name })).toMatchObject({
      partition: name,
      streamName: name,
      messages: [{ type: name, messageId: name }],
    });
  });

  it('refuses types that are kept for the store', () => {
    expect(problemOf([good, { ...good, type: '$StreamDeleted' }])).toEqual({
      path: 'events[1].type',
      problem: expect.stringMatching(/must not begin with \$/),
    });
    expect(prepare([{ ...good, type: 'US$' }]).messages[0]!.type).toBe('US$');
  });

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['one event', good],
    ['a text', 'Added'],
    ['an iterable', new Set([good])],
  ])('refuses %s in the place of the list of events', (_name, events) => {
    expect(problemOf(events)).toEqual({ path: 'events', problem: expect.stringMatching(/array/) });
  });

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a text', 'Added'],
  ])('refuses %s in the place of an event', (_name, event) => {
    expect(problemOf([good, event]).path).toBe('events[1]');
  });

  it('refuses a hole in the list of events', () => {
    // oxlint-disable-next-line no-sparse-arrays -- It is what is tested.
    expect(problemOf([good, , good]).path).toBe('events[1]');
  });

  it.each<[unknown]>([['ANY'], [-1n], [2n ** 63n], [1.5], [null], [{}]])(
    'refuses %p for an expected version',
    (expectedStreamVersion) => {
      const options = { expectedStreamVersion } as AppendToStreamOptions;
      expect(problemOf([good], options).path).toBe('expectedStreamVersion');
    },
  );

  it('refuses to append to all partitions', () => {
    expect(problemOf([good], { partition: '*' }).path).toBe('partition');
  });

  it('refuses an event that is too large, by the bytes of its JSON', () => {
    const large = 'x'.repeat(1_048_576);
    expect(problemOf(withData({ large }))).toEqual({
      path: 'events[1]',
      problem: expect.stringMatching(
        /^is 10486\d\d bytes of JSON; at most 1048576 are allowed\..* maxEventBytes/,
      ),
    });
    expect(problemOf(withMetadata({ large })).path).toBe('events[1]');
    expect(prepare(withData({ large: large.slice(1000) })).messages).toHaveLength(2);
    expect(prepare(withData({ large }), {}, { maxEventBytes: 2_000_000 }).messages).toHaveLength(2);
    // Three bytes each.
    expect(problemOf(withData('€'.repeat(400_000))).path).toBe('events[1]');
    expect(prepare(withData('€'.repeat(300_000))).messages).toHaveLength(2);
  });

  it('refuses an id of the caller that is there twice', () => {
    const events = ['a', 'b', 'a'].map((messageId) => ({ ...good, messageId }));
    expect(problemOf(events)).toEqual({ path: 'events[2].messageId', problem: expect.stringMatching(/"a"/) });
    const elsewhere = [{ ...good, messageId: 'a' }, good, { ...good, metadata: { messageId: 'a' } }];
    expect(problemOf(elsewhere).path).toBe('events[2].messageId');
  });

  it('changes nothing of what it is given', () => {
    const events = Object.freeze([
      Object.freeze({ ...good, metadata: Object.freeze({ createdAt: new Date() }) }),
    ]);
    expect(prepare(events, Object.freeze({ correlationId: 'c' })).messages[0]!.metadata).toEqual({
      correlationId: 'c',
    });
  });

  it('encodes what it accepts so that it comes back equal', () => {
    const event = fc.record(
      {
        type: fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
        data: fc.anything({ withBigInt: true }),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(fc.array(event), (events) => {
        let request: AppendRequest;
        try {
          request = prepare(events);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArgumentError);
          expect((error as InvalidArgumentError).path).toMatch(/^events\[\d+\]/);
          return;
        }
        const back = (JSON.parse(request.encoded) as unknown[][]).map(([type, , , data]) => ({ type, data }));
        expect(back).toEqual(withoutMinusZero(events));
      }),
    );
  });
});
