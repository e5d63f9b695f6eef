import { AsyncLocalStorage } from 'node:async_hooks';
import { Coalescer, InvalidArgumentError } from '@nestbox/core';
import { Flights, type Write, numbers, settle, writes } from './flights.js';

describe('a coalescer', () => {
  it('gives each call its own result', async () => {
    const coalescer = new Coalescer<number, string>({
      name: 'squares',
      flush: async (items) => items.map((item) => `${item} -> ${item * item}`),
    });

    expect(await Promise.all([1, 2, 3].map((item) => coalescer.run(item)))).toEqual([
      '1 -> 1',
      '2 -> 4',
      '3 -> 9',
    ]);
  });

  it('sends all calls of one turn in one batch', async () => {
    const flights = new Flights<number>();
    const coalescer = numbers(flights);
    void coalescer.run(1);
    void coalescer.run(2);
    void coalescer.run(3);
    await settle();

    expect(flights.batches).toEqual([[1, 2, 3]]);
  });

  it('sends at once when idle, without waiting for a timer', async () => {
    const flights = new Flights<number>();
    void numbers(flights).run(1);
    expect(flights.all).toHaveLength(0);
    // Two turns of the microtask queue; a timer would need the event loop.
    await Promise.resolve();
    await Promise.resolve();
    expect(flights.batches).toEqual([[1]]);
  });

  it('has two batches under way at the most, and gathers the calls made meanwhile', async () => {
    const flights = new Flights<number>();
    const coalescer = numbers(flights);
    for (let item = 1; item <= 5; item++) {
      void coalescer.run(item);
      await settle();
    }
    expect(flights.batches).toEqual([[1], [2]]);
    expect(coalescer.waitingCount).toBe(3);

    flights.all[1]!.land([2]);
    await settle();
    expect(flights.batches).toEqual([[1], [2], [3, 4, 5]]);
    expect(coalescer.waitingCount).toBe(0);
  });

  it('keeps to maxInFlight', async () => {
    const flights = new Flights<number>();
    const coalescer = numbers(flights, { maxInFlight: 1, maxItems: 1 });
    void coalescer.run(1);
    void coalescer.run(2);
    await settle();
    expect(flights.batches).toEqual([[1]]);

    flights.all[0]!.land([1]);
    await settle();
    expect(flights.batches).toEqual([[1], [2]]);
  });

  it('tells whether it has anything to do', async () => {
    const flights = new Flights<number>();
    const coalescer = numbers(flights, { maxInFlight: 1 });
    expect(coalescer.isIdle).toBe(true);
    void coalescer.run(1);
    expect(coalescer.isIdle).toBe(false);
    await settle();
    void coalescer.run(2);
    flights.all[0]!.land([1]);
    await settle();
    expect(coalescer.isIdle).toBe(false);

    flights.all[1]!.land([2]);
    await settle();
    expect(coalescer.isIdle).toBe(true);
  });

  it('sends no small batch beside a large one, but gathers those who call again, when it is told to', async () => {
    const flights = new Flights<number>();
    const coalescer = numbers(flights, { worthwhileItems: 20 });
    const callers = Array.from({ length: 12 }, async (_, i) => {
      await coalescer.run(i);
      for (let hops = 0; hops < 20; hops++) await Promise.resolve();
      await coalescer.run(100 + i);
    });
    await settle();
    void coalescer.run(50);
    await settle();
    // Twelve are more than a few, and one is not worthwhile.
    expect(flights.batches.map(({ length }) => length)).toEqual([12]);
    flights.all[0]!.land(flights.batches[0]!);
    await new Promise((resolve) => setImmediate(resolve));
    await settle();
    expect(flights.batches.map(({ length }) => length)).toEqual([12, 13]);

    for (let i = 60; i < 80; i++) void coalescer.run(i);
    await settle();
    expect(flights.batches.map(({ length }) => length)).toEqual([12, 13, 20]);
    flights.all[1]!.land(flights.batches[1]!);
    flights.all[2]!.land(flights.batches[2]!);
    await Promise.all(callers);
    await coalescer.close();
  });

  it('sends beside a few whatever comes', async () => {
    const flights = new Flights<number>();
    const coalescer = numbers(flights, { worthwhileItems: 20 });
    for (let i = 0; i < 8; i++) void coalescer.run(i);
    await settle();
    void coalescer.run(8);
    await settle();
    expect(flights.batches.map(({ length }) => length)).toEqual([8, 1]);
  });

  it('keeps to maxItems', async () => {
    const flights = new Flights<number>();
    const coalescer = numbers(flights, { maxItems: 2, maxInFlight: 10 });
    for (const item of [1, 2, 3, 4, 5]) void coalescer.run(item);
    await settle();

    expect(flights.batches).toEqual([[1, 2], [3, 4], [5]]);
  });

  it('keeps to maxBytes, and sends a larger item alone', async () => {
    const flights = new Flights<Write, string>();
    const coalescer = writes(flights, { maxBytes: 100, maxInFlight: 10 });
    const sizes = [40, 60, 1, 500, 0, 99, 1, 1];
    sizes.forEach((size, id) => void coalescer.run({ id, size }));
    await settle();

    const sent = flights.batches.map((batch) => batch.map((write) => write.size));
    expect(sent).toEqual([[40, 60], [1], [500], [0, 99, 1], [1]]);
  });

  it('refuses limits that are no whole numbers of at least 1', () => {
    const flights = new Flights<number>();
    for (const limit of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => numbers(flights, { maxItems: limit })).toThrow(InvalidArgumentError);
      expect(() => numbers(flights, { maxBytes: limit })).toThrow('Invalid maxBytes');
      expect(() => numbers(flights, { maxInFlight: limit })).toThrow('Invalid maxInFlight');
      expect(() => numbers(flights, { maxWaiting: limit })).toThrow('Invalid maxWaiting');
    }
  });
});

