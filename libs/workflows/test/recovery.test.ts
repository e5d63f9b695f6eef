import { jest } from '@jest/globals';
import { eventually, type Fixture } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { Counting, Deadly, FaultCluster, Slow, Waiting, first, said } from './fixtures/fault-cluster.js';

let cluster: FaultCluster;

beforeEach(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  cluster = await FaultCluster.open();
});

afterEach(async () => {
  await cluster.close();
  jest.restoreAllMocks();
});

/** The instance that has begun a step of a run. */
async function at(run: string, step: string): Promise<Fixture> {
  return eventually(() =>
    first(
      cluster.instances.filter((instance) =>
        said(instance, 'begun', run).some((message) => message.step === step),
      ),
    ),
  );
}

describe('a process that is killed', () => {
  it('has its runs go on elsewhere within the lease and a second', async () => {
    const lease = 1_500;
    const late: number[] = [];
    for (let round = 0; round < 4; round++) {
      while (cluster.instances.length < round + 2) await cluster.spawn({ lease });
      const run = `killed ${round}`;
      await cluster.workflows.start(Slow, { steps: 2, ms: 300 }, { id: run });
      const victim = await at(run, 'step 1');
      const other = cluster.instances.filter((instance) => instance !== victim);
      const killedAt = Date.now();
      await victim.kill('SIGKILL');
      const again = await eventually(() => first(other.flatMap((instance) => said(instance, 'begun', run))), {
        timeoutMs: 20_000,
        intervalMs: 5,
      });
      late.push(again.at - killedAt);
      // What was recorded is not done again.
      expect(again.step).toBe('step 1');
      expect(await cluster.workflows.get(run).result()).toEqual([0, 1]);
    }
    console.error(`Recovered after ${late.join(', ')} ms with a lease of ${lease} ms`);
    late.sort((a, b) => a - b);
    expect(late[1]).toBeLessThan(lease + 1_000);
  }, 60_000);

  it('again and again by one run has that end as dead, and only that', async () => {
    const lease = 600;
    const healthy = await cluster.workflows.start(Slow, { steps: 1, ms: 30 }, { delay: 5_000 });
    const deadly = await cluster.workflows.start(Deadly, undefined);
    let kills = 0;
    const keep = (async () => {
      while ((await deadly.status()) !== 'dead') {
        const instance = await cluster.spawn({ lease, pollMs: 200 });
        await Promise.race([
          instance.exited,
          eventually(async () => (await deadly.status()) === 'dead', { timeoutMs: 30_000 }),
        ]);
        kills += said(instance, 'dying').length;
      }
    })();
    await expect(deadly.result()).rejects.toMatchObject({ name: 'RunDeadError', runId: deadly.id });
    await keep;
    // Once, and each time that it was recovered.
    expect(kills).toBe(3);
    expect(await cluster.workflows.figures()).toMatchObject({ dead: 1 });
    expect(await healthy.result()).toEqual([0]);
    expect((await deadly.steps()).map(({ name, status }) => [name, status])).toEqual([['first', 'done']]);
  }, 60_000);
});

describe('a process that was frozen past its lease', () => {
  it('aborts its steps, records nothing more of what others have, and takes new work', async () => {
    const lease = 800;
    const frozen = await cluster.spawn({ lease });
    const run = 'frozen';
    const handle = await cluster.workflows.start(Slow, { steps: 3, ms: 400 }, { id: run });
    await eventually(() => expect(said(frozen, 'begun', run)).toHaveLength(2));
    frozen.freeze();
    const other = await cluster.spawn({ lease });
    expect(await handle.result({ timeout: '20s' })).toEqual([0, 1, 2]);
    const steps = await handle.steps();
    const row = await cluster.rows('select * from workflows.workflow_runs');

    frozen.unfreeze();
    const aborted = await eventually(() => first(said(frozen, 'aborted', run)));
    expect(aborted).toMatchObject({ step: 'step 1', name: 'RunReleasedError' });
    // The step that it was at may end; the next one never begins.
    await eventually(() => expect(said(frozen, 'ended', run)).toHaveLength(2));

    // There is nobody else to take this one.
    await other.kill();
    const next = await cluster.workflows.start(Slow, { steps: 2, ms: 20 }, { id: 'next' });
    expect(await next.result({ timeout: '20s' })).toEqual([0, 1]);
    expect(said(frozen, 'begun', 'next')).toHaveLength(2);
    expect(said(frozen, 'begun', run).map(({ step }) => step)).toEqual(['step 0', 'step 1']);
    expect(await handle.steps()).toEqual(steps);
    expect(await cluster.rows(`select * from workflows.workflow_runs where id = 'frozen'`)).toEqual(row);
    expect(frozen.stderr).not.toMatch(/unhandled|came to a halt/i);
  }, 60_000);

  it('and has them back itself goes on with them when there is nobody else', async () => {
    const lease = 500;
    const frozen = await cluster.spawn({ lease });
    const slow = await cluster.workflows.start(Slow, { steps: 2, ms: 300 }, { id: 'slow' });
    const waiting = await cluster.workflows.start(Waiting, undefined, { id: 'waiting' });
    await eventually(() => expect(said(frozen, 'begun', 'slow')).toHaveLength(2));
    frozen.freeze();
    await eventually(async () => {
      const alive = await cluster.rows(
        'select name from nestbox.leases where owner is not null and expires_at > clock_timestamp()',
      );
      expect(alive).toEqual([]);
    });
    await waiting.signal('go', 'on');
    frozen.unfreeze();
    expect(await slow.result({ timeout: '20s' })).toEqual([0, 1]);
    expect(await waiting.result({ timeout: '20s' })).toBe('on');
    expect(said(frozen, 'begun', 'slow').map(({ step }) => step)).toEqual(['step 0', 'step 1', 'step 1']);
    expect(said(frozen, 'begun', 'waiting').map(({ step }) => step)).toEqual(['first', 'last']);
  }, 60_000);

  it('in the middle of a transaction step leaves it undone, and others do it once', async () => {
    const lease = 600;
    const frozen = await cluster.spawn({ lease });
    const handle = await cluster.workflows.start(Counting, { steps: 2, ms: 500 }, { id: 'counted' });
    await eventually(async () => {
      const open = await cluster.rows(
        `select pid from pg_stat_activity
          where datname = current_database() and application_name = 'victim' and state = 'idle in transaction'`,
      );
      expect(open).toHaveLength(1);
    });
    frozen.freeze();
    await cluster.spawn({ lease });
    expect(await handle.result({ timeout: '20s' })).toBe(2);
    frozen.unfreeze();
    // It has taken note, and does what comes next.
    await cluster.instances[1]!.kill();
    const next = await cluster.workflows.start(Counting, { steps: 1, ms: 0 }, { id: 'next' });
    expect(await next.result({ timeout: '20s' })).toBe(1);
    const counted = await cluster.rows('select run_id, step from counted order by run_id, step');
    expect(counted).toEqual([
      { run_id: 'counted', step: 0 },
      { run_id: 'counted', step: 1 },
      { run_id: 'next', step: 0 },
    ]);
    expect(frozen.stderr).not.toMatch(/unhandled|came to a halt/i);
  }, 60_000);
});
