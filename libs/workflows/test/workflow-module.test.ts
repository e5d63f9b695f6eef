import { jest } from '@jest/globals';
import { KeyValueStore, KvModule } from '@nestbox/kv';
import { Postgres } from '@nestbox/postgres';
import { eventually } from '@nestbox/testing';
import {
  InjectWorkflows,
  MemoryWorkflowBackend,
  PgWorkflowBackend,
  Workflow,
  WorkflowModule,
  WorkflowService,
  getWorkflowToken,
  type WorkflowContext,
  type WorkflowModuleOptions,
} from '@nestbox/workflows';
import { Injectable, Logger, Module } from '@nestjs/common';
import { AppDatabase, Apps } from './support/start-app.js';

const apps = new Apps();
let database: AppDatabase;
let schemas = 0;
beforeAll(async () => {
  database = await AppDatabase.create();
});
afterEach(() => apps.close());
afterAll(() => database.drop());
afterEach(() => jest.restoreAllMocks());

const memory = (name?: string) => WorkflowModule.forRoot({ store: 'memory', name });
const newSchema = (): string => `module${++schemas}`;

@Injectable()
class Greetings {
  readonly word: string = 'Hello';
}

@Workflow({ name: 'greet' })
class Greet {
  constructor(protected readonly greetings: Greetings) {}

  async run(context: WorkflowContext, name: string): Promise<string> {
    return context.step('greet', () => `${this.greetings.word}, ${name}!`);
  }
}

@Workflow({ name: 'greet', store: 'billing' })
class BillingGreet extends Greet {
  override async run(_: WorkflowContext, name: string): Promise<string> {
    return `Dear ${name}`;
  }
}

@Injectable()
class Shop {
  constructor(
    readonly workflows: WorkflowService,
    @InjectWorkflows('billing') readonly billing: WorkflowService,
  ) {}
}

