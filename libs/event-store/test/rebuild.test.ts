import {
  RebuildInProgressError,
  type EventStore,
  type Projection,
  type RebuildProgress,
} from '@nestbox/event-store';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  Gate,
  noted,
  notedUpTo,
  numbers,
  quick,
  Stage,
  STAGES,
  whileRunning,
  type Noted,
} from './support/stage.js';
import { expectFold, sumsOf, type Code } from './support/sums.js';

const logs = jest.spyOn(Logger.prototype, 'log');
beforeEach(() => {
  logs.mockReset().mockReturnValue();
  for (const level of ['warn', 'error'] as const) jest.spyOn(Logger.prototype, level).mockReturnValue();
});

describe.each(STAGES)('a rebuild on %s', (_name, open) => {
  let stage: Stage;
  let name: string;
  beforeEach(async () => {
    stage = await open();
    name = stage.name('sums');
  });
  afterEach(() => stage.close());

  const asyncOn = (store: EventStore, projection: Projection<Noted>, options: object = {}) => {
    const consumer = store.consumer();
    consumer.projector<Noted>({ projection, batchSize: 20, retry: quick, ...options });
    return consumer;
  };
  /** Writers that go on until they are told to stop, some of them in sessions that commit late. */
  const writersOn = (stores: readonly EventStore[]) => {
    const state = { isOver: false, written: 0 };
    const writing = stores.map(async (store, writer) => {
      for (let i = 1; !state.isOver; i++) {
        const append = (n: number) => store.appendToStream(`w-${writer}-${i % 4}`, [noted(n)]);
        if (i % 3 > 0) await append(i);
        else {
          await store.withSession(async () => {
            await append(i);
            await new Promise(setImmediate);
            await store.appendToStream(`also-${writer}`, [noted(i + 1)]);
          });
        }
        state.written++;
      }
    });
    return {
      state,
      stop: async () => {
        state.isOver = true;
        await Promise.all(writing);
      },
    };
  };

  it.each(['async', 'inline'] as const)(
    'of an %s projection loses and repeats nothing that several writers append meanwhile',
    async (type) => {
      const code: Code = { factor: 1 };
      const projection = sumsOf(name, code);
      const settings = { projections: type === 'inline' ? [{ type, projection }] : [] };
      const stores = [await stage.store(settings), await stage.store(settings), await stage.store(settings)];
      const [store] = stores;
      for (const i of numbers(5)) await store!.appendToStream(`old-${i}`, notedUpTo(60));
      const consumers =
        type === 'async' ? [asyncOn(store!, projection), asyncOn(stores[1]!, projection)] : [];
      await whileRunning(consumers, async () => {
        for (const factor of [2, 3, 4]) {
          const writers = writersOn(stores);
          code.factor = factor;
          const { events } = await stores[factor % 3]!.rebuild(projection, { batchSize: 50 });
          expect(events).toBeGreaterThanOrEqual(300);
          await writers.stop();
          for (const consumer of consumers) await consumer.whenCaughtUp();
          // Whoever comes first to a document is first in it; only those who read the log keep its order.
          await expectFold(store!, name, factor, { inOrder: type === 'async' });
        }
      });
    },
  );

  it('happens once at a time: who comes second is told, and harms nothing', async () => {
    const code: Code = { factor: 1 };
    const projection = sumsOf(name, code);
    const [store, other] = [
      await stage.store({ projections: [projection] }),
      await stage.store({ projections: [projection] }),
    ];
    await store.appendToStream('cart-1', notedUpTo(9));
    const gate = new Gate();
    Object.assign(code, { factor: 2, before: (n: number) => (n === 5 ? gate.pass() : undefined) });
    const first = store.rebuild(name);
    await gate.someoneWaits();
    for (const its of [store, other]) {
      const error = await its.rebuild(name).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(RebuildInProgressError);
      expect(error).toMatchObject({ projection: name });
    }
    gate.open();
    expect(await first).toEqual({ events: 9 });
    code.before = undefined;
    await expectFold(other, name, 2);
    code.factor = 3;
    await other.rebuild(name);
    await expectFold(store, name, 3);
  });

  it('leaves what is there to readers until it is done', async () => {
    const code: Code = { factor: 1 };
    const projection = sumsOf(name, code);
    const store = await stage.store({ projections: [projection] });
    await store.appendToStream('cart-1', notedUpTo(9));
    const gate = new Gate();
    Object.assign(code, { factor: 2, before: (n: number) => (n === 9 ? gate.pass() : undefined) });
    const rebuilding = store.rebuild(name, { batchSize: 2 });
    await gate.someoneWaits();
    await expectFold(store, name, 1);
    gate.open();
    await rebuilding;
    await expectFold(store, name, 2);
  });

  it('that fails leaves everything as it was, and the next one succeeds', async () => {
    const code: Code = { factor: 1 };
    const projection = sumsOf(name, code);
    const store = await stage.store({ projections: [projection] });
    await store.appendToStream('cart-1', notedUpTo(9));
    const broken = (n: number): void => {
      if (n === 7) throw new RangeError('cannot stand 7');
    };
    Object.assign(code, { factor: 2, before: broken });
    await expect(store.rebuild(name, { batchSize: 2 })).rejects.toMatchObject({
      code: 'PROJECTION_FAILED',
      projection: name,
      cause: expect.any(RangeError) as RangeError,
    });
    Object.assign(code, { factor: 1, before: undefined });
    await expectFold(store, name, 1);
    await store.appendToStream('cart-1', notedUpTo(4));
    await expectFold(store, name, 1);
    const { documents } = store.backend;
    await expect(
      documents.getMany(documents.shadowName(name), [{ partition: 'emt:default', id: 'rest-0' }]),
    ).rejects.toMatchObject({ code: 'NOT_FOUND' });
    code.factor = 3;
    expect(await store.rebuild(name)).toEqual({ events: 13 });
    await expectFold(store, name, 3);
  });

  it('ends when it is told to, with the reason that it was given', async () => {
    const projection = sumsOf(name, { factor: 1 });
    const store = await stage.store({ projections: [projection] });
    await store.appendToStream('cart-1', notedUpTo(9));
    const asked = new AbortController();
    const reason = new Error('not now');
    const onProgress = () => asked.abort(reason);
    await expect(store.rebuild(name, { batchSize: 2, onProgress, signal: asked.signal })).rejects.toBe(
      reason,
    );
    await expectFold(store, name, 1);
    expect(await store.rebuild(name)).toEqual({ events: 9 });
  });

  it('begins with nothing of what one that was killed has left', async () => {
    const projection = sumsOf(name, { factor: 2 });
    const store = await stage.store({ projections: [projection] });
    await store.appendToStream('cart-1', notedUpTo(9));
    const { backend } = store;
    const shadow = backend.documents.shadowName(name);
    await backend.documents.ensure({ name: shadow, indexes: [], indexAll: false });
    const left = { sum: 99, items: [99] };
    await backend.transaction(() =>
      backend.documents.write(shadow, [
        { partition: 'emt:default', id: 'rest-0', data: left },
        { partition: 'emt:default', id: 'left', data: left },
      ]),
    );
    await store.rebuild(name);
    await expectFold(store, name, 2);
  });

  it('tells how far it is, and the log when it is done', async () => {
    const projection = sumsOf(name, { factor: 1 });
    const store = await stage.store({ projections: [projection] });
    await store.appendToStream('cart-1', notedUpTo(95));
    const told: RebuildProgress[] = [];
    const head = await store.head();
    await store.rebuild(name, { batchSize: 10, onProgress: (progress) => told.push(progress) });
    expect(told.map(({ phase }) => phase)).toEqual([
      ...numbers(10).map(() => 'building'),
      'switching',
      'done',
    ]);
    expect(told.slice(0, 10).map(({ events }) => events)).toEqual([...numbers(9).map((i) => i * 10), 95]);
    for (const progress of told) {
      expect(progress).toMatchObject({ projection: name, head });
      expect(progress.position).toBeLessThanOrEqual(head);
      expect(progress.eventsPerSecond).toBeGreaterThan(0);
    }
    expect(told.at(-1)).toMatchObject({ position: head, events: 95, remainingMs: 0 });
    expect(String(logs.mock.lastCall?.[0])).toMatch(
      new RegExp(`^Rebuilt projection "${name}" from 95 events in \\d+\\.\\d s\\.$`),
    );
  });

  it('by an instance that has lost its turn changes nothing', async () => {
    const code: Code = { factor: 1 };
    const projection = sumsOf(name, code);
    const store = await stage.store({ projections: [projection] });
    await store.appendToStream('cart-1', notedUpTo(9));
    const { processors } = store.backend;
    const over = Object.assign(new Error('over'), { code: 'LEASE_EXPIRED' });
    const gate = new Gate();
    Object.assign(code, { factor: 2, before: (n: number) => (n === 5 ? gate.pass() : undefined) });
    const late = store.rebuild(name, { batchSize: 3 });
    await gate.someoneWaits();
    // As if it had hung until the other one below had its turn.
    const assertHeld = jest.spyOn(processors, 'assertHeld').mockRejectedValue(over);
    gate.open();
    await expect(late).rejects.toMatchObject({ cause: over });
    assertHeld.mockRestore();
    Object.assign(code, { factor: 1, before: undefined });
    await expectFold(store, name, 1);
    expect(await store.rebuild(name)).toEqual({ events: 9 });
  });
});
