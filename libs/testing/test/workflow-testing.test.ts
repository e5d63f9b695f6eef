import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { WorkflowTestingModule, type WorkflowTestingOptions } from '@nestbox/testing/workflows';
import type { WorkflowClass } from '@nestbox/workflows';
import {
  Checkout,
  FakePayments,
  Hang,
  Log,
  Parent,
  Payments,
  Reminders,
  Until,
  type Order,
} from './support/shop-workflows.js';

const DAY = 86_400_000;
const order: Order = { id: 'o', amount: 12, parcels: ['tea', 'pot'] };

let database: TestDatabase;
const open: AsyncDisposable[] = [];

beforeAll(async () => {
  database = await testDatabase();
});
afterEach(async () => {
  for (const each of open.splice(0)) await each[Symbol.asyncDispose]();
});
afterAll(() => database.drop());

describe.each(['memory', 'postgres'] as const)('WorkflowTestingModule on %s', (kind) => {
  let payments: FakePayments;

  async function create(
    workflows: WorkflowClass[] = [Checkout],
    options: WorkflowTestingOptions = {},
  ): Promise<WorkflowTestingModule> {
    payments = new FakePayments();
    const test = await WorkflowTestingModule.create(
      { providers: [Log, Payments, ...workflows] },
      { ...(kind === 'postgres' && { store: database.url }), ...options },
    )
      .overrideProvider(Payments)
      .useValue(payments)
      .compile();
    open.push(test);
    return test;
  }

  it('skips sleeps of days, and waits for signals, with a fake in the place of a provider', async () => {
    const test = await create();
    const run = await test.start(Checkout, order, { id: 'skips' });
    await test.settled();
    expect(await run.status()).toBe('suspended');
    expect(payments.charges).toEqual(['skips/charge']);
    await test.signal('skips', 'packed', 'Ann');
    await test.settled();
    expect(test.get(Log).lines).toEqual(['reserve', 'ship tea', 'ship pot']);
    await test.skipTime('29d');
    expect(await run.status()).toBe('suspended');
    await test.skipTime('1d');
    expect(await run.status()).toBe('completed');
    expect(await run.result()).toEqual({ payment: 'payment 1', shipped: ['tea by Ann', 'pot by Ann'] });
    expect(test.get(Log).lines.at(-1)).toBe('thank');
  });

  it('lets what is due run in its turn, at its time', async () => {
    const test = await create([Reminders]);
    const run = await test.start(Reminders, 5);
    await test.skipTime('3d');
    expect(test.get(Log).lines).toEqual(['day 0', 'day 1', 'day 2']);
    await test.skipTime('2d');
    const times = (await run.result()).map((time) => Date.parse(time));
    for (const [i, time] of times.entries()) {
      expect(Math.abs(time - times[0]! - i * DAY)).toBeLessThan(60_000);
    }
  });

  it('lets the timeout of a signal pass, and undoes what was done', async () => {
    const test = await create();
    const run = await test.start(Checkout, order);
    await test.skipTime('6d');
    expect(await run.status()).toBe('suspended');
    await test.skipTime('1d');
    await expect(run.result()).rejects.toMatchObject({
      code: 'RUN_FAILED',
      cause: { name: 'SignalTimeoutError', signalName: 'packed' },
    });
    expect(payments.refunds).toEqual(['payment 1']);
  });

  it('skips the hours between two tries of a step', async () => {
    const test = await create();
    payments.failures = 2;
    const run = await test.start(Checkout, order);
    await test.skipTime('3h');
    expect(payments.failures).toBe(1);
    await test.skipTime('1h');
    expect(payments.failures).toBe(0);
    expect(payments.charges).toEqual([]);
    await test.skipTime('8h');
    expect(payments.charges).toEqual([`${run.id}/charge`]);
    const [, charge] = await run.steps();
    expect(charge).toMatchObject({ name: 'charge', status: 'done', attempts: 3 });
  });

  it('skips the hours between two tries of a compensation', async () => {
    const test = await create();
    let refusals = 2;
    payments.refund = async (payment) => {
      if (refusals-- > 0) throw new Error('Come back tomorrow.');
      payments.refunds.push(payment);
    };
    const run = await test.start(Checkout, order);
    await test.skipTime('7d');
    expect([refusals, await run.status()]).toEqual([1, 'running']);
    await test.skipTime('12h');
    expect(payments.refunds).toEqual(['payment 1']);
    expect(await run.status()).toBe('failed');
  });

  it('lets deadlines pass, of runs that wait and of runs that hang in a step', async () => {
    const test = await create([Checkout, Hang]);
    const run = await test.start(Checkout, order, { deadline: '5d' });
    await test.skipTime('4d');
    expect(await run.status()).toBe('suspended');
    await test.skipTime('1d');
    await expect(run.result()).rejects.toMatchObject({ name: 'DeadlineExceededError' });
    expect(payments.refunds).toEqual(['payment 1']);

    const hanging = await test.start(Hang, undefined);
    await eventually(() => expect(test.workflows.activeRuns).toBe(1));
    await test.skipTime('1h', { wait: false });
    await expect(hanging.result()).rejects.toMatchObject({ name: 'DeadlineExceededError' });
  });

  it('skips delays, and the time until a date', async () => {
    const test = await create([Reminders, Until]);
    const delayed = await test.start(Reminders, 0, { delay: '2d' });
    const until = await test.start(Until, new Date(Date.now() + 3 * DAY));
    await test.skipTime('1d');
    const later = await test.start(Until, new Date(Date.now() + 3 * DAY));
    expect(await delayed.status()).toBe('suspended');
    await test.skipTime('1d');
    expect(await delayed.result()).toEqual([]);
    expect((await until.steps())[0]!.wakeAt!.getTime() - Date.now()).toBeGreaterThan(2.9 * DAY);
    await test.skipTime('23h');
    expect([await until.status(), await later.status()]).toEqual(['suspended', 'suspended']);
    await test.skipTime('1h');
    const late = [await until.result(), await later.result()];
    for (const ms of late) expect(Math.abs(ms)).toBeLessThan(60_000);
  });

  it('starts what a schedule starts in the time that is skipped', async () => {
    const test = await create([Reminders]);
    await test.workflows.schedule('nightly', '0 3 * * *', Reminders, 0);
    await test.skipTime('3d');
    const { runs } = await test.workflows.list();
    const days = runs.map(({ id }) => id.replace('schedule:nightly:', '')).toSorted();
    expect(days.map((day) => day.slice(10))).toEqual(Array(3).fill('T03:00:00.000Z'));
    expect(Date.parse(days[2]!) - Date.parse(days[0]!)).toBe(2 * DAY);
    const [schedule] = await test.workflows.schedules.list();
    expect(schedule!.nextAt.getTime() - Date.parse(days[2]!)).toBe(DAY);
  });

  it('lets a limited queue go on', async () => {
    const limits = { mail: { rate: { limit: 1, per: '1h' } } } as const;
    const test = await create([Reminders], { limits });
    const runs = [];
    for (let i = 0; i < 3; i++) runs.push(await test.start(Reminders, 0, { queue: 'mail' }));
    const done = async (): Promise<unknown> => (await test.workflows.counts())['reminders']!.completed;
    await test.settled();
    expect(await done()).toBe(1);
    await test.skipTime('1h');
    expect(await done()).toBe(2);
    await test.skipTime('1h');
    expect(await done()).toBe(3);
  });

  it('is settled while runs are there that nobody can run, and says which ones do not settle', async () => {
    const test = await create([Hang], { settleTimeout: 300 });
    await test.start(Checkout, order);
    await test.settled();
    expect(await test.workflows.figures()).toMatchObject({ ready: 1 });
    await test.start(Hang, undefined, { id: 'hangs' });
    await expect(test.settled()).rejects.toMatchObject({
      code: 'WORKFLOW_TEST',
      message: expect.stringContaining('"hangs" of "hang"'),
    });
  });

  it.each(['reserve', 'charge', 'packed', 'parcels/tea/ship', 'parcels/pot/ship', 'thank'])(
    'has the run go on after a crash behind step %s, and does no step twice',
    async (step) => {
      const test = await create([Checkout, Parent]);
      test.crashAfterStep(step);
      const run = await test.start(Parent, order);
      await test.settled();
      const { runs } = await test.workflows.list({ workflow: 'checkout' });
      await test.signal(runs[0]!.id, 'packed', 'Ann');
      await test.skipTime('30d');
      expect(await run.result()).toEqual({ payment: 'payment 1', shipped: ['tea by Ann', 'pot by Ann'] });
      expect(test.crashes).toBe(1);
      expect(payments.charges).toHaveLength(1);
      expect(test.get(Log).lines.toSorted()).toEqual(['reserve', 'ship pot', 'ship tea', 'thank']);
    },
  );

  it('crashes as often as it was told, also between two compensations', async () => {
    const test = await create();
    test.crashAfterStep('reserve', { times: 2 });
    test.crashAfterStep('undo:charge');
    const runs = [];
    for (const crashes of [1, 2]) {
      runs.push(await test.start(Checkout, order));
      await test.settled();
      expect(test.crashes).toBe(crashes);
    }
    await test.skipTime('8d');
    expect(test.crashes).toBe(3);
    for (const run of runs) expect(await run.status()).toBe('failed');
    expect(payments.refunds).toHaveLength(2);
    expect(test.get(Log).lines).toEqual(['reserve', 'reserve']);
  });

  it('crashes in the middle of a step, which is done again', async () => {
    const test = await create();
    const begun: string[] = [];
    let finish!: (payment: string) => void;
    payments.charge = (key) => {
      begun.push(key);
      return begun.length === 2
        ? Promise.resolve('second')
        : new Promise((resolve) => {
            finish = resolve;
          });
    };
    const run = await test.start(Checkout, order, { id: 'crashed' });
    await eventually(() => expect(begun).toHaveLength(1));
    await test.crash();
    finish('first');
    await test.settled();
    expect(begun).toEqual(['crashed/charge', 'crashed/charge']);
    expect((await run.steps()).find(({ name }) => name === 'charge')!.result).toBe('second');
  });
});
