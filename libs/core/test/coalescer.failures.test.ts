import { Coalescer, InvalidArgumentError, OverloadedError } from '@nestbox/core';
import { Flights, type Write, numbers, outcomeOf, settle, writes } from './flights.js';

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
    calls.forEach((call, i) => {
      const done = (): number => settled.push(i);
      call.then(done, done);
    });
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
