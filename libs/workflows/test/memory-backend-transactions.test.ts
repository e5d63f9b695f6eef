import { Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import { Bench, COMPLETED, encode, newRun, newWrite, park, step } from './support/memory-backend.js';

let bench: Bench;
let worker: string;

beforeEach(async () => {
  bench = new Bench();
  worker = await bench.join();
});

/** A promise, and what resolves it. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Begins a transaction that stays open after `fn`. */
async function holdOpen(
  fn: () => Promise<unknown>,
): Promise<{ end: () => Promise<void>; fail: () => Promise<void> }> {
  const begun = gate();
  const last = gate();
  let failure: Error | undefined;
  const result = bench.backend.transaction(async () => {
    await fn();
    begun.open();
    await last.opened;
    if (failure !== undefined) throw failure;
  });
  await begun.opened;
  return {
    end: async () => {
      last.open();
      await result;
    },
    fail: async () => {
      failure = new Error('rolled back');
      last.open();
      await expect(result).rejects.toBe(failure);
    },
  };
}

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = (): void => void (settled = true);
  promise.then(settle, settle);
  await turn();
  return settled;
}

describe('a transaction in memory', () => {
  it('is seen by nobody else before its commit', async () => {
    const { backend } = bench;
    const open = await holdOpen(async () => {
      await backend.start(newRun('a'));
      expect(await bench.status('a')).toBe('running');
      expect(backend.isInTransaction).toBe(true);
    });
    expect(backend.isInTransaction).toBe(false);
    expect(await bench.status('a')).toBeUndefined();
    expect(await bench.claimIds(worker)).toEqual([]);
    await open.end();
    expect(await bench.claimIds(worker)).toEqual(['a']);
  });

  it('that is rolled back leaves nothing', async () => {
    const { backend } = bench;
    const claim = await bench.begin(worker, 'a');
    const open = await holdOpen(async () => {
      await backend.start(newRun('b'));
      await backend.writeNow(
        newWrite('a', claim, {
          steps: [step('s', 1)],
          values: [{ key: 'k', value: encode(1), writes: 1 }],
          end: COMPLETED,
        }),
      );
      await backend.saveQueues([
        { name: 'q', concurrency: 1, partitionConcurrency: undefined, rate: undefined },
      ]);
      await backend.signal('b', 's', encode(1), undefined);
      await backend.cancel(['b'], encode(1));
    });
    await open.fail();
    expect(await backend.get(['b'])).toEqual([]);
    expect(await bench.status('a')).toBe('running');
    expect(await bench.stepNames('a')).toEqual([]);
    expect(await backend.values('a')).toEqual(new Map());
    expect((await bench.write('a', claim)).held).toBe(true);
  });

  it('runs alone', async () => {
    const order: string[] = [];
    const open = await holdOpen(async () => void order.push('first'));
    const second = bench.backend.transaction(async () => void order.push('second'));
    expect(await isSettled(second)).toBe(false);
    await open.end();
    await second;
    expect(order).toEqual(['first', 'second']);
  });

  it('calls what was registered after the commit, and not after a rollback', async () => {
    const { backend } = bench;
    const log = jest.spyOn(Logger.prototype, 'error').mockReturnValue();
    const calls: string[] = [];
    backend.afterCommit(() => calls.push('without'));
    expect(calls).toEqual(['without']);
    const open = await holdOpen(async () => {
      backend.afterCommit(() => {
        throw new Error('logged');
      });
      backend.afterCommit(() => calls.push(`with ${backend.isInTransaction}`));
    });
    expect(calls).toEqual(['without']);
    await open.end();
    expect(calls).toEqual(['without', 'with false']);
    await (await holdOpen(async () => backend.afterCommit(() => calls.push('never')))).fail();
    expect(calls).toHaveLength(2);
    expect(log.mock.calls.map(([text]) => String(text))).toEqual([expect.stringContaining('logged')]);
    log.mockRestore();
  });

  it('inside another is undone alone, and commits with it', async () => {
    const { backend } = bench;
    const calls: string[] = [];
    await backend.transaction(async () => {
      await backend.start(newRun('a'));
      const inner = backend.transaction(async () => {
        await backend.start(newRun('b'));
        backend.afterCommit(() => calls.push('b'));
        throw new Error('inner');
      });
      await expect(inner).rejects.toThrow('inner');
      await backend.transaction(async () => {
        await backend.start(newRun('c'));
        backend.afterCommit(() => calls.push('c'));
      });
      expect(calls).toEqual([]);
    });
    expect((await backend.list({ limit: 10 })).map(({ id }) => id)).toEqual(['c', 'a']);
    expect(calls).toEqual(['c']);
  });

  it('takes no call any more when it is over', async () => {
    const { backend } = bench;
    let late: Promise<unknown> | undefined;
    const later = gate();
    await backend.transaction(async () => {
      late = later.opened.then(() => backend.start(newRun('late')));
    });
    later.open();
    await expect(late).rejects.toMatchObject({ code: 'TRANSACTION_CLOSED' });
    expect(await backend.get(['late'])).toEqual([]);
  });

  it('does not hold up claims and writes of other runs, nor is it joined by them', async () => {
    const { backend } = bench;
    const claim = await bench.begin(worker, 'a');
    const open = await holdOpen(async () => {
      await backend.start(newRun('b'));
      await backend.write(newWrite('a', claim, { steps: [step('s', 1)] }));
    });
    await backend.start(newRun('c'));
    expect(await bench.claimIds(worker)).toEqual(['c']);
    expect((await bench.write('a', claim, { steps: [step('t', 2)] })).held).toBe(true);
    await open.fail();
    expect(await bench.stepNames('a')).toEqual(['s', 't']);
  });

  it('makes those wait that write what it has written', async () => {
    const { backend } = bench;
    const open = await holdOpen(() => backend.start(newRun('a', { workflow: 'other' })));
    const second = backend.start(newRun('a'));
    expect(await isSettled(second)).toBe(false);
    await open.end();
    expect(await second).toEqual({ kind: 'exists', workflow: 'other' });
  });

  it('makes them wait also for what one inside it has written', async () => {
    const { backend } = bench;
    const begun = gate();
    const inner = gate();
    const outer = backend.transaction(() =>
      backend.transaction(async () => {
        await backend.start(newRun('a', { workflow: 'other' }));
        begun.open();
        await inner.opened;
      }),
    );
    await begun.opened;
    const second = backend.start(newRun('a'));
    expect(await isSettled(second)).toBe(false);
    inner.open();
    await outer;
    expect(await second).toEqual({ kind: 'exists', workflow: 'other' });
  });

  it('gives way when it is rolled back', async () => {
    const open = await holdOpen(() => bench.backend.start(newRun('a', { workflow: 'other' })));
    const second = bench.backend.start(newRun('a'));
    await open.fail();
    expect(await second).toMatchObject({ kind: 'started' });
  });

  it('keeps the run that it writes from being taken over', async () => {
    const { backend } = bench;
    const other = await bench.join();
    const claim = await bench.begin(worker, 'a');
    const open = await holdOpen(() => backend.writeNow(newWrite('a', claim, { steps: [step('pay', 1)] })));
    backend.expire(worker);
    expect(await bench.claim(other)).toEqual({ runs: [], nextInMs: undefined });
    await open.end();
    const { runs } = await bench.claim(other);
    expect(runs).toMatchObject([{ id: 'a', steps: [{ name: 'pay' }] }]);
    // And the other way round, who is too late writes nothing.
    const late = await backend.transaction(() =>
      backend.writeNow(newWrite('a', claim, { steps: [step('late', 2)] })),
    );
    expect(late.held).toBe(false);
  });

  it('that sends a signal is not overlooked by a run that parks meanwhile', async () => {
    const { backend } = bench;
    const claim = await bench.begin(worker, 'a');
    const open = await holdOpen(() => backend.signal('a', 's', encode(1), undefined));
    const parking = bench.write('a', claim, { end: park(undefined, { signals: ['s'] }) });
    expect(await isSettled(parking)).toBe(false);
    await open.end();
    expect(await parking).toMatchObject({ held: true, done: false });
  });

  it('that ends a child is not overlooked by a parent that parks meanwhile', async () => {
    const { backend } = bench;
    const claim = await bench.begin(worker, 'p');
    const child = await bench.begin(worker, 'c', { parentId: 'p' });
    const open = await holdOpen(() =>
      backend.writeNow(newWrite('c', child, { parentId: 'p', end: COMPLETED })),
    );
    const parking = bench.write('p', claim, { end: park(undefined, { children: ['c'] }) });
    expect(await isSettled(parking)).toBe(false);
    await open.end();
    expect(await parking).toMatchObject({ held: true, done: false });
  });

  it('with a run whose time has come lets others look again soon', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { end: park(5) });
    const open = await holdOpen(() => bench.backend.signal('a', 's', encode(1), undefined));
    bench.clock.skip(5);
    const { runs, nextInMs } = await bench.claim(worker);
    expect(runs).toEqual([]);
    expect(nextInMs).toBeGreaterThan(0);
    await open.fail();
    expect(await bench.claimIds(worker)).toEqual(['a']);
  });
});
