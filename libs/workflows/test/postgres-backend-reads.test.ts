import postgres from 'postgres';
import { PgWorkflowBackend } from '../src/postgres/pg.workflow-backend.js';
import type { RunQuery } from '../src/workflow.queries.js';
import { COMPLETED, FAILED, STUCK, encode, newRun, park, step } from './support/memory-backend.js';
import { PgBench } from './support/postgres-backend.js';

let bench: PgBench;
let worker: string;

beforeAll(async () => {
  bench = await PgBench.open();
  ({ worker } = await bench.backend.join(60_000));
});
afterAll(() => bench.close());
beforeEach(() => bench.clear());

const ids = async (query: Partial<RunQuery>): Promise<string[]> =>
  (await bench.backend.list({ limit: 100, ...query })).map(({ id }) => id);

describe('a run that is read', () => {
  it('has all that it was started with, and how it ended', async () => {
    const claim = await bench.begin(worker, 'a', {
      version: '2',
      queue: 'q',
      priority: 3,
      parentId: 'p',
      input: encode(new Map([['k', 1n]])),
    });
    await bench.write('a', claim, { end: { kind: 'completed', output: encode(new Date(0)) } });
    expect(await bench.backend.get(['a', 'a', 'absent'])).toEqual([
      {
        id: 'a',
        workflow: 'order',
        version: '2',
        status: 'completed',
        input: new Map([['k', 1n]]),
        output: new Date(0),
        error: undefined,
        queue: 'q',
        priority: 3,
        parentId: 'p',
        forkedFrom: undefined,
        createdAtMs: expect.any(Number),
        updatedAtMs: expect.any(Number),
      },
    ]);
  });

  it.each([[null], [false], [0], [''], [undefined]])('tells a result of %p from none', async (output) => {
    const claim = await bench.begin(worker, 'a', { input: encode(output) });
    await bench.write('a', claim, {
      steps: [step('one', 0, { result: encode(output) })],
      values: [{ key: 'k', value: encode(output), writes: 1 }],
      end: { kind: 'completed', output: encode(output) },
    });
    expect(await bench.run('a')).toMatchObject({ input: output, output });
    expect((await bench.backend.steps('a'))[0]!.result).toBe(output);
    expect(await bench.backend.values('a')).toEqual(new Map([['k', output]]));
  });

  it('has its steps in the order of the calls, with what is left of a wait', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, {
      steps: [
        step('late', 2, { status: 'pending', kind: 'sleep', result: undefined, wakeInMs: 60_000 }),
        step('first', 0, { attempts: 3, durationMs: 1.5, result: encode(new Set([1])) }),
        step('second', 1, {
          status: 'error',
          result: undefined,
          error: encode(new TypeError('no')),
          after: 'first',
        }),
      ],
    });
    const steps = await bench.backend.steps('a');
    expect(steps).toMatchObject([
      {
        name: 'first',
        kind: 'step',
        status: 'done',
        result: new Set([1]),
        error: undefined,
        seq: 0,
        after: undefined,
        attempts: 3,
        durationMs: 1.5,
        remainingMs: undefined,
        wakeAtMs: undefined,
      },
      {
        name: 'second',
        status: 'error',
        result: undefined,
        error: { name: 'TypeError', message: 'no' },
        after: 'first',
      },
      { name: 'late', kind: 'sleep', status: 'pending' },
    ]);
    expect(steps[2]!.remainingMs).toBeGreaterThan(50_000);
    expect(steps[2]!.remainingMs).toBeLessThanOrEqual(60_000);
    expect(steps[2]!.wakeAtMs).toBeGreaterThan(steps[2]!.updatedAtMs + 50_000);
  });
});

describe('a list', () => {
  it('has the newest first, page by page, also of those made in one ms', async () => {
    const all = ['a', 'B', 'c', 'ä', '🦊', 'd'];
    await Promise.all(all.map((id) => bench.backend.start(newRun(id))));
    await bench.postgres.query(
      `update workflows.workflow_runs set created_at = case when id in ('a', 'd') then 2000 else 1000 end`,
    );
    // By their bytes.
    const expected = ['d', 'a', '🦊', 'ä', 'c', 'B'];
    expect(await ids({})).toEqual(expected);
    for (const limit of [1, 2, 4]) {
      const found: string[] = [];
      let before: RunQuery['before'];
      for (;;) {
        const page = await bench.backend.list({ limit, before });
        found.push(...page.map(({ id }) => id));
        before = page.at(-1);
        if (page.length < limit) break;
      }
      expect(found).toEqual(expected);
    }
  });

  it('has those that fit all that was asked', async () => {
    await bench.begin(worker, 'a', { parentId: 'p' });
    await bench.begin(worker, 'b', { workflow: 'other', queue: 'q' });
    await bench.write('c', await bench.begin(worker, 'c', { parentId: 'p' }), { end: COMPLETED });
    await bench.postgres.query(
      `update workflows.workflow_runs set created_at = case id when 'a' then 1000 when 'b' then 2000 else 3000 end`,
    );
    expect(await ids({ ids: ['a', 'c', 'x'] })).toEqual(['c', 'a']);
    expect(await ids({ ids: [] })).toEqual([]);
    expect(await ids({ workflow: 'other' })).toEqual(['b']);
    expect(await ids({ statuses: ['completed', 'failed'] })).toEqual(['c']);
    expect(await ids({ statuses: [] })).toEqual([]);
    expect(await ids({ queue: 'q' })).toEqual(['b']);
    expect(await ids({ parentId: 'p' })).toEqual(['c', 'a']);
    expect(await ids({ parentId: 'p', statuses: ['running'] })).toEqual(['a']);
    expect(await ids({ fromMs: 2000 })).toEqual(['c', 'b']);
    expect(await ids({ toMs: 2000 })).toEqual(['a']);
    expect(await ids({ fromMs: 1000, toMs: 3000 })).toEqual(['b', 'a']);
    expect(await ids({ fromMs: 1000.5, toMs: 3000.5 })).toEqual(['c', 'b']);
    expect(await ids({ fromMs: -8.64e15, toMs: 8.64e15 })).toHaveLength(3);
  });

  it('finds text in ids, names, values and errors, in upper and lower case alike, as it stands', async () => {
    await bench.begin(worker, 'Invoice-7', { input: encode({ note: 'Ärger mit 100% _alles_' }) });
    await bench.begin(worker, 'b', { workflow: 'other', input: encode({ text: 'say "hi"\n\\o/' }) });
    await bench.write('c', await bench.begin(worker, 'c'), {
      end: { kind: 'completed', output: encode(['GRÜN']) },
    });
    await bench.write('d', await bench.begin(worker, 'd'), { end: FAILED });

    expect(await ids({ search: 'invoice' })).toEqual(['Invoice-7']);
    expect(await ids({ search: 'OTHER' })).toEqual(['b']);
    expect(await ids({ search: '100% _' })).toEqual(['Invoice-7']);
    expect(await ids({ search: '100x' })).toEqual([]);
    expect(await ids({ search: 'say "HI"\n\\' })).toEqual(['b']);
    expect(await ids({ search: 'grün' })).toEqual(['c']);
    expect(await ids({ search: 'FAILED', statuses: ['failed'] })).toEqual(['d']);
    expect(await ids({ search: '' })).toHaveLength(4);
  });
});

