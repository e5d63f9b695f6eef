import {
  Bench,
  CANCELLED,
  COMPLETED,
  FAILED,
  FAILING,
  STUCK,
  encode,
  newRun,
  park,
  step,
} from './support/memory-backend.js';

let bench: Bench;
let worker: string;

beforeEach(async () => {
  bench = new Bench();
  worker = await bench.join();
});

const REASON = encode(Object.assign(new Error('stop'), { code: 'RUN_CANCELLED' }));

describe('signals in memory', () => {
  it('with a key that came before are sent once, also when they were taken or the run is over', async () => {
    const claim = await bench.begin(worker, 'a');
    const send = (name: string, dedupe?: string) => bench.backend.signal('a', name, encode(dedupe), dedupe);
    expect(await send('s', 'k')).toEqual({ kind: 'sent', worker, woke: false });
    expect(await send('s', 'k')).toEqual({ kind: 'repeated' });
    expect(await send('s', 'other')).toMatchObject({ kind: 'sent' });
    expect(await send('t', 'k')).toMatchObject({ kind: 'sent' });
    const { signals } = await bench.backend.news(worker, ['a'], []);
    expect(signals.map(({ name, payload }) => [name, payload])).toEqual([
      ['s', 'k'],
      ['s', 'other'],
      ['t', 'k'],
    ]);
    await bench.write('a', claim, { steps: [step('wait', 1, { signalId: signals[0]!.id })] });
    expect(await send('s', 'k')).toEqual({ kind: 'repeated' });
    await bench.write('a', claim, { end: COMPLETED });
    expect(await send('s', 'k')).toEqual({ kind: 'repeated' });
    expect(await send('s')).toEqual({ kind: 'ended', status: 'completed' });
  });

  it('go to no run that is absent or cancelled, but to one that is stuck', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.begin(worker, 'b');
    await bench.backend.cancel(['b'], REASON);
    await bench.write('a', claim, { end: STUCK });
    expect(await bench.backend.signal('absent', 's', encode(1), undefined)).toEqual({ kind: 'absent' });
    expect(await bench.backend.signal('b', 's', encode(1), undefined)).toEqual({
      kind: 'ended',
      status: 'cancelled',
    });
    expect(await bench.backend.signal('a', 's', encode(1), undefined)).toMatchObject({
      kind: 'sent',
      woke: false,
    });
  });
});

describe('a cancel in memory', () => {
  it('ends a run for good that has nothing to undo', async () => {
    await bench.backend.start(newRun('a'));
    const claim = await bench.begin(worker, 'b');
    await bench.write('b', claim, { steps: [step('s', 1)], end: park(undefined, { signals: ['x'] }) });
    expect(await bench.backend.cancel(['a', 'b', 'absent'], REASON)).toEqual({
      cancelled: ['a', 'b'],
      workers: [],
    });
    expect(await bench.backend.get(['a', 'b'])).toMatchObject([
      { status: 'cancelled', error: { message: 'stop' } },
      { status: 'cancelled' },
    ]);
    expect(await bench.claimIds(worker)).toEqual([]);
    expect(await bench.backend.cancel(['a', 'b'], REASON)).toEqual({ cancelled: [], workers: [] });
  });

  it('lets a worker undo what has to be, and stays what it is', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { steps: [step('charge', 1, { isCompensable: true })], end: park() });
    await bench.backend.cancel(['a'], REASON);
    expect(await bench.status('a')).toBe('cancelled');
    const [run] = (await bench.claim(worker)).runs;
    expect(run).toMatchObject({ ending: 'cancelled', error: { code: 'RUN_CANCELLED' } });
    const undo = step('undo:charge', 2, { kind: 'compensation' });
    expect(await bench.write('a', run!.claim, { steps: [undo], end: FAILED })).toMatchObject({ done: true });
    expect((await bench.backend.get(['a']))[0]).toMatchObject({
      status: 'cancelled',
      error: { message: 'stop' },
    });
    expect(await bench.claimIds(worker)).toEqual([]);
  });

  it('of a step that was not done has nothing to undo', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, {
      steps: [step('charge', 1, { isCompensable: true, status: 'pending' })],
      end: park(),
    });
    await bench.backend.cancel(['a'], REASON);
    expect(await bench.backend.figures()).toMatchObject({ ready: 0, parked: 0 });
  });

  it('is told to the worker that has the run', async () => {
    const claim = await bench.begin(worker, 'a');
    expect(await bench.backend.cancel(['a'], REASON)).toEqual({ cancelled: ['a'], workers: [worker] });
    expect(await bench.write('a', claim, { steps: [step('s', 1)], end: COMPLETED })).toEqual({
      held: true,
      ending: 'cancelled',
      done: false,
    });
    expect(await bench.stepNames('a')).toEqual(['s']);
    expect(await bench.write('a', claim, { end: CANCELLED })).toMatchObject({ done: true });
    expect((await bench.backend.get(['a']))[0]!.error).toMatchObject({ message: 'stop' });
  });

  it('goes down to all descendants, past those that have ended', async () => {
    await bench.begin(worker, 'root');
    const middle = await bench.begin(worker, 'middle', { parentId: 'root' });
    await bench.backend.start(newRun('leaf', { parentId: 'middle' }));
    await bench.backend.start(newRun('other'));
    await bench.write('middle', middle, { end: COMPLETED, parentId: 'root' });
    const { cancelled } = await bench.backend.cancel(['root'], REASON);
    expect(cancelled).toEqual(['root', 'leaf']);
    expect(await bench.status('middle')).toBe('completed');
    expect(await bench.claimIds(worker)).toEqual(['other']);
  });

  it('once more finds children that were started before their parent knew', async () => {
    await bench.begin(worker, 'root');
    await bench.backend.cancel(['root'], REASON);
    await bench.backend.start(newRun('late', { parentId: 'root' }));
    expect(await bench.backend.cancel(['root'], REASON)).toEqual({ cancelled: ['late'], workers: [] });
  });

  it('wakes a parent that waits for the run', async () => {
    const claim = await bench.begin(worker, 'p');
    await bench.backend.start(newRun('a', { parentId: 'p', workflow: 'unknown' }));
    await bench.write('p', claim, { end: park(undefined, { children: ['a'] }) });
    await bench.backend.cancel(['a'], REASON);
    expect(await bench.claimIds(worker)).toEqual(['p']);
  });

  it('of a run that is being wound up changes what it will have been', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { end: FAILING });
    expect((await bench.backend.cancel(['a'], REASON)).cancelled).toEqual(['a']);
    expect((await bench.write('a', claim)).ending).toBe('failed');
    await bench.write('a', claim, { end: FAILED });
    expect(await bench.status('a')).toBe('cancelled');
  });

  it.each(['stuck', 'dead'] as const)('ends a run that is %s', async (status) => {
    const claim = await bench.begin(worker, 'a', { maxRecoveries: 0 });
    if (status === 'stuck') await bench.write('a', claim, { end: STUCK });
    else bench.backend.expire(worker);
    await bench.claim(await bench.join());
    expect(await bench.status('a')).toBe(status);
    expect((await bench.backend.cancel(['a'], REASON)).cancelled).toEqual(['a']);
    expect(await bench.backend.figures()).toMatchObject({ stuck: 0, dead: 0 });
  });
});

