import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { InvalidArgumentError } from '@nestbox/core';
import { Postgres } from '@nestbox/postgres';
import { testDatabase } from '@nestbox/testing';
import fc from 'fast-check';
import { decodeValue, encodeError, encodeValue } from '../src/values/typed-value.js';
import { anyValue } from './support/any-value.js';

/** What is there to see of an error. */
interface Shown extends Error {
  code?: unknown;
  errors?: unknown;
  [property: string]: unknown;
}

function roundTrip(error: unknown): Shown {
  return decodeValue(JSON.parse(encodeError(error))) as Shown;
}

describe('An error', () => {
  it('comes back with its name, message, stack, code, cause and own properties', () => {
    class CardDeclined extends Error {
      override readonly name = 'CardDeclined';
      readonly code = 'DECLINED';
      readonly at = new Date(5);
      constructor(options: ErrorOptions) {
        super('No money.', options);
      }
    }
    const cause = new TypeError('inner', { cause: 'a text' });
    const error = new CardDeclined({ cause });
    const back = roundTrip(error);
    expect(back).toBeInstanceOf(Error);
    expect({ ...back }).toEqual({ code: 'DECLINED', at: new Date(5) });
    expect([back.name, back.message, back.stack]).toEqual(['CardDeclined', 'No money.', error.stack]);
    expect(String(back)).toBe('CardDeclined: No money.');
    expect(back.cause).toBeInstanceOf(TypeError);
    expect((back.cause as Error).stack).toBe(cause.stack);
    expect((back.cause as Error).cause).toBe('a text');
    expect(encodeError(back)).toBe(encodeError(error));
  });

  it('keeps a cause that is undefined, and has none where there was none', () => {
    expect('cause' in roundTrip(new Error('x', { cause: undefined }))).toBe(true);
    expect('cause' in roundTrip(new Error('x'))).toBe(false);
  });

  it('keeps the errors of an AggregateError', () => {
    const error = new AggregateError([new RangeError('one'), 'two', { three: 3n }], 'All failed.');
    const back = roundTrip(error);
    expect(back).toBeInstanceOf(AggregateError);
    expect(back.errors).toEqual([new RangeError('one'), 'two', { three: 3n }]);
    expect(Object.keys(back)).toEqual([]);
  });

  it('is told by its shape, of whatever realm', () => {
    const foreign: unknown = runInNewContext('Object.assign(new RangeError("far"), { code: "E_FAR" })');
    expect(foreign).not.toBeInstanceOf(Error);
    expect(roundTrip(foreign)).toMatchObject({ name: 'RangeError', message: 'far', code: 'E_FAR' });
    try {
      readFileSync('/nowhere');
    } catch (error) {
      expect(roundTrip(error)).toMatchObject({
        message: /** Node's own */ expect.stringMatching(/^ENOENT/) as unknown,
        code: 'ENOENT',
        syscall: 'open',
      });
    }
    const aborted = AbortSignal.abort().reason as Error;
    expect(roundTrip(aborted)).toMatchObject({ name: 'AbortError', message: aborted.message, code: 20 });
  });

  it('is no error where a plain object merely looks like one', () => {
    const value = { name: 'a', message: 'b', stack: 'c' };
    expect(encodeValue(value, 'value')).toBe(JSON.stringify(value));
  });

  it('loses only the properties that cannot be written', () => {
    const error = Object.assign(new Error('x'), {
      status: 503,
      request: { socket: new WeakMap() },
      retry: () => 1,
      [Symbol('hidden')]: 1,
      'a\0b': 'c\ud800',
      $type: 'Date',
    });
    Object.defineProperty(error, 'bad', {
      enumerable: true,
      get() {
        throw new Error('no way');
      },
    });
    expect({ ...roundTrip(error) }).toEqual({
      status: 503,
      'a\0b': 'c\ud800',
      $type: 'Date',
      bad: undefined,
    });
  });

  it('is cut where it refers back to itself', () => {
    const error = new Error('outer');
    const inner = new Error('inner', { cause: error });
    Object.assign(error, { cause: inner, self: error, box: { error } });
    Object.assign(inner, { status: 1 });
    const back = roundTrip(error);
    expect((back.cause as Shown).message).toBe('inner');
    expect((back.cause as Shown)['status']).toBe(1);
    expect('cause' in (back.cause as Shown)).toBe(false);
    expect(Object.keys(back)).toEqual([]);
  });

  it('is written in time when it and others all refer to each other', () => {
    const errors = Array.from({ length: 30 }, (_, i) => new Error(`error ${i}`));
    for (const error of errors) Object.assign(error, { errors });
    const start = performance.now();
    expect(roundTrip(errors[0]).message).toBe('error 0');
    expect(performance.now() - start).toBeLessThan(2_000);
  });

  it('keeps a hundred causes of a long chain', () => {
    const { stackTraceLimit } = Error;
    // Traces take long to write with source maps.
    Error.stackTraceLimit = 0;
    let error = new Error('first');
    for (let i = 0; i < 3_000; i++) error = new Error(`error ${i}`, { cause: error });
    Error.stackTraceLimit = stackTraceLimit;
    let depth = 0;
    for (let at: unknown = roundTrip(error); at !== undefined; at = (at as Error).cause) depth++;
    expect(depth).toBe(100);
  });
});

