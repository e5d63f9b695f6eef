import { runInNewContext } from 'node:vm';
import { inspect, isDeepStrictEqual } from 'node:util';
import { InvalidArgumentError } from '@nestbox/core';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import fc from 'fast-check';
import { checkSize, decodeValue, encodeValue } from '../src/values/typed-value.js';
import { ValueEncoder } from '../src/values/value-encoder.js';
import { PayloadTooLargeError } from '../src/workflow.errors.js';
import { anyValue } from './support/any-value.js';

function roundTrip(value: unknown): unknown {
  return decodeValue(JSON.parse(encodeValue(value, 'value')));
}

function refused(value: unknown): { path: string; problem: string } {
  try {
    encodeValue(value, 'value');
  } catch (error) {
    if (error instanceof InvalidArgumentError) return { path: error.path, problem: error.problem };
    throw error;
  }
  throw new Error('It was accepted.');
}

function nested(depth: number, wrap: (inner: unknown) => unknown): unknown {
  let value: unknown = 'the end';
  for (let i = 0; i < depth; i++) value = wrap(value);
  return value;
}

class Money {
  constructor(readonly amount: number) {}
}

describe('encodeValue', () => {
  it('takes the rows of a query, which are a subclass of Array, as an array', () => {
    class Result extends Array<{ n: number }> {}
    const rows = Result.from([{ n: 1 }, { n: 2 }]);
    const back = decodeValue(JSON.parse(encodeValue({ rows }, 'result'))) as { rows: unknown };
    expect(back.rows).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it('writes plain JSON as it is', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        fc.pre(
          !JSON.stringify(value).includes('$type') &&
            isDeepStrictEqual(JSON.parse(JSON.stringify(value)), value),
        );
        fc.pre(!/\\u0000|\\ud[89a-f]/.test(JSON.stringify(value)));
        expect(encodeValue(value, 'value')).toBe(JSON.stringify(value));
      }),
    );
  });

  it('gives any value back equal', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const before = encodeValue(value, 'value');
        const back = decodeValue(JSON.parse(before));
        if (!isDeepStrictEqual(back, value)) expect(back).toStrictEqual(value);
        // Errors, whose stacks the comparison leaves out, too.
        expect(encodeValue(back, 'value')).toBe(before);
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['undefined', undefined, '{"$type":"undefined"}'],
    ['a Date', new Date(0), '{"$type":"Date","value":"1970-01-01T00:00:00.000Z"}'],
    ['an invalid Date', new Date(Number.NaN), '{"$type":"Date","value":null}'],
    ['a bigint', 2n ** 70n, '{"$type":"bigint","value":"1180591620717411303424"}'],
    ['-0', -0, '{"$type":"number","value":"-0"}'],
    ['NaN', Number.NaN, '{"$type":"number","value":"NaN"}'],
    ['a text with NUL', 'a\0"b', String.raw`{"$type":"string","value":"a\\u0000\\\"b"}`],
    ['a Map', new Map([[1n, 'x']]), '{"$type":"Map","value":[[{"$type":"bigint","value":"1"},"x"]]}'],
    ['a regular expression', /a\/b/giu, String.raw`{"$type":"RegExp","value":"a\\/b","flags":"giu"}`],
    ['bytes', new Uint8Array([1, 2, 255]), '{"$type":"Uint8Array","value":"AQL/"}'],
    [
      'an own $type',
      { $type: 'Date', value: 1 },
      '{"$type":"Object","value":[["$type","Date"],["value",1]]}',
    ],
  ])('writes %s with its type', (_, value, encoded) => {
    expect(encodeValue(value, 'value')).toBe(encoded);
    // An invalid Date equals no other.
    expect(inspect(roundTrip(value))).toBe(inspect(value));
  });

  it('keeps falsy values apart', () => {
    for (const value of [0, -0, false, '', null, undefined, Number.NaN, 0n]) {
      expect(Object.is(roundTrip(value), value)).toBe(true);
    }
  });

  it('does not change prototypes through a property "__proto__"', () => {
    const value = JSON.parse('{"__proto__": {"isAdmin": 1}, "x": 1}') as Record<string, unknown>;
    for (const wrapped of [
      value,
      { ...value, at: new Date(1) },
      { ...value, $type: 1 },
      { ...value, '\0': 1 },
    ]) {
      const back = roundTrip(wrapped) as Record<string, unknown>;
      expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
      expect(Object.keys(back).toSorted()).toEqual(Object.keys(wrapped).toSorted());
    }
    const dated = JSON.parse('{"__proto__": 1}') as Record<string, unknown>;
    Object.defineProperty(dated, '__proto__', { value: new Date(5), enumerable: true });
    const back = roundTrip(dated) as object;
    expect(Object.getOwnPropertyDescriptor(back, '__proto__')?.value).toEqual(new Date(5));
  });

  it('takes values of other realms', () => {
    const foreign: unknown = runInNewContext(
      '({ list: [1, [2]], map: new Map([["a", new Set([1])]]), date: new Date(7), pattern: /x/g, bytes: new Uint8Array([9]) })',
    );
    expect(roundTrip(foreign)).toStrictEqual({
      list: [1, [2]],
      map: new Map([['a', new Set([1])]]),
      date: new Date(7),
      pattern: /x/g,
      bytes: new Uint8Array([9]),
    });
  });

  it.each<[string, unknown, string, RegExp]>([
    ['a function', { a: [{ run: () => 1 }] }, 'value.a[0].run', /function/],
    ['a symbol', [Symbol('x')], 'value[0]', /symbol/],
    ['a symbol as a property', { a: { [Symbol('x')]: 1 } }, 'value.a', /symbol/],
    ['an instance', { total: new Money(3) }, 'value.total', /Money/],
    ['an instance in a Map', new Map([['a', new Money(3)]]), 'value[0][1]', /Money/],
    ['a subclass of Map', { m: new (class Cache extends Map {})() }, 'value.m', /Cache/],
    ['a subclass of Uint8Array', { m: new (class Hash extends Uint8Array {})(2) }, 'value.m', /Hash/],
    ['other typed arrays', { m: new Float64Array(2) }, 'value.m', /Float64Array/],
    ['a promise', { 'not.awaited': Promise.resolve(1) }, 'value["not.awaited"]', /await/],
    ['a WeakMap', [new WeakMap()], 'value[0]', /WeakMap/],
    ['a boxed text', [Object('x')], 'value[0]', /String/],
    ['a named property on an array', { hit: /b/.exec('abc') }, 'value.hit.groups', /named property/],
    ['holes, however many', { list: Object.assign([1], { length: 4_000_000_000 }) }, 'value.list[1]', /hole/],
    ['a named property on a Map', { m: Object.assign(new Map(), { size2: 1 }) }, 'value.m.size2', /named/],
    [
      'a getter that throws',
      {
        get a(): number {
          throw new Error('no way');
        },
      },
      'value.a',
      /no way/,
    ],
  ])('refuses %s, and says where', (_, value, path, problem) => {
    expect(refused(value)).toEqual({ path, problem: expect.stringMatching(problem) as unknown });
  });

  it('refuses a circle, and says where it closes', () => {
    const order: Record<string, unknown> = { items: [{ n: 1 }] };
    (order['items'] as unknown[]).push(new Map([['order', order]]));
    const { path, problem } = refused({ order });
    expect(path).toBe('value.order.items[1][0][1]');
    expect(problem).toContain('refers back to value.order,');
  });

  it('takes what is there twice', () => {
    const shared = { at: new Date(3) };
    expect(roundTrip([shared, shared])).toEqual([shared, shared]);
  });

  it('takes 1,000 levels, and no more', () => {
    for (const wrap of [(inner: unknown) => [inner], (inner: unknown) => ({ $type: inner })]) {
      const value = nested(1000, wrap);
      expect(isDeepStrictEqual(roundTrip(value), value)).toBe(true);
      expect(refused(nested(1001, wrap))).toMatchObject({
        path: 'value',
        problem: expect.stringContaining('deeper') as unknown,
      });
    }
  });

  it('walks through plain JSON once, and copies nothing of it', () => {
    let reads = 0;
    const order = {
      items: [{ sku: 'a' }],
      get total(): number {
        return ++reads;
      },
    };
    const encoder = new ValueEncoder('value');
    expect(encoder.encode(order)).toBe(order);
    expect(reads).toBe(1);
    const mixed = [order, new Date(0)];
    expect((encoder.encode(mixed) as unknown[])[0]).toBe(order);
  });
});

