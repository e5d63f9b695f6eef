import fc from 'fast-check';
import { InvalidArgumentError, parseDuration } from '@nestbox/core';

describe('parseDuration', () => {
  it.each<[number | string, number]>([
    [1, 1],
    [1500, 1500],
    ['250ms', 250],
    ['10s', 10_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['2w', 1_209_600_000],
    ['1y', 31_557_600_000],
    ['1h 30m', 5_400_000],
    ['1h30m', 5_400_000],
    [' 2 hours 5 minutes ', 7_500_000],
    ['1.5h', 5_400_000],
    ['.5s', 500],
    ['500', 500],
    ['1 month', 2_629_800_000],
    ['1000y', 31_557_600_000_000],
  ])('reads %j as %d ms', (duration, ms) => {
    expect(parseDuration(duration, 'ttl')).toBe(ms);
  });

  it.each<[number | string, number]>([
    [0.2, 1],
    [1.2, 2],
    ['0.5ms', 1],
    ['1us', 1],
    ['1ns', 1],
    [0.000_001, 1],
  ])('rounds %j up to %d ms', (duration, ms) => {
    expect(parseDuration(duration, 'ttl')).toBe(ms);
  });

  it('does not round up what is an error of floating point', () => {
    expect(1.1 * 3_600_000).toBeGreaterThan(3_960_000);
    expect(parseDuration('1.1h', 'ttl')).toBe(3_960_000);
  });

  it.each([
    '',
    ' ',
    'soon',
    's',
    '5 apples',
    '1h 5 apples',
    '10s garbage',
    '10s!',
    '1h -30m',
    '1h30',
    '1/2h',
    '1,000ms',
    '1..5s',
    '2026-01-01',
    '2026-01-01T00:00:00Z',
    '1M',
    '10S',
    '0x10s',
    '1e3ms',
    'Infinity',
    'NaN',
  ])('refuses the text %j', (text) => {
    expect(() => parseDuration(text, 'ttl')).toThrow(InvalidArgumentError);
    expect(() => parseDuration(text, 'ttl')).toThrow(
      `Invalid ttl: '${text}' is not a duration; give milliseconds`,
    );
  });

  it.each<[number | string, string]>([
    [0, '0'],
    [-1, '-1'],
    ['0s', "'0s'"],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    ['1001y', "'1001y'"],
  ])('refuses %j as not positive or too long', (duration, shown) => {
    expect(() => parseDuration(duration, 'options.ttl')).toThrow(
      `Invalid options.ttl: ${shown} must be more than 0 and at most 1,000 years.`,
    );
  });

  it.each([undefined, null, Number.NaN, 5n, {}, [], true, new Date(0), Symbol('s')])(
    'refuses %p, which is neither a number nor a text',
    (duration) => {
      // As a caller without types might.
      expect(() => parseDuration(duration as number, 'ttl')).toThrow('is not a duration');
    },
  );

  it('adds up its parts', () => {
    const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
    const part = fc.tuple(fc.integer({ min: 1, max: 10_000 }), fc.constantFrom('ms', 's', 'm', 'h', 'd'));
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 5 }),
        fc.constantFrom('', ' '),
        (parts, space) => {
          const text = parts.map(([amount, name]) => `${amount}${space}${name}`).join(space);
          const sum = parts.reduce((total, [amount, name]) => total + amount * unit[name], 0);
          expect(parseDuration(text, 'ttl')).toBe(sum);
        },
      ),
    );
  });

  it('answers or refuses, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'0123456789. smhdwy-+,e'.split('')) }), (text) => {
        try {
          const ms = parseDuration(text, 'ttl');
          expect(Number.isSafeInteger(ms) && ms > 0).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArgumentError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
