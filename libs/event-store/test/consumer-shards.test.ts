import {
  multiStreamProjection,
  PgEventStoreBackend,
  type Consumer,
  type EventStore,
  type Processor,
} from '@nestbox/event-store';
import { eventually } from '@nestbox/testing';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  catchUp,
  noted,
  numberOf,
  numbers,
  quick,
  reactorOn,
  Stage,
  STAGES,
  whileRunning,
  type Noted,
} from './support/stage.js';

beforeAll(() => {
  for (const level of ['log', 'warn', 'error'] as const)
    jest.spyOn(Logger.prototype, level).mockReturnValue();
});

describe.each(STAGES)('the shards of a processor on %s', (_name, open) => {
  let stage: Stage;
  let store: EventStore;
  let partition: string;
  let processorId: string;
  beforeAll(async () => (stage = await open()));
  afterAll(() => stage.close());
  beforeEach(async () => {
    store = await stage.store();
    partition = await stage.partition();
    processorId = stage.name('reactor');
  });
  afterEach(() => stage.closeStores());

  /** So many events for each of 20 streams, numbered in the order of each stream. */
  const write = (from: number, to: number): Promise<unknown> =>
    Promise.all(
      numbers(20).map(async (stream) => {
        for (let n = from; n <= to; n++) await store.appendToStream(`s-${stream}`, [noted(n)], { partition });
      }),
    );
  const infoOf = (id = processorId) => store.processors.get(id, { partition });

  /** Counts what it gets, and fails to keep the order of a stream only where that was not kept for it. */
  const histories = (name: string) =>
    multiStreamProjection<{ items: number[] }, Noted>({
      collectionName: name,
      getDocumentId: ({ metadata }) => metadata.streamName,
      evolve: (document, { data }) => ({ items: [...(document?.items ?? []), data.n] }),
    });
  const consumerOf = (its: EventStore, name: string, parallelism: number, batchSize = 7): Consumer => {
    const consumer = its.consumer({ partition });
    consumer.projector({ projection: histories(name), parallelism, batchSize, retry: quick });
    return consumer;
  };
  const expectHistories = async (name: string, upTo: number): Promise<void> => {
    const documents = await store.collection<{ items: number[] }>(name, { partition }).find();
    expect(documents).toHaveLength(20);
    for (const { items } of documents) expect(items).toEqual(numbers(upTo));
  };

  it('keep the order of each stream, and together handle every event once', async () => {
    const seen: [string, number][] = [];
    const most = { now: 0, ever: 0 };
    const { consumer } = reactorOn(store, partition, {
      processorId,
      parallelism: 4,
      batchSize: 6,
      eachMessage: async ({ data, metadata }) => {
        most.ever = Math.max(most.ever, ++most.now);
        await new Promise(setImmediate);
        seen.push([metadata.streamName, data.n]);
        most.now--;
      },
    });
    await whileRunning(consumer, async () => {
      await write(1, 10);
      await consumer.whenCaughtUp();
    });
    expect(seen).toHaveLength(200);
    for (const stream of numbers(20)) {
      const own = seen.filter(([name]) => name === `s-${stream}`);
      expect(own.map(([, n]) => n)).toEqual(numbers(10));
    }
    expect(most.ever).toBeGreaterThan(1);
    expect(most.ever).toBeLessThanOrEqual(4);
  });

  it('may be at two consumers, of which one ends in the middle of it', async () => {
    const name = stage.name('histories');
    const [first, second] = [consumerOf(store, name, 4), consumerOf(await stage.store(), name, 4)];
    await Promise.all([first.start(), second.start()]);
    await write(1, 5);
    const writing = write(6, 12);
    await first.stop();
    await writing;
    await second.whenCaughtUp();
    await second.stop();
    await expectHistories(name, 12);
  });

  it('are shared evenly by the instances that there are, as these come and go', async () => {
    const name = stage.name('histories');
    const consumers: Consumer[] = [];
    const processors: Processor[] = [];
    for (let i = 0; i < 3; i++) {
      const consumer = (await stage.store()).consumer({ partition, pollMs: 100 });
      processors.push(
        consumer.projector({ projection: histories(name), parallelism: 6, batchSize: 7, lease: '2s' }),
      );
      consumers.push(consumer);
    }
    const shares = (): number[] => processors.map(({ activeShards }) => activeShards);
    let [isOver, written] = [false, 0];
    const writing = (async () => {
      for (; !isOver; written++) {
        await write(written + 1, written + 1);
        // In memory, nothing else would get its turn.
        await new Promise(setImmediate);
      }
    })();
    try {
      for (const [i, expected] of [
        [6, 0, 0],
        [3, 3, 0],
        [2, 2, 2],
      ].entries()) {
        await consumers[i]!.start();
        await eventually(() => expect(shares()).toEqual(expected));
      }
      await consumers[1]!.stop();
      await eventually(() => expect(shares()).toEqual([3, 0, 3]));
    } finally {
      isOver = true;
      await writing;
    }
    await consumers[0]!.whenCaughtUp();
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    await expectHistories(name, written);
  });

  it('may be more or fewer with each run, and lose and repeat nothing', async () => {
    const name = stage.name('histories');
    let written = 0;
    for (const parallelism of [4, 2, 1, 3, 8]) {
      // What the run before has left has been handled by some shards, and not by others.
      const from = written + 1;
      written += 4;
      await write(from, written);
      const consumer = consumerOf(store, name, parallelism, 5);
      await consumer.start();
      const shards = numbers(parallelism).length;
      await eventually(async () => {
        const documents = await store.collection<{ items: number[] }>(name, { partition }).find();
        expect(documents.length).toBeGreaterThan(0);
        expect(documents.some(({ items }) => items.length > from)).toBe(true);
      });
      await consumer.stop();
      expect(await infoOf(name)).toMatchObject({ shards });
    }
    await catchUp(consumerOf(store, name, 3));
    await expectHistories(name, written);
  });

  it('are as many as the instance was told that has them all, and the others follow', async () => {
    const name = stage.name('histories');
    const [four, two] = [consumerOf(store, name, 4), consumerOf(await stage.store(), name, 2)];
    const alsoFour = consumerOf(await stage.store(), name, 4);
    await four.start();
    await write(1, 3);
    // While others work on the four, the instance that was told otherwise works with them.
    await Promise.all([two.start(), alsoFour.start()]);
    await four.whenCaughtUp();
    expect(await infoOf(name)).toMatchObject({ shards: 4 });
    await four.stop();
    await write(4, 6);
    await two.whenCaughtUp();
    await alsoFour.whenCaughtUp();
    await alsoFour.stop();
    await eventually(async () => expect(await infoOf(name)).toMatchObject({ shards: 2 }));
    await four.start();
    await write(7, 8);
    await two.stop();
    await four.whenCaughtUp();
    await eventually(async () => expect(await infoOf(name)).toMatchObject({ shards: 4 }));
    await four.stop();
    await expectHistories(name, 8);
  });

  it('stay as they are while one has failed, so that nothing of it is skipped', async () => {
    await write(1, 3);
    const seen: string[] = [];
    const broken = new Set(['s-7 2']);
    const reactor = (parallelism: number) =>
      reactorOn(store, partition, {
        processorId,
        parallelism,
        batchSize: 2,
        deadLetter: false,
        eachMessage: ({ data, metadata }) => {
          const what = `${metadata.streamName} ${data.n}`;
          if (broken.has(what)) throw new Error('cannot');
          seen.push(what);
        },
      }).consumer;
    const failing = expect.objectContaining({ code: 'PROCESSOR_FAILED' }) as Error;
    for (const parallelism of [4, 3]) {
      await whileRunning(reactor(parallelism), () =>
        eventually(async () => expect(await infoOf()).toMatchObject({ status: 'failed', shards: 4 })),
      );
    }
    const consumer = reactor(2);
    await whileRunning(consumer, () => expect(consumer.whenCaughtUp()).rejects.toEqual(failing));
    broken.clear();
    await catchUp(reactor(2));
    expect(await infoOf()).toMatchObject({ status: 'active', shards: 2 });
    const expected = numbers(20).flatMap((stream) => numbers(3).map((n) => `s-${stream} ${n}`));
    expect(seen.toSorted()).toEqual(expected.toSorted());
  });

  it('rest while the processor is paused, however many there are to be', async () => {
    await write(1, 1);
    const first = reactorOn(store, partition, { processorId, parallelism: 3 });
    await catchUp(first.consumer);
    await store.processors.pause(processorId, { partition });
    await write(2, 2);
    const second = reactorOn(store, partition, { processorId, parallelism: 2 });
    await whileRunning(second.consumer, async () => {
      await eventually(() => second.processor.isActive);
      expect(second.seen).toEqual([]);
      await store.processors.resume(processorId, { partition });
      await second.consumer.whenCaughtUp();
      expect(second.seen.map(numberOf)).toEqual(numbers(20).map(() => 2));
    });
    await catchUp(second.consumer);
    expect(await infoOf()).toMatchObject({ shards: 2 });
  });

  it('are not changed by an instance that has lost them meanwhile', async () => {
    await write(1, 1);
    await catchUp(reactorOn(store, partition, { processorId, parallelism: 3 }).consumer);
    const { backend } = store;
    if (!(backend instanceof PgEventStoreBackend)) return;
    const transaction = backend.transaction.bind(backend);
    // The first is the one in which it changes the number.
    const spy = jest.spyOn(backend, 'transaction').mockImplementationOnce(async (fn) => {
      await backend.postgres.query('delete from nestbox.leases');
      return transaction(fn);
    });
    const warn = jest.spyOn(Logger.prototype, 'warn');
    warn.mockClear();
    const { consumer, seen } = reactorOn(store, partition, { processorId, parallelism: 2 });
    await whileRunning(consumer, async () => {
      await write(2, 2);
      await consumer.whenCaughtUp();
      expect(spy).toHaveBeenCalledTimes(2);
      expect(warn.mock.calls.flat().join('')).toMatch(/was interrupted and goes on by itself: Lease/);
      expect(await infoOf()).toMatchObject({ shards: 2 });
      expect(seen).toHaveLength(20);
    });
  });
});
