import { jest } from '@jest/globals';
import { eventually } from '@nestbox/testing';
import {
  Workflow,
  WorkflowHealthIndicator,
  WorkflowModule,
  WorkflowService,
  getWorkflowToken,
  type WorkflowContext,
} from '@nestbox/workflows';
import { Logger, type Type } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { AppDatabase, Apps } from './support/start-app.js';

const apps = new Apps();
let database: AppDatabase;
let schemas = 0;
beforeAll(async () => {
  jest.spyOn(Logger.prototype, 'error').mockReturnValue();
  database = await AppDatabase.create();
});
afterEach(() => apps.close());
afterAll(() => database.drop());

@Workflow({ name: 'waiting' })
class Waiting {
  /** The step that it has before it waits. */
  step = 'before';

  async run(context: WorkflowContext): Promise<void> {
    await context.step(this.step, () => undefined);
    await context.waitForSignal('go');
    await context.step('after', () => undefined);
  }
}

describe.each([
  ['memory', () => ({ store: 'memory' as const })],
  ['postgres', () => ({ store: 'postgres' as const })],
])('WorkflowHealthIndicator on %s', (backend, optionsOf) => {
  async function start(providers: Type[], options: { name?: string; worker?: boolean } = {}) {
    const { name, worker } = options;
    const app = await apps.start({
      imports: [
        TerminusModule,
        database.connect(),
        WorkflowModule.forRoot({ ...optionsOf(), schema: `health${++schemas}`, name, worker }),
      ],
      providers,
    });
    return {
      app,
      workflows: app.get<WorkflowService>(getWorkflowToken(name)),
      health: app.get(WorkflowHealthIndicator),
    };
  }

  it('reports how many runs are in which state, as JSON', async () => {
    const { workflows, health } = await start([Waiting]);
    await workflows.start(Waiting, undefined);
    await eventually(async () => expect(await workflows.figures()).toMatchObject({ parked: 1 }));
    const report = JSON.parse(JSON.stringify(await health.isHealthy())) as { workflows: unknown };
    expect(report).toEqual({
      workflows: {
        status: 'up',
        backend,
        latencyMs: expect.any(Number),
        active: 0,
        ready: 0,
        parked: 1,
        stuck: 0,
        dead: 0,
        oldestReadyMs: null,
        here: 0,
        worker: 'live',
        leaseAgeMs: backend === 'postgres' ? expect.any(Number) : null,
      },
    });
  });

  it('is degraded while there are stuck runs', async () => {
    const { app, workflows, health } = await start([Waiting]);
    const handle = await workflows.start(Waiting, undefined);
    await eventually(async () => expect(await workflows.figures()).toMatchObject({ parked: 1 }));
    app.get(Waiting).step = 'other';
    await handle.signal('go');
    await eventually(async () => expect(await handle.status()).toBe('stuck'));
    expect(await health.isHealthy('runs')).toMatchObject({
      runs: {
        status: 'degraded',
        stuck: 1,
        message:
          "1 run is stuck, since the code does not fit what they did before; see list({ status: 'stuck' }).",
      },
    });
    await handle.cancel();
    expect(await health.isHealthy('runs')).toMatchObject({ runs: { status: 'up', stuck: 0 } });
  });

  it('is degraded while a run waits too long for a worker, or is dead', async () => {
    const { workflows, health } = await start([], { worker: false });
    await workflows.start(Waiting, undefined);
    await eventually(async () => expect((await workflows.figures()).oldestReadyMs).toBeGreaterThan(2));
    expect(await health.isHealthy()).toMatchObject({ workflows: { status: 'up', ready: 1, worker: 'none' } });
    const late = await health.isHealthy('workflows', { maxWait: 1 });
    expect(late).toMatchObject({ workflows: { status: 'degraded', oldestReadyMs: expect.any(Number) } });
    expect(late.workflows['message']).toMatch(/^1 run is ready, the oldest for [\d.]+ s; is there a worker/);

    const figures = await workflows.figures();
    workflows.figures = async () => ({ ...figures, dead: 2 });
    expect((await health.isHealthy()).workflows).toMatchObject({
      status: 'degraded',
      message: expect.stringMatching(/^2 runs are dead, .*list\(\{ status: 'dead' \}\)/),
    });
    await expect(health.isHealthy('workflows', { maxWait: 'long' })).rejects.toThrow('Invalid maxWait');
  });

  it('is down within the timeout when there is no answer', async () => {
    const { workflows, health } = await start([], { name: 'main' });
    const { ping } = workflows.backend;
    workflows.backend.ping = () => new Promise(() => undefined);
    expect(await health.isHealthy('runs', { name: 'main', timeout: 30 })).toEqual({
      runs: {
        status: 'down',
        backend,
        message: `The workflow store on ${backend} did not answer within 30 ms.`,
      },
    });
    workflows.backend.ping = async () => {
      throw new Error('connection refused');
    };
    expect(await health.isHealthy('runs', { name: 'main' })).toMatchObject({
      runs: { status: 'down', message: 'connection refused' },
    });
    workflows.backend.ping = ping;
  });
});
