import { jest } from '@jest/globals';
import { eventually } from '@nestbox/testing';
import { Workflow, createWorkflows, type WorkflowContext } from '@nestbox/workflows';
import { Logger } from '@nestjs/common';
import { Counting, FaultCluster } from './fixtures/fault-cluster.js';

let cluster: FaultCluster;

beforeEach(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  cluster = await FaultCluster.open();
});

afterEach(async () => {
  await cluster.close();
  jest.restoreAllMocks();
});

describe('start() inside a transaction', () => {
  it('that rolls back leaves nothing, and does not run', async () => {
    await cluster.spawn({ pollMs: 50 });
    const { postgres, workflows } = cluster;
    const failing = postgres.transaction(async () => {
      for (let i = 0; i < 5; i++) await workflows.start(Counting, { steps: 1, ms: 0 }, { id: `lost ${i}` });
      expect(await workflows.get('lost 0').status()).toBe('running');
      throw new Error('Not after all.');
    });
    await expect(failing).rejects.toThrow('Not after all.');
    await (await workflows.start(Counting, { steps: 1, ms: 0 }, { id: 'kept' })).result();
    for (const table of ['workflow_runs', 'workflow_steps', 'workflow_active']) {
      const column = table === 'workflow_runs' ? 'id' : 'run_id';
      const found = await cluster.rows(`select * from workflows.${table} where ${column} like 'lost%'`);
      expect(found).toEqual([]);
    }
    expect(await cluster.rows('select run_id from counted')).toEqual([{ run_id: 'kept' }]);
  }, 60_000);

  it('that is committed runs, and not before; also where the worker is the same process', async () => {
    const { postgres } = cluster;
    const begun: string[] = [];
    @Workflow({ name: 'here' })
    class Here {
      async run(context: WorkflowContext): Promise<string> {
        await context.step('begin', () => void begun.push(context.runId));
        return context.runId;
      }
    }
    const workflows = createWorkflows(postgres, { workflows: [new Here()], pollMs: 20 });
    await workflows.startWorker();
    const handle = await postgres.transaction(async () => {
      const started = await workflows.start(Here, undefined, { id: 'inside' });
      // Another one, begun and done meanwhile, shows that the worker had its chances.
      const client = createWorkflows(cluster.url, { workflows: [] });
      await (await client.start(Here, undefined, { id: 'outside' })).result();
      await client.close();
      expect(begun).toEqual(['outside']);
      return started;
    });
    expect(await handle.result({ timeout: '10s' })).toBe('inside');
    expect(begun).toEqual(['outside', 'inside']);
    await workflows.close();
  }, 60_000);
});

describe('start() of one id', () => {
  it('from many clients and processes at once is one run and one result', async () => {
    for (let i = 0; i < 2; i++) await cluster.spawn();
    const clients = Array.from({ length: 6 }, () => createWorkflows(cluster.url));
    await Promise.all(clients.map((client) => client.init()));
    const ids = Array.from({ length: 20 }, (_, i) => `order ${i}`);
    const results = await Promise.all(
      ids.flatMap((id, n) =>
        clients.flatMap((client) =>
          [1, 2].map(async () => {
            const handle = await client.start(Counting, { steps: 1 + (n % 3), ms: 0 }, { id });
            return [handle.id, await handle.result({ timeout: '30s' })];
          }),
        ),
      ),
    );
    for (const [id, result] of results) expect(result).toBe(1 + (ids.indexOf(id as string) % 3));
    expect(results).toHaveLength(20 * 12);
    const counted = await cluster.rows<{ run_id: string; count: number }>(
      'select run_id, count(*)::integer as count from counted group by run_id',
    );
    expect(Object.fromEntries(counted.map(({ run_id: id, count }) => [id, count]))).toEqual(
      Object.fromEntries(ids.map((id, n) => [id, 1 + (n % 3)])),
    );
    await Promise.all(clients.map((client) => client.close()));
  }, 60_000);

  it('inside transactions of which some roll back is one run of those that commit', async () => {
    await cluster.spawn();
    const { postgres, workflows } = cluster;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 12 }, (_, i) =>
        postgres.transaction(async () => {
          await workflows.start(Counting, { steps: 2, ms: 0 }, { id: 'one' });
          if (i % 3 !== 2) throw new Error('Rolled back');
        }),
      ),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(4);
    expect(await workflows.get('one').result({ timeout: '20s' })).toBe(2);
    await eventually(async () => expect(await cluster.endedRuns(1)).toEqual(['completed']));
    expect(await cluster.rows('select step from counted order by step')).toEqual([{ step: 0 }, { step: 1 }]);
  }, 60_000);
});
