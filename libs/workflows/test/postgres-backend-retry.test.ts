import type { StepRecord } from '../src/workflow.backend.js';
import { RunCancelledError } from '../src/workflow.errors.js';
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

const REASON = encode(new RunCancelledError('it'));
const failure = { status: 'error', result: undefined, error: encode(new Error('no')) } as const;

/** A run that failed, with these steps. */
async function failed(id: string, steps: readonly StepRecord[]): Promise<bigint> {
  const claim = await bench.begin(worker, id);
  await bench.write(id, claim, { steps, end: FAILED });
  return claim;
}

describe('a retry', () => {
  it('does again what failed or waits, and keeps the rest', async () => {
    const stale = await failed('a', [
      step('one', 0),
      step('two', 1, failure),
      step('three', 2),
      step('wait', 3, { status: 'pending', kind: 'sleep', wakeInMs: 60_000, result: undefined }),
    ]);
    expect(await bench.backend.retry(['a'], undefined)).toEqual(['a']);
    expect(await bench.run('a')).toMatchObject({ status: 'running', output: undefined, error: undefined });
    const [claimed] = await bench.claim(worker);
    expect(claimed!.steps.map(({ name }) => name)).toEqual(['one', 'three']);
    expect(claimed!.claim).toBeGreaterThan(stale);
    expect(await bench.write('a', stale, { end: COMPLETED })).toMatchObject({ held: false });
  });

  it('does again from the first step that was undone', async () => {
    await failed('a', [
      step('one', 0),
      step('two', 1, { isCompensable: true }),
      step('three', 2),
      step('four', 3, { isCompensable: true }),
      step('five', 4, failure),
      step('undo:four', 5, { kind: 'compensation', after: 'four' }),
      step('undo:two', 6, { kind: 'compensation', after: 'two' }),
    ]);
    await bench.backend.retry(['a'], undefined);
    expect(await bench.stepNames('a')).toEqual(['one']);
  });

  it('from a step does it and all that came after it again', async () => {
    for (const id of ['a', 'b']) {
      await failed(id, [step('one', 0, failure), step('two', 1), ...(id === 'a' ? [step('three', 2)] : [])]);
    }
    // The other has no such step.
    expect(await bench.backend.retry(['a', 'b'], 'three')).toEqual(['a']);
    expect(await bench.stepNames('a')).toEqual(['one', 'two']);
    expect((await bench.run('b'))!.status).toBe('failed');
    expect(await bench.stepNames('b')).toEqual(['one', 'two']);
  });

  it('from a step keeps nothing that was undone before it', async () => {
    await failed('a', [
      step('one', 0),
      step('two', 1),
      step('three', 2, failure),
      step('undo:two', 3, { kind: 'compensation' }),
    ]);
    await bench.backend.retry(['a'], 'three');
    expect(await bench.stepNames('a')).toEqual(['one']);
  });

  it('gives back the signals that the steps took, and lets values be written anew', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.backend.signal('a', 'go', encode('first'), undefined);
    await bench.backend.signal('a', 'go', encode('second'), undefined);
    const [first, second] = (await bench.backend.news(worker, ['a'], [])).signals;
    await bench.write('a', claim, {
      steps: [
        step('wait', 0, { kind: 'signal', signalId: first!.id }),
        step('again', 1, { kind: 'signal', signalId: second!.id }),
      ],
      values: [{ key: 'progress', value: encode(90), writes: 9 }],
      end: FAILED,
    });
    await bench.backend.retry(['a'], 'again');
    const { signals } = await bench.backend.news(worker, ['a'], []);
    expect(signals.map(({ payload }) => payload)).toEqual(['second']);
    const [claimed] = await bench.claim(worker);
    expect(claimed!.values).toEqual(new Map([['progress', 0]]));
    await bench.write('a', claimed!.claim, { values: [{ key: 'progress', value: encode(10), writes: 1 }] });
    expect(await bench.backend.values('a')).toEqual(new Map([['progress', 10]]));
  });

  it('begins the deadline anew', async () => {
    await bench.backend.start(newRun('a', { deadlineMs: 60_000 }));
    await bench.postgres.query(`update workflows.workflow_active set deadline_at = now() - interval '1 day'`);
    await bench.claim(worker, { limit: 0 });
    expect((await bench.run('a'))!.status).toBe('cancelled');
    expect(await bench.backend.retry(['a'], undefined)).toEqual(['a']);
    expect((await bench.claim(worker))[0]).toMatchObject({
      id: 'a',
      ending: undefined,
      deadlineInMs: expect.closeTo(60_000, -4),
    });
  });

  it('takes stuck, dead and cancelled runs, and no others', async () => {
    await bench.write('stuck', await bench.begin(worker, 'stuck'), { end: STUCK });
    await bench.begin('gone', 'dead', { maxRecoveries: 0 });
    await bench.claim(worker, { workflows: [] });
    await bench.write('undone', await bench.begin(worker, 'undone'), {
      steps: [step('one', 0, { isCompensable: true })],
      end: park(),
    });
    await bench.backend.cancel(['undone'], REASON);
    const good = ['stuck', 'dead', 'undone'];

    await bench.write('done', await bench.begin(worker, 'done'), { end: COMPLETED });
    await bench.begin(worker, 'claimed');
    await bench.begin(worker, 'winding');
    await bench.backend.cancel(['winding'], REASON);
    await bench.write('parked', await bench.begin(worker, 'parked'), { end: park() });
    await bench.backend.start(newRun('ready'));
    const others = ['done', 'claimed', 'winding', 'parked', 'ready', 'absent'];

    const retried = await bench.backend.retry([...good, ...others], undefined);
    expect([...retried].toSorted()).toEqual(good.toSorted());
    for (const id of good) {
      expect(await bench.active(id)).toEqual({ state: 0, ending: null, recoveries: 0 });
    }
    expect(await bench.active('winding')).toMatchObject({ state: 1, ending: 'cancelled' });
    expect((await bench.run('done'))!.status).toBe('completed');
  });

  it('of many at once begins a run once', async () => {
    await failed('a', []);
    const retried = await Promise.all(Array.from({ length: 6 }, () => bench.backend.retry(['a'], undefined)));
    expect(retried.flat()).toEqual(['a']);
  });
});