describe('a resume in memory', () => {
  it('wakes a parked run now', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { end: park(100_000) });
    expect(await bench.backend.resume(['a'])).toEqual(['a']);
    expect(await bench.status('a')).toBe('running');
    expect(await bench.claimIds(worker)).toEqual(['a']);
  });

  it('lets stuck, dead and cancelled runs go on, with all that they have done', async () => {
    const steps = [step('s', 1), step('t', 2, { status: 'error', error: encode(1) })];
    const stuck = await bench.begin(worker, 'stuck');
    await bench.write('stuck', stuck, { steps, end: STUCK });
    const cancelled = await bench.begin(worker, 'cancelled', { deadlineMs: 100 });
    await bench.write('cancelled', cancelled, { steps, end: park() });
    await bench.begin(worker, 'dead', { maxRecoveries: 0 });
    bench.clock.skip(100);
    bench.backend.expire(worker);
    worker = await bench.join();
    await bench.claim(worker);
    const ids = ['stuck', 'cancelled', 'dead'];
    expect((await bench.backend.get(ids)).map(({ status }) => status)).toEqual(ids);

    expect(await bench.backend.resume(ids)).toEqual(ids);
    expect(await bench.backend.get(ids)).toMatchObject(
      ids.map(() => ({ status: 'running', error: undefined })),
    );
    const { runs } = await bench.claim(worker);
    expect(runs).toMatchObject(ids.map((id) => ({ id, ending: undefined, recoveries: 0 })));
    expect(await bench.stepNames('stuck')).toEqual(['s', 't']);
    // Its deadline has begun anew.
    expect(runs[1]!.deadlineInMs).toBe(100);
    expect((await bench.write('stuck', stuck)).held).toBe(false);
    expect((await bench.write('cancelled', cancelled)).held).toBe(false);
  });

  it('does nothing to a run that runs, is being wound up, or has ended otherwise', async () => {
    const claim = await bench.begin(worker, 'done');
    await bench.write('done', claim, { end: COMPLETED });
    const failed = await bench.begin(worker, 'failed');
    await bench.write('failed', failed, { end: FAILED });
    await bench.begin(worker, 'claimed');
    await bench.begin(worker, 'unwinding');
    await bench.backend.cancel(['unwinding'], REASON);
    await bench.backend.start(newRun('ready'));
    const ids = ['done', 'failed', 'claimed', 'unwinding', 'ready', 'absent'];
    expect(await bench.backend.resume(ids)).toEqual([]);
  });
});

