import { jest } from '@jest/globals';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import {
  WorkflowTestingModule,
  exportHistory,
  replayHistory,
  type ReplayOutcome,
  type RunHistory,
} from '@nestbox/testing/workflows';
import { Workflow, createWorkflows, type WorkflowClass, type WorkflowContext } from '@nestbox/workflows';
import { Injectable, Logger } from '@nestjs/common';

@Injectable()
class World {
  readonly touched: string[] = [];

  touch<R>(what: string, result: R): R {
    this.touched.push(what);
    return result;
  }
}

interface Trip {
  from: Date;
  stops: Map<string, bigint>;
}

@Workflow({ name: 'leg' })
class Leg {
  async run(context: WorkflowContext, stop: string): Promise<string> {
    return context.step('drive', () => `at ${stop}`);
  }
}

/** The code as it ran. */
@Workflow({ name: 'trip' })
class Plan {
  constructor(protected readonly world: World) {}

  async run(context: WorkflowContext, trip: Trip): Promise<unknown> {
    const { world } = this;
    const begun = context.now();
    const dice = context.random();
    const booked = await context.transaction('book', () => world.touch('book', new Set(trip.stops.keys())));
    const paid = await context.step('pay', { compensate: () => world.touch('refund', undefined) }, () =>
      world.touch(
        'pay',
        [...trip.stops.values()].reduce((sum, price) => sum + price, 0n),
      ),
    );
    const warm = await context
      .step('weather', () => Promise.reject(Object.assign(new RangeError('unknown'), { code: 'NO_SUN' })))
      .catch((error: unknown) => error);
    await context.sleep('night', '12h');
    const guide = await context.waitForSignal<string>('guide', { timeout: '2d' }).catch(() => 'nobody');
    const legs = await context.map('legs', [...booked], String, (own, stop) => own.child(Leg, stop));
    if (guide === 'nobody') throw new Error('Nobody knows the way.');
    return { begun, dice, paid, warm, guide, legs };
  }
}

class WithoutPaying extends Plan {
  override async run(context: WorkflowContext): Promise<unknown> {
    context.now();
    return context.transaction('book', () => this.world.touch('book again', 'booked'));
  }
}

class PaysFirst extends Plan {
  override async run(context: WorkflowContext): Promise<unknown> {
    await context.step('pay', () => this.world.touch('pay again', 0n));
    return context.transaction('book', () => this.world.touch('book again', 'booked'));
  }
}

class OfAnotherKind extends Plan {
  override async run(context: WorkflowContext): Promise<unknown> {
    context.now();
    return context.step('book', () => this.world.touch('book again', 'booked'));
  }
}

class Patched extends Plan {
  override async run(context: WorkflowContext, trip: Trip): Promise<unknown> {
    if (context.patched('insure')) await context.step('insure', () => this.world.touch('insure', true));
    return super.run(context, trip);
  }
}

class Longer extends Plan {
  override async run(context: WorkflowContext, trip: Trip): Promise<unknown> {
    const all = await super.run(context, trip);
    await context.step('post card', () => this.world.touch('post card', true));
    return all;
  }
}

@Workflow({ name: 'trip' })
class Hangs {
  run(): Promise<unknown> {
    return new Promise(() => undefined);
  }
}

const trip: Trip = {
  from: new Date('2026-05-01T08:00:00Z'),
  stops: new Map([
    ['Bern', 12n],
    ['Thun', 30n],
  ]),
};

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

