import {
  Bench,
  COMPLETED,
  CANCELLED,
  FAILING,
  RELEASE,
  encode,
  newRun,
  park,
  step,
} from './support/memory-backend.js';

let bench: Bench;
let worker: string;

beforeEach(async () => {
  bench = new Bench();
  worker = await bench.join();
});

describe('claims in memory', () => {
  it('go by priority, then by the time at which runs became ready, then by their start', async () => {
    await bench.backend.start(newRun('delayed', { delayMs: 5 }));
    await bench.backend.start(newRun('urgent late', { priority: -1, delayMs: 20 }));
    bench.clock.skip(10);
    await bench.backend.start(newRun('z'));
    await bench.backend.start(newRun('a'));
    await bench.backend.start(newRun('urgent', { priority: -1 }));
    await bench.backend.start(newRun('last', { priority: 1 }));
    bench.clock.skip(10);
    expect(await bench.claimIds(worker)).toEqual(['urgent', 'urgent late', 'delayed', 'z', 'a', 'last']);
  });

  it('are as many as there is room for, of workflows and queues that the worker has', async () => {
    await bench.backend.start(newRun('a'));
    await bench.backend.start(newRun('b', { queue: 'slow' }));
    await bench.backend.start(newRun('c', { workflow: 'unknown' }));
    await bench.backend.start(newRun('d'));
    expect(await bench.claimIds(worker, { limit: 0 })).toEqual([]);
    expect(await bench.claimIds(worker, { queues: ['none'] })).toEqual([]);
    expect(await bench.claimIds(worker, { queues: ['slow'], workflows: ['other'] })).toEqual([]);
    expect(await bench.claimIds(worker, { limit: 1 })).toEqual(['a']);
    expect(await bench.claimIds(worker, { queues: ['slow'] })).toEqual(['b']);
    expect(await bench.claimIds(worker)).toEqual(['d']);
    expect(await bench.claimIds(worker, { workflows: ['unknown'] })).toEqual(['c']);
  });
});

describe('a worker that is gone', () => {
  it('loses its runs to others, who see what it had done', async () => {
    const other = await bench.join();
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { steps: [step('s', 1)] });
    expect(await bench.claimIds(other)).toEqual([]);
    expect(bench.backend.expire(worker)).toBe(true);
    expect(bench.backend.expire(worker)).toBe(false);
    const { runs } = await bench.claim(other);
    expect(runs).toMatchObject([{ id: 'a', recoveries: 1, steps: [{ name: 's', result: 's' }] }]);
    expect((await bench.write('a', claim, { end: COMPLETED })).held).toBe(false);
    expect((await bench.write('a', runs[0]!.claim, { end: COMPLETED })).held).toBe(true);
  });

  it('learns of it by its lease, but not when it has released it', async () => {
    const [lost, released] = [await bench.backend.join(), await bench.backend.join()];
    expect([lost.held, released.held]).toEqual([true, true]);
    await bench.begin(released.worker, 'a');
    await released.release();
    await released.release();
    bench.backend.expire(lost.worker);
    expect([lost.held, released.held]).toEqual([false, false]);
    expect([lost.signal.aborted, released.signal.aborted]).toEqual([true, false]);
    expect(lost.signal.reason).toMatchObject({ code: 'LEASE_EXPIRED' });
    expect(await bench.claimIds(worker)).toEqual(['a']);
  });

  it('may write as long as nobody has taken the run over', async () => {
    const claim = await bench.begin(worker, 'a');
    bench.backend.expire(worker);
    expect((await bench.write('a', claim, { steps: [step('s', 1)] })).held).toBe(true);
  });

  /** Lets a worker die with the run, and a next one take it. */
  async function lose(): Promise<{ id: string; claim: bigint; recoveries: number } | undefined> {
    bench.backend.expire(worker);
    worker = await bench.join();
    return (await bench.claim(worker)).runs[0];
  }

  it('too often leaves a dead run, and wakes a parent that waits for it', async () => {
    const parent = await bench.join();
    const claim = await bench.begin(parent, 'p');
    await bench.begin(worker, 'a', { maxRecoveries: 2, parentId: 'p' });
    await bench.write('p', claim, { end: park(undefined, { children: ['a'] }) });
    expect((await lose())?.recoveries).toBe(1);
    expect((await lose())?.recoveries).toBe(2);
    const next = await lose();
    expect(await bench.status('a')).toBe('dead');
    expect((await bench.backend.get(['a']))[0]!.error).toMatchObject({ code: 'RUN_DEAD', runId: 'a' });
    expect(await bench.backend.figures()).toMatchObject({ dead: 1 });
    expect(next?.id).toBe('p');
    expect((await bench.backend.news(worker, ['p'], ['a'])).outcomes).toMatchObject([
      { id: 'a', status: 'dead' },
    ]);
    expect((await bench.write('p', next!.claim, { end: park(undefined, { children: ['a'] }) })).done).toBe(
      false,
    );
  });

  it('counts from the last time that the run got on', async () => {
    await bench.begin(worker, 'a', { maxRecoveries: 1 });
    const second = await lose();
    await bench.write('a', second!.claim, { isProgress: true });
    expect((await lose())?.recoveries).toBe(1);
    expect(await bench.status('a')).toBe('running');
    expect(await lose()).toBeUndefined();
    expect(await bench.status('a')).toBe('dead');
  });

  it('that has given its runs back before costs no recovery', async () => {
    const claim = await bench.begin(worker, 'a', { maxRecoveries: 0 });
    await bench.write('a', claim, { end: RELEASE });
    expect(await lose()).toMatchObject({ id: 'a', recoveries: 0 });
  });
});