describe('a retry in memory', () => {
  const names = (): Promise<string[]> => bench.stepNames('a');

  it('forgets what has failed or was not done, and nothing else', async () => {
    const claim = await bench.begin(worker, 'a', { deadlineMs: 100, maxRecoveries: 1 });
    await bench.write('a', claim, {
      steps: [
        step('a', 1),
        step('b', 2, { status: 'error', error: encode(new Error('no')) }),
        step('c', 3, { status: 'pending' }),
        step('d', 4),
      ],
      end: FAILED,
    });
    bench.clock.skip(1000);
    expect(await bench.backend.retry(['a', 'absent'], undefined)).toEqual(['a']);
    expect((await bench.backend.get(['a']))[0]).toMatchObject({ status: 'running', error: undefined });
    expect(await names()).toEqual(['a', 'd']);
    const [run] = (await bench.claim(worker)).runs;
    expect(run).toMatchObject({ ending: undefined, recoveries: 0, deadlineInMs: 100 });
    expect(run!.claim).toBeGreaterThan(claim);
    expect((await bench.write('a', claim)).held).toBe(false);
  });

  it('forgets what was undone, and all that came after it', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { steps: [step('a', 1), step('b', 2), step('c', 3)], end: FAILING });
    await bench.write('a', claim, { steps: [step('undo:b', 4, { kind: 'compensation' })], end: FAILED });
    await bench.backend.retry(['a'], undefined);
    expect(await names()).toEqual(['a']);
  });

  it('from a step on forgets that one and all later ones', async () => {
    const claim = await bench.begin(worker, 'a');
    const caught = step('b', 2, { status: 'error', error: encode(1) });
    await bench.write('a', claim, { steps: [step('a', 1), caught, step('c', 3), step('d', 4)], end: FAILED });
    expect(await bench.backend.retry(['a'], 'absent')).toEqual([]);
    expect(await bench.status('a')).toBe('failed');
    expect(await bench.backend.retry(['a'], 'c')).toEqual(['a']);
    expect(await names()).toEqual(['a', 'b']);
  });

  it('gives signals back that forgotten steps had taken, and to no others', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.backend.signal('a', 's', encode('first'), 'k');
    await bench.backend.signal('a', 's', encode('second'), undefined);
    const { signals } = await bench.backend.news(worker, ['a'], []);
    const taken = signals.map(({ id }, i) => step(`wait ${i}`, i, { kind: 'signal', signalId: id }));
    await bench.write('a', claim, { steps: taken, end: FAILED });
    await bench.backend.retry(['a'], 'wait 1');
    const { signals: left } = await bench.backend.news(worker, ['a'], []);
    expect(left.map(({ payload }) => payload)).toEqual(['second']);
  });

  it('lets values be written anew, and shows the old ones until then', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { values: [{ key: 'k', value: encode('old'), writes: 5 }], end: FAILED });
    await bench.backend.retry(['a'], undefined);
    expect(await bench.backend.values('a')).toEqual(new Map([['k', 'old']]));
    const [run] = (await bench.claim(worker)).runs;
    await bench.write('a', run!.claim, { values: [{ key: 'k', value: encode('new'), writes: 1 }] });
    expect(await bench.backend.values('a')).toEqual(new Map([['k', 'new']]));
  });

  it('does nothing to a run that is not over, or has completed', async () => {
    const claim = await bench.begin(worker, 'done');
    await bench.write('done', claim, { end: COMPLETED });
    await bench.begin(worker, 'claimed');
    await bench.begin(worker, 'unwinding');
    await bench.backend.cancel(['unwinding'], REASON);
    await bench.backend.start(newRun('ready'));
    expect(await bench.backend.retry(['done', 'claimed', 'unwinding', 'ready'], undefined)).toEqual([]);
  });
});

describe('a fork in memory', () => {
  beforeEach(async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, {
      steps: [step('a', 1), step('b', 2, { status: 'error', error: encode(1) }), step('c', 3), step('d', 4)],
      end: COMPLETED,
    });
  });

  it('is a new run with the steps before one of another', async () => {
    expect(await bench.backend.fork('a', 'c', newRun('fork', { input: encode('new') }))).toBe(true);
    expect(await bench.stepNames('fork')).toEqual(['a', 'b']);
    expect((await bench.backend.get(['fork']))[0]).toMatchObject({
      forkedFrom: 'a',
      status: 'running',
      input: 'new',
    });
    const { runs } = await bench.claim(worker);
    expect(runs).toMatchObject([{ id: 'fork', steps: [{ name: 'a', result: 'a' }, { name: 'b' }] }]);
    await bench.write('fork', runs[0]!.claim, { steps: [step('x', 3)] });
    expect(await bench.stepNames('a')).toEqual(['a', 'b', 'c', 'd']);
  });

  it('without a step begins anew', async () => {
    expect(await bench.backend.fork('a', undefined, newRun('fork'))).toBe(true);
    expect(await bench.stepNames('fork')).toEqual([]);
  });

  it('of an absent run or step is none, nor is one whose id is taken', async () => {
    expect(await bench.backend.fork('absent', undefined, newRun('fork'))).toBe(false);
    expect(await bench.backend.fork('a', 'absent', newRun('fork'))).toBe(false);
    await expect(bench.backend.fork('a', 'c', newRun('a'))).rejects.toMatchObject({ code: 'RUN_CONFLICT' });
    expect(await bench.backend.get(['fork'])).toEqual([]);
    expect(await bench.status('a')).toBe('completed');
  });
});
