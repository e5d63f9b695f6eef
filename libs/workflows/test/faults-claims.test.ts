import { jest } from '@jest/globals';
import { Postgres } from '@nestbox/postgres';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { Workflow, createWorkflows, type WorkflowContext, type WorkflowService } from '@nestbox/workflows';
import { Logger } from '@nestjs/common';

const PARKED = 100_000;
const ENDED = 200_000;

@Workflow({ name: 'quick' })
class Quick {
  async run(context: WorkflowContext, n: number): Promise<number> {
    const a = await context.step('a', () => n);
    await context.sleep('pause', 5);
    return context.step('b', () => a + 1);
  }
}

let database: TestDatabase;
let postgres: Postgres;
let workflows: WorkflowService;

interface Reads {
  [table: string]: { scans: number; rows: number };
}

beforeAll(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  database = await testDatabase();
  postgres = new Postgres({ url: database.url, options: { max: 6 } });
  workflows = createWorkflows(postgres, { workflows: [new Quick()] });
  await workflows.init();
  await postgres.query(
    `insert into workflows.workflow_runs (id, workflow, status, input, output, queue)
       select 'ended ' || i, 'quick', 'completed', '1', '2', 'default' from generate_series(1, ${ENDED}) as i;
     insert into workflows.workflow_runs (id, workflow, status, input, queue)
       select 'parked ' || i, 'quick', 'suspended', '1', 'default' from generate_series(1, ${PARKED}) as i;
     insert into workflows.workflow_steps (run_id, step_name, status, result, kind, seq)
       select 'ended ' || i, 'a', 'done', '1', 'step', 1 from generate_series(1, ${ENDED}) as i;
     insert into workflows.workflow_steps (run_id, step_name, status, result, kind, seq)
       select 'parked ' || i, 'a', 'done', '1', 'step', 1 from generate_series(1, ${PARKED}) as i;
     insert into workflows.workflow_active (run_id, workflow, queue, state, due_at, claim, signals)
       select 'parked ' || i, 'quick', 'default', 2, case when i % 2 = 0 then 'infinity' else now() + interval '1 day' end, i, '{go}'
         from generate_series(1, ${PARKED}) as i;
     analyze workflows.workflow_runs; analyze workflows.workflow_steps; analyze workflows.workflow_active`,
  );
}, 120_000);

afterAll(async () => {
  await workflows.close();
  await postgres.close();
  await database.drop();
  jest.restoreAllMocks();
});

/** How often each table was read from end to end, and how many rows that gave. */
async function reads(): Promise<Reads> {
  const rows = await postgres.query<{ name: string; scans: string; rows: string }>(
    `select relname as name, seq_scan::text as scans, seq_tup_read::text as rows from pg_stat_user_tables
      where schemaname = 'workflows' and relname in ('workflow_runs', 'workflow_steps', 'workflow_active')`,
  );
  return Object.fromEntries(
    rows.map(({ name, scans, rows: read }) => [name, { scans: Number(scans), rows: Number(read) }]),
  );
}

/** Once what all connections have done is counted. */
async function settledReads(): Promise<Reads> {
  let before = await reads();
  await eventually(
    async () => {
      // A connection reports at the latest when it is idle for a while, or when it is asked.
      await Promise.all(
        Array.from({ length: 6 }, () => postgres.query('select pg_stat_force_next_flush(), pg_sleep(0.05)')),
      );
      const now = await reads();
      const isSame = JSON.stringify(now) === JSON.stringify(before);
      before = now;
      return isSame;
    },
    { timeoutMs: 20_000 },
  );
  return before;
}

describe(`with ${PARKED} parked and ${ENDED} ended runs, nothing that a worker does`, () => {
  it('reads a table of runs or steps from end to end', async () => {
    const before = await settledReads();
    await workflows.startWorker();
    const inputs = Array.from({ length: 300 }, (_, i) => i);
    const handles = await Promise.all(
      // Half of them have to be claimed.
      inputs.map((n) => workflows.start(Quick, n, n % 2 === 0 ? {} : { delay: 1 })),
    );
    const results = await Promise.all(handles.map((handle) => handle.result({ timeout: '30s' })));
    expect(results).toEqual(inputs.map((n) => n + 1));
    await workflows.signal('parked 2', 'other', 1);
    await workflows.cancel('parked 4');
    // Those are gone which had a worker that is not alive.
    await postgres.query(
      `update workflows.workflow_active set state = 1, worker = 'gone ' || run_id where run_id in ('parked 6', 'parked 8')`,
    );
    await workflows.resume('parked 10');
    // Woken, recovered or resumed, they go on from what they have: only "a" was done, with another result.
    for (const id of ['parked 6', 'parked 8', 'parked 10']) {
      expect(await workflows.get(id).result({ timeout: '30s' })).toBe(2);
    }
    await workflows.stopWorker();
    expect(await settledReads()).toEqual(before);
  }, 90_000);

  it('takes longer than without them', async () => {
    const backend = workflows.backend;
    const other = await testDatabase();
    const empty = createWorkflows(other.url, { workflows: [new Quick()] });
    await empty.init();
    const request = { worker: 'me', limit: 100, workflows: ['quick'], queues: undefined };
    const timeOf = async (service: WorkflowService): Promise<number> => {
      const times: number[] = [];
      for (let i = 0; i < 60; i++) {
        const begin = performance.now();
        await service.backend.claim(request);
        times.push(performance.now() - begin);
      }
      return times.sort((a, b) => a - b)[30]!;
    };
    expect(backend.kind).toBe('postgres');
    // In turns, so that whatever else the machine does is fair to both.
    const rounds: number[] = [];
    for (let i = 0; i < 5; i++) rounds.push((await timeOf(workflows)) / (await timeOf(empty)));
    rounds.sort((a, b) => a - b);
    console.error(`A claim takes ${rounds[2]!.toFixed(2)} times as long as in an empty database`);
    expect(rounds[2]).toBeLessThan(3);
    await empty.close();
    await other.drop();
  }, 60_000);
});
