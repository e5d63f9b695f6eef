import { KeyValueStore, KvModule } from '@nestbox/kv';
import { Postgres, PostgresModule } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { WorkflowTestingModule } from '@nestbox/testing/workflows';
import {
  Workflow,
  WorkflowModule,
  WorkflowService,
  getWorkflowToken,
  type WorkflowContext,
} from '@nestbox/workflows';
import { Module } from '@nestjs/common';
import { Checkout, Log, Payments } from './support/shop-workflows.js';

@Workflow({ name: 'kept' })
class Kept {
  constructor(private readonly kv: KeyValueStore<number>) {}

  async run(context: WorkflowContext, lost: string): Promise<string> {
    await context
      .transaction('lose', async () => {
        await this.kv.set(lost, 1);
        throw new Error('changed my mind');
      })
      .catch(() => undefined);
    await context.transaction('keep', () => this.kv.increment('kept'));
    await context.sleep('a day', '1d');
    return 'kept';
  }
}

@Workflow({ name: 'bill', store: 'billing' })
class Billing {
  async run(context: WorkflowContext): Promise<string> {
    await context.sleep('a day', '1d');
    return 'billed';
  }
}

let database: TestDatabase;
const open: AsyncDisposable[] = [];

beforeAll(async () => {
  database = await testDatabase();
});
afterEach(async () => {
  for (const each of open.splice(0)) await each[Symbol.asyncDispose]();
});
afterAll(() => database.drop());

describe('WorkflowTestingModule', () => {
  const schemas = async (): Promise<string[]> => {
    const postgres = new Postgres({ url: database.url });
    const rows = await postgres.query('select nspname as name from pg_namespace order by 1');
    await postgres.close();
    return rows.map(({ name }) => name as string).filter((name) => !/^(pg_|nestbox$)/.test(name));
  };

  it('leaves no schema of its own, and keeps one that it was given', async () => {
    const before = await schemas();
    for (const schema of [undefined, 'Kept "one"']) {
      const test = await WorkflowTestingModule.create({}, { store: database.url, schema }).compile();
      expect((await schemas()).length).toBe(before.length + 1);
      await test.close();
      await test.close();
    }
    expect(await schemas()).toEqual([...before, 'Kept "one"'].toSorted());
  });

  it('takes the place of the modules that an application has, and shares its connection and its transactions', async () => {
    @Module({
      imports: [
        PostgresModule.forRoot({ url: database.url }),
        WorkflowModule.forRoot({ schema: 'of_the_application' }),
        KvModule.forRoot({ store: 'postgres' }),
      ],
      providers: [Log, Kept],
    })
    class AppModule {}
    const test = await WorkflowTestingModule.create(
      { imports: [AppModule] },
      { store: 'postgres' },
    ).compile();
    open.push(test);
    expect(test.get(WorkflowService)).toBe(test.workflows);
    test.crashAfterStep('keep');
    const run = await test.start(Kept, 'no');
    await test.skipTime('1d');
    expect(await run.result()).toBe('kept');
    expect(test.crashes).toBe(1);
    const kv = test.get(KeyValueStore);
    expect([await kv.get('kept'), await kv.has('no')]).toEqual([1, false]);
    expect(await schemas()).not.toContain('of_the_application');
  });

  it('tests one of several modules, and may start a whole application', async () => {
    const test = await WorkflowTestingModule.create(
      {
        imports: [WorkflowModule.forRoot({ store: 'memory' })],
        providers: [Log, Billing],
      },
      { name: 'billing' },
    ).compile((module) => module.createNestApplication());
    open.push(test);
    const run = await test.start(Billing, undefined);
    await test.skipTime('1d');
    expect(await run.result()).toBe('billed');
    expect(test.get(getWorkflowToken('billing'))).toBe(test.workflows);
    expect(test.get(WorkflowService)).not.toBe(test.workflows);
    expect(test.app.getHttpServer()).toBeDefined();
  });

  it('fails as the application fails, and leaves nothing open', async () => {
    const builder = WorkflowTestingModule.create({ providers: [Checkout, Payments] });
    await expect(builder.compile()).rejects.toThrow('Log');
    const test = await builder.useMocker(() => ({ write: () => undefined })).compile();
    open.push(test);
    await test.settled();
    expect(test.get(Checkout)).toBeInstanceOf(Checkout);
  });

  it.each([
    ['a time', (test: WorkflowTestingModule) => test.skipTime('-1s')],
    ['a step', async (test: WorkflowTestingModule) => test.crashAfterStep('')],
    ['a count', async (test: WorkflowTestingModule) => test.crashAfterStep('a', { times: 0 })],
  ])('refuses %s that is none', async (_, call) => {
    const test = await WorkflowTestingModule.create({}).compile();
    open.push(test);
    await expect(call(test)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
