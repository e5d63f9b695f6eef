import { InvalidArgumentError, encodeJson, type JsonValue } from '@nestbox/core';
import fc from 'fast-check';
import { typedCodec } from '../src/codec/typed-codec.js';

/** As a database does it: through text, into objects with their keys in another order. */
function stored(value: JsonValue): JsonValue {
  return reversed(JSON.parse(encodeJson(value)) as JsonValue);
}

function reversed(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toReversed();
  return Object.fromEntries(entries.map(([key, inner]) => [key, reversed(inner)]));
}

function roundTrip(value: unknown): unknown {
  return typedCodec.decode(stored(typedCodec.encode(value, 'data')));
}

function problemOf(value: unknown): { path: string; problem: string } {
  try {
    typedCodec.encode(value, 'data');
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    return { path: error.path, problem: error.problem };
  }
  throw new Error('It was accepted.');
}

const key = fc
  .oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('$types', '$value', '', '.', 'a.b', '\\', '\\.', '0', '1', 'values', 'json', 'toString'),
  )
  .filter((name) => !['__proto__', 'constructor', 'prototype'].includes(name));

const { typed } = fc.letrec<{ typed: unknown }>((tie) => ({
  typed: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.double(),
      fc.integer(),
      fc.boolean(),
      fc.constantFrom(null, undefined, -0, Number.NaN, Infinity, -Infinity),
      fc.bigInt(),
      fc.date({ noInvalidDate: true }),
      fc.constantFrom(/a\/b\\/giu, /[/]/, /\./u),
      fc.webUrl().map((url) => new URL(url)),
    ),
    fc.array(tie('typed'), { maxLength: 4 }),
    fc
      .uniqueArray(tie('typed'), { maxLength: 4, comparator: 'SameValueZero' })
      .map((values) => new Set(values)),
    fc.array(fc.tuple(tie('typed'), tie('typed')), { maxLength: 4 }).map((entries) => new Map(entries)),
    fc.dictionary(key, tie('typed'), { maxKeys: 4, noNullPrototype: true }),
  ),
}));

