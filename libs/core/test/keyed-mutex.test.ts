import { AsyncLocalStorage } from 'node:async_hooks';
import fc from 'fast-check';
import { KeyedMutex } from '@nestbox/core';

describe('a keyed mutex', () => {
  it('runs one function of a key at a time, in call order, and others beside it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c'), fails: fc.boolean() }), { maxLength: 20 }),
        async (scheduler, calls) => {
          const mutex = new KeyedMutex();
          const running = new Set<string>();
          const started: { key: string; id: number }[] = [];
          const overlaps: number[] = [];
          const ended = calls.map(({ key, fails }, id) =>
            mutex.run(key, async () => {
              if (running.has(key)) overlaps.push(id);
              running.add(key);
              started.push({ key, id });
              await scheduler.schedule(Promise.resolve());
              running.delete(key);
              if (fails) throw new Error(`failure ${id}`);
              return `result ${id}`;
            }),
          );
          const outcomes = Promise.allSettled(ended);
          await scheduler.waitFor(outcomes);

          expect(overlaps).toEqual([]);
          expect(
            (await outcomes).map((end) => (end.status === 'fulfilled' ? end.value : String(end.reason))),
          ).toEqual(calls.map(({ fails }, id) => (fails ? `Error: failure ${id}` : `result ${id}`)));
          for (const key of ['a', 'b', 'c']) {
            const expected = calls.flatMap((call, id) => (call.key === key ? [id] : []));
            expect(started.flatMap((one) => (one.key === key ? [one.id] : []))).toEqual(expected);
          }
        },
      ),
    );
  });

  it('starts at once when the key is free', () => {
    let started = false;
    void new KeyedMutex().run('a', async () => {
      started = true;
    });
    expect(started).toBe(true);
  });

  it('turns a throw into a rejection, and goes on', async () => {
    const mutex = new KeyedMutex();
    const thrower = (): Promise<void> => {
      throw new Error('thrown');
    };
    const calls = [mutex.run('a', thrower), mutex.run('a', thrower), mutex.run('a', async () => 'fine')];

    expect((await Promise.allSettled(calls)).map((end) => end.status)).toEqual([
      'rejected',
      'rejected',
      'fulfilled',
    ]);
  });

  it('passes nothing of one call to the next', async () => {
    const mutex = new KeyedMutex();
    const received: unknown[][] = [];
    const take = async (...args: unknown[]): Promise<string> => {
      received.push(args);
      return 'result';
    };
    await Promise.all([mutex.run('a', take), mutex.run('a', take)]);

    expect(received).toEqual([[], []]);
  });

  it('runs each function in the async context of its caller', async () => {
    const context = new AsyncLocalStorage<number>();
    const mutex = new KeyedMutex();
    const seen = await Promise.all(
      [1, 2, 3].map((caller) => context.run(caller, () => mutex.run('a', async () => context.getStore()))),
    );
    expect(seen).toEqual([1, 2, 3]);
  });

  it('forgets keys that nobody uses any more', async () => {
    const mutex = new KeyedMutex();
    await Promise.allSettled(
      Array.from({ length: 100 }, (_, id) =>
        mutex.run(`key ${id % 10}`, async () => {
          if (id % 3 === 0) throw new Error('failure');
        }),
      ),
    );
    await Promise.resolve();
    const kept = Object.values(mutex).filter((field): field is Map<unknown, unknown> => field instanceof Map);

    expect(kept).toHaveLength(1);
    expect(kept[0]!.size).toBe(0);
  });
});