describe.each(['memory', 'postgres'] as const)('a history recorded on %s', (kind) => {
  let test: WorkflowTestingModule;
  let world: World;
  beforeEach(async () => {
    const store = kind === 'memory' ? kind : database.url;
    test = await WorkflowTestingModule.create(
      { providers: [World, Plan, Leg] },
      { store, settleTimeout: '5s' },
    ).compile();
    world = test.get(World);
  });
  afterEach(() => test.close());

  /** As it comes out of a file. */
  const stored = async (id: string): Promise<RunHistory> =>
    JSON.parse(JSON.stringify(await test.history(id))) as RunHistory;

  /** Nothing may be done. */
  async function replay(type: WorkflowClass, history: RunHistory): Promise<ReplayOutcome> {
    const before = [...world.touched];
    const outcome = await test.replay(type, history);
    expect(world.touched).toEqual(before);
    return outcome;
  }

  async function whole(): Promise<RunHistory> {
    const run = await test.start(Plan, trip, { id: 'whole' });
    await test.skipTime('13h');
    await run.signal('guide', 'Ann');
    await run.result();
    return stored('whole');
  }

  it('says what the run has done', async () => {
    const history = await whole();
    expect(history).toMatchObject({ format: 1, runId: 'whole', workflow: 'trip', status: 'completed' });
    expect(history.steps.map(({ name, kind: what, status }) => [name, what, status])).toEqual([
      ['now', 'now', 'done'],
      ['book', 'transaction', 'done'],
      ['pay', 'step', 'done'],
      ['weather', 'step', 'error'],
      ['night', 'sleep', 'pending'],
      ['guide', 'signal', 'done'],
      ['legs/Bern/leg', 'child', 'done'],
      ['legs/Thun/leg', 'child', 'done'],
    ]);
    expect(history.steps[4]!.remainingMs).toBeLessThanOrEqual(0);
    expect(history.steps[2]).toMatchObject({ after: 'book', attempts: 1, result: { $type: 'bigint' } });
    await expect(test.history('none')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  });

  it('is replayed by the same code, to the same result', async () => {
    const history = await whole();
    const outcome = await replay(Plan, history);
    expect(outcome).toEqual({
      status: 'completed',
      output: await test.workflows.get('whole').result(),
      error: undefined,
      next: [],
    });
    expect(outcome.output).toMatchObject({
      begun: expect.any(Date),
      paid: 42n,
      warm: { name: 'RangeError', code: 'NO_SUN' },
      legs: ['at Bern', 'at Thun'],
    });
  });

  it('of a run that waits ends where it waits', async () => {
    await test.start(Plan, trip, { id: 'waits' });
    await test.settled();
    expect(await replay(Plan, await stored('waits'))).toMatchObject({ status: 'suspended', next: ['night'] });
    await test.skipTime('1d');
    const history = await stored('waits');
    expect(history.status).toBe('suspended');
    expect(await replay(Plan, history)).toMatchObject({ status: 'suspended', next: ['guide'] });
    expect(await replay(Patched, history)).toMatchObject({ status: 'suspended', next: ['guide'] });
  });

  it('of a run that failed fails, and undoes nothing', async () => {
    const run = await test.start(Plan, trip, { id: 'fails' });
    await test.skipTime('3d');
    await expect(run.result()).rejects.toThrow('Nobody knows the way.');
    const history = await stored('fails');
    expect(history.steps.at(-1)).toMatchObject({ name: 'undo:pay', kind: 'compensation' });
    for (const steps of [history.steps, history.steps.slice(0, -1)]) {
      expect(await replay(Plan, { ...history, steps })).toMatchObject({
        status: 'failed',
        error: { message: 'Nobody knows the way.' },
      });
    }
  });

  it.each([
    [WithoutPaying, '"pay" was done after "book", and the code does not come to it any more'],
    [PaysFirst, '"now" was done first, and the code does not come to it any more'],
    [OfAnotherKind, '"book" was a transaction and is a step now'],
  ])('does not fit %p', async (type, problem) => {
    const history = await whole();
    const log = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const { status, error } = await replay(type, history);
    log.mockRestore();
    expect(status).toBe('stuck');
    expect(error).toMatchObject({
      name: 'NonDeterminismError',
      code: 'NON_DETERMINISM',
      runId: 'whole',
      message: expect.stringContaining(problem),
    });
  });

  it('fits code that is guarded by a patch, and shows where code goes on', async () => {
    const history = await whole();
    expect(await replay(Patched, history)).toMatchObject({ status: 'completed' });
    expect(await replay(Longer, history)).toMatchObject({ status: 'suspended', next: ['post card'] });
  });

  it('is replayed without an application', async () => {
    const history = await whole();
    expect(await replayHistory(new Plan(world), history)).toMatchObject({ status: 'completed' });
    expect(await replayHistory(new Plan(world), { ...history, steps: [] })).toMatchObject({
      status: 'suspended',
      next: ['book'],
    });
    await expect(replayHistory(new Leg(), history)).rejects.toThrow(
      'history.workflow: is "trip", and the class Leg is "leg".',
    );
    await expect(replayHistory(new Hangs(), history, { timeoutMs: 200 })).rejects.toMatchObject({
      code: 'WORKFLOW_TEST',
    });
  });
});

describe('a history', () => {
  it('can be taken from the database of an application', async () => {
    const workflows = createWorkflows(database.url, { schema: 'in use' });
    await workflows.start(Leg, 'Bern', { id: 'one' });
    const history = await exportHistory(workflows, 'one');
    await workflows.close();
    expect(history).toEqual({
      format: 1,
      runId: 'one',
      workflow: 'leg',
      status: 'running',
      input: 'Bern',
      steps: [],
    });
    expect(await replayHistory(new Leg(), history)).toMatchObject({ status: 'suspended', next: ['drive'] });
  });

  it.each<[unknown, string]>([
    [undefined, 'history'],
    [{ format: 2 }, 'history'],
    [{ format: 1, workflow: 'leg', steps: [] }, 'history.runId'],
    [{ format: 1, runId: 'one', steps: [] }, 'history.workflow'],
    [{ format: 1, runId: 'one', workflow: 'leg' }, 'history.steps'],
    [{ format: 1, runId: 'one', workflow: 'leg', steps: [null] }, 'history.steps[0]'],
  ])('%j is refused', async (history, path) => {
    await expect(replayHistory(new Leg(), history as RunHistory)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      path,
    });
  });
});