describe('typedCodec', () => {
  it('leaves an object that is JSON as it is', () => {
    const data = { sku: 'A-1', quantity: 2, tags: ['new', null], price: { amount: 9.5 } };
    expect(typedCodec.encode(data, 'data')).toEqual(data);
    expect(typedCodec.decode(data)).toBe(data);
  });

  it('writes what can be read in its place, and the types beside it', () => {
    const at = new Date('2026-01-31T12:00:00.000Z');
    expect(typedCodec.encode({ at, total: 42n, lines: [{ due: at }] }, 'data')).toEqual({
      at: '2026-01-31T12:00:00.000Z',
      total: '42',
      lines: [{ due: '2026-01-31T12:00:00.000Z' }],
      $types: { values: { at: ['Date'], total: ['bigint'], 'lines.0.due': ['Date'] }, v: 1 },
    });
  });

  it.each([
    ['a Date', new Date()],
    ['a bigint', 2n ** 70n],
    ['undefined', undefined],
    ['NaN', Number.NaN],
    ['-0', -0],
    ['a Map', new Map([[new Date(0), { at: 1n }]])],
    ['a Set', new Set([1n, undefined, 'x'])],
    ['an array with a Date', [new Date()]],
    ['a text', 'text'],
    ['null', null],
  ])('keeps %s that is not in an object', (_name, value) => {
    expect(roundTrip(value)).toStrictEqual(value);
  });

  it('keeps an Error with its name, message and cause', () => {
    const error = new TypeError('No such thing', { cause: { at: new Date(5) } });
    const back = roundTrip({ error }) as { error: Error };
    expect(back.error).toBeInstanceOf(Error);
    expect(back.error).toMatchObject({
      name: 'TypeError',
      message: 'No such thing',
      cause: { at: new Date(5) },
    });
  });

  it('gives back what it was given', () => {
    fc.assert(
      fc.property(typed, (value) => {
        expect(roundTrip(value)).toStrictEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  it('refuses what it cannot give back, whatever that is', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
      withObjectString: true,
    });
    fc.assert(
      fc.property(anything, (value) => {
        let encoded: JsonValue;
        try {
          encoded = typedCodec.encode(value, 'data');
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArgumentError);
          return;
        }
        expect(typedCodec.decode(stored(encoded))).toStrictEqual(value);
      }),
      { numRuns: 1000 },
    );
  });

  it('gives back objects with a $types or a $value of their own', () => {
    const property = fc.oneof(typed, fc.constant({ values: { a: ['Date'] }, v: 1 }), fc.constant({}));
    const value = fc.record(
      { $types: property, $value: property, a: fc.oneof(fc.constant('text'), typed) },
      { requiredKeys: [], noNullPrototype: true },
    );
    fc.assert(
      fc.property(value, (object) => {
        expect(roundTrip(object)).toStrictEqual(object);
      }),
      { numRuns: 500 },
    );
  });

  it('gives back a value that is in several places', () => {
    const at = new Date();
    const line = { at, price: 1n };
    const value = {
      at,
      first: line,
      set: new Set([{ x: 1 }, line, at]),
      map: new Map([[at, line]]),
      last: line,
    };
    expect(roundTrip(value)).toStrictEqual(value);
  });

  it('does not change what it decodes', () => {
    const encoded = typedCodec.encode({ at: new Date(), list: [1n] }, 'data');
    const before = structuredClone(encoded);
    typedCodec.decode(encoded);
    expect(encoded).toEqual(before);
  });

  it('reads objects that were made in another realm', () => {
    const encoded = structuredClone(typedCodec.encode({ a: { at: new Date(7) } }, 'data'));
    expect(typedCodec.decode(encoded)).toEqual({ a: { at: new Date(7) } });
  });

  class Money {
    amount = 1;
  }
  const circle: Record<string, unknown> = { list: [] };
  circle.list = [new Map([['up', circle]])];

  it.each<[string, unknown, string, RegExp]>([
    ['a function', { a: [() => 1] }, 'data.a[0]', /function/],
    ['a symbol', { a: Symbol('s') }, 'data.a', /symbol/],
    ['a symbol as a name', { a: { [Symbol('s')]: 1 } }, 'data.a', /symbol/],
    ['an instance of a class', { a: new Money() }, 'data.a', /Money/],
    ['an instance in a Map', new Map([['k', new Money()]]), 'data[0][1]', /Money/],
    ['an instance in a Set', { s: new Set([1, new Money()]) }, 'data.s[1]', /Money/],
    ['a subclass of Map', { a: new (class Bag extends Map {})() }, 'data.a', /Bag/],
    ['a subclass of Array', { a: new (class List extends Array {})() }, 'data.a', /List/],
    ['bytes', { a: new Uint8Array(2) }, 'data.a', /Uint8Array/],
    ['a Buffer', { a: Buffer.from('x') }, 'data.a', /Buffer/],
    ['a Promise', { a: Promise.resolve() }, 'data.a', /Promise/],
    ['an invalid Date', { a: new Date(Number.NaN) }, 'data.a', /invalid Date/],
    ['a circle', circle, 'data.list[0][0][1]', /refers back to data,/],
    // oxlint-disable-next-line no-sparse-arrays -- It is what is tested.
    ['a hole in an array', { a: [1, , 2] }, 'data.a[1]', /hole/],
    ['a hole at the end', { a: Object.assign([], { length: 2 }) }, 'data.a[0]', /hole/],
    ['a property of an array', { a: Object.assign([1], { x: 1 }) }, 'data.a.x', /property/],
    ['a property of a Date', { a: Object.assign(new Date(), { x: 1 }) }, 'data.a.x', /property/],
    ['a property of an Error', { a: Object.assign(new Error('e'), { code: 1 }) }, 'data.a.code', /Error/],
    ['several errors', { a: new AggregateError([1]) }, 'data.a.errors', /Error/],
    ['a NUL character', { a: ['\0'] }, 'data.a[0]', /NUL/],
    ['a NUL character in a name', { a: { 'x\0': 1 } }, 'data.a["x\\u0000"]', /NUL/],
    ['a lone surrogate', new Set(['\ud800']), 'data[0]', /surrogate/],
    ['a lone surrogate in a RegExp', { a: new RegExp('\ud800') }, 'data.a', /surrogate/],
    ['__proto__', JSON.parse('{"a":{"__proto__":{"x":1}}}'), 'data.a.__proto__', /name/],
    ['constructor', { a: [{ constructor: 1 }] }, 'data.a[0].constructor', /name/],
    ['prototype', { prototype: new Date() }, 'data.prototype', /name/],
  ])('refuses %s, and names its path', (_name, value, path, problem) => {
    const refused = problemOf(value);
    expect(refused).toEqual({ path, problem: expect.stringMatching(problem) });
  });

  it.each<[string, (inner: unknown) => unknown]>([
    ['arrays', (inner) => [inner]],
    ['objects', (inner) => ({ inner })],
    ['sets', (inner) => new Set([inner])],
    ['maps', (inner) => new Map([['k', inner]])],
  ])('refuses %s that are nested too deep', (_name, wrap) => {
    let value: unknown = 1n;
    for (let i = 0; i < 20_000; i++) value = wrap(value);
    expect(problemOf(value).problem).toMatch(/nested deeper than 1000 levels/);
  });

  it('does not let types that were written by another hand reach a prototype', () => {
    const encoded = { a: { b: 1 }, $types: { values: { '__proto__.polluted': ['Date'] }, v: 1 } };
    expect(() => typedCodec.decode(encoded)).toThrow(InvalidArgumentError);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('leaves alone a $types that no codec wrote', () => {
    expect(typedCodec.decode({ $types: 'mine' })).toEqual({ $types: 'mine' });
    expect(typedCodec.decode({ $types: [1] })).toEqual({ $types: [1] });
  });
});
