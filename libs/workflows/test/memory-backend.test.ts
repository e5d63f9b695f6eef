import {
  Bench,
  COMPLETED,
  FAILED,
  FAILING,
  RELEASE,
  STUCK,
  encode,
  newRun,
  newWrite,
  park,
  step,
} from './support/memory-backend.js';

let bench: Bench;
let worker: string;

beforeEach(async () => {
  bench = new Bench();
  worker = await bench.join();
});

describe('a start in memory', () => {
  it('makes a run that a worker can claim, with what it was given', async () => {
    const started = await bench.backend.start(
      newRun('a', {
        version: '2',
        queue: 'q',
        priority: 3,
        traceparent: 'trace',
        parentId: 'p',
        deadlineMs: 500,
      }),
    );
    expect(started).toEqual({ kind: 'started', claim: 0n });
    const { runs } = await bench.claim(worker);
    expect(runs).toEqual([
      {
        id: 'a',
        workflow: 'order',
        claim: expect.any(BigInt),
        input: { id: 'a' },
        ending: undefined,
        error: undefined,
        recoveries: 0,
        queue: 'q',
        priority: 3,
        parentId: 'p',
        traceparent: 'trace',
        deadlineInMs: 500,
        createdAtMs: bench.clock.now(),
        steps: [],
        values: new Map(),
      },
    ]);
    expect((await bench.backend.get(['a']))[0]).toMatchObject({
      version: '2',
      status: 'running',
      parentId: 'p',
    });
  });

  it('with an id that is taken leaves the run that has it as it is', async () => {
    await bench.backend.start(newRun('a', { workflow: 'other', input: encode(1) }));
    expect(await bench.backend.start(newRun('a'))).toEqual({ kind: 'exists', workflow: 'other' });
    expect((await bench.backend.get(['a']))[0]).toMatchObject({ workflow: 'other', input: 1 });
    expect(await bench.claimIds(worker)).toEqual(['a']);
  });

  it('by a worker is its claim, and nobody else gets the run', async () => {
    const claim = await bench.begin(worker, 'a');
    expect(await bench.claimIds(await bench.join())).toEqual([]);
    expect(await bench.write('a', claim)).toEqual({ held: true, ending: undefined, done: true });
  });

  it('with a delay is suspended until then', async () => {
    await bench.backend.start(newRun('a', { delayMs: 1000 }));
    expect(await bench.status('a')).toBe('suspended');
    expect(await bench.claim(worker)).toEqual({ runs: [], nextInMs: 1000 });
    bench.clock.skip(999);
    expect(await bench.claimIds(worker)).toEqual([]);
    bench.clock.skip(1);
    expect(await bench.claimIds(worker)).toEqual(['a']);
    expect(await bench.status('a')).toBe('running');
  });

  it('keeps values as they were, with their types, and shares no object', async () => {
    const input = { at: new Date(0), big: 12n, map: new Map([['k', undefined]]), text: 'a\0b' };
    await bench.backend.start(newRun('a', { input: encode(input) }));
    const [first] = await bench.backend.get(['a']);
    const [second] = await bench.backend.get(['a']);
    expect(first!.input).toEqual(input);
    expect(first!.input).not.toBe(second!.input);
  });
});

