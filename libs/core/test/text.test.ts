import fc from 'fast-check';
import {
  InvalidArgumentError,
  MAX_NAME_BYTES,
  assertIdentifier,
  assertName,
  compareUtf8,
  textProblem,
} from '@nestbox/core';

const wellFormed = fc.string({ unit: 'binary' });

describe('assertName', () => {
  it.each([
    'a',
    '0',
    ' ',
    '%',
    '_',
    "'",
    '"',
    'select',
    'ключ',
    '😀',
    'a:b{c}*',
    'x'.repeat(512),
    '😀'.repeat(128),
  ])('accepts %j', (name) => {
    expect(() => assertName(name, 'key')).not.toThrow();
  });

  it.each<[unknown, string]>([
    ['', 'Invalid key: must not be empty.'],
    [undefined, 'Invalid key: must be a string, not undefined.'],
    [null, 'Invalid key: must be a string, not null.'],
    [1, 'Invalid key: must be a string, not number.'],
    [Object('key'), 'Invalid key: must be a string, not object.'],
    ['a\0', 'Invalid key: contains a NUL character (U+0000), which PostgreSQL cannot store; remove it.'],
    ['\ud83d', 'Invalid key: contains a lone surrogate, which is not valid Unicode; remove it.'],
    ['\ude00\ud83d', 'Invalid key: contains a lone surrogate, which is not valid Unicode; remove it.'],
    ['x'.repeat(513), 'Invalid key: is 513 bytes long; at most 512 are allowed.'],
    ['😀'.repeat(128) + 'x', 'Invalid key: is 513 bytes long; at most 512 are allowed.'],
  ])('refuses %j', (name, message) => {
    expect(() => assertName(name, 'key')).toThrow(InvalidArgumentError);
    expect(() => assertName(name, 'key')).toThrow(message);
  });

  it('counts the bytes of UTF-8', () => {
    const around = fc
      .tuple(fc.constantFrom('x', 'é', '語', '😀'), fc.integer({ min: 120, max: 520 }), wellFormed)
      .map(([unit, times, rest]) => unit.repeat(times) + rest.replaceAll('\0', ''));
    fc.assert(
      fc.property(around, (name) => {
        const check = (): void => assertName(name, 'key');
        if (Buffer.byteLength(name) <= MAX_NAME_BYTES) expect(check).not.toThrow();
        else expect(check).toThrow('at most 512 are allowed');
      }),
    );
  });
});

describe('assertIdentifier', () => {
  it('accepts up to 63 bytes, SQL keywords and quotes included', () => {
    for (const identifier of ['select', 'my "table"', 'x'.repeat(63), 'é'.repeat(31)]) {
      expect(() => assertIdentifier(identifier, 'tableName')).not.toThrow();
    }
  });

  it('refuses what PostgreSQL would cut, empty and malformed ones', () => {
    const refused = (identifier: unknown, message: string, maxBytes?: number): void => {
      expect(() => assertIdentifier(identifier, 'tableName', maxBytes)).toThrow(
        `Invalid tableName: ${message}`,
      );
    };
    refused('x'.repeat(64), 'is 64 bytes long; at most 63 are allowed here.');
    refused('é'.repeat(32), 'is 64 bytes long; at most 63 are allowed here.');
    refused('x'.repeat(40), 'is 40 bytes long; at most 36 are allowed here.', 36);
    refused('', 'must not be empty.');
    refused('a\0b', 'contains a NUL character');
    refused(7, 'must be a string, not number.');
  });
});

describe('textProblem', () => {
  it('finds nothing in well-formed text, and something in every other', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)) }),
        (text) => {
          const survives = Buffer.from(text).toString() === text && !text.includes('\0');
          expect(textProblem(text) === undefined).toBe(survives);
        },
      ),
    );
  });
});

describe('compareUtf8', () => {
  it('orders as the bytes of UTF-8 do', () => {
    // Few different characters around the borders between one, two, three and four bytes, for long common starts.
    const borders = fc.string({
      unit: fc.constantFrom(
        'a',
        '\x7f',
        '\x80',
        '\u07ff',
        '\u0800',
        '\ud7ff',
        '\ue000',
        '\uffff',
        '\u{10000}',
        '\u{1ffff}',
        '\u{10ffff}',
      ),
    });
    const pair = fc.oneof(fc.tuple(borders, borders), fc.tuple(wellFormed, wellFormed));
    fc.assert(
      fc.property(pair, ([a, b]) => {
        expect(compareUtf8(a, b)).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
      { numRuns: 1000 },
    );
  });

  it('differs from the order of UTF-16 where that is wrong', () => {
    expect(['\u{1f600}', '\uff5e', 'z'].toSorted(compareUtf8)).toEqual(['z', '\uff5e', '\u{1f600}']);
    expect(['\u{1f600}', '\uff5e', 'z'].toSorted()).toEqual(['z', '\u{1f600}', '\uff5e']);
  });
});
