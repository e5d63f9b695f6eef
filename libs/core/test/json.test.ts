import { createContext, runInContext } from 'node:vm';
import fc from 'fast-check';
import { InvalidArgumentError, assertJson, encodeJson } from '@nestbox/core';

function refusal(value: unknown, path?: string): InvalidArgumentError {
  try {
    encodeJson(value, path);
  } catch (error) {
    if (error instanceof InvalidArgumentError) return error;
    throw error;
  }
  throw new Error('The value was accepted.');
}

class Money {
  constructor(readonly cents: number) {}
}

describe('encodeJson', () => {
  it('gives back every JSON value equal, with -0 as 0', () => {
    const zeroless = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const back: unknown = JSON.parse(encodeJson(value));
        expect(back).toStrictEqual(zeroless(value));
      }),
      { numRuns: 500 },
    );
    expect(encodeJson(-0)).toBe('0');
  });

  it.each<[unknown]>([
    [null],
    [true],
    [false],
    [0],
    [''],
    ['text'],
    [2 ** 53 + 2],
    [5e-324],
    [Number.MAX_VALUE],
    ['\u{10ffff} \ud83d\ude00 \u0001 \u2028 "quoted" \\'],
    [[]],
    [{}],
    [[[], [{}], [null]]],
    [{ '': 0, 'a b': 1, toString: 2, hasOwnProperty: 3 }],
  ])('accepts %j', (value) => {
    expect(JSON.parse(encodeJson(value))).toStrictEqual(value);
  });

  it('accepts anything that JSON can hold, and refuses anything else or gives it back equal', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withNullPrototype: true,
      withTypedArray: true,
      withSparseArray: true,
      withBoxedValues: true,
      withObjectString: true,
      withUnicodeString: true,
    });
    fc.assert(
      fc.property(anything, (value) => {
        let text: string;
        try {
          text = encodeJson(value);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArgumentError);
          return;
        }
        expect(withoutNegativeZero(JSON.parse(text))).toEqual(withoutNegativeZero(value));
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps a property that is called __proto__ or constructor', () => {
    const text = '{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}';
    const value: unknown = JSON.parse(text);

    expect(encodeJson(value)).toBe(text);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
    expect(refusal(JSON.parse('{"__proto__":{"x":"\\u0000"}}')).path).toBe('value.__proto__.x');
  });

  it('accepts objects without a prototype, and the same object in two places', () => {
    const shared = Object.assign(Object.create(null), { a: 1 }) as object;
    expect(encodeJson({ x: shared, y: [shared] })).toBe('{"x":{"a":1},"y":[{"a":1}]}');
  });

  it('accepts plain objects and arrays of another realm', () => {
    const foreign: unknown = runInContext('({ list: [1, { deep: [] }], none: null })', createContext());
    expect(encodeJson(foreign)).toBe('{"list":[1,{"deep":[]}],"none":null}');
  });

  it('refuses instances of another realm', () => {
    const context = createContext();
    expect(refusal({ at: runInContext('new Date()', context) as unknown }).problem).toContain('is a Date');
    expect(refusal(runInContext('new Map()', context)).problem).toContain('an instance of Map');
    expect(refusal(runInContext('new (class X extends Array {})()', context)).problem).toContain(
      'an instance of X',
    );
  });
});

