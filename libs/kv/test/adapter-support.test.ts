import { ClosedError, runInRootScope } from '@nestbox/core';
import { KvOperationError, NotACounterError, VersionConflictError } from '@nestbox/kv';
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  Lifecycle,
  addToCounter,
  distinctKeys,
  encodeEntries,
  encodeOperations,
  lifetimeOf,
  namingKey,
  readableSize,
} from '../src/adapter-support.js';
import type { Expiry, KvOperation } from '../src/kv.adapter.js';

describe('the helpers of adapters', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [2_345_678, '2.3 MB'],
    [999_949, '999.9 kB'],
    [999_950, '1.0 MB'],
    [5e15, '5.0 PB'],
    [5e18, '5000.0 PB'],
  ])('say %p bytes as %p', (bytes, text) => {
    expect(readableSize(bytes)).toBe(text);
  });

  it('read expiries', () => {
    expect(lifetimeOf(undefined)).toBe('never');
    expect(lifetimeOf('never')).toBe('never');
    expect(lifetimeOf('keep')).toBe('keep');
    expect(lifetimeOf({ ttl: '1.5s' })).toBe(1500);
    expect(() => lifetimeOf({ ttl: 0 })).toThrow(expect.objectContaining({ path: 'expiry.ttl' }));
    expect(() => lifetimeOf('forever' as Expiry)).toThrow(expect.objectContaining({ path: 'expiry' }));
    expect(() => lifetimeOf(null as never)).toThrow(expect.objectContaining({ path: 'expiry' }));
  });

  it('check keys, entries and operations, and say where the bad one is', () => {
    expect(distinctKeys(['a', 'b', 'a'])).toEqual(['a', 'b']);
    expect(() => distinctKeys(['a', ''])).toThrow(expect.objectContaining({ path: 'keys[1]' }));
    expect(
      encodeEntries([
        { key: 'a', value: 1 },
        { key: 'b', value: null, expiry: { ttl: 5 } },
        { key: 'a', value: [2] },
      ]),
    ).toEqual([
      { key: 'a', json: '[2]', lifetime: 'never' },
      { key: 'b', json: 'null', lifetime: 5 },
    ]);
    expect(() => encodeEntries([{ key: 'a', value: { x: undefined } }])).toThrow(
      expect.objectContaining({ path: 'entries[0].value.x' }),
    );
    expect(
      encodeOperations([
        { type: 'check', key: 'a', version: 'absent' },
        { type: 'set', key: 'a', value: {}, expiry: 'keep' },
        { type: 'increment', key: 'b', by: -1n },
        { type: 'delete', key: 'c' },
      ]),
    ).toEqual([
      { type: 'check', key: 'a', version: 'absent' },
      { type: 'set', key: 'a', json: '{}', lifetime: 'keep' },
      { type: 'increment', key: 'b', by: -1n, lifetime: 'never' },
      { type: 'delete', key: 'c' },
    ]);
    const bad: [KvOperation, string][] = [
      [{ type: 'check', key: 'b', version: undefined as never }, 'operations[1].version'],
      [{ type: 'check', key: 'b', version: 5 as never }, 'operations[1].version'],
      [{ type: 'delete', key: 'a' }, 'operations[1].key'],
      [{ type: 'set', key: '', value: 1 }, 'operations[1].key'],
      [{ type: 'increment', key: 'b', by: 1 as never }, 'operations[1].by'],
      [{ type: 'append', key: 'b' } as never, 'operations[1].type'],
    ];
    for (const [operation, path] of bad) {
      expect(() => encodeOperations([{ type: 'delete', key: 'a' }, operation])).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT', path }),
      );
    }
  });

  it('add to counters exactly', () => {
    expect(addToCounter('a', undefined, 5n)).toBe(5n);
    expect(addToCounter('a', '9007199254740993', 1n)).toBe(9007199254740994n);
    expect(addToCounter('a', '-9223372036854775808', 0n)).toBe(-(2n ** 63n));
    for (const json of [
      '9223372036854775807',
      '9223372036854775808',
      '1.5',
      '1e3',
      '"1"',
      'null',
      '[]',
      '{}',
    ]) {
      expect(() => addToCounter('a', json, 1n)).toThrow(NotACounterError);
    }
    expect(() => addToCounter('a', '{"x":1}', 1n)).toThrow('is an object, not a whole number');
  });

  it('name what failed, and leave errors alone that say it themselves', async () => {
    const cause = new Error('relation "kv_store" does not exist');
    const failure = namingKey('set', 'test', () => Promise.reject(cause));
    await expect(failure).rejects.toThrow('Failed to set key "test": relation "kv_store" does not exist');
    await expect(failure).rejects.toMatchObject({ cause, key: 'test', operation: 'set key "test"' });
    for (const error of [
      new ClosedError('x'),
      new VersionConflictError('a', 1n, 2n),
      new KvOperationError('x', cause),
    ]) {
      await expect(namingKey('set', 'test', () => Promise.reject(error))).rejects.toBe(error);
    }
  });
});

describe('Lifecycle', () => {
  it('opens once, outside the scope of whoever comes first', async () => {
    const scope = new AsyncLocalStorage<string>();
    let opened = 0;
    const lifecycle = new Lifecycle(
      'It',
      async () => {
        opened++;
        expect(scope.getStore()).toBeUndefined();
      },
      async () => undefined,
    );
    await scope.run('transaction', () => Promise.all([lifecycle.ready(), lifecycle.ready()]));
    expect(lifecycle.ready()).toBeUndefined();
    expect(opened).toBe(1);
    await lifecycle.close();
    expect(() => lifecycle.ready()).toThrow('It is closed');
  });

  it('tries again after a failure', async () => {
    let opened = 0;
    const lifecycle = new Lifecycle(
      'It',
      () => (++opened === 1 ? Promise.reject(new Error('not yet')) : Promise.resolve()),
      async () => undefined,
    );
    await expect(lifecycle.ready()).rejects.toThrow('not yet');
    await lifecycle.ready();
    expect(lifecycle.ready()).toBeUndefined();
  });

  it('waits with closing for an opening under way, and refuses what waits for that', async () => {
    const events: string[] = [];
    let open: (() => void) | undefined;
    const lifecycle = new Lifecycle(
      'It',
      () => new Promise<void>((resolve) => (open = resolve)).then(() => void events.push('opened')),
      async () => void events.push('shut'),
    );
    const waiting = Promise.resolve(lifecycle.ready()).catch((error: unknown) => error);
    const closing = Promise.all([lifecycle.close(), lifecycle.close()]);
    expect(lifecycle.isClosed).toBe(true);
    open!();
    await closing;
    expect(await waiting).toBeInstanceOf(ClosedError);
    expect(events).toEqual(['opened', 'shut']);
  });

  it('shuts what was never opened', async () => {
    let shut = 0;
    const lifecycle = new Lifecycle(
      'It',
      () => Promise.reject(new Error('no')),
      async () => void shut++,
    );
    await runInRootScope(() => lifecycle.close());
    expect(shut).toBe(1);
  });
});