describe('a write in memory', () => {
  it('counts only with the claim that the run has', async () => {
    const claim = await bench.begin(worker, 'a');
    expect(await bench.write('a', claim + 1n, { steps: [step('s', 1)] })).toEqual({
      held: false,
      ending: undefined,
      done: false,
    });
    expect((await bench.write('absent', claim)).held).toBe(false);
    expect(await bench.stepNames('a')).toEqual([]);

    await bench.write('a', claim, { end: RELEASE });
    expect((await bench.write('a', claim, { steps: [step('s', 1)] })).held).toBe(false);
    const [again] = (await bench.claim(worker)).runs;
    expect(again!.claim).toBeGreaterThan(claim);
    expect((await bench.write('a', claim, { end: COMPLETED })).held).toBe(false);
    expect((await bench.write('a', again!.claim, { end: COMPLETED })).done).toBe(true);
    expect((await bench.write('a', again!.claim)).held).toBe(false);
    expect(await bench.status('a')).toBe('completed');
  });

  it('finishes a pending step, and never changes one that has a result', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, {
      steps: [
        step('s', 1, { kind: 'sleep', status: 'pending', result: undefined, after: 'x', wakeInMs: 500 }),
      ],
    });
    bench.clock.skip(200);
    expect(await bench.backend.steps('a')).toMatchObject([
      {
        status: 'pending',
        result: undefined,
        remainingMs: 300,
        wakeAtMs: bench.clock.now() + 300,
        after: 'x',
      },
    ]);
    await bench.write('a', claim, { steps: [step('s', 9, { attempts: 3, durationMs: 1.5, after: 'y' })] });
    const done = {
      status: 'done',
      result: 's',
      attempts: 3,
      durationMs: 1.5,
      seq: 1,
      after: 'x',
      kind: 'sleep',
    };
    expect(await bench.backend.steps('a')).toMatchObject([{ ...done, remainingMs: 300 }]);
    for (const status of ['pending', 'error', 'done'] as const) {
      await bench.write('a', claim, { steps: [step('s', 1, { status, result: encode('late') })] });
    }
    expect(await bench.backend.steps('a')).toMatchObject([done]);
  });

  it('keeps the error of a step for good', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, {
      steps: [step('s', 1, { status: 'error', result: undefined, error: encode(new TypeError('no')) })],
    });
    await bench.write('a', claim, { steps: [step('s', 1)] });
    expect(await bench.backend.steps('a')).toMatchObject([
      { status: 'error', result: undefined, error: { name: 'TypeError', message: 'no' } },
    ]);
  });

  it.each([0, false, '', null, undefined])('keeps %p as a result', async (value) => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, {
      steps: [step('s', 1, { result: encode(value) })],
      end: { kind: 'completed', output: encode(value) },
    });
    expect((await bench.backend.steps('a'))[0]!.result).toBe(value);
    expect((await bench.backend.get(['a']))[0]!.output).toBe(value);
  });

  it('gives steps in the order in which they were called', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { steps: [step('z', 2), step('y', 3), step('x', 1)] });
    await bench.write('a', claim, { end: RELEASE });
    expect((await bench.claim(worker)).runs[0]!.steps.map(({ name }) => name)).toEqual(['x', 'z', 'y']);
  });

  it('takes a value only when it was written later than the one that is there', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { values: [{ key: 'k', value: encode('second'), writes: 2 }] });
    await bench.write('a', claim, { values: [{ key: 'k', value: encode('first'), writes: 1 }] });
    expect(await bench.backend.values('a')).toEqual(new Map([['k', 'second']]));
    await bench.write('a', claim, { end: RELEASE });
    expect((await bench.claim(worker)).runs[0]!.values).toEqual(new Map([['k', 2]]));
  });

  it('of a failure leaves the run with its worker, to be wound up', async () => {
    const claim = await bench.begin(worker, 'a');
    expect(await bench.write('a', claim, { end: FAILING })).toEqual({
      held: true,
      ending: undefined,
      done: true,
    });
    expect(await bench.status('a')).toBe('running');
    expect(await bench.write('a', claim, { steps: [step('s', 1)], end: COMPLETED })).toEqual({
      held: true,
      ending: 'failed',
      done: false,
    });
    expect(await bench.stepNames('a')).toEqual(['s']);
    for (const end of [park(), STUCK, FAILING]) {
      expect(await bench.write('a', claim, { end })).toMatchObject({ held: true, done: false });
    }
    await bench.write('a', claim, { end: RELEASE });
    const [again] = (await bench.claim(worker)).runs;
    expect(again).toMatchObject({ ending: 'failed', error: { message: 'failing' } });
    await bench.write('a', again!.claim, { end: FAILED });
    expect((await bench.backend.get(['a']))[0]).toMatchObject({
      status: 'failed',
      error: { message: 'failed' },
    });
    expect(await bench.backend.figures()).toMatchObject({ ready: 0, claimed: 0 });
  });

  it('of a stuck run keeps it from everybody', async () => {
    const claim = await bench.begin(worker, 'a');
    expect((await bench.write('a', claim, { end: STUCK })).done).toBe(true);
    expect((await bench.backend.get(['a']))[0]).toMatchObject({
      status: 'stuck',
      error: { message: 'stuck' },
    });
    expect(await bench.claimIds(worker)).toEqual([]);
    expect(await bench.backend.figures()).toMatchObject({ stuck: 1 });
  });
});

