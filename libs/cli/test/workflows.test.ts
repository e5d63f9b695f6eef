import { testDatabase, eventually, type TestDatabase } from '@nestbox/testing';
import { Workflow, createWorkflows, type WorkflowContext, type WorkflowService } from '@nestbox/workflows';
import { run, type Around, type Ran } from './support/command.js';

let database: TestDatabase;
let isBroken = true;

@Workflow({ name: 'order.checkout', version: '2', queue: 'orders' })
class Checkout {
  async run(ctx: WorkflowContext, input: { total: bigint; at: Date }): Promise<{ paid: bigint }> {
    await ctx.step('charge', () => ({ id: 'ch_1' }));
    ctx.setValue('stage', 'charged');
    await ctx.step('ship', () => {
      if (isBroken) throw new TypeError('no truck');
    });
    return { paid: input.total };
  }
}

@Workflow({ name: 'waiting' })
class Waiting {
  async run(ctx: WorkflowContext): Promise<string> {
    await ctx.step('first', () => 1);
    return ctx.waitForSignal<string>('go');
  }
}

/** The same, after a release that changed the order of its steps. */
@Workflow({ name: 'waiting' })
class Changed {
  async run(ctx: WorkflowContext): Promise<void> {
    await ctx.step('another', () => 1);
  }
}

let service: WorkflowService;

beforeAll(async () => {
  database = await testDatabase();
  service = createWorkflows(database.url, { workflows: [new Checkout(), new Waiting()] });
  await service.init();
});

afterAll(async () => {
  await service.close();
  await database.drop();
});

function workflows(args: readonly string[], around: Around = {}): Promise<Ran> {
  return run(['workflows', ...args], { env: { DATABASE_URL: database.url }, ...around });
}

it('says of an empty store that it is empty', async () => {
  expect(await workflows(['list'])).toMatchObject({ code: 0, out: '', error: 'There are no such runs.' });
  expect((await workflows(['list', '--json'])).json()).toEqual({ runs: [], cursor: null });
  expect(await workflows(['dead'])).toMatchObject({ code: 0, out: '', error: 'No run is dead or stuck.' });
});

it.each([['show'], ['cancel', '--yes'], ['resume'], ['retry']])(
  '%s says that a run is not there',
  async (name, ...more) => {
    expect(await workflows([name, 'nope', ...more])).toMatchObject({
      code: 4,
      out: '',
      error: expect.stringContaining('There is no run "nope".'),
    });
  },
);

