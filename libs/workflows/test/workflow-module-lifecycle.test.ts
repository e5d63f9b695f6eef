import { jest } from '@jest/globals';
import { eventually } from '@nestbox/testing';
import {
  PgWorkflowBackend,
  Workflow,
  WorkflowModule,
  WorkflowService,
  type WorkflowContext,
  type WorkflowModuleOptions,
} from '@nestbox/workflows';
import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { TcpProxy } from '../../../test/support/tcp-proxy.js';
import { AppDatabase, Apps } from './support/start-app.js';

const apps = new Apps();
let database: AppDatabase;
let schemas = 0;
beforeAll(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  jest.spyOn(Logger.prototype, 'error').mockReturnValue();
  database = await AppDatabase.create();
});
afterEach(() => apps.close());
afterAll(() => database.drop());

const newSchema = (): string => `life${++schemas}`;

@Workflow({ name: 'double' })
class Double {
  async run(context: WorkflowContext, n: number): Promise<number> {
    return context.step('double', () => 2 * n);
  }
}

describe('the start of an application', () => {
  class CountingBackend extends PgWorkflowBackend {
    attempts = 0;

    override init(): Promise<void> {
      this.attempts++;
      return super.init();
    }
  }

  /** An application whose database cannot be reached until the link to it is healed. */
  async function throughLink(startTimeout: WorkflowModuleOptions['startTimeout']) {
    const proxy = await TcpProxy.to(Number(new URL(database.url).port));
    proxy.cut();
    const source = { url: proxy.url(database.url), connectTimeout: 100 };
    const backend = new CountingBackend(source, { schema: newSchema() });
    const start = () =>
      apps.start({
        imports: [WorkflowModule.forRoot({ store: backend, startTimeout })],
        providers: [Double],
      });
    return { proxy, start, backend };
  }

  it('waits for a database that comes up late, and then runs', async () => {
    const { proxy, start, backend } = await throughLink('20s');
    await using _ = proxy;
    const starting = start();
    await eventually(() => expect(backend.attempts).toBeGreaterThan(1));
    proxy.heal();
    const workflows = (await starting).get(WorkflowService);
    expect(await (await workflows.start(Double, 2)).result()).toBe(4);
    await apps.close();
    await backend.close();
  });

  it('fails after the time that it was given', async () => {
    const { proxy, start, backend } = await throughLink(200);
    await using _ = proxy;
    await expect(start()).rejects.toMatchObject({ code: 'POSTGRES_UNAVAILABLE' });
    await apps.close();
    await backend.close();
  });

  it('does not wait where it is told not to, and runs when the database is there', async () => {
    const { proxy, start, backend } = await throughLink(false);
    await using _ = proxy;
    const workflows = (await start()).get(WorkflowService);
    await expect(workflows.start(Double, 2)).rejects.toMatchObject({ code: 'POSTGRES_UNAVAILABLE' });
    proxy.heal();
    const handle = await eventually(() => workflows.start(Double, 2), { timeoutMs: 10_000 });
    expect(await handle.result({ timeout: '10s' })).toBe(4);
    await apps.close();
    await backend.close();
  });

  it('tries again when the worker could not begin', async () => {
    const backend = new PgWorkflowBackend(database.url, { schema: newSchema() });
    const join = jest.spyOn(backend, 'join').mockRejectedValueOnce(new Error('not yet'));
    const app = await apps.start({
      imports: [WorkflowModule.forRoot({ store: backend })],
      providers: [Double],
    });
    expect(join).toHaveBeenCalledTimes(2);
    expect(app.get(WorkflowService).workerState.worker).toBe('live');
    expect(await (await app.get(WorkflowService).start(Double, 2)).result()).toBe(4);
    await apps.close();
    await backend.close();
  });

  it('can be given up before it has come about', async () => {
    const { proxy, start, backend } = await throughLink(false);
    await using _ = proxy;
    const app = await start();
    await app.close();
    await expect(app.close()).resolves.toBeUndefined();
    await backend.close();
  });

  it('lets a provider start runs in its own hooks', async () => {
    @Injectable()
    class Seed implements OnModuleInit {
      constructor(private readonly workflows: WorkflowService) {}

      async onModuleInit(): Promise<void> {
        await this.workflows.start(Double, 4, { id: 'seed' });
      }
    }
    const app = await apps.start({
      imports: [database.connect(), WorkflowModule.forRoot({ schema: newSchema() })],
      providers: [Double, Seed],
    });
    expect(await app.get(WorkflowService).get('seed').result({ timeout: '10s' })).toBe(8);
  });
});

