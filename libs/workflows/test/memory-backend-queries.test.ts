import type { ScheduleRow } from '../src/workflow.backend.js';
import type { RunQuery } from '../src/workflow.queries.js';
import { Bench, COMPLETED, FAILED, FAILING, STUCK, encode, newRun, park } from './support/memory-backend.js';

let bench: Bench;
let worker: string;

beforeEach(async () => {
  bench = new Bench();
  worker = await bench.join();
});

const ids = async (query: Partial<RunQuery>): Promise<string[]> =>
  (await bench.backend.list({ limit: 100, ...query })).map(({ id }) => id);

describe('runs in memory are listed', () => {
  beforeEach(async () => {
    await bench.backend.start(newRun('a', { input: encode({ customer: 'Ärger & "Söhne"' }) }));
    await bench.backend.start(newRun('b', { workflow: 'other', queue: 'q', parentId: 'a' }));
    bench.clock.skip(10);
    const claim = await bench.begin(worker, 'c');
    await bench.write('c', claim, { end: { kind: 'completed', output: encode({ receipt: 'R-77' }) } });
    const failed = await bench.begin(worker, 'd', { parentId: 'a' });
    await bench.write('d', failed, { end: FAILED });
  });

  it('with the newest first, page by page', async () => {
    expect(await ids({})).toEqual(['d', 'c', 'b', 'a']);
    expect(await ids({ limit: 3 })).toEqual(['d', 'c', 'b']);
    const [, , third] = await bench.backend.list({ limit: 3 });
    expect(await ids({ before: third })).toEqual(['a']);
    expect(await ids({ before: { createdAtMs: third!.createdAtMs, id: 'a' } })).toEqual([]);
  });

  it.each<[Partial<RunQuery>, string[]]>([
    [{ ids: ['a', 'd', 'absent'] }, ['d', 'a']],
    [{ workflow: 'other' }, ['b']],
    [{ statuses: ['failed', 'completed'] }, ['d', 'c']],
    [{ queue: 'q' }, ['b']],
    [{ parentId: 'a' }, ['d', 'b']],
    [{ parentId: 'a', statuses: ['failed'] }, ['d']],
    [{ search: 'ÄRGER' }, ['a']],
    [{ search: '& "söhne"' }, ['a']],
    [{ search: 'r-77' }, ['c']],
    [{ search: 'Failed' }, ['d']],
    [{ search: 'other' }, ['b']],
    [{ search: 'nowhere' }, []],
  ])('by %j', async (query, expected) => {
    expect(await ids(query)).toEqual(expected);
  });

  it('from a time on, and before one', async () => {
    const now = bench.clock.now();
    expect(await ids({ fromMs: now })).toEqual(['d', 'c']);
    expect(await ids({ toMs: now })).toEqual(['b', 'a']);
    expect(await ids({ fromMs: now - 10, toMs: now })).toEqual(['b', 'a']);
  });

  it('and counted, by workflow and status', async () => {
    expect(await bench.backend.counts()).toEqual({
      order: { running: 1, completed: 1, failed: 1 },
      other: { running: 1 },
    });
  });
});

describe('figures in memory', () => {
  it('count the runs that are not over, and tell the age of the oldest ready one', async () => {
    const none = { ready: 0, claimed: 0, parked: 0, stuck: 0, dead: 0, oldestReadyMs: undefined };
    expect(await bench.backend.figures()).toEqual(none);
    const claims = [await bench.begin(worker, 'parked'), await bench.begin(worker, 'stuck')] as const;
    await bench.begin(worker, 'claimed');
    await bench.write('parked', claims[0], { end: park() });
    await bench.write('stuck', claims[1], { end: STUCK });
    await bench.backend.start(newRun('old'));
    bench.clock.skip(50);
    await bench.backend.start(newRun('new'));
    expect(await bench.backend.figures()).toEqual({
      ...none,
      ready: 2,
      claimed: 1,
      parked: 1,
      stuck: 1,
      oldestReadyMs: 50,
    });
  });
});