describe('calls with the same key', () => {
  it('never meet in a batch, nor in two batches at once, and keep their order', async () => {
    const flights = new Flights<Write, string>();
    const coalescer = writes(flights);
    void coalescer.run({ key: 'a', id: 1 });
    void coalescer.run({ key: 'a', id: 2 });
    void coalescer.run({ key: 'b', id: 3 });
    void coalescer.run({ key: 'a', id: 4 });
    void coalescer.run({ id: 5 });
    await settle();
    expect(flights.batches.map((batch) => batch.map(({ id }) => id))).toEqual([[1, 3, 5]]);

    flights.all[0]!.land(['', '', '']);
    await settle();
    expect(flights.batches[1]!.map(({ id }) => id)).toEqual([2]);

    flights.all[1]!.land(['']);
    await settle();
    expect(flights.batches[2]!.map(({ id }) => id)).toEqual([4]);
  });

  it('wait for a failed one too', async () => {
    const flights = new Flights<Write, string>();
    const coalescer = writes(flights);
    const first = coalescer.run({ key: 'a', id: 1 });
    const second = coalescer.run({ key: 'a', id: 2 });
    await settle();
    flights.all[0]!.crash(new Error('lost'));
    await expect(first).rejects.toThrow('lost');
    await settle();
    flights.all[1]!.land(['second']);

    expect(await second).toBe('second');
  });

  it('do not hold back other keys', async () => {
    const flights = new Flights<Write, string>();
    const coalescer = writes(flights);
    for (let id = 0; id < 1000; id++) void coalescer.run({ key: 'hot', id });
    await settle();
    void coalescer.run({ key: 'cold', id: -1 });
    await settle();

    expect(flights.batches.map((batch) => batch.map(({ id }) => id))).toEqual([[0], [-1]]);
  });

  it('may have the empty text as their key', async () => {
    const flights = new Flights<Write, string>();
    const coalescer = writes(flights);
    void coalescer.run({ key: '', id: 1 });
    void coalescer.run({ key: '', id: 2 });
    await settle();

    expect(flights.batches).toEqual([[{ key: '', id: 1 }]]);
  });
});

describe('the async context of a flush', () => {
  it('is nobody’s, and callers keep theirs', async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    const coalescer = new Coalescer<number, number>({
      name: 'numbers',
      maxInFlight: 1,
      key: (item) => String(item),
      isDataError: () => true,
      flush: async (items) => {
        seen.push(context.getStore());
        await settle();
        seen.push(context.getStore());
        if (items.includes(13) && items.length > 1) throw new Error('bad');
        return items;
      },
    });
    const call = (item: number): Promise<string | undefined> =>
      context.run(`caller ${item}`, async () => {
        await coalescer.run(item);
        return context.getStore();
      });
    // The second 1 waits for the first, and is sent by what ends that flight.
    const kept = await Promise.all([call(1), call(1), call(13), call(2)]);

    expect(kept).toEqual(['caller 1', 'caller 1', 'caller 13', 'caller 2']);
    expect(seen.length).toBeGreaterThanOrEqual(8);
    expect(new Set(seen)).toEqual(new Set([undefined]));
  });
});
