import {
  ProcessorFailedError,
  singleStreamProjection,
  type EventStore,
  type ReactorOptions,
  type ReadEvent,
} from '@nestbox/event-store';
import { eventually } from '@nestbox/testing';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  catchUp,
  Gate,
  noted,
  notedUpTo,
  numberOf,
  numbers,
  quick,
  reactorOn,
  Stage,
  STAGES,
  whileRunning,
  type Noted,
} from './support/stage.js';

const warnings = jest.spyOn(Logger.prototype, 'warn');
const errors = jest.spyOn(Logger.prototype, 'error');
const logs = jest.spyOn(Logger.prototype, 'log');
beforeEach(() => {
  for (const level of [logs, warnings, errors]) level.mockReset().mockReturnValue();
});
const linesOf = (level: typeof warnings | typeof errors): string[] =>
  level.mock.calls.map(([line]) => String(line));

describe.each(STAGES)('a handler that fails, on %s', (_name, open) => {
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

  const append = (stream: string, events: object[]) =>
    store.appendToStream(stream, events as Noted[], { partition });
  const infoOf = (id = processorId) => store.processors.get(id, { partition });
  const parkedNumbers = async (): Promise<number[]> =>
    (await store.processors.parked(processorId, { partition })).map(({ event }) => numberOf(event));
  /** A reactor that cannot handle some numbers. */
  const failingOn = (failing: Set<number>, options: Partial<ReactorOptions<Noted>> = {}) => {
    const handled: number[] = [];
    const { consumer } = reactorOn(store, partition, {
      processorId,
      eachMessage: ({ data }) => {
        if (failing.has(data.n)) throw new Error(`cannot stand ${data.n}`);
        handled.push(data.n);
      },
      ...options,
    });
    return { consumer, handled };
  };

  it('is called again after growing pauses; then its event is parked, which the log tells, and others go on', async () => {
    await append('cart-1', notedUpTo(3));
    const tries: { attempt: number; at: number }[] = [];
    const handled: number[] = [];
    const { consumer } = reactorOn(store, partition, {
      processorId,
      retry: { attempts: 4, base: 40, max: 80 },
      eachMessage: ({ data }, { attempt }) => {
        if (data.n !== 2) return void handled.push(data.n);
        tries.push({ attempt, at: performance.now() });
        throw new Error('out of order');
      },
    });
    await catchUp(consumer);
    expect(handled).toEqual([1, 3]);
    expect(tries.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
    const pauses = tries.slice(1).map(({ at }, i) => at - tries[i]!.at);
    // Up to half of each is left out at random; timers may be a little early.
    for (const [i, least] of [20, 40, 40].entries()) expect(pauses[i]!).toBeGreaterThan(least - 3);
    expect(linesOf(warnings)).toEqual([
      expect.stringMatching(
        /^Processor "reactor_\d+" has parked Noted at global position \d+ of stream "cart-1" after 4 attempts: out of order$/,
      ),
    ]);
  });

  it.each([undefined, null, 'a text', Object.freeze({ odd: true })])(
    'may throw %p as well as an error',
    async (thrown) => {
      await append('cart-1', notedUpTo(2));
      const { consumer, seen } = reactorOn(store, partition, {
        processorId,
        eachMessage: (event: ReadEvent<Noted>) => {
          if (event.data.n === 1) throw thrown;
          seen.push(event);
        },
      });
      await catchUp(consumer);
      expect(seen.map(numberOf)).toEqual([2]);
      expect(await parkedNumbers()).toEqual([1]);
    },
  );

  it('for want of another service or a file fails like any other', async () => {
    await append('cart-1', notedUpTo(3));
    const codes = ['ECONNREFUSED', 'ENOENT', 'ETIMEDOUT'];
    const { consumer } = reactorOn(store, partition, {
      processorId,
      eachMessage: ({ data }) => {
        throw Object.assign(new Error('not there'), { code: codes[data.n - 1] });
      },
    });
    await catchUp(consumer);
    expect(await parkedNumbers()).toEqual([1, 2, 3]);
  });

  it.each([false, true])(
    'on one event of a batch has only that one parked (transactional: %p)',
    async (transactional) => {
      await append('cart-1', notedUpTo(40));
      const handled: number[] = [];
      const attempts = new Map<number, number[]>();
      const { consumer } = reactorOn(store, partition, {
        processorId,
        transactional,
        batchSize: 10,
        eachBatch: (events, { attempt }) => {
          for (const n of [13, 27]) {
            if (!events.some(({ data }) => data.n === n)) continue;
            if (events.length === 1) attempts.set(n, [...(attempts.get(n) ?? []), attempt]);
            throw new Error('bad apple');
          }
          handled.push(...events.map(numberOf));
        },
      });
      await catchUp(consumer);
      expect(handled).toEqual(numbers(40).filter((n) => n !== 13 && n !== 27));
      expect(await parkedNumbers()).toEqual([13, 27]);
      expect([...attempts.values()]).toEqual([
        [1, 2, 3],
        [1, 2, 3],
      ]);
    },
  );

  it('in an upcast has the event parked, which is shown as it is stored', async () => {
    await append('cart-1', notedUpTo(3));
    const { consumer, seen } = reactorOn(store, partition, {
      processorId,
      upcast: (event) => {
        if (numberOf(event) === 2) throw new Error('unknown version');
        return { ...event, data: { n: numberOf(event) * 10 } };
      },
    });
    await catchUp(consumer);
    expect(seen.map(numberOf)).toEqual([10, 30]);
    expect(await store.processors.parked(processorId, { partition })).toMatchObject([
      { event: { type: 'Noted', data: { n: 2 } }, error: 'unknown version', attempts: 3 },
    ]);
  });

  it.each([false, true])(
    'when replayed leaves the event parked, with one more attempt (transactional: %p)',
    async (transactional) => {
      await append('cart-1', notedUpTo(5));
      const failing = new Set([2, 4]);
      const { consumer, handled } = failingOn(failing, { transactional });
      const attempts: number[] = [];
      await whileRunning(consumer, async () => {
        await consumer.whenCaughtUp();
        expect(await parkedNumbers()).toEqual([2, 4]);
        failing.delete(4);
        expect(await store.processors.replay(processorId, undefined, { partition })).toBe(2);
        await eventually(async () => {
          const parked = await store.processors.parked(processorId, { partition });
          attempts.push(...parked.map((each) => each.attempts));
          expect(parked).toMatchObject([{ event: { data: { n: 2 } }, attempts: 4 }]);
        });
        // What was undone was handled again.
        expect([...new Set(handled)]).toEqual([1, 3, 5, 4]);
        // Not asked for again, it rests.
        await append('cart-1', [noted(6)]);
        await consumer.whenCaughtUp();
        expect(await store.processors.parked(processorId, { partition })).toMatchObject([{ attempts: 4 }]);
        expect(await infoOf()).toMatchObject({ status: 'active', parked: 1 });
      });
    },
  );

  it('ends a projector that may leave nothing out, and the events before it stay counted', async () => {
    const name = stage.name('sums');
    await append('cart-1', notedUpTo(6));
    const broken = new Set([4]);
    const projection = singleStreamProjection<{ items: number[] }, Noted>({
      collectionName: name,
      evolve: (document, { data }) => {
        if (broken.has(data.n)) throw new RangeError('too much');
        return { items: [...(document?.items ?? []), data.n] };
      },
    });
    const projectorOn = (its: EventStore) => {
      const consumer = its.consumer({ partition });
      consumer.projector({ projection, retry: quick });
      return consumer;
    };
    const items = async () =>
      (await store.collection<{ items: number[] }>(name, { partition }).get('cart-1'))?.items;
    const [consumer, other] = [projectorOn(store), projectorOn(await stage.store())];
    await consumer.start();
    const failure = await consumer.whenCaughtUp().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ProcessorFailedError);
    expect(failure).toMatchObject({
      processorId: name,
      problem: expect.stringContaining('too much') as string,
    });
    expect(await items()).toEqual([1, 2, 3]);
    expect(await infoOf(name)).toMatchObject({
      status: 'failed',
      parked: 0,
      lagMs: expect.any(Number) as number,
    });
    expect(linesOf(errors)).toEqual([
      expect.stringMatching(
        /has failed at Noted at global position \d+ .* and stands still until it is resumed: .*too much/,
      ),
    ]);
    // Resumed by anybody, it fails again, as nothing has changed.
    await (await stage.store()).processors.resume(name, { partition });
    await eventually(() => expect(linesOf(errors)).toHaveLength(2));
    await expect(consumer.whenCaughtUp()).rejects.toMatchObject({ code: 'PROCESSOR_FAILED' });
    await consumer.stop();
    // A new start is a new try, of an application that may have been mended.
    broken.clear();
    await catchUp(other);
    expect(await items()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await infoOf(name)).toMatchObject({ status: 'active', error: undefined, lag: 0n });
  });

  it('has a consumer say so that was to end when nothing is left', async () => {
    await append('cart-1', notedUpTo(2));
    const consumer = store.consumer({ partition, stopWhen: { noMessagesLeft: true } });
    const eachMessage = () => Promise.reject(new Error('never'));
    consumer.reactor({ processorId, deadLetter: false, retry: quick, eachMessage });
    await expect(consumer.start()).rejects.toMatchObject({ code: 'PROCESSOR_FAILED', processorId });
    expect(consumer.isRunning).toBe(false);
  });

  it('does not hold up the end of its consumer with its pauses', async () => {
    await append('cart-1', [noted(1)]);
    const gate = new Gate();
    const { consumer } = reactorOn(store, partition, {
      processorId,
      retry: { attempts: 10, base: '1h', max: '1h' },
      eachMessage: () => {
        void gate.pass();
        throw new Error('not now');
      },
    });
    await consumer.start();
    await gate.someoneWaits();
    await consumer.stop();
    expect(await parkedNumbers()).toEqual([]);
  });

  it('obeys the orders of other instances', async () => {
    const admin = (await stage.store()).processors;
    const { consumer, handled } = failingOn(new Set([2]));
    await whileRunning(consumer, async () => {
      await append('cart-1', notedUpTo(3));
      await consumer.whenCaughtUp();
      await admin.pause(processorId, { partition });
      await append('cart-1', [noted(4)]);
      expect(await admin.get(processorId, { partition })).toMatchObject({ status: 'paused', parked: 1 });
      expect(await admin.drop(processorId, undefined, { partition })).toBe(1);
      await admin.reset(processorId, { partition, position: 'END' });
      await admin.resume(processorId, { partition });
      await append('cart-1', [noted(5)]);
      await consumer.whenCaughtUp();
      expect(handled).toEqual([1, 3, 5]);
      // Forgotten while it runs, it is new, and begins where it is told to begin.
      expect(await admin.remove(processorId, { partition })).toBe(true);
      await eventually(() => expect(handled).toEqual([1, 3, 5, 1, 3, 4, 5]));
    });
  });
});
