import type { Postgres } from '@nestbox/postgres';
import { Logger } from '@nestjs/common';
import type { QueuedStepJob, WorkflowQueue } from '../src/state/state.types.js';
import type { WorkflowStateService } from '../src/state/workflow-state.service.js';
import { STATE_STAGES, type StateStage } from './support/state-services.js';

interface Job extends QueuedStepJob {
  readonly name: string;
  readonly options: Record<string, unknown>;
}

/** As BullMQ does it: data goes through JSON, no id may have a colon, and one that is there is not taken again. */
class FakeQueue implements WorkflowQueue {
  readonly jobs: Job[] = [];
  failure: Error | undefined;

  async add(
    name: string,
    data: Record<string, unknown>,
    options: Record<string, unknown> = {},
  ): Promise<unknown> {
    if (this.failure !== undefined) throw this.failure;
    const { jobId } = options;
    if (typeof jobId === 'string') {
      if (jobId.includes(':') || /^\d+$/.test(jobId)) throw new Error('Custom Id cannot contain :');
      if (this.jobs.some((job) => job.options['jobId'] === jobId)) return undefined;
    }
    this.jobs.push({ name, data: JSON.parse(JSON.stringify(data)) as Job['data'], options });
    return undefined;
  }

  /** Takes the oldest job. */
  take(name: string): Job {
    const job = this.jobs.shift();
    if (job?.name !== name) throw new Error(`There is ${job?.name ?? 'no job'} and not ${name}.`);
    return job;
  }
}

