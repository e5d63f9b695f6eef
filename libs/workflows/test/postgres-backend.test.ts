import { Postgres } from '@nestbox/postgres';
import { eventually } from '@nestbox/testing';
import { PgWorkflowBackend } from '../src/postgres/pg.workflow-backend.js';
import { RunCancelledError } from '../src/workflow.errors.js';
import { COMPLETED, encode, newRun, newWrite, park, step } from './support/memory-backend.js';
import { PgBench } from './support/postgres-backend.js';

let bench: PgBench;
let worker: string;

beforeAll(async () => {
  bench = await PgBench.open();
  ({ worker } = await bench.backend.join(60_000));
});
afterAll(() => bench.close());
beforeEach(() => bench.clear());

const undo = new Error('undo');
/** Runs something in a transaction that is rolled back, and gives what it gave. */
async function rolledBack<T>(fn: () => Promise<T>): Promise<T> {
  const results: T[] = [];
  const work = bench.backend.transaction(async () => {
    results.push(await fn());
    throw undo;
  });
  await expect(work).rejects.toBe(undo);
  return results[0]!;
}

describe('a start', () => {
  it('is part of the transaction of its caller', async () => {
    expect(await rolledBack(() => bench.backend.start(newRun('a')))).toMatchObject({ kind: 'started' });
    expect(await bench.run('a')).toBeUndefined();
    await bench.backend.transaction(async () => {
      await bench.backend.start(newRun('a'));
      expect((await bench.run('a'))!.status).toBe('running');
    });
    expect((await bench.run('a'))!.status).toBe('running');
  });

  it('with one id is one run, however many start it', async () => {
    const starts = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        bench.backend.start(newRun('a', { workflow: 'other', input: encode(i) })),
      ),
    );
    expect(starts.filter(({ kind }) => kind === 'started')).toHaveLength(1);
    expect(starts.filter(({ kind }) => kind === 'exists')).toHaveLength(19);
    expect(starts[19]).toEqual({ kind: 'exists', workflow: 'other' });
    expect((await bench.run('a'))!.input).toBe(0);
  });

  it('that cannot be stored fails alone', async () => {
    const starts = await Promise.allSettled(
      Array.from({ length: 30 }, (_, i) =>
        bench.backend.start(newRun(`r${i}`, i === 17 ? { input: '{' } : {})),
      ),
    );
    expect(starts.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []))).toEqual([17]);
    expect(await bench.backend.list({ limit: 100 })).toHaveLength(29);
    const { reason } = starts[17] as PromiseRejectedResult;
    expect(bench.backend.isDataError(reason)).toBe(true);
  });
});

describe('a write', () => {
  it('is never part of the transaction of its caller, but writeNow is', async () => {
    const [a, b] = [await bench.begin(worker, 'a'), await bench.begin(worker, 'b')];
    await rolledBack(async () => {
      await bench.backend.start(newRun('c'));
      await bench.write('a', a, { steps: [step('one', 0)], end: COMPLETED });
      await bench.backend.writeNow(newWrite('b', b, { steps: [step('one', 0)], end: COMPLETED }));
      expect(await bench.stepNames('b')).toEqual(['one']);
    });
    expect(await bench.run('a')).toMatchObject({ status: 'completed', output: 'result' });
    expect(await bench.stepNames('a')).toEqual(['one']);
    expect(await bench.run('b')).toMatchObject({ status: 'running', output: undefined });
    expect(await bench.stepNames('b')).toEqual([]);
  });

  it('that cannot be stored fails alone, and all others of its batch are there', async () => {
    const ids = Array.from({ length: 200 }, (_, i) => `r${i}`);
    const claims = await Promise.all(ids.map((id) => bench.begin(worker, id)));
    const writes = await Promise.allSettled(
      ids.map((id, i) =>
        bench.write(id, claims[i]!, { steps: [step('one', 0, i === 99 ? { result: '"\\u0000"' } : {})] }),
      ),
    );
    expect(writes.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []))).toEqual([99]);
    const [row] = await bench.postgres.query(
      'select count(*)::integer as count from workflows.workflow_steps',
    );
    expect(row!['count']).toBe(199);
  });

  it('of one run is done in the order of the calls', async () => {
    const claim = await bench.begin(worker, 'a');
    const writes = await Promise.all([
      bench.write('a', claim, { steps: [step('one', 0)] }),
      bench.write('a', claim, { steps: [step('two', 1)], end: COMPLETED }),
      bench.write('a', claim, { steps: [step('three', 2)] }),
    ]);
    expect(writes.map(({ held }) => held)).toEqual([true, true, false]);
    expect(await bench.stepNames('a')).toEqual(['one', 'two']);
  });
});

