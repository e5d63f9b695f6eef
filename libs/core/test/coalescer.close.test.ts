import { ClosedError, Coalescer } from '@nestbox/core';
import { Flights, type Write, numbers, outcomeOf, settle, writes } from './flights.js';

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
