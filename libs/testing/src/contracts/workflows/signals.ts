/// <reference types="jest" />
import { eventually } from '../../eventually.js';
import { expectSameAtEveryPoint } from './crashes.js';
import { define, failureOf, gate, numbers, type WorkflowSuite } from './subject.js';

export function signals(suite: WorkflowSuite): void {
  describe('a signal', () => {
    it('that comes before anybody waits for it is kept', async () => {
      const scene = await suite.scene();
      const go = gate();
      const flow = define(async (context) => {
        await context.step('busy', () => go.promise);
        return context.waitForSignal('go');
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await handle.signal('go', 'early');
      go.open();
      expect(await handle.result({ timeout: '10s' })).toBe('early');
    });

    it('that comes before the run has begun is kept', async () => {
      const scene = await suite.scene();
      const flow = define((context) => context.waitForSignal('go'));
      const client = await scene.client();
      const handle = await client.start(flow.type, {});
      await handle.signal('go', 'early');
      await scene.worker([flow]);
      expect(await handle.result({ timeout: '10s' })).toBe('early');
    });

    it('wakes a run that is parked, wherever it comes from', async () => {
      const scene = await suite.scene();
      const flow = define(async (context) => [
        await context.waitForSignal('go'),
        await context.step('a', () => 1),
      ]);
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await eventually(async () => expect(await handle.status()).toBe('suspended'));
      expect(service.activeRuns).toBe(0);
      const client = await scene.client();
      await client.signal(handle.id, 'other');
      expect(await handle.status()).toBe('suspended');
      await client.signal(handle.id, 'go', { at: new Date(0) });
      expect(await handle.result({ timeout: '10s' })).toEqual([{ at: new Date(0) }, 1]);
    });

    it('is not lost while the run is being parked', async () => {
      const scene = await suite.scene();
      const flow = define(async (context) => {
        const all: unknown[] = [];
        for (const _ of numbers(20)) all.push(await context.waitForSignal('go'));
        return all;
      });
      // With room for one run only, one that waits is parked at once.
      const service = await scene.worker([flow], { concurrency: 1 });
      const handle = await service.start(flow.type, {});
      for (const i of numbers(20)) {
        if (i % 3 === 0) await eventually(async () => expect(await handle.status()).toBe('suspended'));
        else if (i % 3 === 1) await new Promise(setImmediate);
        await handle.signal('go', i);
      }
      expect(await handle.result({ timeout: '20s' })).toEqual(numbers(20));
    });

    it('of one name is taken by one wait, in the order in which they were sent', async () => {
      const scene = await suite.scene();
      const flow = define(async (context) => {
        const all: unknown[] = [];
        for (const _ of numbers(4)) all.push(await context.waitForSignal('go'));
        return all;
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      for (const i of numbers(4)) await handle.signal('go', i);
      expect(await handle.result({ timeout: '10s' })).toEqual([0, 1, 2, 3]);
    });

    it('twice with one dedupe key is delivered once, also when the first has been taken', async () => {
      const scene = await suite.scene();
      const flow = define(async (context) => [
        await context.waitForSignal('go'),
        await context.waitForSignal('go'),
        await context.waitForSignal('go'),
      ]);
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await handle.signal('go', 1, { dedupe: 'a' });
      await handle.signal('go', 2, { dedupe: 'a' });
      await eventually(async () => (await handle.steps()).some(({ status }) => status === 'done'));
      await handle.signal('go', 3, { dedupe: 'a' });
      await handle.signal('go', 4, { dedupe: 'b' });
      await handle.signal('go', 5);
      expect(await handle.result({ timeout: '10s' })).toEqual([1, 4, 5]);
    });

    it('is taken once, whether the process dies before or after it is recorded', async () => {
      const scene = await suite.scene();
      const hold = gate();
      const flow = define(async (context) => {
        const first = await context.waitForSignal('go');
        await context.step('hold', () => hold.promise);
        return [first, await context.waitForSignal('go')];
      });
      const one = await scene.worker([flow]);
      const handle = await one.start(flow.type, {});
      await handle.signal('go', 1);
      await handle.signal('go', 2);
      await eventually(async () => (await handle.steps()).some(({ status }) => status === 'done'));
      await scene.crash(one);
      hold.open();
      const two = await scene.worker([flow]);
      expect(await two.get(handle.id).result({ timeout: '10s' })).toEqual([1, 2]);
    });

    it('is delivered once, wherever the processes die', async () => {
      const scene = await suite.scene();
      const client = await scene.client();
      const output = await expectSameAtEveryPoint(
        scene,
        async (context, notes) => {
          const first = notes.sees('first', await context.waitForSignal('go'));
          await context.step('a', notes.does(1));
          const others = await Promise.all(
            ['x', 'y'].map((name) =>
              context.branch(name, async (own) => [
                await own.waitForSignal(name),
                await own.step('b', notes.does(name)),
                await own.waitForSignal(name, { timeout: '20s' }),
              ]),
            ),
          );
          return notes.sees('all', [first, ...others]);
        },
        {
          meanwhile: async (id) => {
            for (const [name, payload] of [
              ['go', 1],
              ['y', 1],
              ['y', 2],
              ['x', 1],
              ['x', 2],
            ] as const) {
              for (const _ of [1, 2]) {
                await client.signal(id, name, payload, { dedupe: `${payload}` });
              }
            }
          },
        },
      );
      expect(output).toEqual([1, [1, 'x', 2], [1, 'y', 2]]);
    });

    it('goes to the branch that waits for its name', async () => {
      const scene = await suite.scene();
      const flow = define((context) =>
        Promise.all(
          ['a', 'b'].map((name) => context.branch(name, (own) => own.waitForSignal(`${name} come`))),
        ),
      );
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await eventually(async () => expect(await handle.status()).toBe('suspended'));
      await handle.signal('b come', 'b');
      await handle.signal('a come', 'a');
      expect(await handle.result({ timeout: '10s' })).toEqual(['a', 'b']);
    });

    it('of one name goes to two branches in the order in which they wait, also after a crash', async () => {
      const scene = await suite.scene();
      const flow = define((context) =>
        Promise.all(['a', 'b'].map((name) => context.branch(name, (own) => own.waitForSignal('go')))),
      );
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await handle.signal('go', 1);
      await eventually(async () => (await handle.steps()).some(({ status }) => status === 'done'));
      await scene.crash(service);
      await handle.signal('go', 2);
      const second = await scene.worker([flow]);
      expect(await second.get(handle.id).result({ timeout: '10s' })).toEqual([1, 2]);
    });

    it('that does not come in time is an error, with the run parked or not', async () => {
      const scene = await suite.scene();
      const flow = define(async (context, timeout: number) =>
        context.waitForSignal('go', { timeout }).catch(({ name, code, signalName, timeoutMs }) => ({
          name,
          code,
          signalName,
          timeoutMs,
        })),
      );
      const service = await scene.worker([flow]);
      for (const timeoutMs of [20, 1_300]) {
        const handle = await service.start(flow.type, timeoutMs);
        expect(await handle.result({ timeout: '10s' })).toEqual({
          name: 'SignalTimeoutError',
          code: 'SIGNAL_TIMEOUT',
          signalName: 'go',
          timeoutMs,
        });
      }
    });

    it('in time ends a wait with a timeout, though the process dies', async () => {
      const scene = await suite.scene();
      const flow = define((context) => context.waitForSignal('go', { timeout: '30s' }));
      const first = await scene.worker([flow]);
      const handle = await first.start(flow.type, {});
      await eventually(async () => (await handle.steps()).length === 1);
      const [{ wakeAt } = {}] = await handle.steps();
      await scene.crash(first);
      const second = await scene.worker([flow]);
      await eventually(() => second.activeRuns === 1);
      expect((await handle.steps())[0]!.wakeAt).toEqual(wakeAt);
      await handle.signal('go', 'in time');
      expect(await second.get(handle.id).result({ timeout: '10s' })).toBe('in time');
    });

    it('to a run that is over is refused, and so is one to none', async () => {
      const scene = await suite.scene();
      const flow = define(async () => 1);
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await handle.result();
      expect(await failureOf(handle.signal('go'))).toMatchObject({ code: 'RUN_STATE', status: 'completed' });
      expect(await failureOf(service.signal('nobody', 'go'))).toMatchObject({ code: 'RUN_NOT_FOUND' });
      expect(await failureOf(service.signal('nobody', ''))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        path: 'name',
      });
      expect(await failureOf(service.signal('nobody', 'a', 1, { dedupe: '\0' }))).toMatchObject({
        path: 'options.dedupe',
      });
    });
  });
}
