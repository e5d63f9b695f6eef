import { setTimeout as sleep } from 'node:timers/promises';
import { Postgres } from '@nestbox/postgres';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { Workflow, createWorkflows, type WorkflowContext, type WorkflowService } from '@nestbox/workflows';

let database: TestDatabase;
let postgres: Postgres;
let observer: Postgres;
let workflows: WorkflowService;

beforeEach(async () => {
  database = await testDatabase();
  observer = new Postgres({ url: database.url, options: { max: 1 } });
  await observer.query(
    'create table counted (run_id text not null, step text not null); create table gate (id integer primary key)',
  );
  await observer.query('insert into gate values (1)');
  postgres = new Postgres({
    url: database.url,
    options: { max: 5, connection: { application_name: 'small' } },
  });
});

afterEach(async () => {
  await workflows.close();
  await postgres.close();
  await observer.close();
  await database.drop();
});

/** The connections of the service that are not idle. */
async function busy(): Promise<Record<string, unknown>[]> {
  return observer.query(
    `select state, query from pg_stat_activity
      where datname = current_database() and application_name = 'small' and state <> 'idle'`,
  );
}

async function openRuns(): Promise<number> {
  const [row] = await observer.query<{ count: number }>(
    'select count(*)::integer as count from workflows.workflow_active',
  );
  return row!.count;
}

describe('100 runs on a pool of five connections', () => {
  it('with transaction steps all end, each step done once, and keep the lease', async () => {
    @Workflow({ name: 'transactions' })
    class Transactions {
      async run(context: WorkflowContext): Promise<number> {
        for (const step of ['a', 'b', 'c']) {
          await context.transaction(step, async () => {
            await postgres.query('insert into counted values ($1, $2)', [context.runId, step]);
            // The connection is held meanwhile.
            await sleep(25);
            await postgres.query('select 1 as one');
          });
          await context.step(`${step} outside`, async () => {
            await postgres.query('select 1 as one');
          });
        }
        return 3;
      }
    }
    workflows = createWorkflows(postgres, { workflows: [new Transactions()], concurrency: 100, lease: '1s' });
    await workflows.startWorker();
    const { workerId } = workflows;
    const handles = await Promise.all(
      Array.from({ length: 100 }, () => workflows.start(Transactions, undefined)),
    );
    expect(workflows.activeRuns).toBe(100);
    const results = await Promise.all(handles.map((handle) => handle.result({ timeout: '40s' })));
    expect(results).toEqual(handles.map(() => 3));
    // It took longer than the lease.
    expect(workflows.workerId).toBe(workerId);
    const counted = await observer.query<{ count: number; different: number }>(
      `select count(*)::integer as count, count(distinct (run_id, step))::integer as different from counted`,
    );
    expect(counted).toEqual([{ count: 300, different: 300 }]);
  }, 60_000);

  it('have none of them busy while they are at their steps', async () => {
    let inSteps = 0;
    let letOn: (() => void) | undefined;
    const gate = new Promise<void>((resolve) => {
      letOn = resolve;
    });
    @Workflow({ name: 'steps' })
    class Steps {
      async run(context: WorkflowContext): Promise<void> {
        await context.step('before', () => 1);
        await context.step('long', async () => {
          inSteps++;
          await gate;
        });
      }
    }
    workflows = createWorkflows(postgres, { workflows: [new Steps()], concurrency: 100, pollMs: 60_000 });
    await workflows.startWorker();
    const handles = await Promise.all(Array.from({ length: 100 }, () => workflows.start(Steps, undefined)));
    await eventually(() => expect(inSteps).toBe(100));
    // The checkpoints before are on their way out.
    await eventually(async () => expect(await busy()).toEqual([]));
    let seen = 0;
    for (let i = 0; i < 40; i++) {
      // A heartbeat may pass by; nothing stays, and no transaction is ever open.
      const now = await busy();
      expect(now.filter(({ state }) => state !== 'active')).toEqual([]);
      seen += now.length;
      await sleep(10);
    }
    expect(seen).toBeLessThan(4);
    letOn!();
    await Promise.all(handles.map((handle) => handle.result({ timeout: '20s' })));
  }, 60_000);

  it('keep their worker alive while every transaction that may be open waits for a lock', async () => {
    @Workflow({ name: 'blocked' })
    class Blocked {
      async run(context: WorkflowContext): Promise<void> {
        await context.transaction('wait', async () => {
          await postgres.query('select id from gate where id = 1 for update');
          await postgres.query('insert into counted values ($1, $2)', [context.runId, 'wait']);
        });
      }
    }
    @Workflow({ name: 'easy' })
    class Easy {
      async run(context: WorkflowContext): Promise<number> {
        return context.step('easy', () => 1);
      }
    }
    workflows = createWorkflows(postgres, {
      workflows: [new Blocked(), new Easy()],
      concurrency: 200,
      lease: '600ms',
    });
    await workflows.startWorker();
    const { workerId } = workflows;
    let unlock: (() => void) | undefined;
    const locked = new Promise<void>((resolve) => {
      unlock = resolve;
    });
    const locking = new Postgres({ url: database.url, options: { max: 1 } });
    const holding = locking.transaction(async () => {
      await locking.query('select id from gate where id = 1 for update');
      await locked;
    });
    const blocked = await Promise.all(Array.from({ length: 99 }, () => workflows.start(Blocked, undefined)));
    await eventually(async () => {
      const waiting = await observer.query(
        `select 1 as one from pg_stat_activity
          where datname = current_database() and application_name = 'small' and wait_event_type = 'Lock'`,
      );
      expect(waiting.length).toBeGreaterThanOrEqual(3);
    });
    // Others start and end meanwhile, for several times the lease.
    const until = performance.now() + 2_500;
    let easy = 0;
    while (performance.now() < until) {
      const handle = await workflows.start(Easy, undefined);
      easy += await handle.result({ timeout: '10s' });
      expect(workflows.workerId).toBe(workerId);
    }
    expect(easy).toBeGreaterThan(10);
    unlock!();
    await holding;
    await locking.close();
    await Promise.all(blocked.map((handle) => handle.result({ timeout: '20s' })));
    await eventually(async () => expect(await openRuns()).toBe(0));
    const [row] = await observer.query<{ count: number }>('select count(*)::integer as count from counted');
    expect(row!.count).toBe(99);
  }, 60_000);
});