describe('with runs', () => {
  beforeAll(async () => {
    await service.startWorker();
    await service.start(Checkout, { total: 12n, at: new Date(0) }, { id: 'checkout-1' });
    await eventually(async () => (await service.get('checkout-1').status()) === 'failed');
    await service.start(Waiting, undefined, { id: 'waiting-1' });
    await service.start(Waiting, undefined, { id: 'waiting-2' });
    for (const id of ['waiting-1', 'waiting-2'])
      await eventually(async () => (await service.get(id).status()) === 'suspended');
  });

  it('lists runs, the newest first, filtered and page by page', async () => {
    const { runs } = (await workflows(['list', '--json'])).json();
    expect(runs.map(({ id, status }: { id: string; status: string }) => [id, status])).toEqual([
      ['waiting-2', 'suspended'],
      ['waiting-1', 'suspended'],
      ['checkout-1', 'failed'],
    ]);
    const failed = (
      await workflows(['list', '--status', 'failed,dead', '--workflow', 'order.checkout', '--json'])
    ).json();
    expect(failed.runs).toEqual([
      {
        id: 'checkout-1',
        workflow: 'order.checkout',
        version: '2',
        status: 'failed',
        queue: 'orders',
        priority: 0,
        parent: null,
        forkedFrom: null,
        input: { total: '12', at: '1970-01-01T00:00:00.000Z' },
        output: null,
        error: expect.objectContaining({ name: 'TypeError', message: 'no truck' }),
        createdAt: expect.stringMatching(/Z$/),
        updatedAt: expect.stringMatching(/Z$/),
      },
    ]);
    const first = await workflows(['list', '--limit', '2']);
    expect(first.out.split('\n').map((line) => line.split(/\s+/)[0])).toEqual([
      'ID',
      'waiting-2',
      'waiting-1',
    ]);
    const [, cursor] = /--cursor (\S+)/.exec(first.error)!;
    expect((await workflows(['list', '--limit', '2', '--cursor', cursor!])).out).toContain(
      'TypeError: no truck',
    );
    expect((await workflows(['list', '--from', '2099-01-01', '--json'])).json().runs).toEqual([]);
    expect((await workflows(['list', '--search', 'NO TRUCK', '--json'])).json().runs).toHaveLength(1);
  });

  it('shows a run with its steps and values', async () => {
    const shown = (await workflows(['show', 'checkout-1', '--json'])).json();
    expect(shown.run).toMatchObject({ id: 'checkout-1', status: 'failed' });
    expect(shown.values).toEqual({ stage: 'charged' });
    expect(shown.steps[0]).toEqual({
      name: 'charge',
      kind: 'step',
      status: 'done',
      result: { id: 'ch_1' },
      error: null,
      attempts: 1,
      durationMs: expect.any(Number),
      wakeAt: null,
      updatedAt: expect.stringMatching(/Z$/),
    });
    expect(shown.steps[1]).toMatchObject({ name: 'ship', status: 'error', error: { message: 'no truck' } });
    const { out } = await workflows(['show', 'checkout-1']);
    expect(out).toMatch(/^run {10}checkout-1\nworkflow {5}order\.checkout \(version 2\)\nstatus {7}failed\n/);
    expect(out).toMatch(/\nvalue stage {2}"charged"\n\nSTEP +KIND /);
    expect(out).toMatch(/\nship +step +error .*TypeError: no truck$/);
  });

  it('retries a failed run, which a worker then completes', async () => {
    isBroken = false;
    const retried = await workflows(['retry', 'checkout-1']);
    expect(retried).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^Run "checkout-1" is .*; a worker takes it up\.$/),
    });
    expect(await service.get('checkout-1').result({ timeout: '10s' })).toEqual({ paid: 12n });
    const { steps, run: row } = (await workflows(['show', 'checkout-1', '--json'])).json();
    expect(row).toMatchObject({ status: 'completed', output: { paid: '12' } });
    expect(steps.map(({ attempts }: { attempts: number }) => attempts)).toEqual([1, 1]);
    expect(await workflows(['retry', 'checkout-1'])).toMatchObject({
      code: 1,
      error: expect.stringContaining('Run "checkout-1" is completed'),
    });
    expect(await workflows(['retry', 'waiting-1', '--from-step', 'nope'])).toMatchObject({ code: 1 });
  });

  it('cancels a run when that was confirmed', async () => {
    expect(await workflows(['cancel', 'waiting-1'])).toMatchObject({
      code: 2,
      error: expect.stringContaining('This cancels run "waiting-1" of waiting, which is suspended'),
    });
    expect(await workflows(['cancel', 'waiting-1'], { answer: false })).toMatchObject({ code: 1 });
    expect(await service.get('waiting-1').status()).toBe('suspended');
    expect(await workflows(['cancel', 'waiting-1'], { answer: true })).toMatchObject({
      code: 0,
      out: 'Run "waiting-1" is cancelled.',
    });
    expect(await workflows(['cancel', 'waiting-1', '--json'])).toMatchObject({ code: 1 });
    expect(await service.get('waiting-1').status()).toBe('cancelled');
  });

  it('resumes a cancelled run', async () => {
    await eventually(async () => {
      const { code, json } = await workflows(['resume', 'waiting-1', '--json']);
      expect(code).toBe(0);
      expect(json()).toMatchObject({ id: 'waiting-1' });
    });
    await eventually(async () => (await service.get('waiting-1').status()) === 'suspended');
  });

  it('lists runs that are stuck', async () => {
    await service.stopWorker();
    const changed = createWorkflows(database.url, { workflows: [new Changed()] });
    try {
      await changed.startWorker();
      await changed.signal('waiting-2', 'go', 'now');
      await eventually(async () => (await changed.get('waiting-2').status()) === 'stuck');
    } finally {
      await changed.close();
    }
    const { runs } = (await workflows(['dead', '--json'])).json();
    expect(runs).toMatchObject([{ id: 'waiting-2', status: 'stuck', error: { code: 'NON_DETERMINISM' } }]);
    expect((await workflows(['dead', '--workflow', 'order.checkout'])).out).toBe('');
    expect((await workflows(['dead'])).out).toContain('The code does not fit the history of run "waiting-2"');
  });

  it.each([
    [
      ['list', '--status', 'complete'],
      '--status "complete" is none; did you mean completed?; known are: running',
    ],
    [['list', '--from', 'yesterday'], '--from must be a time such as 2030-01-31T12:00:00Z, not "yesterday"'],
    [['list', '--limit', '5000'], '--limit must be a whole number from 1 to 1000, not "5000"'],
    [['show'], 'missing required argument "id"'],
  ])('refuses %j', async (args, problem) => {
    expect(await workflows(args)).toMatchObject({ code: 2, error: expect.stringContaining(problem) });
  });

  it('says that a cursor is none', async () => {
    expect(await workflows(['list', '--cursor', 'x'])).toMatchObject({
      code: 2,
      error: 'nestbox: Invalid cursor: is none that list() gave.',
    });
  });
});