describe('WorkflowModule', () => {
  it('gives the service to everybody, by its class and by its name, and runs the classes of each', async () => {
    const app = await apps.start({
      imports: [memory(), memory('billing'), { module: class {}, providers: [Shop], exports: [Shop] }],
      providers: [Greetings, Greet, BillingGreet],
    });
    const { workflows, billing } = app.get(Shop);
    expect(app.get(getWorkflowToken())).toBe(workflows);
    expect(app.get(getWorkflowToken('billing'))).toBe(billing);
    expect(await (await workflows.start(Greet, 'Ann')).result()).toBe('Hello, Ann!');
    expect(await (await billing.start(BillingGreet, 'Ann')).result()).toBe('Dear Ann');
    expect(await workflows.counts()).toEqual({ greet: { completed: 1 } });
    await app.close();
    for (const each of [workflows, billing]) {
      await expect(each.list()).rejects.toMatchObject({ code: 'CLOSED' });
    }
  });

  it('finds classes in any module, with what these inject', async () => {
    @Module({ providers: [Greetings, Greet] })
    class FeatureModule {}
    const app = await apps.start({
      imports: [database.connect(), WorkflowModule.forRoot({ schema: newSchema() }), FeatureModule],
    });
    expect(await (await app.get(WorkflowService).start(Greet, 'Ann')).result()).toBe('Hello, Ann!');
  });

  it('can be told its options by a factory, with what that injects, or by a class', async () => {
    class Config {
      readonly maxPayloadBytes = 100;
    }
    class Options {
      createWorkflowOptions(): WorkflowModuleOptions {
        return { store: 'memory', maxPayloadBytes: 200 };
      }
    }
    const app = await apps.start({
      imports: [
        WorkflowModule.forRootAsync({
          imports: [{ module: class {}, providers: [Config], exports: [Config] }],
          inject: [Config],
          useFactory: async ({ maxPayloadBytes }: Config) => ({ store: 'memory' as const, maxPayloadBytes }),
        }),
        WorkflowModule.forRootAsync({ name: 'billing', useClass: Options }),
      ],
      providers: [Shop, Greetings, Greet, BillingGreet],
    });
    const { workflows, billing } = app.get(Shop);
    const name = 'a'.repeat(150);
    await expect(workflows.start(Greet, name)).rejects.toThrow('at most 100 are allowed');
    expect(await (await billing.start(BillingGreet, name)).result()).toBe(`Dear ${name}`);
  });

  it('finds the connection of a name, also when a factory gives it', async () => {
    const [one, two] = [newSchema(), newSchema()];
    const app = await apps.start({
      imports: [
        database.connect('main'),
        WorkflowModule.forRoot({ connection: 'main', schema: one }),
        WorkflowModule.forRootAsync({
          name: 'billing',
          useFactory: () => ({ connection: 'main', schema: two }),
        }),
      ],
      providers: [Shop],
    });
    const { workflows, billing } = app.get(Shop);
    const schemasOf = [workflows, billing].map(({ backend }) => (backend as PgWorkflowBackend).schema);
    expect(schemasOf).toEqual([one, two]);
    expect(await billing.counts()).toEqual({});
  });

  it('takes a backend of your own', async () => {
    const backend = new MemoryWorkflowBackend();
    const app = await apps.start({ imports: [WorkflowModule.forRoot({ store: backend })] });
    expect(app.get(WorkflowService).backend).toBe(backend);
  });

  it('only starts runs where it is told not to work, and says so when it has classes for it', async () => {
    const schema = newSchema();
    const log = jest.spyOn(Logger.prototype, 'log');
    const start = (worker: boolean, providers: (typeof Greetings | typeof Greet)[]) =>
      apps.start({ imports: [database.connect(), WorkflowModule.forRoot({ schema, worker })], providers });
    const web = (await start(false, [])).get(WorkflowService);
    const lines = (): unknown[] => log.mock.calls.map(([line]) => line as unknown);
    expect(lines()).not.toContainEqual(expect.stringContaining('worker: false'));
    const idle = (await start(false, [Greetings, Greet])).get(WorkflowService);
    expect(lines()).toContainEqual(expect.stringMatching(/runs no workflows \(worker: false\).*: greet\./));

    const handle = await web.start(Greet, 'Ann');
    expect([web.workerId, idle.workerId]).toEqual([undefined, undefined]);
    expect(await web.figures()).toMatchObject({ ready: 1, claimed: 0 });
    await start(true, [Greetings, Greet]);
    expect(await handle.result({ timeout: '10s' })).toBe('Hello, Ann!');
  });

  it('starts runs with other modules on the same connection, or not at all', async () => {
    const app = await apps.start({
      imports: [
        database.connect(),
        WorkflowModule.forRoot({ schema: newSchema() }),
        KvModule.forRoot({ store: 'postgres' }),
      ],
      providers: [Greetings, Greet],
    });
    const [postgres, kv, workflows] = [app.get(Postgres), app.get(KeyValueStore), app.get(WorkflowService)];
    const buy = (id: string, fails: boolean) =>
      postgres.transaction(async () => {
        await kv.set(id, 1);
        await workflows.start(Greet, 'Ann', { id });
        if (fails) throw new Error('changed my mind');
      });
    await buy('one', false);
    await expect(buy('two', true)).rejects.toThrow('changed my mind');
    expect([await kv.has('one'), await kv.has('two')]).toEqual([true, false]);
    expect(await workflows.get('one').result({ timeout: '10s' })).toBe('Hello, Ann!');
    expect((await workflows.list()).runs.map(({ id }) => id)).toEqual(['one']);
  });

  it('lets a test put another provider in the place of one that a workflow injects', async () => {
    const { Test } = await import('@nestjs/testing');
    const app = await Test.createTestingModule({ imports: [memory()], providers: [Greetings, Greet] })
      .overrideProvider(Greetings)
      .useValue({ word: 'Ahoy' })
      .compile();
    await app.init();
    expect(await (await app.get(WorkflowService).start(Greet, 'Ann')).result()).toBe('Ahoy, Ann!');
    await app.close();
  });

  it.each<[object, string]>([
    [{ store: 'mongo' }, "store: must be 'postgres', 'memory', or a WorkflowBackend."],
    [{ store: 'postgres' }, 'connection: there is no PostgresModule.'],
    [{ store: 'postgres', connection: 'main' }, "connection: there is no PostgresModule of the name 'main'"],
    [{ store: 'memory', startTimeout: 'soon' }, 'startTimeout: '],
    [{ store: 'memory', drainTimeout: 'soon' }, 'drainTimeout: '],
    [{ store: 'memory', concurrency: 0 }, 'concurrency: 0 must be'],
  ])('refuses %j', async (options, problem) => {
    const starting = apps.start({ imports: [WorkflowModule.forRoot(options)] });
    await expect(starting).rejects.toThrow(problem);
  });

  it('gives the settings of the worker on', async () => {
    const backend = new MemoryWorkflowBackend();
    const saveQueues = jest.spyOn(backend, 'saveQueues');
    const claim = jest.spyOn(backend, 'claim');
    await apps.start({
      imports: [
        WorkflowModule.forRoot({
          store: backend,
          concurrency: 7,
          queues: ['mail'],
          limits: { mail: { concurrency: 2 } },
        }),
      ],
    });
    await eventually(() => expect(claim).toHaveBeenCalled());
    expect(claim.mock.calls[0]![0]).toMatchObject({ limit: 7, queues: ['mail'] });
    expect(saveQueues).toHaveBeenCalledWith([expect.objectContaining({ name: 'mail', concurrency: 2 })]);
  });
});
