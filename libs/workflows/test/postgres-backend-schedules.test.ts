import { eventually } from '@nestbox/testing';
import type { QueueRow, ScheduleRow } from '../src/workflow.backend.js';
import { encode, newRun } from './support/memory-backend.js';
import { PgBench, gate } from './support/postgres-backend.js';

let bench: PgBench;

beforeAll(async () => {
  bench = await PgBench.open();
});
afterAll(() => bench.close());
beforeEach(() => bench.clear());

const LATER = Date.UTC(2099, 0, 1, 0, 0, 0, 123);

function schedule(name: string, change: Partial<ScheduleRow> = {}): Omit<ScheduleRow, 'lastRunId'> {
  return {
    name,
    workflow: 'order',
    cron: '0 * * * *',
    timezone: 'Europe/Berlin',
    input: encode({ name }),
    options: { queue: 'nightly', priority: 3 },
    nextAtMs: 1000,
    isPaused: false,
    ...change,
  };
}

/** Starts a run, named after the schedule, in its transaction. */
async function begin({ name }: ScheduleRow): Promise<{ nextAtMs: number; runId: string }> {
  const runId = `run of ${name}`;
  await bench.backend.start(newRun(runId));
  return { nextAtMs: LATER, runId };
}

/** All that there are, with JSON written as ours is. */
async function all(): Promise<ScheduleRow[]> {
  const rows = await bench.backend.schedules();
  return rows.map((row) => ({ ...row, input: JSON.stringify(JSON.parse(row.input)) }));
}

describe('a schedule', () => {
  it('is kept as it was given, by its name, until it is removed', async () => {
    await bench.backend.saveSchedule(schedule('b'));
    await bench.backend.saveSchedule(schedule('a', { isPaused: true, nextAtMs: LATER }));
    expect(await all()).toEqual([
      { ...schedule('a', { isPaused: true, nextAtMs: LATER }), lastRunId: undefined },
      { ...schedule('b'), lastRunId: undefined },
    ]);

    const changed = schedule('b', {
      cron: '5 * * * *',
      workflow: 'other',
      options: { queue: 'q', priority: 0 },
    });
    await bench.backend.saveSchedule(changed);
    expect((await all())[1]).toEqual({ ...changed, lastRunId: undefined });
    expect(await bench.backend.removeSchedule('b')).toBe(true);
    expect(await bench.backend.removeSchedule('b')).toBe(false);
    expect((await bench.backend.schedules()).map(({ name }) => name)).toEqual(['a']);
  });

  it('is started when its time has come, and moves on', async () => {
    await bench.backend.saveSchedule(schedule('due'));
    await bench.backend.saveSchedule(schedule('later', { nextAtMs: LATER }));
    const seen: [string, boolean][] = [];
    const nextInMs = await bench.backend.runDue(async (row, nowMs) => {
      seen.push([row.name, Math.abs(nowMs - Date.now()) < 60_000]);
      return begin(row);
    });
    expect(seen).toEqual([['due', true]]);
    expect(nextInMs).toBeGreaterThan(LATER - Date.now() - 60_000);
    expect((await bench.backend.schedules())[0]).toMatchObject({ nextAtMs: LATER, lastRunId: 'run of due' });
    expect((await bench.run('run of due'))!.status).toBe('running');
  });

  it('that is still due is started again with the next call', async () => {
    await bench.backend.saveSchedule(schedule('a'));
    let starts = 0;
    const late = async (): Promise<{ nextAtMs: number; runId: string }> => {
      starts++;
      return { nextAtMs: 2000, runId: 'r' };
    };
    expect(await bench.backend.runDue(late)).toBe(0);
    expect(starts).toBe(1);
    expect(await bench.backend.runDue(late)).toBe(0);
    expect(starts).toBe(2);
  });

  it('that is paused is not started, and there may be none', async () => {
    expect(await bench.backend.runDue(begin)).toBeUndefined();
    await bench.backend.saveSchedule(schedule('a'));
    expect(await bench.backend.pauseSchedule('a', true, undefined)).toBe(true);
    expect(await bench.backend.runDue(begin)).toBeUndefined();
    expect(await bench.run('run of a')).toBeUndefined();
    expect((await bench.backend.schedules())[0]).toMatchObject({ isPaused: true, nextAtMs: 1000 });
    expect(await bench.backend.pauseSchedule('a', false, LATER)).toBe(true);
    expect((await bench.backend.schedules())[0]).toMatchObject({ isPaused: false, nextAtMs: LATER });
    expect(await bench.backend.pauseSchedule('b', true, undefined)).toBe(false);
  });

  it('that cannot be started leaves nothing, and keeps no other from it', async () => {
    await bench.backend.saveSchedule(schedule('bad', { nextAtMs: 500 }));
    await bench.backend.saveSchedule(schedule('good'));
    const failure = new Error('no');
    const start = async (row: ScheduleRow) => {
      const begun = await begin(row);
      if (row.name === 'bad') throw failure;
      return begun;
    };
    await expect(bench.backend.runDue(start)).rejects.toBe(failure);
    expect(await bench.run('run of bad')).toBeUndefined();
    expect((await bench.run('run of good'))!.status).toBe('running');
    expect((await bench.backend.schedules()).map(({ nextAtMs }) => nextAtMs)).toEqual([500, LATER]);
  });

  it('is had by one process at a time, and others pass it by', async () => {
    await bench.backend.saveSchedule(schedule('a', { nextAtMs: 500 }));
    await bench.backend.saveSchedule(schedule('b'));
    const [entered, go] = [gate(), gate()];
    const first = bench.backend.runDue(async (row) => {
      if (row.name === 'a') {
        entered.open();
        await go.opened;
      }
      return begin(row);
    });
    await entered.opened;
    const seen: string[] = [];
    let isDone = false;
    const second = bench.backend
      .runDue(async (row) => {
        seen.push(row.name);
        return begin(row);
      })
      .finally(() => {
        isDone = true;
      });
    try {
      await eventually(() => isDone, { timeoutMs: 3_000 });
    } finally {
      go.open();
    }
    await Promise.all([first, second]);
    expect(seen).toEqual(['b']);
    expect((await bench.backend.schedules()).map(({ lastRunId }) => lastRunId)).toEqual([
      'run of a',
      'run of b',
    ]);
  });

  it('is started once, however many look for it', async () => {
    for (let i = 0; i < 10; i++) await bench.backend.saveSchedule(schedule(`s${i}`));
    const seen: string[] = [];
    await Promise.all(
      Array.from({ length: 6 }, () =>
        bench.backend.runDue(async (row) => {
          seen.push(row.name);
          return begin(row);
        }),
      ),
    );
    expect(seen.toSorted()).toEqual(Array.from({ length: 10 }, (_, i) => `s${i}`));
  });
});

