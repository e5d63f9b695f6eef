import { AsyncLocalStorage } from 'node:async_hooks';
import {
  ClosedError,
  Coalescer,
  type CoalescerOptions,
  InvalidArgumentError,
  OverloadedError,
} from '@nestbox/core';
import { Flights, outcomeOf, settle } from './flights.js';

interface Write {
  key?: string;
  id: number;
  size?: number;
}

function numbers(flights: Flights<number>, options: Partial<CoalescerOptions<number, number>> = {}) {
  return new Coalescer<number, number>({ name: 'numbers', flush: flights.flush, ...options });
}

function writes(flights: Flights<Write, string>, options: Partial<CoalescerOptions<Write, string>> = {}) {
  return new Coalescer<Write, string>({
    name: 'writes',
    flush: flights.flush,
    key: (write) => write.key,
    size: (write) => write.size ?? 0,
    ...options,
  });
}

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

describe('a batch that fails', () => {
  class DataError extends Error {}
  const isDataError = (error: unknown): boolean => error instanceof DataError;

  it('because of one item is split until only that item fails', async () => {
    const batches: number[][] = [];
    const coalescer = new Coalescer<number, number>({
      name: 'numbers',
      isDataError,
      flush: async (items) => {
        batches.push(items);
        if (items.includes(13)) throw new DataError('13 is bad');
        return items;
      },
    });
    const ended = await Promise.allSettled(Array.from({ length: 100 }, (_, item) => coalescer.run(item)));

    expect(ended.flatMap(({ status }, item) => (status === 'rejected' ? [item] : []))).toEqual([13]);
    expect(ended.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []))).toHaveLength(99);
    // The whole batch, then two halves a level.
    expect(batches.length).toBeLessThanOrEqual(1 + 2 * Math.ceil(Math.log2(100)));
  });

  it('because of several items fails each with its own error', async () => {
    const coalescer = new Coalescer<number, number>({
      name: 'numbers',
      isDataError,
      flush: async (items) => {
        const bad = items.find((item) => item % 10 === 3);
        if (bad !== undefined) throw new DataError(`${bad} is bad`);
        return items;
      },
    });
    const ended = await Promise.allSettled(Array.from({ length: 40 }, (_, item) => coalescer.run(item)));

    const reasons = ended.flatMap((end) => (end.status === 'rejected' ? [String(end.reason)] : []));
    expect(reasons).toEqual(['Error: 3 is bad', 'Error: 13 is bad', 'Error: 23 is bad', 'Error: 33 is bad']);
  });

  it('is not sent a second time when the error is no data error', async () => {
    const flights = new Flights<number>();
    const coalescer = numbers(flights, { isDataError });
    const calls = [coalescer.run(1), coalescer.run(2)];
    await settle();
    const lost = new Error('connection lost');
    flights.all[0]!.crash(lost);

    expect(await Promise.allSettled(calls)).toEqual([
      { status: 'rejected', reason: lost },
      { status: 'rejected', reason: lost },
    ]);
    expect(flights.batches).toEqual([[1, 2]]);
  });

  it('with the connection, even while it is being split, settles every call once and lets later ones go on', async () => {
    const flights = new Flights<number>();
    const coalescer = numbers(flights, { isDataError });
    const calls = [1, 2, 3, 4].map((item) => coalescer.run(item));
    const settled: number[] = [];
    calls.forEach((call, i) =>
      call.then(
        () => settled.push(i),
        () => settled.push(i),
      ),
    );
    await settle();
    flights.all[0]!.crash(new DataError('somewhere'));
    await settle();
    const lost = new Error('connection lost');
    flights.all[1]!.crash(lost);
    await settle();
    flights.all[2]!.land([3, 4]);
    await settle();

    expect(flights.batches).toEqual([
      [1, 2, 3, 4],
      [1, 2],
      [3, 4],
    ]);
    expect(settled).toEqual([0, 1, 2, 3]);
    expect(await Promise.all(calls.map(outcomeOf))).toEqual([lost, lost, 3, 4]);

    const later = coalescer.run(5);
    await settle();
    flights.all[3]!.land([5]);
    expect(await later).toBe(5);
  });

  it('by throwing instead of rejecting is treated alike', async () => {
    let calls = 0;
    const coalescer = new Coalescer<number, number>({
      name: 'numbers',
      flush: (items) => {
        if (++calls === 1) throw new Error('thrown');
        return Promise.resolve(items);
      },
    });
    await expect(coalescer.run(1)).rejects.toThrow('thrown');
    expect(await coalescer.run(2)).toBe(2);
  });

  it('fails with its own error when isDataError throws', async () => {
    const coalescer = new Coalescer<number, number>({
      name: 'numbers',
      flush: () => Promise.reject(new Error('original')),
      isDataError: () => {
        throw new Error('classifier');
      },
    });
    const ended = await Promise.allSettled([coalescer.run(1), coalescer.run(2)]);

    expect(ended.map((end) => end.status === 'rejected' && String(end.reason))).toEqual([
      'Error: original',
      'Error: original',
    ]);
  });

  it.each([
    ['too few', [1]],
    ['too many', [1, 2, 3]],
    ['none', undefined],
  ])(
    'with %s results is rejected and never sent again, since it may have taken effect',
    async (_, results) => {
      const flights = new Flights<number>();
      const coalescer = numbers(flights, { isDataError: () => true });
      const calls = [coalescer.run(1), coalescer.run(2)];
      await settle();
      flights.all[0]!.land(results as number[]);

      const ended = await Promise.allSettled(calls);
      const message = 'Error: numbers: flush must give 2 results, one per item.';
      expect(ended.map((end) => end.status === 'rejected' && String(end.reason))).toEqual([message, message]);
      expect(flights.all).toHaveLength(1);
    },
  );
});

