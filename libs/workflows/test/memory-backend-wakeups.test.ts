import { Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import { eventually } from '@nestbox/testing';
import { MemoryWorkflowBackend } from '../src/memory/memory.workflow-backend.js';
import { VirtualClock } from '../src/memory/virtual-clock.js';
import { Bench, COMPLETED, RELEASE, encode, newRun, park } from './support/memory-backend.js';

const NEVER = 1e9;
let bench: Bench;

beforeEach(() => {
  bench = new Bench();
});

afterEach(() => bench.backend.close());

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Long enough for whatever was woken to have been called. */
async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

type Topic = Parameters<MemoryWorkflowBackend['on']>[0];

function count(topic: Topic, pollMs = NEVER) {
  const counter = { calls: 0, subscription: bench.backend.on(topic, () => void counter.calls++, pollMs) };
  return counter;
}

describe('a subscription in memory', () => {
  it('is called later and once, however often it is woken before', async () => {
    const ready = count({ kind: 'ready' });
    const ended = count({ kind: 'ended' });
    for (let i = 0; i < 3; i++) bench.backend.notifyReady();
    expect(ready.calls).toBe(0);
    await turns();
    expect([ready.calls, ended.calls]).toEqual([1, 0]);
    bench.backend.notifyEnded();
    ready.subscription.wake();
    await turns();
    expect([ready.calls, ended.calls]).toEqual([2, 1]);
  });

  it('of a worker is woken for that one only', async () => {
    const [a, b] = [count({ kind: 'worker', worker: 'a' }), count({ kind: 'worker', worker: 'b' })];
    bench.backend.notifyWorker('a');
    await turns();
    expect([a.calls, b.calls]).toEqual([1, 0]);
  });

  it('has one call at a time, and one more for what happens meanwhile', async () => {
    let running = 0;
    let most = 0;
    let calls = 0;
    let finish: () => void = () => undefined;
    const subscription = bench.backend.on(
      { kind: 'ready' },
      async () => {
        calls++;
        most = Math.max(most, ++running);
        await new Promise<void>((resolve) => (finish = resolve));
        running--;
      },
      NEVER,
    );
    subscription.wake();
    await turns();
    for (let i = 0; i < 3; i++) subscription.wake();
    await turns();
    expect(calls).toBe(1);
    finish();
    await turns();
    expect(calls).toBe(2);
    finish();
    await turns();
    expect([calls, most]).toEqual([2, 1]);
  });

  it('goes on after a failure, which is logged once for as long as it lasts', async () => {
    const log = jest.spyOn(Logger.prototype, 'error').mockReturnValue();
    let calls = 0;
    const subscription = bench.backend.on(
      { kind: 'ready' },
      () => {
        if (++calls !== 3) throw new Error(`no ${calls}`);
      },
      NEVER,
    );
    for (let i = 0; i < 4; i++) {
      subscription.wake();
      await turns();
    }
    expect(calls).toBe(4);
    expect(log.mock.calls.map(([text]) => String(text))).toEqual([
      expect.stringContaining('no 1'),
      expect.stringContaining('no 4'),
    ]);
    log.mockRestore();
  });

  it('is called in a transaction of nobody', async () => {
    const seen: boolean[] = [];
    bench.backend.on({ kind: 'ready' }, () => void seen.push(bench.backend.isInTransaction), NEVER);
    await bench.backend.transaction(async () => {
      bench.backend.notifyReady();
      await turns();
      expect(seen).toEqual([]);
    });
    await turns();
    expect(seen).toEqual([false]);
    await expect(
      bench.backend.transaction(async () => {
        bench.backend.notifyReady();
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    await turns();
    expect(seen).toHaveLength(1);
  });

  it('is called no more when it is disposed of, or the backend closed by all', async () => {
    const disposed = count({ kind: 'ready' });
    disposed.subscription[Symbol.dispose]();
    disposed.subscription[Symbol.dispose]();
    disposed.subscription.wakeIn(0);
    await bench.backend.init();
    await bench.backend.init();
    const other = count({ kind: 'ready' });
    await bench.backend.close();
    bench.backend.notifyReady();
    await turns();
    expect([disposed.calls, other.calls]).toEqual([0, 1]);
    await bench.backend.close();
    bench.backend.notifyReady();
    bench.clock.skip(NEVER);
    await turns();
    expect(other.calls).toBe(1);
    // It can be used again, as after a restart.
    const again = count({ kind: 'ready' });
    bench.clock.skip(NEVER);
    await turns();
    expect(again.calls).toBe(1);
  });
});

describe('time in memory', () => {
  it('wakes at the earliest time that was asked for, which is done away with by any call', async () => {
    const ended = count({ kind: 'ended' });
    ended.subscription.wakeIn(100);
    ended.subscription.wakeIn(50);
    ended.subscription.wakeIn(80);
    bench.clock.skip(49);
    await turns();
    expect(ended.calls).toBe(0);
    bench.clock.skip(1);
    await turns();
    expect(ended.calls).toBe(1);
    bench.clock.skip(1000);
    await turns();
    expect(ended.calls).toBe(1);
  });

  it('polls by the clock', async () => {
    const ended = count({ kind: 'ended' }, 1000);
    bench.clock.skip(749);
    await turns();
    expect(ended.calls).toBe(0);
    for (let polls = 1; polls <= 3; polls++) {
      bench.clock.skip(1000);
      await turns();
      expect(ended.calls).toBe(polls);
    }
  });

  it('that is skipped lets workers look, who could not know of all that is due', async () => {
    const ready = count({ kind: 'ready' });
    bench.clock.skip(1);
    await turns();
    expect(ready.calls).toBe(1);
  });

  it('passes by itself, too', async () => {
    const backend = new MemoryWorkflowBackend();
    const calls: string[] = [];
    const exact = backend.on({ kind: 'ready' }, () => void calls.push('exact'), NEVER);
    backend.on({ kind: 'ended' }, () => void calls.push('poll'), 5);
    const begun = performance.now();
    exact.wakeIn(20);
    await eventually(() => expect(calls).toContain('exact'));
    expect(performance.now() - begun).toBeGreaterThanOrEqual(19);
    await eventually(() => expect(calls).toContain('poll'));
    await backend.close();
  });

  it('that is skipped wakes at once whatever has become due', async () => {
    const clock = new VirtualClock();
    const backend = new MemoryWorkflowBackend({ clock });
    const { worker } = await backend.join();
    const claimed: string[] = [];
    const subscription = backend.on(
      { kind: 'ready' },
      async () => {
        const { runs, nextInMs } = await backend.claim({
          worker,
          limit: 9,
          workflows: ['order'],
          queues: undefined,
        });
        claimed.push(...runs.map(({ id }) => id));
        if (nextInMs !== undefined) subscription.wakeIn(nextInMs);
      },
      NEVER,
    );
    await backend.start(newRun('a', { delayMs: 3_600_000 }));
    await backend.start(newRun('b', { delayMs: 7_200_000 }));
    await turns();
    clock.skip(3_600_000);
    await turns();
    expect(claimed).toEqual(['a']);
    clock.skip(3_600_000);
    await turns();
    expect(claimed).toEqual(['a', 'b']);
    await backend.close();
  });

  it('keeps no process alive', () => {
    const timers: NodeJS.Timeout[] = [];
    const real = globalThis.setTimeout;
    const spy = jest.spyOn(globalThis, 'setTimeout').mockImplementation((fn: () => void, ms?: number) => {
      const timer = real(fn, ms);
      timers.push(timer);
      return timer;
    });
    const { subscription } = count({ kind: 'ready' }, 1000);
    subscription.wakeIn(500);
    spy.mockRestore();
    expect(timers).toHaveLength(2);
    expect(timers.map((timer) => timer.hasRef())).toEqual([false, false]);
  });
});

describe('what happens in memory wakes those who wait for it', () => {
  let worker: string;
  let counters: Record<'ready' | 'ended' | 'worker', ReturnType<typeof count>>;

  beforeEach(async () => {
    worker = await bench.join();
    counters = {
      ready: count({ kind: 'ready' }),
      ended: count({ kind: 'ended' }),
      worker: count({ kind: 'worker', worker }),
    };
  });

  /** Which were woken by something. */
  async function wokenBy(fn: () => Promise<unknown>): Promise<string[]> {
    await turns();
    for (const counter of Object.values(counters)) counter.calls = 0;
    await fn();
    await turns();
    return Object.entries(counters).flatMap(([name, { calls }]) => (calls > 0 ? [name] : []));
  }

  it('when runs start, are released, or lose their worker', async () => {
    expect(await wokenBy(() => bench.backend.start(newRun('a')))).toEqual(['ready']);
    expect(await wokenBy(() => bench.backend.start(newRun('a')))).toEqual([]);
    expect(await wokenBy(() => bench.begin(worker, 'b'))).toEqual([]);
    const { runs } = await bench.claim(worker);
    expect(await wokenBy(() => bench.write('a', runs[0]!.claim))).toEqual([]);
    expect(await wokenBy(() => bench.write('a', runs[0]!.claim, { end: RELEASE }))).toEqual(['ready']);
    const lease = await bench.backend.join();
    expect(await wokenBy(() => lease.release())).toEqual(['ready']);
    expect(await wokenBy(async () => bench.backend.expire(worker))).toEqual(['ready']);
  });

  it('when a run ends whose result somebody waits for elsewhere', async () => {
    const [a, b] = [await bench.begin(worker, 'a'), await bench.begin(worker, 'b')];
    expect(await wokenBy(() => bench.write('a', a, { end: COMPLETED }))).toEqual([]);
    const awaited = { end: COMPLETED, isAwaitedElsewhere: true };
    expect(await wokenBy(() => bench.write('b', b, awaited))).toEqual(['ended']);
  });

  it('when a parent has or may have its answer', async () => {
    const parent = await bench.begin(worker, 'p');
    const child = async (id: string) => bench.begin(await bench.join(), id, { parentId: 'p' });
    const [c, d] = [await child('c'), await child('d')];
    expect(await wokenBy(() => bench.write('c', c, { end: COMPLETED, parentId: 'p' }))).toEqual(['worker']);
    await bench.write('p', parent, { end: park(undefined, { children: ['d'] }) });
    expect(await wokenBy(() => bench.write('d', d, { end: COMPLETED, parentId: 'p' }))).toEqual(['ready']);
  });

  it('when a signal comes, a run is cancelled, resumed or retried, or a queue has room', async () => {
    const send = () => bench.backend.signal('a', 's', encode(1), undefined);
    const claim = await bench.begin(worker, 'a');
    expect(await wokenBy(send)).toEqual(['worker']);
    await bench.write('a', claim, { end: park(undefined, { signals: ['t'] }) });
    expect(await wokenBy(send)).toEqual([]);
    expect(await wokenBy(() => bench.backend.resume(['a']))).toEqual(['ready']);
    await bench.claim(worker);
    expect(await wokenBy(() => bench.backend.cancel(['a'], encode(1)))).toEqual(['ended', 'worker']);
    await bench.backend.start(newRun('b'));
    await bench.backend.cancel(['b'], encode(1));
    expect(await wokenBy(() => bench.backend.retry(['b'], undefined))).toEqual(['ready']);
    await bench.backend.saveQueues([
      { name: 'q', concurrency: 1, partitionConcurrency: undefined, rate: undefined },
    ]);
    const queued = await bench.begin(worker, 'c', { queue: 'q' });
    expect(await wokenBy(() => bench.write('c', queued, { end: COMPLETED }))).toEqual(['ready']);
  });

  it('when a look for work has made more ready than it took, and not without end', async () => {
    const other = await bench.join();
    await bench.begin(other, 'a');
    await bench.begin(other, 'b');
    bench.backend.expire(other);
    expect(await wokenBy(() => bench.claim(worker, { limit: 1 }))).toEqual(['ready']);
    expect(await wokenBy(() => bench.claim(worker, { limit: 0 }))).toEqual([]);
    expect(await wokenBy(() => bench.claim(worker))).toEqual([]);
  });
});
