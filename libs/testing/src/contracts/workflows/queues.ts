/// <reference types="jest" />
import type { WorkflowService } from '@nestbox/workflows';
import { eventually } from '../../eventually.js';
import { define, gate, numbers, pause, unique, type Defined, type WorkflowSuite } from './subject.js';

interface Watched {
  flow: Defined;
  began: { input: unknown; at: number }[];
  /** How many were at it at once, at the most: of all, and of one input. */
  most: () => number;
  mostOf: (input: unknown) => number;
}

/** A workflow that notes when its runs begin and how many there are at once. */
function watched(queue: string, ms = 15): Watched {
  const began: { input: unknown; at: number }[] = [];
  const now = new Map<unknown, number>();
  const peaks = new Map<unknown, number>();
  const count = (key: unknown, by: number): void => {
    const n = (now.get(key) ?? 0) + by;
    now.set(key, n);
    peaks.set(key, Math.max(peaks.get(key) ?? 0, n));
  };
  const flow = define(
    async (context, input) => {
      began.push({ input, at: performance.now() });
      count('all', 1);
      count(input, 1);
      await context.step('busy', () => pause(ms));
      count('all', -1);
      count(input, -1);
    },
    { queue },
  );
  return { flow, began, most: () => peaks.get('all') ?? 0, mostOf: (input) => peaks.get(input) ?? 0 };
}

async function results(service: WorkflowService, ids: readonly { id: string }[]): Promise<void> {
  await Promise.all(ids.map(({ id }) => service.get(id).result({ timeout: '20s' })));
}