describe('an item that cannot be taken', () => {
  it('because key or size throws is rejected alone', async () => {
    const flights = new Flights<number>();
    const coalescer = numbers(flights, {
      key: (item) => {
        if (item === 1) throw new Error('no key');
        return undefined;
      },
      size: (item) => {
        if (item === 2) throw new Error('no size');
        return 1;
      },
    });
    const calls = [1, 2, 3].map((item) => coalescer.run(item));
    await expect(calls[0]).rejects.toThrow('no key');
    await expect(calls[1]).rejects.toThrow('no size');
    await settle();
    flights.all[0]!.land([3]);

    expect(await calls[2]).toBe(3);
    expect(coalescer.waitingCount).toBe(0);
    await coalescer.close();
  });

  it('because its size is no size is rejected, lest batches have no limit', async () => {
    const coalescer = numbers(new Flights<number>(), { size: (item) => item });
    await expect(coalescer.run(Number.NaN)).rejects.toThrow('Invalid size: NaN must be at least 0.');
    await expect(coalescer.run(-1)).rejects.toThrow(InvalidArgumentError);
  });

  it('because too many wait is refused with OverloadedError, until there is room', async () => {
    const flights = new Flights<number>();
    const coalescer = numbers(flights, { maxWaiting: 3, maxInFlight: 1 });
    void coalescer.run(0);
    await settle();
    for (const item of [1, 2, 3]) void coalescer.run(item);
    const refused = await outcomeOf(coalescer.run(4));

    expect(refused).toBeInstanceOf(OverloadedError);
    expect(refused).toMatchObject({ code: 'OVERLOADED', what: 'numbers', limit: 3 });

    flights.all[0]!.land([0]);
    await settle();
    void coalescer.run(5);
    flights.all[1]!.land([1, 2, 3]);
    await settle();
    expect(flights.batches).toEqual([[0], [1, 2, 3], [5]]);
  });

  it('counts calls behind a busy key as waiting', async () => {
    const flights = new Flights<Write, string>();
    const coalescer = writes(flights, { maxWaiting: 2 });
    void coalescer.run({ key: 'a', id: 0 });
    await settle();
    void coalescer.run({ key: 'a', id: 1 });
    void coalescer.run({ key: 'a', id: 2 });
    expect(coalescer.waitingCount).toBe(2);

    await expect(coalescer.run({ key: 'b', id: 3 })).rejects.toThrow(OverloadedError);
  });
});

describe('closing a coalescer', () => {
  it('settles what is under way and what waits, then resolves', async () => {
    const flights = new Flights<Write, string>();
    const coalescer = writes(flights, { maxInFlight: 1, maxItems: 1 });
    const first = coalescer.run({ key: 'a', id: 1 });
    await settle();
    const second = coalescer.run({ key: 'a', id: 2 });
    const third = coalescer.run({ key: 'b', id: 3 });
    const closed = coalescer.close();
    const refused = outcomeOf(coalescer.run({ key: 'c', id: 4 }));

    expect(await refused).toBeInstanceOf(ClosedError);
    expect(await refused).toMatchObject({ code: 'CLOSED', what: 'writes' });

    flights.all[0]!.land(['first']);
    expect(await first).toBe('first');
    expect(await outcomeOf(closed)).toBe('pending');
    await settle();
    flights.all[1]!.crash(new Error('lost'));
    await expect(third).rejects.toThrow('lost');
    await settle();
    flights.all[2]!.land(['second']);
    await closed;

    expect(await second).toBe('second');
  });

  it('settles calls of the same turn, which are not even under way', async () => {
    const coalescer = new Coalescer<number, number>({ name: 'numbers', flush: async (items) => items });
    const call = coalescer.run(1);
    await coalescer.close();

    expect(await outcomeOf(call)).toBe(1);
  });

  it('resolves at once when idle, and any number of times', async () => {
    const coalescer = numbers(new Flights<number>());
    await coalescer.close();
    await Promise.all([coalescer.close(), coalescer.close()]);

    await expect(coalescer.run(1)).rejects.toThrow(
      'numbers is closed. Call it before the application shuts down, or create a new one.',
    );
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
