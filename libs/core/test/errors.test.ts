import { connect } from 'node:net';
import { runInNewContext } from 'node:vm';
import {
  ClosedError,
  InvalidArgumentError,
  NestboxError,
  OverloadedError,
  TimeoutError,
  UnsupportedOperationError,
  messageOf,
} from '@nestbox/core';

describe('every error', () => {
  const cause = new Error('why');

  it.each<[NestboxError, string, string, string, object]>([
    [
      new InvalidArgumentError('value.a', 'is bad.', { cause }),
      'InvalidArgumentError',
      'INVALID_ARGUMENT',
      'Invalid value.a: is bad.',
      { path: 'value.a', problem: 'is bad.', cause },
    ],
    [
      new UnsupportedOperationError('query', 'Redis', 'Use PostgreSQL.'),
      'UnsupportedOperationError',
      'UNSUPPORTED_OPERATION',
      'query is not supported by Redis. Use PostgreSQL.',
      { operation: 'query', backend: 'Redis', advice: 'Use PostgreSQL.' },
    ],
    [
      new ClosedError('The store'),
      'ClosedError',
      'CLOSED',
      'The store is closed. Call it before the application shuts down, or create a new one.',
      { what: 'The store' },
    ],
    [
      new OverloadedError('The store', 10),
      'OverloadedError',
      'OVERLOADED',
      'The store already has 10 calls waiting. Send fewer at once, or raise the limit.',
      { what: 'The store', limit: 10 },
    ],
    [
      new TimeoutError('PostgreSQL', 1000),
      'TimeoutError',
      'TIMEOUT',
      'PostgreSQL did not answer within 1000 ms.',
      { what: 'PostgreSQL', timeoutMs: 1000 },
    ],
  ])(
    'has a name, a code, a message that says what to do, and fields: %p',
    (error, name, code, message, fields) => {
      expect(error).toBeInstanceOf(Error);
      expect(error).toBeInstanceOf(NestboxError);
      expect(error).toMatchObject({ name, code, message, ...fields });
      expect(error.stack).toContain(`${name}: ${message}`);
    },
  );

  it('has the name of its own class when it is derived further', () => {
    class OutOfStockError extends ClosedError {}
    expect(new OutOfStockError('x').name).toBe('OutOfStockError');
    expect(new OutOfStockError('x').code).toBe('CLOSED');
  });
});

describe('messageOf', () => {
  it.each<[string, unknown, string]>([
    ['an error', new Error('reason'), 'reason'],
    ['an error of another realm', runInNewContext('new TypeError("reason")'), 'reason'],
    ['something with a message', { message: 'reason' }, 'reason'],
    ['an error without a message', new TypeError(), 'TypeError'],
    [
      'several errors',
      new AggregateError([new Error('one'), 'two', new AggregateError([new Error('three')])]),
      'one; two; three',
    ],
    ['several errors with a message', new AggregateError([new Error('one')], 'all failed'), 'all failed'],
    ['several errors of which there are none', new AggregateError([]), 'AggregateError'],
    ['a text', 'reason', 'reason'],
    ['undefined', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a number', 7, '7'],
    ['a symbol', Symbol('s'), 'Symbol(s)'],
    ['an object', { code: 7 }, '{ code: 7 }'],
    ['an object that cannot be a text', Object.create(null), '[Object: null prototype] {}'],
    ['a message that is no text', { message: 7 }, '{ message: 7 }'],
  ])('gives a text for %s', (_, thrown, text) => {
    expect(messageOf(thrown)).toBe(text);
  });

  it('says why no address of a host could be reached', async () => {
    const error = await new Promise((resolve) => {
      const lookup = (
        _host: string,
        _options: object,
        done: (error: null, addresses: object[]) => void,
      ): void =>
        done(null, [
          { address: '127.0.0.1', family: 4 },
          { address: '127.0.0.2', family: 4 },
        ]);
      connect({ host: 'db.invalid', port: 1, lookup: lookup as never, autoSelectFamily: true }).on(
        'error',
        resolve,
      );
    });
    expect(messageOf(error)).toBe('connect ECONNREFUSED 127.0.0.1:1; connect ECONNREFUSED 127.0.0.2:1');
  });
});