describe('decodeValue', () => {
  it('leaves alone what it did not write', () => {
    for (const json of [
      { $type: 'Money', amount: 1 },
      { $type: 'Date' },
      { $type: 'bigint', value: 'x' },
      { $type: 3 },
    ]) {
      expect(decodeValue(json)).toEqual(json);
    }
    expect(decodeValue({ $type: 'Money', at: { $type: 'bigint', value: '1' } })).toEqual({
      $type: 'Money',
      at: 1n,
    });
  });

  it('does not change what it is given', () => {
    const json = JSON.parse(encodeValue({ a: [new Date(1), { b: 1n }] }, 'value')) as object;
    const before = JSON.stringify(json);
    decodeValue(json);
    expect(JSON.stringify(json)).toBe(before);
  });
});

describe('checkSize', () => {
  it('counts bytes of UTF-8', () => {
    checkSize('"ää"', 'The result', 6);
    expect(() => checkSize('"ää"', 'The result', 5)).toThrow(PayloadTooLargeError);
    expect(() => checkSize('"ää"', 'The result', 5)).toThrow(/The result takes 6 bytes, and at most 5/);
    expect(() => checkSize('1', 'The result', Number.NaN)).toThrow(InvalidArgumentError);
  });
});

describe('In PostgreSQL', () => {
  let database: TestDatabase;
  let postgres: Postgres;

  beforeAll(async () => {
    database = await testDatabase();
    postgres = new Postgres(database.url);
  });

  afterAll(async () => {
    await postgres.close();
    await database.drop();
  });

  async function throughPostgres(values: readonly unknown[]): Promise<unknown[]> {
    const json = `[${values.map((value) => encodeValue(value, 'value')).join(',')}]`;
    const [row] = await postgres.query('select $1::text::jsonb::text as json', [json]);
    // Parsed here, since the driver's objects are of another realm.
    return (JSON.parse(String(row!['json'])) as unknown[]).map(decodeValue);
  }

  it('gives any value back equal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyValue, { maxLength: 20 }), async (values) => {
        const back = await throughPostgres(values);
        if (!isDeepStrictEqual(back, values)) expect(back).toStrictEqual(values);
      }),
      { numRuns: 60 },
    );
  });

  it('takes the deepest values, and a large one', async () => {
    const deep = [
      nested(500, (inner) => new Map([[1, inner]])),
      nested(1000, (inner) => ({ '\0': inner })),
      nested(100, (inner) => Object.assign(new Error('x'), { inner })),
      nested(90, (inner) => new Error('y', { cause: [[[[[[[[[inner]]]]]]]]] })),
    ];
    const large = 'ä'.repeat(2_500_000);
    const back = await throughPostgres([...deep, large]);
    expect(back.at(-1)).toBe(large);
    for (const [i, value] of deep.entries()) expect(encodeValue(back[i], 'v')).toBe(encodeValue(value, 'v'));
  });
});
