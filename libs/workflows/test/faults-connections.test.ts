import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { Postgres } from '@nestbox/postgres';
import { Workflow, createWorkflows, type WorkflowContext } from '@nestbox/workflows';
import { Logger } from '@nestjs/common';
import { CommitProxy } from './fixtures/commit-proxy.js';
import { FaultCluster, said } from './fixtures/fault-cluster.js';

let cluster: FaultCluster;

beforeEach(async () => {
  for (const level of ['warn', 'error'] as const) {
    jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
  }
  cluster = await FaultCluster.open();
});

afterEach(async () => {
  await cluster.close();
  jest.restoreAllMocks();
});

/** @returns how many there were */
async function killConnections(share: number): Promise<number> {
  const killed = await cluster.rows(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'victim' and random() < $1::float8`,
    [share],
  );
  return killed.length;
}

/** How often each transaction step of `counting` was done: run, step and count of those not done once. */
async function notOnce(runs: number, steps: number): Promise<unknown> {
  const counted = await cluster.rows<{ run: string; step: number; count: number }>(
    'select run_id as run, step, count(*)::integer as count from counted group by run_id, step',
  );
  expect(counted).toHaveLength(runs * steps);
  return counted.filter(({ count }) => count !== 1);
}

describe('a process whose connections are killed, again and again', () => {
  it('does each transaction step once, loses no run, and ends none in an error', async () => {
    const victim = await cluster.spawn({ concurrency: 30 }, 8);
    const [prefixes, count, steps] = [['a', 'b', 'c', 'd'], 80, 4];
    for (const prefix of prefixes) victim.send({ start: prefix, count, steps });
    let killed = 0;
    let isOver = false;
    const killing = (async () => {
      while (!isOver) {
        await sleep(60 + Math.random() * 120);
        killed += await killConnections(0.7);
      }
    })();
    try {
      for (let i = 0; i < prefixes.length; i++) await victim.waitFor('all started', 60_000);
    } finally {
      isOver = true;
      await killing;
    }
    const runs = prefixes.length * count;
    expect(await cluster.endedRuns(runs)).toEqual(['completed']);
    expect(killed).toBeGreaterThan(30);
    expect(await notOnce(runs, steps)).toEqual([]);
    // The lease was renewed all the time, so that nobody had to be recovered.
    expect(victim.stderr).not.toMatch(/unhandled|came to a halt|was refused/i);
    expect(await victim.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(said(victim, 'closed')).toHaveLength(1);
  }, 90_000);
});

describe('a transaction step whose COMMIT is not answered', () => {
  it.each([
    ['at once', 0],
    ['only when the step is being tried again', 400],
  ])(
    'and reaches the server %s is done once',
    async (_, delayMs) => {
      const proxy = await CommitProxy.open(cluster.url);
      const postgres = new Postgres({ url: proxy.url, prepare: false, options: { max: 6 } });
      let calls = 0;
      @Workflow({ name: 'once' })
      class Once {
        async run(context: WorkflowContext): Promise<string[]> {
          const results: string[] = [];
          for (const step of [0, 1, 2]) {
            const result = await context.transaction(`step ${step}`, async () => {
              calls++;
              await postgres.query('insert into counted values ($1, $2::integer)', [context.runId, step]);
              return `${step} by call ${calls}`;
            });
            results.push(result);
          }
          return results;
        }
      }
      const workflows = createWorkflows(postgres, { workflows: [new Once()] });
      await workflows.startWorker();
      proxy.loseCommits(1, () => delayMs, 1);
      const handle = await workflows.start(Once, undefined);
      const results = await handle.result({ timeout: '20s' });
      expect(proxy.lost).toBe(1);
      expect(await notOnce(1, 3)).toEqual([]);
      // What the code was given is what is recorded.
      const steps = (await handle.steps()).filter(({ kind }) => kind === 'transaction');
      expect(results).toEqual(steps.map(({ result }) => result));
      await workflows.close();
      await postgres.close();
      await proxy.close();
    },
    30_000,
  );

  it('by many runs at once is done once in each', async () => {
    const proxy = await CommitProxy.open(cluster.url);
    const victim = await cluster.spawn({ concurrency: 20 }, 6, `${proxy.url}?prepare=false`);
    victim.send({ start: 'run', count: 60, steps: 3 });
    proxy.loseCommits(0.15, () => (Math.random() < 0.5 ? 0 : 60));
    await victim.waitFor('all started', 60_000);
    expect(await cluster.endedRuns(60)).toEqual(['completed']);
    expect(proxy.lost).toBeGreaterThan(5);
    expect(await notOnce(60, 3)).toEqual([]);
    await victim.kill();
    await proxy.close();
  }, 60_000);
});
