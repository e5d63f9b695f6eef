import { InvalidArgumentError } from '@nestbox/core';
import type { WorkflowStateService } from '../src/state/workflow-state.service.js';
import { RunNotFoundError } from '../src/workflow.errors.js';
import { STATE_STAGES, type StateStage } from './support/state-services.js';

describe.each(STATE_STAGES)('The state service on %s', (_, open) => {
  let stage: StateStage;
  let state: WorkflowStateService;
  let run: string;

  beforeAll(async () => {
    stage = await open();
    state = stage.service();
    await state.init();
    await state.init();
  });

  afterAll(() => stage.close());

  beforeEach(async () => {
    run = await state.createRun('order.checkout', { items: [1, 2] });
  });

  it('keeps a new run', async () => {
    const before = await state.getRun(run);
    expect(before).toEqual({
      id: run,
      workflow: 'order.checkout',
      status: 'running',
      input: { items: [1, 2] },
      createdAt: expect.any(Number) as unknown,
      updatedAt: expect.any(Number) as unknown,
    });
    expect(Math.abs(before!.createdAt - Date.now())).toBeLessThan(60_000);
    expect(await state.getRun('there is none')).toBeNull();
  });

  it.each<[unknown]>([
    [0],
    [false],
    [''],
    [null],
    [undefined],
    [-0],
    [5n],
    [new Date(9)],
    [new Map([[1, 'a\0b']])],
  ])('keeps %p as an input, an output and a result', async (value) => {
    const id = await state.createRun('values', value);
    await state.setStepResult(id, 'one', value);
    await state.updateRunStatus(id, 'completed', value);
    const stored = await state.getRun(id);
    expect(stored!.input).toEqual(value);
    expect(stored!.output).toEqual(value);
    // undefined stands for none here.
    expect('output' in stored!).toBe(value !== undefined);
    const step = await state.getStepState(id, 'one');
    expect(step.result).toEqual(value);
    expect('result' in step).toBe(true);
  });

  it('keeps errors as they were', async () => {
    const cause = new TypeError('inner');
    const error = Object.assign(new RangeError('no \0 money', { cause }), { code: 'DECLINED' });
    await state.setStepError(run, 'charge', error);
    await state.updateRunStatus(run, 'failed', undefined, error);
    for (const { error: back } of [await state.getStepState(run, 'charge'), (await state.getRun(run))!]) {
      expect(back).toMatchObject({ name: 'RangeError', message: 'no \0 money', code: 'DECLINED' });
      expect((back as Error).stack).toBe(error.stack);
      expect((back as Error).cause).toMatchObject({ name: 'TypeError', stack: cause.stack });
    }
  });

  it('takes anything as an error', async () => {
    for (const error of ['text', '', undefined, null, { run: () => 1 }, Symbol('x')]) {
      await state.setStepError(run, 'odd', error);
      const step = await state.getStepState(run, 'odd');
      expect(step.status).toBe('error');
      expect('error' in step).toBe(true);
    }
  });

  it('moves a run between running and suspended, and keeps its output when none is given', async () => {
    expect(await state.updateRunStatus(run, 'suspended', { so: 'far' })).toBe(true);
    expect(await state.updateRunStatus(run, 'running')).toBe(true);
    expect(await state.getRun(run)).toMatchObject({ status: 'running', output: { so: 'far' } });
  });

  it.each(['completed', 'failed', 'cancelled'] as const)('leaves a %s run as it ended', async (ended) => {
    await state.updateRunStatus(run, ended, 'first', new Error('first'));
    for (const late of ['running', 'suspended', 'completed', 'failed', 'cancelled'] as const) {
      expect(await state.updateRunStatus(run, late, 'late', new Error('late'))).toBe(false);
    }
    expect(await state.getRun(run)).toMatchObject({
      status: ended,
      output: 'first',
      error: { message: 'first' },
    });
    expect(await state.setStepScheduled(run, 'late')).toBe(false);
    expect(await state.getStepState(run, 'late')).toEqual({ status: 'pending' });
    // What was done all the same is the truth.
    expect(await state.setStepResult(run, 'done', 1)).toBe(true);
  });

  it('reads a step that is absent as pending', async () => {
    expect(await state.getStepState(run, 'never')).toEqual({ status: 'pending' });
    expect(await state.getStepState('no run', 'never')).toEqual({ status: 'pending' });
  });

  it('takes a step through its states', async () => {
    expect(await state.setStepScheduled(run, 'a')).toBe(true);
    expect(await state.getStepState(run, 'a')).toEqual({
      status: 'scheduled',
      updatedAt: expect.any(Number) as unknown,
    });
    expect(await state.setStepScheduled(run, 'a')).toBe(true);
    expect(await state.setStepError(run, 'a', new Error('first'))).toBe(true);
    expect(await state.setStepScheduled(run, 'a')).toBe(true);
    expect(await state.getStepState(run, 'a')).not.toHaveProperty('error');
    expect(await state.setStepError(run, 'a', new Error('second'))).toBe(true);
    expect(await state.getStepState(run, 'a')).toMatchObject({
      status: 'error',
      error: { message: 'second' },
    });
    expect(await state.setStepResult(run, 'a', 'done')).toBe(true);
    const done = await state.getStepState(run, 'a');
    expect(done).toMatchObject({ status: 'done', result: 'done' });
    expect(done).not.toHaveProperty('error');
  });

  it('keeps the first result of a step whatever comes late', async () => {
    await state.setStepResult(run, 'a', null);
    const done = await state.getStepState(run, 'a');
    expect(await state.setStepScheduled(run, 'a')).toBe(false);
    expect(await state.setStepError(run, 'a', new Error('late'))).toBe(false);
    expect(await state.setStepResult(run, 'a', 'late')).toBe(false);
    expect(await state.getStepState(run, 'a')).toEqual(done);
  });

  it('knows steps of the same name of other runs apart', async () => {
    const other = await state.createRun('order.checkout', {});
    await Promise.all([state.setStepResult(run, 'a', 1), state.setStepResult(other, 'a', 2)]);
    expect((await state.getStepState(run, 'a')).result).toBe(1);
    expect((await state.getStepState(other, 'a')).result).toBe(2);
  });

  it('says that there is no such run', async () => {
    const calls = [
      () => state.updateRunStatus('none', 'completed'),
      () => state.setStepScheduled('none', 'a'),
      () => state.setStepResult('none', 'a', 1),
      () => state.setStepError('none', 'a', new Error('x')),
    ];
    for (const call of calls) await expect(call()).rejects.toBeInstanceOf(RunNotFoundError);
  });

  it('refuses bad input before it does anything', async () => {
    const calls: (() => Promise<unknown>)[] = [
      () => state.createRun('', {}),
      () => state.createRun('a\0', {}),
      () => state.createRun('a', { fn: () => 1 }),
      () => state.getRun('x'.repeat(513)),
      () => state.updateRunStatus(run, 'stuck' as 'failed'),
      () => state.updateRunStatus(run, 'completed', Symbol('x')),
      () => state.setStepResult(run, 'a', new WeakMap()),
      () => state.setStepResult(run, '', 1),
      () => state.setStepScheduled(run, '\ud800'),
      () => state.getStepState(run, ''),
      () => state.withRunLock('', async () => 1),
    ];
    for (const call of calls) await expect(call()).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(state.setStepResult(run, 'a', { items: [{ price: () => 1 }] })).rejects.toMatchObject({
      path: 'result.items[0].price',
    });
    expect(await state.getStepState(run, 'a')).toEqual({ status: 'pending' });
  });

  it('runs one after the other what holds the lock on a run, and others meanwhile', async () => {
    let inside = 0;
    const log: number[] = [];
    const locked = Array.from({ length: 20 }, (__, i) =>
      state.withRunLock(run, async () => {
        expect(++inside).toBe(1);
        await state.setStepResult(run, `step ${i}`, i);
        log.push(i);
        inside--;
        return i;
      }),
    );
    const other = await state.withRunLock('another run', async (signal) => signal.aborted);
    expect(other).toBe(false);
    expect(await Promise.all(locked)).toEqual(Array.from({ length: 20 }, (__, i) => i));
    expect(log).toHaveLength(20);
  });

  it('gives the lock back when the function throws', async () => {
    await expect(
      state.withRunLock(run, async () => {
        throw new Error('no way');
      }),
    ).rejects.toThrow('no way');
    const throwing = (() => {
      throw new Error('at once');
    }) as () => Promise<void>;
    await expect(state.withRunLock(run, throwing)).rejects.toThrow('at once');
    expect(await state.withRunLock(run, async () => 'free')).toBe('free');
  });

  it('refuses a lock that the caller has, and would wait for for ever', async () => {
    const nested = state.withRunLock(run, () =>
      state.withRunLock('another', () => state.withRunLock(run, async () => 1)),
    );
    await expect(nested).rejects.toBeInstanceOf(InvalidArgumentError);
    let later: (() => Promise<number>) | undefined;
    await state.withRunLock(run, async () => {
      const resource = new (await import('node:async_hooks')).AsyncResource('later');
      later = () => resource.runInAsyncScope(() => state.withRunLock(run, async () => 2));
    });
    expect(await later!()).toBe(2);
  });
});