describe('a deadline in memory', () => {
  const DEADLINE = { status: 'cancelled', error: { code: 'DEADLINE_EXCEEDED' } };
  const isOver = async (id: string): Promise<unknown> => (await bench.backend.get([id]))[0];

  it('cancels a run that waits, and says when it will', async () => {
    await bench.backend.start(newRun('a', { deadlineMs: 1000, workflow: 'unknown' }));
    expect(await bench.claim(worker)).toEqual({ runs: [], nextInMs: 1000 });
    bench.clock.skip(1000);
    expect(await bench.claim(worker)).toEqual({ runs: [], nextInMs: undefined });
    expect(await isOver('a')).toMatchObject(DEADLINE);
    expect(await bench.backend.figures()).toMatchObject({ ready: 0 });
  });

  it('leaves a run that is claimed to its worker', async () => {
    const claim = await bench.begin(worker, 'a', { deadlineMs: 1000 });
    bench.clock.skip(1000);
    expect((await bench.claim(await bench.join())).runs).toEqual([]);
    expect(await isOver('a')).toMatchObject(DEADLINE);
    const { endings } = await bench.backend.news(worker, [], []);
    expect(endings).toEqual([{ runId: 'a', ending: 'deadline', claim }]);
    expect(await bench.write('a', claim, { end: COMPLETED })).toEqual({
      held: true,
      ending: 'deadline',
      done: false,
    });
    expect(await bench.write('a', claim, { end: CANCELLED })).toMatchObject({ done: true });
    expect(await isOver('a')).toMatchObject(DEADLINE);
  });

  it('makes a parked run ready that has something to undo', async () => {
    const claim = await bench.begin(worker, 'a', { deadlineMs: 1000 });
    await bench.write('a', claim, { steps: [step('charge', 1, { isCompensable: true })], end: park() });
    bench.clock.skip(1000);
    expect((await bench.claim(worker)).runs).toMatchObject([
      { id: 'a', ending: 'deadline', error: { code: 'DEADLINE_EXCEEDED' } },
    ]);
  });

  it('is looked at also when the worker of the run is gone', async () => {
    const claim = await bench.begin(worker, 'a', { deadlineMs: 1000 });
    await bench.write('a', claim, { steps: [step('charge', 1, { isCompensable: true })] });
    bench.clock.skip(1000);
    bench.backend.expire(worker);
    expect((await bench.claim(await bench.join())).runs).toMatchObject([{ id: 'a', ending: 'deadline' }]);
  });

  it('ends the children with their parent, and wakes the parent of the run', async () => {
    const claim = await bench.begin(worker, 'p');
    await bench.backend.start(newRun('a', { parentId: 'p', deadlineMs: 10, workflow: 'unknown' }));
    await bench.backend.start(newRun('b', { parentId: 'a', workflow: 'unknown' }));
    await bench.write('p', claim, { end: park(undefined, { children: ['a'] }) });
    bench.clock.skip(10);
    expect(await bench.claimIds(worker)).toEqual(['p']);
    expect(await bench.status('b')).toBe('cancelled');
  });

  it('does not matter any more to a run that has failed', async () => {
    const claim = await bench.begin(worker, 'a', { deadlineMs: 10 });
    await bench.write('a', claim, { end: FAILING });
    bench.clock.skip(10);
    expect(await bench.claim(worker)).toEqual({ runs: [], nextInMs: undefined });
    expect(await bench.status('a')).toBe('running');
  });
});