describe('a parked run in memory', () => {
  it('is suspended, and wakes at its time', async () => {
    const claim = await bench.begin(worker, 'a');
    expect((await bench.write('a', claim, { end: park(5000) })).done).toBe(true);
    expect(await bench.status('a')).toBe('suspended');
    expect((await bench.write('a', claim)).held).toBe(false);
    bench.clock.skip(4999);
    expect(await bench.claim(worker)).toEqual({ runs: [], nextInMs: 1 });
    bench.clock.skip(1);
    expect(await bench.claimIds(worker)).toEqual(['a']);
    expect(await bench.status('a')).toBe('running');
  });

  it('without a time waits for ever', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { end: park() });
    expect(await bench.claim(worker)).toEqual({ runs: [], nextInMs: undefined });
  });

  it('is woken by a signal that it waits for, and by no other', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { end: park(undefined, { signals: ['paid'] }) });
    expect(await bench.backend.signal('a', 'packed', encode(1), undefined)).toEqual({
      kind: 'sent',
      worker: undefined,
      woke: false,
    });
    expect(await bench.claimIds(worker)).toEqual([]);
    expect(await bench.backend.signal('a', 'paid', encode(2), undefined)).toMatchObject({ woke: true });
    expect(await bench.status('a')).toBe('running');
    expect(await bench.claimIds(worker)).toEqual(['a']);
  });

  it('is not parked when the signal was there before, but is when it was taken', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.backend.signal('a', 'paid', encode(1), undefined);
    const waiting = park(undefined, { signals: ['paid'] });
    expect(await bench.write('a', claim, { end: waiting })).toEqual({
      held: true,
      ending: undefined,
      done: false,
    });
    expect(await bench.status('a')).toBe('running');
    const { signals } = await bench.backend.news(worker, ['a'], []);
    const taking = step('wait', 1, { kind: 'signal', signalId: signals[0]!.id });
    expect((await bench.write('a', claim, { steps: [taking], end: waiting })).done).toBe(true);
  });

  it.each([
    ['completed', COMPLETED],
    ['failed', FAILED],
  ] as const)('is woken by a child that has %s', async (status, end) => {
    const claim = await bench.begin(worker, 'a');
    const child = await bench.begin(worker, 'c', { parentId: 'a' });
    const other = await bench.begin(worker, 'd', { parentId: 'a' });
    await bench.write('a', claim, { end: park(undefined, { children: ['c'] }) });
    await bench.write('d', other, { end: COMPLETED, parentId: 'a' });
    expect(await bench.status('a')).toBe('suspended');
    await bench.write('c', child, { end, parentId: 'a' });
    expect(await bench.claimIds(worker)).toEqual(['a']);
    const { outcomes } = await bench.backend.news(worker, ['a'], ['c']);
    expect(outcomes).toMatchObject([{ id: 'c', status }]);
  });

  it('is not parked when the child was over before', async () => {
    const claim = await bench.begin(worker, 'a');
    const child = await bench.begin(worker, 'c', { parentId: 'a' });
    const waiting = park(undefined, { children: ['c'] });
    await bench.write('c', child, { end: COMPLETED, parentId: 'a' });
    expect((await bench.write('a', claim, { end: waiting })).done).toBe(false);
  });
});

describe('news in memory', () => {
  it('are the signals that nobody has taken, in their order, and each is taken once', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.begin(worker, 'b');
    for (const [id, payload] of [
      ['a', 1],
      ['b', 2],
      ['a', 3],
    ] as const) {
      await bench.backend.signal(id, 's', encode(payload), undefined);
    }
    const payloads = async (): Promise<unknown[]> =>
      (await bench.backend.news(worker, ['a', 'b'], [])).signals.map(({ payload }) => payload);
    expect(await payloads()).toEqual([1, 2, 3]);
    const [first] = (await bench.backend.news(worker, ['a'], [])).signals;
    // The claim of another run takes nothing.
    await bench.write('b', claim, { steps: [step('wait', 1, { signalId: first!.id })] });
    expect(await payloads()).toEqual([1, 2, 3]);
    await bench.write('a', claim, { steps: [step('wait', 1, { kind: 'signal', signalId: first!.id })] });
    expect(await payloads()).toEqual([2, 3]);
  });

  it('are the endings of the runs that the worker has', async () => {
    const claim = await bench.begin(worker, 'a');
    const failing = await bench.begin(worker, 'b');
    await bench.begin(await bench.join(), 'c');
    await bench.write('b', failing, { end: FAILING });
    await bench.backend.cancel(['a', 'c'], encode(new Error('no')));
    const { endings } = await bench.backend.news(worker, [], []);
    expect(endings).toEqual([{ runId: 'a', ending: 'cancelled', claim }]);
  });

  it('has no outcome of a child that is still on its way', async () => {
    await bench.begin(worker, 'c');
    expect((await bench.backend.news(worker, [], ['c', 'absent'])).outcomes).toEqual([]);
  });

  it('come with a write of the same shape as without a transaction', async () => {
    const claim = await bench.begin(worker, 'a');
    const outcome = await bench.backend.transaction(() => bench.backend.writeNow(newWrite('a', claim)));
    expect(outcome).toEqual({ held: true, ending: undefined, done: true });
  });
});