describe('a value that JSON cannot hold is refused with its path', () => {
  const named = Object.assign([1, 2], { total: 3 });
  // An index beyond the end is one more hole for each one between.
  const holes: unknown[] = [1];
  holes[2] = 3;
  const circle: Record<string, unknown> = { name: 'circle', list: [] };
  (circle['list'] as unknown[]).push({ back: circle });

  it.each<[string, unknown, string, string]>([
    ['undefined', { a: undefined }, 'value.a', 'is undefined'],
    ['undefined itself', undefined, 'value', 'is undefined'],
    ['a function', { a: [() => 1] }, 'value.a[0]', 'is a function'],
    ['a symbol', { a: Symbol('s') }, 'value.a', 'is a symbol'],
    ['NaN', { items: [0, 1, 2, { price: Number.NaN }] }, 'value.items[3].price', 'NaN is not a JSON number'],
    ['Infinity', [Number.POSITIVE_INFINITY], 'value[0]', 'Infinity is not a JSON number'],
    ['-Infinity', [[Number.NEGATIVE_INFINITY]], 'value[0][0]', '-Infinity is not a JSON number'],
    ['a bigint', { id: 1n }, 'value.id', 'is a bigint'],
    ['a Date', { at: new Date(0) }, 'value.at', 'is a Date'],
    ['a Map', new Map(), 'value', 'an instance of Map'],
    ['a Set', [new Set()], 'value[0]', 'an instance of Set'],
    ['a RegExp', { r: /x/ }, 'value.r', 'an instance of RegExp'],
    ['an Error', { e: new Error('x') }, 'value.e', 'an instance of Error'],
    ['a Buffer', { b: Buffer.from('x') }, 'value.b', 'an instance of Buffer'],
    ['a typed array', { b: new Uint8Array(1) }, 'value.b', 'an instance of Uint8Array'],
    ['a boxed string', { s: Object('x') as unknown }, 'value.s', 'an instance of String'],
    ['a promise', { p: Promise.resolve() }, 'value.p', 'an instance of Promise'],
    ['an instance of a class', { price: new Money(1) }, 'value.price', 'an instance of Money'],
    ['an instance of a nameless class', new (class {})(), 'value', 'an instance of an unnamed class'],
    ['an object with an unusual prototype', Object.create({ a: 1 }), 'value', 'is an instance of Object'],
    [
      'an array of a class',
      [class List extends Array {}].map((List) => new List()),
      'value[0]',
      'an instance of List',
    ],
    ['a toJSON method', { a: { toJSON: () => 1 } }, 'value.a', 'has a toJSON method'],
    ['a symbol as a property', { a: { [Symbol('s')]: 1 } }, 'value.a', 'has a symbol as a property'],
    ['a symbol on an array', Object.assign([], { [Symbol('s')]: 1 }), 'value', 'has a symbol as a property'],
    ['a hole in an array', { a: holes }, 'value.a[1]', 'is undefined'],
    ['a property on an array', { a: named }, 'value.a', 'is an array with the property "total"'],
    ['the result of a match', { m: /a/.exec('a') }, 'value.m', 'is an array with the property "index"'],
    ['a NUL in a text', { a: 'x\0y' }, 'value.a', 'contains a NUL character'],
    ['a NUL in a name', { 'x\0': 1 }, 'value["x\\u0000"]', 'the property name contains a NUL character'],
    ['a lone surrogate in a text', ['\ud800'], 'value[0]', 'contains a lone surrogate'],
    [
      'a lone surrogate in a name',
      { '\udc00': 1 },
      'value["\\udc00"]',
      'the property name contains a lone surrogate',
    ],
    ['a circle', { a: circle }, 'value.a.list[0].back', 'refers back to value.a,'],
    ['a name with odd characters', { 'a b': { 'x"y': undefined } }, 'value["a b"]["x\\"y"]', 'is undefined'],
    ['a name in another script', { größe: { $_1: undefined } }, 'value.größe.$_1', 'is undefined'],
    ['a name that looks like an index', { 0: undefined }, 'value["0"]', 'is undefined'],
    ['an empty name', { '': undefined }, 'value[""]', 'is undefined'],
  ])('%s', (_, value, path, problem) => {
    const error = refusal(value);
    expect(error.path).toBe(path);
    expect(error.problem).toContain(problem);
    expect(error.message).toBe(`Invalid ${path}: ${error.problem}`);
    expect(error.code).toBe('INVALID_ARGUMENT');
  });

  it('which starts with what the caller calls the value', () => {
    expect(refusal({ a: undefined }, 'entries[2].value').path).toBe('entries[2].value.a');
  });

  it('wherever it stands', () => {
    const place = fc.array(fc.oneof(fc.nat(3), fc.string({ unit: 'grapheme' })), { maxLength: 8 });
    fc.assert(
      fc.property(place, (keys) => {
        const at = (rest: readonly (string | number)[]): unknown => {
          const [key, ...more] = rest;
          if (key === undefined) return 1n;
          if (typeof key === 'string')
            return Object.fromEntries([
              ['before', 0],
              [key, at(more)],
            ]);
          return [...Array.from({ length: key }, () => 'before'), at(more)];
        };
        const { path } = refusal(at(keys));
        const expected = keys.map((key) =>
          typeof key === 'number' || !/^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key)
            ? `[${JSON.stringify(key)}]`
            : `.${key}`,
        );
        expect(path).toBe(`value${expected.join('')}`);
      }),
    );
  });
});

describe('nesting', () => {
  const nest = (levels: number): unknown => {
    let value: unknown = 0;
    for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
    return value;
  };

  it('is accepted up to 1,000 levels', () => {
    expect(encodeJson(nest(1000))).toHaveLength(500 * '[]'.length + 500 * '{"a":}'.length + 1);
  });

  it('beyond is refused, however deep, with a message of sane length', () => {
    for (const levels of [1001, 100_000]) {
      const error = refusal(nest(levels));
      expect(error.path).toBe('value');
      expect(error.message).toBe('Invalid value: is nested deeper than 1000 levels; store it flatter.');
    }
  });

  it('in a circle is told apart, also where it closes onto itself', () => {
    const self: Record<string, unknown> = {};
    self['self'] = self;
    expect(refusal(self)).toMatchObject({
      path: 'value.self',
      problem: expect.stringContaining('refers back to value,'),
    });

    const list: unknown[] = [];
    list.push([list]);
    expect(refusal({ list })).toMatchObject({
      path: 'value.list[0][0]',
      problem: expect.stringContaining('refers back to value.list,'),
    });
  });
});

describe('assertJson', () => {
  it('narrows the type and encodes nothing', () => {
    const value: unknown = { a: 1 };
    assertJson(value);
    const narrowed: import('@nestbox/core').JsonValue = value;
    expect(narrowed).toEqual({ a: 1 });
    expect(() => assertJson(new Date(0), 'body')).toThrow('Invalid body: is a Date');
  });
});

/** As `-0` is written as `0`, wherever it stands. */
function withoutNegativeZero(value: unknown): unknown {
  if (value === 0) return 0;
  if (Array.isArray(value)) return value.map(withoutNegativeZero);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutNegativeZero(item)]));
}
