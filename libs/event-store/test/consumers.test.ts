import {
  createConsumer,
  createEventStore,
  MemoryEventStoreBackend,
  projector,
  reactor,
  singleStreamProjection,
  type EventStore,
  type ReadEvent,
} from '@nestbox/event-store';
import { eventually } from '@nestbox/testing';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  catchUp,
  Gate,
  ignored,
  noted,
  notedUpTo,
  numberOf,
  numbers,
  reactorOn,
  Stage,
  STAGES,
  whileRunning,
  type Ignored,
  type Noted,
} from './support/stage.js';

beforeAll(() => {
  for (const level of ['log', 'warn', 'error'] as const)
    jest.spyOn(Logger.prototype, level).mockReturnValue();
});

describe.each(STAGES)('a consumer on %s', (_name, open) => {
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

  const append = (stream: string, events: (Noted | Ignored)[]) =>
    store.appendToStream(stream, events, { partition });
  const infoOf = (id = processorId) => store.processors.get(id, { partition });

  it('saves its checkpoint once for each batch', async () => {
    await append('cart-1', notedUpTo(100));
    const save = jest.spyOn(store.backend.processors, 'save');
    const batches: number[] = [];
    const consumer = store.consumer({ partition });
    consumer.reactor<Noted>({
      processorId,
      batchSize: 25,
      eachBatch: (events) => void batches.push(events.length),
    });
    const projection = singleStreamProjection<{ sum: number }, Noted>({
      collectionName: stage.name('sums'),
      evolve: (document, { data }) => ({ sum: (document?.sum ?? 0) + data.n }),
    });
    consumer.projector({ projection, batchSize: 20 });
    await catchUp(consumer);
    const saves = (id: string) => save.mock.calls.filter(([key]) => key.processorId === id);
    expect(batches).toEqual([25, 25, 25, 25]);
    expect(saves(processorId)).toHaveLength(4);
    expect(saves(projection.name)).toHaveLength(5);
  });

  it('gets past thousands of events that it does not handle, and says so', async () => {
    for (const n of numbers(4)) await append(`cart-${n}`, numbers(500).map(ignored));
    const { consumer, seen } = reactorOn(store, partition, { processorId, canHandle: ['Noted'] });
    await whileRunning(consumer, async () => {
      await consumer.whenCaughtUp();
      expect(seen).toEqual([]);
      // The checkpoint follows without being written for each of them.
      await eventually(async () => expect(await infoOf()).toMatchObject({ lag: 0n, lagMs: 0 }));
      await append('cart-1', [ignored(0), noted(7)]);
      await consumer.whenCaughtUp();
      expect(seen.map(numberOf)).toEqual([7]);
    });
  });

  it('catches up behind the holes that a deleted stream has left', async () => {
    await append('cart-1', notedUpTo(3));
    await append('cart-2', notedUpTo(3));
    await store.deleteStream('cart-2', { partition });
    const { consumer, seen } = reactorOn(store, partition, { processorId });
    await whileRunning(consumer, async () => {
      await consumer.whenCaughtUp();
      expect(seen.map(numberOf)).toEqual([1, 2, 3]);
      await append('cart-3', [noted(4)]);
      await store.deleteStream('cart-3', { partition });
      await consumer.whenCaughtUp();
    });
  });

  it('of all partitions catches up though one of them is dropped meanwhile', async () => {
    const doomed = await stage.partition();
    const gate = new Gate();
    const kept: number[] = [];
    const { consumer } = reactorOn(store, '*', {
      processorId,
      startFrom: 'END',
      eachMessage: async ({ data, metadata }) => {
        await gate.pass();
        if (metadata.partition === partition) kept.push(data.n);
      },
    });
    await whileRunning(consumer, async () => {
      await append('cart-1', [noted(1)]);
      await store.appendToStream('cart-1', notedUpTo(5), { partition: doomed });
      const caughtUp = consumer.whenCaughtUp();
      await gate.someoneWaits();
      const dropping = store.partitions.drop(doomed);
      gate.open();
      await dropping;
      await caughtUp;
      // What was behind the end of the log is gone; new events come at higher positions all the same.
      await append('cart-1', [noted(2)]);
      await consumer.whenCaughtUp();
      expect(kept).toEqual([1, 2]);
    });
  });

  it('has not caught up once it was reset, until all was handled again', async () => {
    await append('cart-1', notedUpTo(5));
    const { consumer, seen } = reactorOn(store, partition, { processorId });
    await whileRunning(consumer, async () => {
      await consumer.whenCaughtUp();
      await store.processors.reset(processorId, { partition });
      await consumer.whenCaughtUp();
      expect(seen.map(numberOf)).toEqual([...numbers(5), ...numbers(5)]);
    });
  });

  it('does not wait for ever: before its start, after its end, or against the will of the caller', async () => {
    await append('cart-1', notedUpTo(2));
    const gate = new Gate();
    const { consumer } = reactorOn(store, partition, { processorId, eachMessage: () => gate.pass() });
    await expect(consumer.whenCaughtUp()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await consumer.start();
    await gate.someoneWaits();
    const reason = new Error('no more time');
    const asked = new AbortController();
    const waiting = consumer.whenCaughtUp({ signal: asked.signal });
    asked.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    const late = consumer.whenCaughtUp().catch((error: unknown) => error);
    const stopping = consumer.stop();
    gate.open();
    await stopping;
    expect(await late).toMatchObject({ code: 'CLOSED' });
  });

  it('is started once, stopped once, and may start again', async () => {
    const { consumer, seen } = reactorOn(store, partition, { processorId });
    await consumer.stop();
    await Promise.all([consumer.start(), consumer.start()]);
    expect(consumer.isRunning).toBe(true);
    await append('cart-1', [noted(1)]);
    await consumer.whenCaughtUp();
    await Promise.all([consumer.stop(), consumer.stop()]);
    expect(consumer.isRunning).toBe(false);
    await append('cart-1', [noted(2)]);
    await consumer.start();
    await consumer.whenCaughtUp();
    // Asked to start while it stops, it runs when that is done.
    const [, started] = [consumer.stop(), consumer.start()];
    await started;
    await append('cart-1', [noted(3)]);
    await consumer.whenCaughtUp();
    await consumer.stop();
    expect(seen.map(numberOf)).toEqual([1, 2, 3]);
  });

  it('takes no further processor once it is started', async () => {
    const { consumer } = reactorOn(store, partition, { processorId });
    await whileRunning(consumer, async () => {
      expect(() => consumer.reactor({ processorId: 'late', eachMessage: () => undefined })).toThrow(
        /"late" comes too late: the consumer is running/,
      );
    });
    consumer.reactor({ processorId: 'late', eachMessage: () => undefined });
  });

  it('of a partition that is not there says so, and starts once it is', async () => {
    const missing = stage.name('missing');
    const { consumer, seen } = reactorOn(store, missing, { processorId });
    await expect(consumer.start()).rejects.toMatchObject({ code: 'PARTITION_NOT_FOUND', partition: missing });
    expect(consumer.isRunning).toBe(false);
    await store.partitions.create(missing);
    await whileRunning(consumer, async () => {
      await store.appendToStream('cart-1', [noted(1)], { partition: missing });
      await consumer.whenCaughtUp();
    });
    expect(seen).toHaveLength(1);
  });

  it('waits for the handler that runs when it stops, and does not repeat what was handled', async () => {
    await append('cart-1', notedUpTo(6));
    const gate = new Gate();
    const { consumer, seen } = reactorOn(store, partition, {
      processorId,
      eachMessage: async (event: ReadEvent<Noted>) => {
        if (event.data.n === 3) await gate.pass();
        seen.push(event);
      },
    });
    await consumer.start();
    await gate.someoneWaits();
    const stopping = consumer.stop();
    gate.open();
    await stopping;
    expect(seen.map(numberOf)).toEqual([1, 2, 3]);
    const other = reactorOn(await stage.store(), partition, { processorId });
    await catchUp(other.consumer);
    expect(other.seen.map(numberOf)).toEqual([4, 5, 6]);
  });

  it('tells a handler that takes too long to give up, and waits no longer', async () => {
    await append('cart-1', notedUpTo(2));
    const gate = new Gate();
    let signal: AbortSignal | undefined;
    const { consumer } = reactorOn(store, partition, {
      processorId,
      eachMessage: (_event, context) => {
        ({ signal } = context);
        return gate.pass();
      },
    });
    await consumer.start();
    await gate.someoneWaits();
    expect(signal?.aborted).toBe(false);
    await consumer.stop({ timeout: 20 });
    expect(signal?.aborted).toBe(true);
    gate.open();
  });

  it('hands a batch to a plain reactor again when its checkpoint could not be saved', async () => {
    await append('cart-1', notedUpTo(3));
    const { consumer, seen } = reactorOn(store, partition, { processorId });
    const lost = Object.assign(new Error('lost'), { code: 'CONNECTION_CLOSED' });
    jest.spyOn(store.backend.processors, 'save').mockRejectedValueOnce(lost);
    await catchUp(consumer);
    expect(seen.map(numberOf)).toEqual([1, 2, 3, 1, 2, 3]);
  });
});

describe('a consumer without a store', () => {
  it('runs projectors and reactors, and closes what it has opened', async () => {
    const backend = new MemoryEventStoreBackend();
    const store = createEventStore(backend);
    await store.appendToStream('cart-1', notedUpTo(3));
    const seen: number[] = [];
    const projection = singleStreamProjection<{ sum: number }, Noted>({
      collectionName: 'sums',
      evolve: (document, { data }) => ({ sum: (document?.sum ?? 0) + data.n }),
    });
    const consumer = createConsumer(backend, {
      stopWhen: { noMessagesLeft: true },
      processors: [
        projector({ projection }),
        reactor<Noted>({ processorId: 'seen', eachMessage: ({ data }) => void seen.push(data.n) }),
      ],
    });
    await consumer.start();
    expect(seen).toEqual([1, 2, 3]);
    expect(await store.collection('sums').get('cart-1')).toMatchObject({ sum: 6 });
    await consumer.close();
    await consumer.close();
    await expect(consumer.start()).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