describe('a fork', () => {
  it('is a new run with what was done before the step', async () => {
    await failed('a', [
      step('one', 0, { isCompensable: true, durationMs: 12.5, attempts: 3, after: 'zero' }),
      step('two', 1, failure),
      step('wait', 2, { status: 'pending', result: undefined }),
      step('three', 3),
      step('four', 4),
      step('undo:one', 5, { kind: 'compensation' }),
    ]);
    const before = await bench.backend.steps('a');
    expect(await bench.backend.fork('a', 'four', newRun('b', { input: encode('new') }))).toBe(true);
    expect(await bench.run('b')).toMatchObject({ status: 'running', input: 'new', forkedFrom: 'a' });
    expect(await bench.run('a')).toMatchObject({ status: 'failed', forkedFrom: undefined });
    const [claimed] = await bench.claim(worker);
    expect(claimed!.steps).toEqual([before[0], before[1], before[3]]);
    expect(await bench.backend.steps('a')).toEqual(before);
  });

  it('without a step begins from the start', async () => {
    await failed('a', [step('one', 0)]);
    expect(await bench.backend.fork('a', undefined, newRun('b'))).toBe(true);
    expect(await bench.stepNames('b')).toEqual([]);
  });

  it('is none of a run or a step that is not there, nor with an id that is taken', async () => {
    await failed('a', [step('one', 0)]);
    expect(await bench.backend.fork('x', undefined, newRun('b'))).toBe(false);
    expect(await bench.backend.fork('a', 'two', newRun('b'))).toBe(false);
    expect(await bench.run('b')).toBeUndefined();
    await bench.begin(worker, 'c', { workflow: 'other' });
    await expect(bench.backend.fork('a', 'one', newRun('c'))).rejects.toMatchObject({
      code: 'RUN_CONFLICT',
      runId: 'c',
      existing: 'other',
    });
  });
});

describe('ended runs', () => {
  it('are deleted with all that belongs to them when nobody touched them for so long', async () => {
    const claim = await bench.begin(worker, 'old');
    await bench.backend.signal('old', 'go', encode(1), undefined);
    await bench.write('old', claim, {
      steps: [step('one', 0)],
      values: [{ key: 'k', value: encode(1), writes: 1 }],
      end: COMPLETED,
    });
    await failed('older', []);
    await bench.write('stuck', await bench.begin(worker, 'stuck'), { end: STUCK });
    await bench.begin(worker, 'winding');
    await bench.backend.cancel(['winding'], REASON);
    await bench.begin(worker, 'running');
    await bench.postgres.query(
      `update workflows.workflow_runs
          set created_at = created_at - 100000,
              updated_at = updated_at - case id when 'older' then 90000 else 80000 end`,
    );
    await bench.write('touched', await bench.begin(worker, 'touched'), { end: COMPLETED });
    await bench.postgres.query(
      `update workflows.workflow_runs set created_at = created_at - 100000 where id = 'touched'`,
    );

    expect(await bench.backend.deleteEnded(85_000, 10)).toBe(1);
    expect(await bench.run('older')).toBeUndefined();
    expect(await bench.backend.deleteEnded(70_000, 10)).toBe(1);
    expect(await bench.run('old')).toBeUndefined();
    expect(await bench.stepNames('old')).toEqual([]);
    expect(await bench.backend.values('old')).toEqual(new Map());
    expect((await bench.backend.news(worker, ['old'], [])).signals).toEqual([]);
    const left = await bench.backend.list({ limit: 10 });
    expect(left.map(({ id }) => id).toSorted()).toEqual(['running', 'stuck', 'touched', 'winding']);
  });

  it('are deleted as many at once as asked for', async () => {
    for (const id of ['a', 'b', 'c']) await failed(id, []);
    expect(await bench.backend.deleteEnded(0, 2)).toBe(2);
    expect(await bench.backend.deleteEnded(0, 2)).toBe(1);
    expect(await bench.backend.deleteEnded(0, 2)).toBe(0);
  });
});