describe('a worker', () => {
  it('has a lease of its own, and claims and hears outside of every transaction', async () => {
    const lease = await rolledBack(() => bench.backend.join(60_000));
    expect(lease.worker).toMatch(/^workflows:workflows:worker:[0-9a-f-]{36}$/);
    expect(lease.held).toBe(true);
    expect(lease.signal.aborted).toBe(false);

    await bench.backend.start(newRun('a'));
    const news = await rolledBack(async () => {
      expect(await bench.claim(lease.worker)).toMatchObject([{ id: 'a' }]);
      await bench.backend.signal('a', 'go', encode(1), undefined);
      return bench.backend.news(lease.worker, ['a'], []);
    });
    expect(news.signals).toEqual([]);
    expect(await bench.claim(worker)).toEqual([]);

    await lease.release();
    expect(lease.held).toBe(false);
    expect(await bench.claim(worker)).toMatchObject([{ id: 'a', recoveries: 1 }]);
  });

  it('learns that its lease is over', async () => {
    const lease = await bench.backend.join(300);
    await bench.postgres.query(
      `update nestbox.leases set expires_at = clock_timestamp() - interval '1 second' where name = $1`,
      [lease.worker],
    );
    await eventually(() => lease.signal.aborted);
    expect(lease.held).toBe(false);
  });
});

describe('wake-ups', () => {
  let other: PgWorkflowBackend;
  const woken: string[] = [];
  const subscriptions: Disposable[] = [];

  beforeAll(async () => {
    other = new PgWorkflowBackend(bench.url);
    await other.init();
    const topics = [{ kind: 'ready' }, { kind: 'ended' }, { kind: 'worker', worker }] as const;
    for (const topic of topics) {
      subscriptions.push(other.on(topic, () => void woken.push(topic.kind), 60_000));
    }
    // The first comes when it listens.
    await eventually(() => woken.length >= 3);
  });
  afterAll(async () => {
    for (const subscription of subscriptions) subscription[Symbol.dispose]();
    await other.close();
  });
  beforeEach(() => {
    woken.length = 0;
  });
  const expectWoken = (...kinds: string[]): Promise<void> =>
    eventually(() => expect(new Set(woken)).toEqual(new Set(kinds)));

  it('tell other processes of runs to claim, of news, and of ends', async () => {
    await bench.backend.start(newRun('mine', { worker }));
    await bench.backend.start(newRun('a'));
    await expectWoken('ready');
    woken.length = 0;
    await bench.backend.signal('mine', 'go', encode(1), undefined);
    await expectWoken('worker');
    woken.length = 0;
    await bench.backend.cancel(['mine'], encode(new RunCancelledError('mine')));
    await expectWoken('worker', 'ready', 'ended');
  });

  it('tell the worker of a parent that waits for a cancelled child in its process', async () => {
    await bench.begin(worker, 'parent');
    await bench.backend.start(newRun('child', { parentId: 'parent' }));
    await expectWoken('ready');
    woken.length = 0;
    const { workers } = await bench.backend.cancel(['child'], encode(null));
    expect(workers).toEqual([]);
    await expectWoken('worker', 'ready', 'ended');
  });

  it('go out when the transaction is committed, and never when it is rolled back', async () => {
    await rolledBack(() => bench.backend.start(newRun('a')));
    await bench.backend.transaction(async () => {
      await bench.backend.start(newRun('b'));
      bench.backend.notifyEnded();
      // Gone before those of the transaction could.
      bench.postgres.currentTransaction!.afterCommit(() => void woken.push('commit'));
    });
    await expectWoken('commit', 'ready', 'ended');
    expect(woken[0]).toBe('commit');
  });

  it('come for a parked run that an order has woken', async () => {
    await bench.write('a', await bench.begin(worker, 'a'), { end: park() });
    for (const order of [
      () => bench.backend.resume(['a']),
      () => bench.backend.fork('a', undefined, newRun('b')),
      () =>
        bench.backend.saveQueues([{ name: 'q', concurrency: 1, partitionConcurrency: 1, rate: undefined }]),
    ]) {
      woken.length = 0;
      await order();
      await expectWoken('ready');
    }
  });
});