describe.each(STATE_STAGES)('Queued steps on %s', (_, open) => {
  let stage: StateStage;
  let queue: FakeQueue;
  let state: WorkflowStateService;
  let run: string;

  beforeAll(async () => {
    stage = await open();
  });

  afterAll(() => stage.close());

  beforeEach(async () => {
    queue = new FakeQueue();
    state = stage.service(queue);
    run = await state.createRun('remote', {});
  });

  it('are said to need a queue', async () => {
    const without = stage.service();
    const job = { data: { runId: run, stepName: 'a' } };
    for (const call of [
      () => without.queueRun(run),
      () => without.queueStep(run, 'a'),
      () => without.runQueuedStep(job, () => 1),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'UNSUPPORTED_OPERATION' });
    }
  });

  it('go to a worker and come back as the result', async () => {
    expect(await state.queueStep(run, 'ship:parcel', { n: 5n, to: 'Ada' }, { priority: 3 })).toBe(true);
    expect(await state.getStepState(run, 'ship:parcel')).toMatchObject({ status: 'scheduled' });
    const job = queue.take('workflow-step');
    expect(job.data).toEqual({
      runId: run,
      stepName: 'ship:parcel',
      data: { n: { $type: 'bigint', value: '5' }, to: 'Ada' },
    });
    expect(job.options).toMatchObject({ priority: 3, jobId: expect.any(String) as unknown });
    const seen: unknown[] = [];
    const outcome = await state.runQueuedStep(job, async (data, step) => {
      seen.push(data, step);
      return new Map([['sent', true]]);
    });
    expect(outcome).toBe('done');
    expect(seen).toEqual([
      { n: 5n, to: 'Ada' },
      { runId: run, stepName: 'ship:parcel' },
    ]);
    expect((await state.getStepState(run, 'ship:parcel')).result).toEqual(new Map([['sent', true]]));
    expect(queue.take('workflow-run').data).toEqual({ runId: run });
  });

  it('are recorded as failed, and are another job when they are queued again', async () => {
    await state.queueStep(run, 'a');
    await state.queueStep(run, 'a');
    const first = queue.take('workflow-step');
    expect(queue.jobs).toEqual([]);
    const outcome = await state.runQueuedStep(first, () => {
      throw new RangeError('no van');
    });
    expect(outcome).toBe('error');
    expect(await state.getStepState(run, 'a')).toMatchObject({
      status: 'error',
      error: { name: 'RangeError' },
    });
    queue.take('workflow-run');
    await state.queueStep(run, 'a');
    const second = queue.take('workflow-step');
    expect(second.options['jobId']).not.toBe(first.options['jobId']);
    expect(await state.runQueuedStep(second, () => undefined)).toBe('done');
    expect('result' in (await state.getStepState(run, 'a'))).toBe(true);
  });

  it('are recorded as failed when their result cannot be', async () => {
    await state.queueStep(run, 'a');
    expect(await state.runQueuedStep(queue.take('workflow-step'), () => () => 1)).toBe('error');
    expect(await state.getStepState(run, 'a')).toMatchObject({ error: { code: 'INVALID_ARGUMENT' } });
  });

  it('are not run again when they are done, though the run is queued', async () => {
    await state.queueStep(run, 'a');
    const job = queue.take('workflow-step');
    await state.runQueuedStep(job, () => 'first');
    queue.take('workflow-run');
    let ran = false;
    const again = await state.runQueuedStep(job, () => {
      ran = true;
    });
    expect([again, ran]).toEqual(['skipped', false]);
    queue.take('workflow-run');
    expect(await state.queueStep(run, 'a')).toBe(false);
    expect(queue.jobs).toEqual([]);
  });

  it('keep the result of the first when two workers get one', async () => {
    await state.queueStep(run, 'a');
    const job = queue.take('workflow-step');
    const outcomes = await state.runQueuedStep(job, async () => {
      expect(await state.runQueuedStep(job, () => 'quick')).toBe('done');
      return 'slow';
    });
    expect(outcomes).toBe('skipped');
    expect(await state.getStepState(run, 'a')).toMatchObject({ result: 'quick' });
  });

  it('are not run once their run has ended', async () => {
    await state.queueStep(run, 'a');
    const job = queue.take('workflow-step');
    await state.updateRunStatus(run, 'cancelled');
    expect(await state.runQueuedStep(job, () => 1)).toBe('skipped');
    expect(await state.queueStep(run, 'b')).toBe(false);
    expect(queue.jobs).toEqual([]);
  });

  it('do not stay scheduled when the queue takes no job', async () => {
    queue.failure = new Error('Redis is gone');
    await expect(state.queueStep(run, 'a')).rejects.toThrow('Redis is gone');
    expect(await state.getStepState(run, 'a')).toMatchObject({
      status: 'error',
      error: { message: 'Redis is gone' },
    });
    queue.failure = undefined;
    expect(await state.queueStep(run, 'a')).toBe(true);
    expect(await state.getStepState(run, 'a')).toMatchObject({ status: 'scheduled' });
    expect(queue.jobs).toHaveLength(1);
  });

  it('have the job tried again when the run cannot be queued', async () => {
    await state.queueStep(run, 'a');
    const job = queue.take('workflow-step');
    queue.failure = new Error('Redis is gone');
    await expect(state.runQueuedStep(job, () => 'kept')).rejects.toThrow('Redis is gone');
    queue.failure = undefined;
    expect(await state.runQueuedStep(job, () => 'late')).toBe('skipped');
    expect(await state.getStepState(run, 'a')).toMatchObject({ result: 'kept' });
    queue.take('workflow-run');
  });

  it('refuse what is not theirs', async () => {
    const handler = (): number => 1;
    await expect(state.runQueuedStep({ data: {} } as QueuedStepJob, handler)).rejects.toMatchObject({
      path: 'job',
    });
    await expect(state.runQueuedStep(undefined as never, handler)).rejects.toMatchObject({ path: 'job' });
    const lost = { data: { runId: 'none', stepName: 'a' } };
    await expect(state.runQueuedStep(lost, handler)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    await expect(state.queueRun('none')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    await expect(state.queueStep('none', 'a')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    await expect(state.queueStep(run, 'a', () => 1)).rejects.toMatchObject({ path: 'data' });
    expect(queue.jobs).toEqual([]);
  });
});

describe('Queued steps in a transaction', () => {
  let stage: StateStage;
  let postgres: Postgres;
  let queue: FakeQueue;
  let state: WorkflowStateService;
  let run: string;

  beforeAll(async () => {
    stage = await STATE_STAGES[0]![1]();
    postgres = stage.postgres!;
    queue = new FakeQueue();
    state = stage.service(queue);
  });

  afterAll(() => stage.close());

  beforeEach(async () => {
    run = await state.createRun('remote', {});
  });

  it('go to the queue after the commit, or never', async () => {
    const undone = postgres.transaction(async () => {
      await state.queueStep(run, 'a');
      await state.queueRun(run);
      throw new Error('roll it back');
    });
    await expect(undone).rejects.toThrow('roll it back');
    expect(queue.jobs).toEqual([]);
    expect(await state.getStepState(run, 'a')).toEqual({ status: 'pending' });
    await postgres.transaction(async () => {
      await state.queueStep(run, 'a');
      await state.queueRun(run);
      expect(queue.jobs).toEqual([]);
    });
    queue.take('workflow-step');
    queue.take('workflow-run');
  });

  it('are recorded as failed when the queue takes no job after a commit', async () => {
    // What fails after a commit is logged.
    Logger.overrideLogger(false);
    queue.failure = new Error('Redis is gone');
    await postgres.transaction(() => state.queueStep(run, 'a'));
    Logger.overrideLogger(['error', 'warn', 'log']);
    expect(await state.getStepState(run, 'a')).toMatchObject({
      status: 'error',
      error: { message: 'Redis is gone' },
    });
  });
});
