import { TransactionClosedError } from '@nestbox/postgres';
import { UnsupportedOperationError } from '@nestbox/core';
import { eventually } from '@nestbox/testing';
import type { AppendRequest } from '../src/event-store.backend.js';
import { PartitionNotFoundError } from '../src/event-store.errors.js';
import { DEFAULT_PARTITION, type ExpectedStreamVersion } from '../src/event.types.js';
import { MemoryEventStoreBackend } from '../src/memory/memory.event-store-backend.js';

let backend: MemoryEventStoreBackend;

beforeEach(() => {
  backend = new MemoryEventStoreBackend();
});

let ids = 0;

function request(
  streamName: string,
  {
    partition = DEFAULT_PARTITION,
    expected = 'NO_CONCURRENCY_CHECK',
    own = [],
  }: { partition?: string; expected?: ExpectedStreamVersion; own?: readonly string[] } = {},
): AppendRequest {
  const messageIds = own.length > 0 ? own : [`id ${++ids}`];
  return {
    partition,
    streamName,
    category: streamName.split('-')[0]!,
    expected,
    messages: messageIds.map((messageId) => ({
      type: 'Added',
      messageId,
      hasOwnId: own.length > 0,
      data: { messageId },
      metadata: {},
    })),
    encoded: '',
  };
}

async function append(streamName: string, options?: Parameters<typeof request>[1]) {
  const [outcome] = await backend.append([request(streamName, options)]);
  return outcome!;
}

const versionOf = async (streamName: string): Promise<bigint> =>
  (await backend.streamState(DEFAULT_PARTITION, streamName)).version;

const CARTS = { name: 'carts', indexes: [], indexAll: false };
const KEY = { partition: DEFAULT_PARTITION, id: 'a' };