describe('the end of an application', () => {
  /** Lets a test decide when a step goes on. */
  class Gate {
    private resolve!: () => void;
    private readonly opened = new Promise<void>((resolve) => {
      this.resolve = resolve;
    });
    signals: AbortSignal[] = [];
    /** Whether a step had been told to stop when it went on. */
    wasAborted: boolean[] = [];

    open(): void {
      this.resolve();
    }

    async pass(signal: AbortSignal): Promise<number> {
      this.signals.push(signal);
      await this.opened;
      this.wasAborted.push(signal.aborted);
      return this.signals.length;
    }
  }

  let gate: Gate;
  beforeEach(() => {
    gate = new Gate();
  });

  @Workflow({ name: 'slow' })
  class Slow {
    async run(context: WorkflowContext): Promise<number[]> {
      const first = await context.step('first', ({ signal }) => gate.pass(signal));
      return [first, await context.step('second', ({ signal }) => gate.pass(signal))];
    }
  }

  const start = (schema: string, drainTimeout: string | number) =>
    apps.start({
      imports: [database.connect(), WorkflowModule.forRoot({ schema, drainTimeout })],
      providers: [Slow],
    });

  it('waits for the step that runs, begins no other, and the next one goes on behind it', async () => {
    const schema = newSchema();
    const app = await start(schema, '20s');
    await app.get(WorkflowService).start(Slow, undefined, { id: 'one' });
    await eventually(() => expect(gate.signals).toHaveLength(1));
    const closing = app.close();
    gate.open();
    await closing;
    expect(gate.signals).toHaveLength(1);
    expect(gate.wasAborted).toEqual([false]);

    const next = await start(schema, '20s');
    expect(await next.get(WorkflowService).get('one').result({ timeout: '10s' })).toEqual([1, 2]);
  });

  it('does not wait for ever, tells the step by its signal, and gives the run to others at once', async () => {
    const schema = newSchema();
    const app = await start(schema, 50);
    await app.get(WorkflowService).start(Slow, undefined, { id: 'one' });
    await eventually(() => expect(gate.signals).toHaveLength(1));
    await app.close();
    expect(gate.signals[0]!.aborted).toBe(true);
    gate.open();
    const next = await start(schema, '20s');
    expect(await next.get(WorkflowService).get('one').result({ timeout: '5s' })).toEqual([2, 3]);
  });

  it('takes no more runs once it has begun, while others can still be started', async () => {
    const schema = newSchema();
    const app = await start(schema, '20s');
    const workflows = app.get(WorkflowService);
    await workflows.start(Slow, undefined);
    await eventually(() => expect(gate.signals).toHaveLength(1));
    const closing = app.close();
    await eventually(() => expect(workflows.workerState.worker).toBe('none'));
    await workflows.start(Slow, undefined, { id: 'late' });
    // A claim that was under way may have taken it, and gives it back.
    await eventually(async () => expect(await workflows.figures()).toMatchObject({ ready: 1 }));
    gate.open();
    await closing;
    expect(gate.signals).toHaveLength(1);
  });

  it('may come twice, and without a start', async () => {
    const twice = await apps.start({
      imports: [WorkflowModule.forRoot({ store: 'memory' })],
      providers: [Double],
    });
    await twice.close();
    await expect(twice.close()).resolves.toBeUndefined();

    const never = await Test.createTestingModule({
      imports: [
        database.connect(),
        WorkflowModule.forRoot(),
        WorkflowModule.forRoot({ store: 'memory', name: 'billing' }),
      ],
      providers: [Double],
    }).compile();
    const workflows = never.get(WorkflowService);
    await never.close();
    await expect(workflows.start(Double, 1)).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