describe('a backend on PostgreSQL', () => {
  it('leaves two connections to checkpoints and claims, and gives one transaction at the least', async () => {
    expect(bench.backend.transactionLimit).toBe(6);
    const small = new PgWorkflowBackend({ url: bench.url, options: { max: 2 } });
    await small.init();
    expect(small.transactionLimit).toBe(1);
    await small.close();
  });

  it('knows errors that are worth another try', () => {
    const { backend } = bench;
    expect(['40001', '40P01', '23505', 'ECONNRESET'].map((code) => backend.isTransient({ code }))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(
      ['ECONNRESET', '57P01', 'POSTGRES_UNAVAILABLE', 'COMMIT_OUTCOME_UNKNOWN', '40001'].map((code) =>
        backend.isUnavailable({ code }),
      ),
    ).toEqual([true, true, true, true, false]);
    expect([null, undefined, 'x'].map((error) => backend.isUnavailable(error))).toEqual([
      false,
      false,
      false,
    ]);
  });

  it('tells of a commit', async () => {
    const calls: string[] = [];
    bench.backend.afterCommit(() => void calls.push('at once'));
    expect(calls).toEqual(['at once']);
    expect(bench.backend.isInTransaction).toBe(false);
    await rolledBack(async () => bench.backend.afterCommit(() => void calls.push('never')));
    await bench.backend.transaction(async () => {
      expect(bench.backend.isInTransaction).toBe(true);
      bench.backend.afterCommit(() => void calls.push('after'));
      expect(calls).toHaveLength(1);
    });
    expect(calls).toEqual(['at once', 'after']);
  });

  it('lives in any schema, creates it unless told not to, and closes what it opened', async () => {
    const schema = `Odd "schema" of 'mine'`;
    const cautious = new PgWorkflowBackend(bench.url, { schema, migrate: false });
    await expect(cautious.init()).rejects.toMatchObject({ code: 'MIGRATION_REQUIRED' });
    await cautious.close();

    const backend = new PgWorkflowBackend(bench.url, { schema });
    await backend.init();
    await backend.init();
    const lease = await backend.join(60_000);
    await backend.start(newRun('a'));
    await backend.signal('a', 'go', encode(1), 'key');
    const { runs } = await backend.claim({
      worker: lease.worker,
      limit: 1,
      workflows: ['order'],
      queues: undefined,
    });
    expect(runs).toMatchObject([{ id: 'a' }]);
    await backend.cancel(['a'], encode(null));
    expect(await backend.resume(['a'])).toEqual([]);
    expect(await backend.retry(['a'], undefined)).toEqual([]);
    expect(await bench.run('a')).toBeUndefined();
    await backend.close();
    await expect(backend.ping(1000)).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('leaves a Postgres that it was given open', async () => {
    const postgres = new Postgres(bench.url);
    const backend = new PgWorkflowBackend(postgres);
    await backend.init();
    await backend.close();
    expect(await postgres.ping()).toBeGreaterThan(0);
    await postgres.close();
  });
});