export function queues(suite: WorkflowSuite): void {
  describe('a queue', () => {
    it('with a limit runs so many at once, over all processes', async () => {
      const scene = await suite.scene();
      const queue = unique('queue');
      const { flow, began, most } = watched(queue);
      const options = { limits: { [queue]: { concurrency: 2 } } };
      const services = [await scene.worker([flow], options), await scene.worker([flow], options)];
      const handles = await Promise.all(numbers(10).map((i) => services[i % 2]!.start(flow.type, i)));
      await results(services[0]!, handles);
      expect(began).toHaveLength(10);
      expect(most()).toBe(2);
    });

    it('with a limit for each key runs so many with the same key at once', async () => {
      const scene = await suite.scene();
      const queue = unique('queue');
      const { flow, most, mostOf } = watched(queue);
      const service = await scene.worker([flow], { limits: { [queue]: { partitionConcurrency: 1 } } });
      const handles = await Promise.all(
        numbers(9).map((i) => service.start(flow.type, `k${i % 3}`, { partitionKey: `k${i % 3}` })),
      );
      await results(service, handles);
      for (const key of ['k0', 'k1', 'k2']) expect(mostOf(key)).toBe(1);
      expect(most()).toBeGreaterThan(1);
    });

    it('with a rate begins so many within a time', async () => {
      const scene = await suite.scene();
      const queue = unique('queue');
      const { flow, began } = watched(queue, 1);
      const service = await scene.worker([flow], { limits: { [queue]: { rate: { limit: 2, per: 200 } } } });
      const handles = await Promise.all(numbers(6).map((i) => service.start(flow.type, i)));
      await results(service, handles);
      const times = began.map(({ at }) => at);
      for (const i of numbers(4)) expect(times[i + 2]! - times[i]!).toBeGreaterThanOrEqual(150);
    });

    it('with a limit takes no room for runs that are parked', async () => {
      const scene = await suite.scene();
      const queue = unique('queue');
      const waiting = define((context) => context.waitForSignal('go'), { queue });
      const { flow } = watched(queue);
      const service = await scene.worker([flow, waiting], { limits: { [queue]: { concurrency: 1 } } });
      const parked = await service.start(waiting.type, {});
      await eventually(async () => expect(await parked.status()).toBe('suspended'));
      await results(service, [await service.start(flow.type, 1)]);
      await parked.signal('go', 'on');
      expect(await parked.result({ timeout: '10s' })).toBe('on');
    });

    it('is served by those who serve it', async () => {
      const scene = await suite.scene();
      const [mine, yours] = [unique('queue'), unique('queue')];
      const { flow, began } = watched(mine);
      const service = await scene.worker([flow], { queues: [mine], pollMs: 20 });
      const here = await service.start(flow.type, 'here');
      const there = await service.start(flow.type, 'there', { queue: yours });
      await here.result({ timeout: '10s' });
      await pause(60);
      expect(began.map(({ input }) => input)).toEqual(['here']);
      await scene.worker([flow], { queues: [yours] });
      await there.result({ timeout: '10s' });
    });

    it('gives the runs with the lowest priority number first, then the oldest', async () => {
      const scene = await suite.scene();
      const { flow, began } = watched(unique('queue'), 1);
      const client = await scene.client();
      const handles = [];
      for (const [input, priority] of [
        ['late', 5],
        ['second', 1],
        ['third', 1],
        ['first', -3],
        ['fourth', undefined],
      ] as const) {
        handles.push(await client.start(flow.type, input, priority === undefined ? {} : { priority }));
      }
      const service = await scene.worker([flow], { concurrency: 1 });
      await results(service, handles);
      expect(began.map(({ input }) => input)).toEqual(['first', 'fourth', 'second', 'third', 'late']);
    });
  });

  describe('a worker', () => {
    it('runs so many runs at once as it may, and more that only wait', async () => {
      const scene = await suite.scene();
      const { flow, most } = watched(unique('queue'));
      const waiting = define((context) => context.waitForSignal('go'));
      const service = await scene.worker([flow, waiting], { concurrency: 3 });
      const parked = await Promise.all(numbers(10).map(() => service.start(waiting.type, {})));
      const handles = await Promise.all(numbers(12).map((i) => service.start(flow.type, i)));
      await results(service, handles);
      expect(most()).toBeLessThanOrEqual(3);
      for (const handle of parked) await handle.signal('go');
      await results(service, parked);
    });

    it('shares the work with others, and gives each run to one', async () => {
      const scene = await suite.scene();
      const ran: string[] = [];
      const flow = define(async (context) => context.step('a', () => void ran.push(context.runId)));
      const client = await scene.client();
      const handles = await Promise.all(numbers(60).map(() => client.start(flow.type, {})));
      const services = await Promise.all(numbers(3).map(() => scene.worker([flow], { concurrency: 7 })));
      await results(services[0]!, handles);
      expect(ran.toSorted()).toEqual(handles.map(({ id }) => id).toSorted());
    });

    it('whose lease is over records nothing more, stops its steps, and takes new work', async () => {
      const scene = await suite.scene();
      const [begun, go] = [gate(), gate()];
      const reasons: unknown[] = [];
      const done: string[] = [];
      let executions = 0;
      const flow = define(async (context) => {
        const execution = ++executions;
        const result = await context.step('a', async ({ signal }) => {
          if (execution > 1) return `execution ${execution}`;
          signal.addEventListener('abort', () => reasons.push(signal.reason));
          begun.open();
          await go.promise;
          return 'too late';
        });
        done.push(result);
        return result;
      });
      const service = await scene.worker([flow], { lease: 300 });
      const { workerId } = service;
      const handle = await service.start(flow.type, {});
      await begun.promise;
      await scene.bury(workerId);
      await eventually(() => expect(reasons).toMatchObject([{ code: 'RUN_RELEASED' }]));
      go.open();
      expect(await handle.result({ timeout: '10s' })).toBe('execution 2');
      expect(done).toEqual(['execution 2']);
      expect(service.workerId).not.toBe(workerId);
      expect(await (await service.start(flow.type, {})).result({ timeout: '10s' })).toBe('execution 3');
    });
  });
}