/** A promise, and what resolves it. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

describe('transactions in memory', () => {
  it('are not seen from outside before they are committed, and from inside at once', async () => {
    const { opened, open } = gate();
    const started = gate();
    const transaction = backend.transaction(async () => {
      await append('a');
      expect(await versionOf('a')).toBe(1n);
      started.open();
      await opened;
    });
    await started.opened;
    expect(await versionOf('a')).toBe(0n);
    expect(await backend.watermark()).toBe(0n);
    open();
    await transaction;
    expect(await versionOf('a')).toBe(1n);
    expect(await backend.watermark()).toBe(1n);
  });

  it('undo everything when they fail, global positions too', async () => {
    await append('a');
    await backend.documents.ensure(CARTS);
    const failed = backend.transaction(async () => {
      await append('a');
      await append('b');
      await backend.deleteStream(DEFAULT_PARTITION, 'a', 'NO_CONCURRENCY_CHECK');
      await backend.createPartition('north');
      await backend.documents.write('carts', [{ ...KEY, data: { n: 1 } }]);
      await backend.documents.drop(['carts']);
      await backend.processors.register({ processorId: 'p', partition: DEFAULT_PARTITION }, 1, 0n);
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    expect(await backend.streamState(DEFAULT_PARTITION, 'a')).toEqual({
      state: 'open',
      version: 1n,
      position: 1n,
    });
    expect(await versionOf('b')).toBe(0n);
    expect(await backend.listPartitions()).toEqual([DEFAULT_PARTITION]);
    expect(await backend.documents.getMany('carts', [KEY])).toEqual([undefined]);
    expect(await backend.processors.list()).toEqual([]);
    expect(await append('b')).toMatchObject({ kind: 'appended', positions: [2n] });
  });

  it('nest: a failed inner one takes back only what it did', async () => {
    const done: string[] = [];
    await backend.transaction(async () => {
      await append('a');
      backend.afterCommit(() => done.push('first'));
      await backend
        .transaction(async () => {
          await append('a');
          backend.afterCommit(() => done.push('dropped'));
          throw new Error('no');
        })
        .catch(() => undefined);
      await backend.transaction(async () => {
        await append('b');
        backend.afterCommit(() => done.push('second'));
      });
      expect(await versionOf('a')).toBe(1n);
      expect(done).toEqual([]);
    });
    expect(await versionOf('a')).toBe(1n);
    expect(await versionOf('b')).toBe(1n);
    expect(done).toEqual(['first', 'second']);
  });

  it('drop what was to be done after the commit when they fail, and do it at once where there is none', async () => {
    const done: string[] = [];
    const failed = backend.transaction(async () => {
      backend.afterCommit(() => done.push('dropped'));
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    backend.afterCommit(() => done.push('at once'));
    expect(done).toEqual(['at once']);
  });

  it('go one at a time, and writes outside wait for them', async () => {
    const order: string[] = [];
    const { opened, open } = gate();
    const first = backend.transaction(async () => {
      await append('a', { expected: 'STREAM_DOES_NOT_EXIST' });
      await opened;
      order.push('first');
    });
    const second = backend.transaction(async () => {
      order.push('second');
      await append('a', { expected: 1n });
    });
    const third = append('a').then(() => order.push('third'));
    open();
    await Promise.all([first, second, third]);
    expect(order).toEqual(['first', 'second', 'third']);
    expect(await versionOf('a')).toBe(3n);
  });

  it('wait for calls that nobody awaited, and refuse those that come too late', async () => {
    const { opened, open } = gate();
    let late: Promise<unknown> | undefined;
    await backend.transaction(async () => {
      void append('a');
      late = opened.then(() => append('a'));
    });
    expect(await versionOf('a')).toBe(1n);
    open();
    await expect(late).rejects.toBeInstanceOf(TransactionClosedError);
    expect(await versionOf('a')).toBe(1n);
  });
});

describe('the backend in memory', () => {
  it('appends to none of several streams when one partition is not there', async () => {
    const requests = [request('a'), request('b', { partition: 'nowhere' })];
    const failed = backend.append(requests);
    await expect(failed).rejects.toBeInstanceOf(PartitionNotFoundError);
    await failed.catch((error: unknown) => expect(backend.isDataError(error)).toBe(true));
    expect(await versionOf('a')).toBe(0n);
  });

  it('shares no object with anybody', async () => {
    const own = request('a');
    await backend.append([own]);
    (own.messages[0]!.data as Record<string, unknown>)['changed'] = true;
    const read = async () =>
      backend.readStream({
        partition: DEFAULT_PARTITION,
        streamName: 'a',
        from: 1n,
        to: undefined,
        maxCount: undefined,
        backwards: false,
      });
    const [first] = (await read()).messages;
    expect(first!.data).not.toHaveProperty('changed');
    (first!.data as Record<string, unknown>)['changed'] = true;
    first!.metadata['changed'] = true;
    const [second] = (await read()).messages;
    expect(second!.data).not.toHaveProperty('changed');
    expect(second!.metadata).toEqual({});
  });

  it('knows no SQL', async () => {
    await expect(backend.run('select 1')).rejects.toBeInstanceOf(UnsupportedOperationError);
  });

  it('keeps a tombstone of a deleted stream for those who ask for it', async () => {
    await append('a', { own: ['one', 'two'] });
    await append('b');
    expect(await backend.deleteStream(DEFAULT_PARTITION, 'a', 5n)).toEqual({ conflict: 2n });
    expect(await backend.deleteStream(DEFAULT_PARTITION, 'a', 2n)).toEqual({ deleted: true });
    expect(await backend.deleteStream(DEFAULT_PARTITION, 'a', 'NO_CONCURRENCY_CHECK')).toEqual({
      deleted: false,
    });
    expect(await append('a', { own: ['one', 'two'] })).toEqual({ kind: 'deleted' });
    const log = async (types?: string[]) =>
      backend.readLog({
        after: 0n,
        upTo: await backend.watermark(),
        limit: 10,
        partition: undefined,
        types,
        category: undefined,
        shard: undefined,
      });
    expect((await log()).map(({ globalPosition }) => globalPosition)).toEqual([3n]);
    expect(await log(['$StreamDeleted'])).toMatchObject([
      { streamName: 'a', streamPosition: 3n, globalPosition: 4n, data: {} },
    ]);
    expect(await backend.streamState(DEFAULT_PARTITION, 'a')).toMatchObject({
      state: 'deleted',
      version: 3n,
    });
  });

  it('spreads streams over shards, each stream in one', async () => {
    for (let i = 0; i < 40; i++) await append(`s-${i % 20}`);
    const shards = await Promise.all(
      [0, 1, 2].map((index) =>
        backend.readLog({
          after: 0n,
          upTo: 40n,
          limit: 100,
          partition: undefined,
          types: undefined,
          category: undefined,
          shard: { index, count: 3 },
        }),
      ),
    );
    const names = shards.map((messages) => [...new Set(messages.map(({ streamName }) => streamName))]);
    expect(names.flat()).toHaveLength(20);
    expect(shards.flat()).toHaveLength(40);
    expect(names.every((some) => some.length > 0)).toBe(true);
  });

  it('drops a partition with all that is in it', async () => {
    const key = { processorId: 'p', partition: 'north' };
    await backend.documents.ensure(CARTS);
    await backend.createPartition('north');
    expect(await backend.createPartition('north')).toBe(false);
    await append('a', { partition: 'north' });
    await backend.transaction(() =>
      backend.documents.write('carts', [
        { partition: 'north', id: 'a', data: {} },
        { ...KEY, data: {} },
      ]),
    );
    await backend.processors.register(key, 2, 0n);
    expect(await backend.dropPartition('north')).toBe(true);
    expect(await backend.dropPartition('north')).toBe(false);
    await backend.createPartition('north');
    expect(await backend.streamState('north', 'a')).toMatchObject({ state: 'absent' });
    expect(await backend.processors.read(key)).toEqual([]);
    const documents = await backend.documents.getMany('carts', [{ partition: 'north', id: 'a' }, KEY]);
    expect(documents).toEqual([undefined, { id: 'a', data: {}, version: 1n }]);
  });

  it('gives the place of a collection to its shadow', async () => {
    const { documents } = backend;
    const shadow = documents.shadowName('carts');
    await documents.ensure(CARTS);
    await documents.ensure({ ...CARTS, name: shadow });
    await backend.transaction(async () => {
      await documents.write('carts', [{ ...KEY, data: { old: true } }]);
      await documents.write(shadow, [{ ...KEY, data: { old: false } }]);
    });
    await backend.transaction(() => documents.swap(['carts']));
    expect(await documents.getMany('carts', [KEY])).toEqual([{ id: 'a', data: { old: false }, version: 1n }]);
    await expect(documents.getMany(shadow, [KEY])).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('wake-ups in memory', () => {
  it('come after each commit, one at a time, and end', async () => {
    let calls = 0;
    let running = 0;
    const subscription = backend.onWakeup(async () => {
      expect(++running).toBe(1);
      calls++;
      await new Promise((resolve) => setImmediate(resolve));
      running--;
    }, 60_000);
    await eventually(() => expect(calls).toBe(1));
    for (let i = 0; i < 20; i++) await append('a');
    await eventually(() => expect(calls).toBeGreaterThan(1));
    subscription[Symbol.dispose]();
    await eventually(() => expect(running).toBe(0));
    const before = calls;
    await append('a');
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toBe(before);
  });
});