describe('retention in memory', () => {
  it('deletes what has ended for long enough, the oldest first, and with all its parts', async () => {
    for (const id of ['a', 'b', 'c']) {
      const claim = await bench.begin(worker, id);
      await bench.write(id, claim, {
        values: [{ key: 'k', value: encode(1), writes: 1 }],
        steps: [{ name: 's', kind: 'step', status: 'done', seq: 1, after: undefined, attempts: 1 }],
        end: id === 'b' ? FAILED : COMPLETED,
      });
      bench.clock.skip(100);
    }
    expect(await bench.backend.deleteEnded(301, 10)).toBe(0);
    expect(await bench.backend.deleteEnded(100, 2)).toBe(2);
    expect(await ids({})).toEqual(['c']);
    expect(await bench.backend.steps('a')).toEqual([]);
    expect(await bench.backend.values('a')).toEqual(new Map());
    expect(await bench.backend.start(newRun('a'))).toMatchObject({ kind: 'started' });
  });

  it('leaves runs alone that are not over', async () => {
    const claim = await bench.begin(worker, 'stuck');
    await bench.write('stuck', claim, { end: STUCK });
    const failing = await bench.begin(worker, 'failing');
    await bench.write('failing', failing, { end: FAILING });
    await bench.begin(worker, 'unwinding');
    await bench.backend.cancel(['unwinding'], encode(1));
    await bench.backend.start(newRun('ready'));
    bench.clock.skip(1000);
    expect(await bench.backend.deleteEnded(0, 10)).toBe(0);
  });
});

describe('schedules in memory', () => {
  const schedule = (name: string, inMs: number): Omit<ScheduleRow, 'lastRunId'> => ({
    name,
    workflow: 'order',
    cron: '* * * * *',
    timezone: 'UTC',
    input: encode(name),
    options: { queue: 'default', priority: 0 },
    nextAtMs: bench.clock.now() + inMs,
    isPaused: false,
  });

  it('are kept by name, until they are removed', async () => {
    await bench.backend.saveSchedule(schedule('b', 10));
    await bench.backend.saveSchedule(schedule('a', 20));
    await bench.backend.saveSchedule({ ...schedule('b', 30), cron: '0 0 * * *' });
    expect(await bench.backend.schedules()).toMatchObject([{ name: 'a' }, { name: 'b', cron: '0 0 * * *' }]);
    expect(await bench.backend.removeSchedule('b')).toBe(true);
    expect(await bench.backend.removeSchedule('b')).toBe(false);
    expect(await bench.backend.schedules()).toHaveLength(1);
  });

  const calls: string[] = [];
  beforeEach(() => void calls.splice(0));

  const run = (backend = bench.backend): Promise<number | undefined> =>
    backend.runDue(async ({ name }, nowMs) => {
      calls.push(name);
      const runId = `${name}@${nowMs}`;
      await backend.start(newRun(runId));
      if (name === 'bad') throw new Error('no such class');
      return { nextAtMs: nowMs + 1000, runId };
    });

  it('are called when due, and moved on with their run', async () => {
    await bench.backend.saveSchedule(schedule('a', 10));
    await bench.backend.saveSchedule(schedule('b', 500));
    expect(await run()).toBe(10);
    bench.clock.skip(10);
    expect(await run()).toBe(490);
    expect(calls).toEqual(['a']);
    const runId = `a@${bench.clock.now()}`;
    expect((await bench.backend.schedules())[0]).toMatchObject({
      lastRunId: runId,
      nextAtMs: bench.clock.now() + 1000,
    });
    expect(await bench.status(runId)).toBe('running');
    await bench.backend.saveSchedule(schedule('a', 10));
    expect((await bench.backend.schedules())[0]).toMatchObject({ lastRunId: runId });
  });

  it('are called by one process at a time', async () => {
    await bench.backend.saveSchedule(schedule('a', 0));
    await Promise.all([run(), run(), run()]);
    expect(calls).toEqual(['a']);
  });

  it('whose start fails leave nothing, stay due, and hold no other up', async () => {
    await bench.backend.saveSchedule(schedule('bad', 0));
    await bench.backend.saveSchedule(schedule('a', 0));
    await expect(run()).rejects.toThrow('no such class');
    expect(calls.toSorted()).toEqual(['a', 'bad']);
    expect(await ids({})).toEqual([`a@${bench.clock.now()}`]);
    await expect(run()).rejects.toThrow('no such class');
    expect(calls.toSorted()).toEqual(['a', 'bad', 'bad']);
  });

  it('that are paused are not called', async () => {
    await bench.backend.saveSchedule(schedule('a', 0));
    expect(await bench.backend.pauseSchedule('absent', true, undefined)).toBe(false);
    expect(await bench.backend.pauseSchedule('a', true, undefined)).toBe(true);
    expect(await run()).toBeUndefined();
    await bench.backend.pauseSchedule('a', false, bench.clock.now() + 70);
    expect(await run()).toBe(70);
    expect(calls).toEqual([]);
  });
});
