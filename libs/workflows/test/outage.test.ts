import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { eventually, startPostgres, type Fixture, type TestPostgres } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { Counting, FaultCluster, Slow, Waiting, said } from './fixtures/fault-cluster.js';

const OUTAGE_MS = 2_500;

let server: TestPostgres;
let cluster: FaultCluster;

beforeEach(async () => {
  for (const level of ['log', 'warn', 'error'] as const) {
    jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
  }
  server = await startPostgres();
  cluster = await FaultCluster.open(server.url);
});

afterEach(async () => {
  await cluster.close();
  await server[Symbol.asyncDispose]();
  jest.restoreAllMocks();
});

/** What it logged of warnings and errors, without times and numbers, and without the stacks. */
function logged(instance: Fixture): string[] {
  const lines = [
    ...instance.messages.filter((message) => typeof message === 'string'),
    ...instance.stderr.split('\n'),
  ];
  return (
    lines
      // oxlint-disable-next-line no-control-regex -- Nest colours what it logs.
      .map((line) => line.replaceAll(/\u001B\[[\d;]+m/g, ''))
      .filter((line) => /\b(?:WARN|ERROR)\b/.test(line) && !/\] \w*Error: /.test(line))
      .map((line) => line.replace(/^.*?(WARN|ERROR)/, '$1').replaceAll(/\d+|[0-9a-f]{8}-[0-9a-f-]+/g, 'n'))
  );
}

async function startSome(prefix: string, ms = 300): Promise<void> {
  const { workflows } = cluster;
  for (let i = 0; i < 20; i++) {
    await workflows.start(Slow, { steps: 3, ms: ms + i * 50 }, { id: `${prefix} slow ${i}` });
    await workflows.start(Counting, { steps: 4, ms: 100 }, { id: `${prefix} counting ${i}` });
  }
  await workflows.start(Waiting, undefined, { id: `${prefix} waiting` });
}

async function expectAllDone(prefix: string): Promise<void> {
  await cluster.workflows.signal(`${prefix} waiting`, 'go', 'on');
  expect(await cluster.endedRuns(41)).toEqual(['completed']);
  const counted = await cluster.rows<{ count: number; different: number }>(
    'select count(*)::integer as count, count(distinct (run_id, step))::integer as different from counted',
  );
  expect(counted).toEqual([{ count: 80, different: 80 }]);
}

describe('runs whose PostgreSQL is away for some seconds', () => {
  it('go on by themselves in the same process, and the log tells of it once', async () => {
    const worker = await cluster.spawn({ lease: '20s', concurrency: 100 });
    await startSome('a');
    await eventually(() => expect(said(worker, 'begun').length).toBeGreaterThan(10));
    await server.stop();
    await sleep(OUTAGE_MS);
    await server.start();
    await expectAllDone('a');
    // No step came again: what was done while the database was away was recorded afterwards.
    for (let i = 0; i < 20; i++) {
      expect(said(worker, 'begun', `a slow ${i}`).map(({ step }) => step)).toEqual([
        'step 0',
        'step 1',
        'step 2',
      ]);
    }
    const lines = logged(worker);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines).toEqual([...new Set(lines)]);
    expect(worker.stderr).not.toMatch(/unhandled|came to a halt|was refused/i);
    expect(await worker.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  }, 60_000);

  it('go on also when the lease ran out meanwhile, with no transaction done twice', async () => {
    const workers = [await cluster.spawn({ lease: '1s' }), await cluster.spawn({ lease: '1s' })];
    await startSome('b');
    await eventually(() =>
      expect(workers.flatMap((worker) => said(worker, 'begun')).length).toBeGreaterThan(10),
    );
    await server.kill();
    await sleep(OUTAGE_MS);
    await server.start();
    await expectAllDone('b');
    for (const worker of workers) {
      const lines = logged(worker);
      expect(lines).toEqual([...new Set(lines)]);
      expect(worker.stderr).not.toMatch(/unhandled|came to a halt|was refused/i);
      expect(await worker.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    }
  }, 60_000);

  it('that hangs instead go on when it answers again', async () => {
    const worker = await cluster.spawn({ lease: '1s' });
    // Longer than the lease, so that it ends while they are done.
    await startSome('c', 1_500);
    await eventually(() => expect(said(worker, 'begun').length).toBeGreaterThan(10));
    await server.freeze();
    await eventually(() => expect(said(worker, 'aborted').length).toBeGreaterThan(0));
    await server.unfreeze();
    await expectAllDone('c');
    expect(worker.stderr).not.toMatch(/unhandled|came to a halt|was refused/i);
  }, 60_000);
});
