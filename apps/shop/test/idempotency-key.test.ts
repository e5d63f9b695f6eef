import { ProblemError } from '../src/http/problem.js';
import { fingerprintOf, parseIdempotencyKey } from '../src/orders/idempotency-key.js';

describe('An Idempotency-Key', () => {
  it.each([
    ['"8e03978e-40d5-43dd-bc93-6894a57f9324"', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['8e03978e-40d5-43dd-bc93-6894a57f9324', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['"a b, c; \\"d\\" \\\\"', 'a b, c; "d" \\'],
    ['order:42/ä'.normalize('NFD').replaceAll(/[^\x21-\x7e]/g, ''), 'order:42/a'],
  ])('of %s is %s', (header, key) => {
    expect(parseIdempotencyKey(header)).toBe(key);
  });

  it.each([undefined, '', '""', '"open', 'a b', 'a,b', '"a", "b"', '"a\\b"', 'ä', `"${'a'.repeat(256)}"`])(
    'is refused when the header is %s',
    (header) => {
      expect(() => parseIdempotencyKey(header)).toThrow(ProblemError);
    },
  );
});

describe('The fingerprint of a request', () => {
  it('is the same however the body is written', () => {
    expect(fingerprintOf('POST /orders', { a: 1, b: [{ c: 2, d: null }] })).toBe(
      fingerprintOf('POST /orders', { b: [{ d: null, c: 2 }], a: 1 }),
    );
  });

  it('differs with the operation, the values and the order of a list', () => {
    const all = [
      fingerprintOf('POST /orders', { items: [1, 2] }),
      fingerprintOf('POST /orders', { items: [2, 1] }),
      fingerprintOf('POST /orders', { items: [1, '2'] }),
      fingerprintOf('POST /returns', { items: [1, 2] }),
    ];
    expect(new Set(all).size).toBe(all.length);
  });
});