describe('limits of a queue in memory', () => {
  const limits = { name: 'q', concurrency: undefined, partitionConcurrency: undefined, rate: undefined };

  async function fill(count: number, change: Parameters<typeof newRun>[1] = {}): Promise<void> {
    for (let i = 0; i < count; i++) {
      await bench.backend.start(newRun(`${change.partitionKey ?? 'r'}${i}`, { queue: 'q', ...change }));
    }
  }

  it('let so many run at once, over all workers, without those that are parked', async () => {
    await bench.backend.saveQueues([{ ...limits, concurrency: 2 }]);
    await fill(4);
    await bench.backend.start(newRun('free'));
    const other = await bench.join();
    const { runs } = await bench.claim(worker, { limit: 1 });
    expect(runs).toMatchObject([{ id: 'r0' }]);
    expect(await bench.claimIds(other)).toEqual(['r1', 'free']);
    expect(await bench.claimIds(worker)).toEqual([]);
    await bench.write('r0', runs[0]!.claim, { end: park() });
    expect(await bench.claimIds(worker)).toEqual(['r2']);
    // Those of a worker that is gone do not count either.
    bench.backend.expire(other);
    expect(await bench.claimIds(worker)).toEqual(['r3', 'free']);
  });

  it('let so many of each partition run at once', async () => {
    await bench.backend.saveQueues([{ ...limits, partitionConcurrency: 1 }]);
    await fill(2, { partitionKey: 'x' });
    await fill(2, { partitionKey: 'y' });
    await fill(2);
    const { runs } = await bench.claim(worker);
    expect(runs.map(({ id }) => id)).toEqual(['x0', 'y0', 'r0', 'r1']);
    await bench.write('y0', runs[1]!.claim, { end: COMPLETED });
    expect(await bench.claimIds(worker)).toEqual(['y1']);
  });

  it('let so many begin within a time, to the ms', async () => {
    await bench.backend.saveQueues([{ ...limits, rate: { limit: 2, perMs: 100 } }]);
    await fill(5);
    const claims = async (): Promise<unknown> => {
      const { runs, nextInMs } = await bench.claim(worker);
      return [runs.map(({ id }) => id), nextInMs];
    };
    expect(await bench.claimIds(worker, { limit: 1 })).toEqual(['r0']);
    bench.clock.skip(60);
    expect(await claims()).toEqual([['r1'], 40]);
    bench.clock.skip(39);
    expect(await claims()).toEqual([[], 1]);
    bench.clock.skip(1);
    expect(await claims()).toEqual([['r2'], 60]);
    bench.clock.skip(60);
    expect(await claims()).toEqual([['r3'], 40]);
    bench.clock.skip(1000);
    expect(await claims()).toEqual([['r4'], undefined]);
  });

  it('may change, and do not forget what has begun', async () => {
    await bench.backend.saveQueues([{ ...limits, rate: { limit: 1, perMs: 100 } }]);
    await fill(3);
    expect(await bench.claimIds(worker)).toEqual(['r0']);
    await bench.backend.saveQueues([{ ...limits, rate: { limit: 2, perMs: 100 } }]);
    expect(await bench.claimIds(worker)).toEqual(['r1']);
    await bench.backend.saveQueues([limits]);
    expect(await bench.claimIds(worker)).toEqual(['r2']);
  });

  it('hold nobody back of another queue', async () => {
    await bench.backend.saveQueues([{ ...limits, concurrency: 0 }]);
    await fill(2);
    await bench.backend.start(newRun('a', { input: encode(1), priority: 5 }));
    expect(await bench.claimIds(worker, { limit: 1 })).toEqual(['a']);
  });
});