describe('counts and figures', () => {
  it('are by workflow and status, and by what runs wait for', async () => {
    expect(await bench.backend.counts()).toEqual({});
    expect(await bench.backend.figures()).toEqual({
      ready: 0,
      claimed: 0,
      parked: 0,
      stuck: 0,
      dead: 0,
      oldestReadyMs: undefined,
    });
    await bench.backend.start(newRun('ready'));
    await bench.backend.start(newRun('ready 2', { workflow: '__proto__' }));
    await bench.begin('gone', 'dead', { maxRecoveries: 0 });
    await bench.claim(worker, { limit: 0 });
    await bench.begin(worker, 'claimed');
    await bench.write('parked', await bench.begin(worker, 'parked'), { end: park() });
    await bench.write('stuck', await bench.begin(worker, 'stuck'), { end: STUCK });
    await bench.write('done', await bench.begin(worker, 'done'), { end: COMPLETED });
    await bench.postgres.query(
      `update workflows.workflow_active set due_at = due_at - interval '1 hour' where run_id = 'ready'`,
    );

    const counts = await bench.backend.counts();
    expect(counts['order']).toEqual({ running: 2, suspended: 1, stuck: 1, dead: 1, completed: 1 });
    expect(Object.entries(counts).map(([workflow]) => workflow)).toEqual(['__proto__', 'order']);
    const figures = await bench.backend.figures();
    expect(figures).toMatchObject({ ready: 2, claimed: 1, parked: 1, stuck: 1, dead: 1 });
    expect(figures.oldestReadyMs).toBeGreaterThanOrEqual(3_600_000);
    expect(figures.oldestReadyMs).toBeLessThan(3_700_000);
  });
});

describe('with a client that was passed in, and reads JSON and numbers in its own way', () => {
  it('reads the same', async () => {
    const client = postgres(bench.url, {
      max: 4,
      types: {
        json: { to: 3802, from: [114, 3802], serialize: String, parse: () => 'its own' },
        bigint: { to: 20, from: [20], serialize: String, parse: (text: string) => `#${text}` },
      },
    });
    const shared = new PgWorkflowBackend(client);
    await shared.init();
    const claim = await bench.begin(worker, 'a', { input: encode({ some_key: 1 }), parentId: 'p' });
    await shared.signal('a', 'go', encode({ other_key: 2 }), undefined);
    await bench.write('a', claim, {
      steps: [step('one', 0, { result: encode({ third_key: 3 }), wakeInMs: 1000 })],
      values: [{ key: 'k', value: encode({ fourth_key: 4 }), writes: 1 }],
    });
    expect(await shared.get(['a'])).toEqual(await bench.backend.get(['a']));
    expect(await shared.steps('a')).toMatchObject([{ name: 'one', result: { third_key: 3 } }]);
    expect(await shared.values('a')).toEqual(new Map([['k', { fourth_key: 4 }]]));
    expect(await shared.news(worker, ['a'], [])).toEqual(await bench.backend.news(worker, ['a'], []));
    expect(await shared.figures()).toEqual(await bench.backend.figures());
    expect(await shared.counts()).toEqual(await bench.backend.counts());
    await shared.saveSchedule({
      name: 's',
      workflow: 'order',
      cron: '* * * * *',
      timezone: 'UTC',
      input: encode({ fifth_key: 5 }),
      options: { queue: 'q', priority: 1 },
      nextAtMs: 1000,
      isPaused: false,
    });
    expect(await shared.schedules()).toEqual(await bench.backend.schedules());
    expect(await shared.cancel(['a'], encode(null))).toEqual({ cancelled: ['a'], workers: [worker] });
    expect((await shared.news(worker, [], [])).endings).toEqual([{ runId: 'a', ending: 'cancelled', claim }]);
    await shared.close();
    // It is the caller's to close.
    expect(await client`select 1 as one`).toMatchObject([{ one: 1 }]);
    await client.end({ timeout: 5 });
  });
});