describe('limits of queues', () => {
  const queue = (name: string, change: Partial<QueueRow> = {}): QueueRow => ({
    name,
    concurrency: undefined,
    partitionConcurrency: undefined,
    rate: undefined,
    ...change,
  });
  const ofAll = async (): Promise<unknown> =>
    bench.postgres.query(
      `select q.name, q.concurrency as c, q.partition_concurrency as p, q.rate_limit as l, q.rate_ms as ms
         from workflows.workflow_queues q order by q.name`,
    );

  it('are kept, and changed', async () => {
    await bench.backend.saveQueues([]);
    await bench.backend.saveQueues([
      queue('b', { concurrency: 5, rate: { limit: 10, perMs: 1500.5 } }),
      queue('a', { partitionConcurrency: 1 }),
    ]);
    await bench.backend.saveQueues([queue('b', { concurrency: 6 })]);
    expect(await ofAll()).toEqual([
      { name: 'a', c: null, p: 1, l: null, ms: null },
      { name: 'b', c: 6, p: null, l: null, ms: null },
    ]);
  });

  it('hold for claims, and what has begun is not forgotten when they are saved again', async () => {
    const limits = [queue('q', { rate: { limit: 2, perMs: 3_600_000 } })];
    await bench.backend.saveQueues(limits);
    for (const id of ['a', 'b', 'c']) await bench.backend.start(newRun(id, { queue: 'q' }));
    const lease = await bench.backend.join(60_000);
    expect(await bench.claim(lease.worker)).toHaveLength(2);
    await bench.backend.saveQueues(limits);
    expect(await bench.claim(lease.worker)).toHaveLength(0);
    await bench.backend.saveQueues([queue('q', { rate: { limit: 3, perMs: 3_600_000 } })]);
    expect(await bench.claim(lease.worker)).toHaveLength(1);
    await lease.release();
  });

  it('may be saved by many processes at once, in any order', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `q${i}`);
    await Promise.all(
      Array.from({ length: 8 }, (_, i) => {
        const rows = names.map((name) => queue(name, { concurrency: i + 1 }));
        return bench.backend.saveQueues(i % 2 === 0 ? rows : rows.toReversed());
      }),
    );
    const rows = (await ofAll()) as { c: number }[];
    expect(new Set(rows.map(({ c }) => c)).size).toBe(1);
  });
});
