import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { eventually, spawnFixture, startPostgres, type Fixture, type TestPostgres } from '@nestbox/testing';
import { Workflow, type WorkflowContext } from '@nestbox/workflows';
import { Logger } from '@nestjs/common';
import { FaultCluster, killOne } from './fixtures/fault-cluster.js';

const PARENTS = 100;
const SIGNALS = 3;
const LEASE_MS = 1_200;

interface Family {
  taken: number[];
  results: (number | string)[];
}

/** Known here by its name only: the processes run it. */
@Workflow({ name: 'parent' })
class Parent {
  async run(_context: WorkflowContext, _input: { signals: number; children: number[] }): Promise<Family> {
    throw new Error('It runs elsewhere.');
  }
}

let server: TestPostgres;
let cluster: FaultCluster;
let workers: Fixture[];

beforeEach(async () => {
  for (const level of ['log', 'warn', 'error'] as const) {
    jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
  }
  server = await startPostgres();
  cluster = await FaultCluster.open(server.url);
  workers = [];
});

afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  await cluster.close();
  await server[Symbol.asyncDispose]();
  jest.restoreAllMocks();
});

function spawnWorker(): Promise<Fixture> {
  return spawnFixture(new URL('./fixtures/family-worker.mjs', import.meta.url), {
    args: [server.url, String(LEASE_MS)],
  });
}

/** Until it is acknowledged. */
async function insist(fn: () => Promise<unknown>): Promise<void> {
  await eventually(async () => void (await fn()), { timeoutMs: 60_000 });
}

function childrenOf(parent: number): number[] {
  return [parent * 3, parent * 3 + 1, parent * 3 + 2];
}

function resultOf(child: number): number | string {
  return child % 10 === 9 ? `Child ${child} has failed` : child * 2;
}

async function startAndSignal(parent: number): Promise<void> {
  const id = `parent ${parent}`;
  await sleep(parent * 80);
  await insist(() =>
    cluster.workflows.start(Parent, { signals: SIGNALS, children: childrenOf(parent) }, { id }),
  );
  for (let i = 0; i < SIGNALS; i++) {
    // Some before the wait, some during it, some when the run is parked.
    await sleep(Math.random() * 500);
    await insist(() => cluster.workflows.signal(id, 'item', i, { dedupe: `item ${i}` }));
  }
}

describe('parents, children and signals while a process is killed every second', () => {
  it('find each other: each signal is taken once and in order, each child runs once', async () => {
    for (let i = 0; i < 3; i++) workers.push(await spawnWorker());
    await Promise.all(workers.map((worker) => worker.waitFor('started', 30_000)));
    let isOver = false;
    let kills = 0;
    const killing = (async () => {
      while (!isOver) {
        const { stderr } = await killOne(workers, spawnWorker);
        expect(stderr).not.toMatch(/unhandled|came to a halt|was refused|does not fit/i);
        kills++;
        // As a crash of the server, not as a restart.
        if (kills === 4) {
          await server.kill();
          await server.start();
        }
      }
    })();
    killing.catch(() => undefined);
    try {
      await Promise.all(Array.from({ length: PARENTS }, (_, i) => startAndSignal(i)));
      await cluster.endedRuns(PARENTS * 4, 150_000);
    } finally {
      isOver = true;
    }
    await killing;
    expect(kills).toBeGreaterThanOrEqual(4);

    const families = await cluster.rows<{ id: string; output: Family }>(
      `select id, output from workflows.workflow_runs where workflow = 'parent' and status = 'completed'`,
    );
    expect(Object.fromEntries(families.map(({ id, output }) => [id, output]))).toEqual(
      Object.fromEntries(
        Array.from({ length: PARENTS }, (_, i) => [
          `parent ${i}`,
          { taken: [0, 1, 2], results: childrenOf(i).map(resultOf) },
        ]),
      ),
    );
    const counted = await cluster.rows<{ count: number; different: number }>(
      'select count(*)::integer as count, count(distinct run_id)::integer as different from counted',
    );
    expect(counted).toEqual([{ count: PARENTS * 3, different: PARENTS * 3 }]);
    expect(await cluster.rows('select run_id from workflows.workflow_active')).toEqual([]);
    expect(await cluster.rows('select id from workflows.workflow_signals where taken_by is null')).toEqual(
      [],
    );
  }, 240_000);
});