it('A decoded error has the trace that was recorded, and leaves those of others alone', () => {
  const error = new Error('x');
  expect(roundTrip(error).stack).toBe(error.stack);
  expect(new Error('y').stack).toContain('values-errors.test');
});

describe('encodeError', () => {
  it('keeps what is thrown and is no error', () => {
    for (const thrown of ['text', '', 0, null, undefined, { a: 1n }, [1]]) {
      expect(roundTrip(thrown)).toEqual(thrown);
    }
  });

  it('writes an error in place of what cannot be recorded', () => {
    class Oops {
      readonly why = 'broken';
    }
    for (const thrown of [
      new Oops(),
      () => 1,
      Symbol('x'),
      { fn: () => 1 },
      new Proxy({}, revokedHandler()),
    ]) {
      const back = roundTrip(thrown);
      expect(back).toBeInstanceOf(Error);
      expect(back.message).not.toBe('');
    }
    expect(roundTrip(new Oops()).message).toContain("why: 'broken'");
  });

  it('never throws', () => {
    const { proxy, revoke } = Proxy.revocable(new Error('x'), {});
    revoke();
    const hostile = new Proxy(new Error('x'), revokedHandler());
    // V8 reads the name when it first writes the stack.
    const silly = Object.assign(new Error('x'), { stack: 3 });
    Object.defineProperties(silly, {
      message: {
        value: {
          toString: () => {
            throw new Error('no');
          },
        },
      },
      name: {
        get: () => {
          throw new Error('no');
        },
      },
    });
    for (const thrown of [proxy, hostile, silly, Object.create(null), new Error('x', { cause: proxy })]) {
      expect(typeof JSON.parse(encodeError(thrown))).toBe('object');
    }
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withSparseArray: true,
          withTypedArray: true,
          withMap: true,
          withSet: true,
          withObjectString: true,
        }),
        (thrown) => {
          decodeValue(JSON.parse(encodeError(thrown)));
        },
      ),
    );
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(encodeError(value)).toBe(encodeValue(value, 'value'));
      }),
    );
  });

  it('cuts an error that is too large down to what matters', () => {
    const error = Object.assign(new Error('ä'.repeat(50_000)), { code: 'BIG', body: 'x'.repeat(100_000) });
    const encoded = encodeError(error, 20_000);
    expect(Buffer.byteLength(encoded)).toBeLessThan(20_000);
    expect(decodeValue(JSON.parse(encoded))).toMatchObject({
      name: 'Error',
      message: 'ä'.repeat(2_000),
      code: 'BIG',
    });
    expect(encodeError(error, 1_000_000)).toBe(encodeError(error));
  });

  it('writes what PostgreSQL takes', async () => {
    const database = await testDatabase();
    const postgres = new Postgres(database.url);
    try {
      const refusal: unknown = await postgres.query('select 1/0').catch((error: unknown) => error);
      const nul = Object.assign(new Error('NUL \0 and \ud800'), { 'k\0': '\0' });
      const missing = new InvalidArgumentError('a', 'b', { cause: nul });
      const json = `[${[refusal, missing].map((error) => encodeError(error)).join(',')}]`;
      const [row] = await postgres.query(
        `select $1::text::jsonb as all, $1::text::jsonb->0->>'message' as message`,
        [json],
      );
      expect(row!['message']).toBe('division by zero');
      const [first, second] = (row!['all'] as unknown[]).map(decodeValue) as [Shown, Shown];
      expect(first).toMatchObject({ name: 'PostgresError', code: '22012', severity: 'ERROR' });
      expect(second).toMatchObject({ name: 'InvalidArgumentError', code: 'INVALID_ARGUMENT', path: 'a' });
      expect(second.cause).toMatchObject({ message: 'NUL \0 and \ud800', 'k\0': '\0' });
    } finally {
      await postgres.close();
      await database.drop();
    }
  });
});

function revokedHandler(): ProxyHandler<object> {
  const refuse = (): never => {
    throw new Error('no');
  };
  return {
    get: refuse,
    ownKeys: refuse,
    getPrototypeOf: refuse,
    getOwnPropertyDescriptor: refuse,
    has: refuse,
  };
}
