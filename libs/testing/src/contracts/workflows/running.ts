/// <reference types="jest" />
import { eventually } from '../../eventually.js';
import { define, failureOf, gate, numbers, unique, type WorkflowSuite } from './subject.js';

export function running(suite: WorkflowSuite): void {
  describe('a start', () => {
    it('twice with the same id is one run and one result', async () => {
      const scene = await suite.scene();
      let ran = 0;
      const flow = define(async (context, input) => context.step('a', () => [input, ++ran]));
      const services = [await scene.worker([flow]), await scene.worker([flow]), await scene.client()];
      const id = unique('run');
      const handles = await Promise.all(
        numbers(12).map((i) => services[i % 3]!.start(flow.type, 'in', { id })),
      );
      for (const handle of handles) {
        expect(handle.id).toBe(id);
        expect(await handle.result({ timeout: '10s' })).toEqual(['in', 1]);
      }
      const late = await services[0]!.start(flow.type, 'other', { id });
      expect(await late.result({ timeout: '10s' })).toEqual(['in', 1]);
      expect(ran).toBe(1);
    });

    it('with the id of a run of another workflow is refused', async () => {
      const scene = await suite.scene();
      const [flow, other] = [define(async () => 1), define(async () => 2)];
      const service = await scene.client();
      const id = unique('run');
      await service.start(flow.type, {}, { id });
      expect(await failureOf(service.start(other.type, {}, { id }))).toMatchObject({
        code: 'RUN_CONFLICT',
        runId: id,
        workflow: other.name,
        existing: flow.name,
      });
    });

    it('in a transaction that is rolled back leaves nothing', async () => {
      const scene = await suite.scene();
      let ran = 0;
      const flow = define(async () => ++ran);
      const service = await scene.worker([flow]);
      const id = unique('run');
      const transaction = service.backend.transaction(async () => {
        await service.start(flow.type, {}, { id });
        expect((await service.get(id).info()).status).toBe('running');
        throw new Error('rolled back');
      });
      await expect(transaction).rejects.toThrow('rolled back');
      expect(await failureOf(service.get(id).info())).toMatchObject({ code: 'RUN_NOT_FOUND', runId: id });
      expect(await failureOf(service.get(id).result({ timeout: '5s' }))).toMatchObject({
        code: 'RUN_NOT_FOUND',
      });
      expect(ran).toBe(0);
    });

    it('in a transaction begins with its commit, and not before', async () => {
      const scene = await suite.scene();
      let ran = 0;
      const flow = define(async () => ++ran);
      const service = await scene.worker([flow], { pollMs: 10_000 });
      const handle = await service.backend.transaction(async () => {
        const started = await service.start(flow.type, {});
        await new Promise((resolve) => setTimeout(resolve, 30));
        expect(ran).toBe(0);
        return started;
      });
      expect(await handle.result({ timeout: '5s' })).toBe(1);
    });

    it('in a transaction step happens once', async () => {
      const scene = await suite.scene();
      const flow = define(async () => 'of the other');
      const outer = define(async (context) => {
        const id = unique('inner');
        await context.transaction('start', async () => {
          await service.start(flow.type, {}, { id });
        });
        return service.get(id).result({ timeout: '5s' });
      });
      const service = await scene.worker([flow, outer]);
      const handle = await service.start(outer.type, {});
      expect(await handle.result({ timeout: '10s' })).toBe('of the other');
    });

    it('with a delay begins when that is over', async () => {
      const scene = await suite.scene();
      const flow = define(async () => performance.now());
      const service = await scene.worker([flow]);
      const begin = performance.now();
      const handle = await service.start(flow.type, {}, { delay: 150 });
      expect(service.activeRuns).toBe(0);
      expect((await handle.result({ timeout: '10s' })) - begin).toBeGreaterThanOrEqual(145);
    });

    it('of a workflow that nobody knows waits until somebody does', async () => {
      const scene = await suite.scene();
      const [flow, other] = [define(async () => 1), define(async () => 2)];
      const service = await scene.worker([other], { pollMs: 20 });
      const handle = await service.start(flow.type, {});
      await new Promise((resolve) => setTimeout(resolve, 80));
      expect(await handle.status()).toBe('running');
      await scene.worker([flow]);
      expect(await handle.result({ timeout: '10s' })).toBe(1);
    });

    it.each<[string, object]>([
      ['options.id', { id: '' }],
      ['options.id', { id: 'a\0b' }],
      ['options.delay', { delay: 'soon' }],
      ['options.deadline', { deadline: -1 }],
      ['options.priority', { priority: 0.5 }],
      ['options.queue', { queue: '' }],
      ['options.partitionKey', { partitionKey: '' }],
    ])('refuses a bad %s', async (path, options) => {
      const scene = await suite.scene();
      const flow = define(async () => 1);
      const service = await scene.client();
      const failure = await failureOf(service.start(flow.type, {}, options));
      expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', path });
    });

    it('of something that is no workflow is refused', async () => {
      const scene = await suite.scene();
      class None {
        async run(_: unknown, input: object): Promise<object> {
          return input;
        }
      }
      const service = await scene.client();
      expect(await failureOf(service.start(None, {}))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        path: 'workflow',
      });
    });
  });

  describe('a run', () => {
    it('whose worker is gone goes on elsewhere', async () => {
      const scene = await suite.scene();
      const flow = define(async (context) => {
        await context.step('a', () => 1);
        await context.step('b', () => (isFirst ? new Promise(() => undefined) : 2));
        return 'done';
      });
      let isFirst = true;
      const first = await scene.worker([flow]);
      const { id } = await first.start(flow.type, {});
      await eventually(async () => (await first.get(id).steps()).length === 1);
      isFirst = false;
      const second = await scene.worker([flow]);
      await scene.crash(first);
      expect(await second.get(id).result({ timeout: '10s' })).toBe('done');
    });

    it('goes on elsewhere when its process shuts down, and a step that waits is told to stop', async () => {
      const scene = await suite.scene();
      const reasons: unknown[] = [];
      let isFirst = true;
      const begun = gate();
      const flow = define((context) =>
        context.step('a', async ({ signal }) => {
          if (!isFirst) return 'done';
          isFirst = false;
          begun.open();
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
          reasons.push(signal.reason);
          throw signal.reason;
        }),
      );
      const first = await scene.worker([flow], { drainTimeout: 20 });
      const { id } = await first.start(flow.type, {});
      await begun.promise;
      const second = await scene.worker([flow]);
      const begin = performance.now();
      await first.close();
      expect(await second.get(id).result({ timeout: '10s' })).toBe('done');
      expect(performance.now() - begin).toBeLessThan(1_000);
      expect(reasons).toMatchObject([{ code: 'RUN_RELEASED' }]);
    });

    it('ends its steps before its process shuts down, if they are quick', async () => {
      const scene = await suite.scene();
      const begun = gate();
      let ran = 0;
      const flow = define(async (context) => {
        await context.step('a', async () => {
          ran++;
          begun.open();
          await new Promise((resolve) => setTimeout(resolve, 50));
        });
        return context.step('b', () => ran);
      });
      const first = await scene.worker([flow]);
      const { id } = await first.start(flow.type, {});
      await begun.promise;
      await first.close();
      const second = await scene.worker([flow]);
      expect(await second.get(id).result({ timeout: '10s' })).toBe(1);
    });

    it('that keeps losing its worker is dead, until it is resumed', async () => {
      const scene = await suite.scene();
      const attempts = { count: 0, kills: true };
      const flow = define(
        (context) =>
          context.step('killer', () => {
            attempts.count++;
            return attempts.kills ? new Promise(() => undefined) : 'alive';
          }),
        { maxRecoveries: 2 },
      );
      const client = await scene.client();
      const { id } = await client.start(flow.type, {});
      for (let i = 1; i <= 3; i++) {
        const service = await scene.worker([flow]);
        await eventually(() => attempts.count === i);
        await scene.crash(service);
      }
      const last = await scene.worker([flow]);
      expect(await failureOf(last.get(id).result({ timeout: '10s' }))).toMatchObject({
        code: 'RUN_DEAD',
        runId: id,
      });
      expect(attempts.count).toBe(3);
      expect((await last.get(id).info()).error).toMatchObject({ code: 'RUN_DEAD' });
      attempts.kills = false;
      await last.get(id).resume();
      expect(await last.get(id).result({ timeout: '10s' })).toBe('alive');
    });

    it('that gets on between the deaths of its workers is not dead', async () => {
      const scene = await suite.scene();
      const tried = new Set<number>();
      const flow = define(
        async (context) => {
          for (const i of numbers(4)) {
            await context.step(`s${i}`, () => {
              if (tried.has(i)) return i;
              tried.add(i);
              return new Promise(() => undefined);
            });
          }
          return 'done';
        },
        { maxRecoveries: 1 },
      );
      const client = await scene.client();
      const { id } = await client.start(flow.type, {});
      for (const i of numbers(4)) {
        const service = await scene.worker([flow]);
        await eventually(() => tried.has(i));
        await scene.crash(service);
      }
      const last = await scene.worker([flow]);
      expect(await last.get(id).result({ timeout: '10s' })).toBe('done');
    });

    it('shows values by their keys, and no older ones while it is replayed', async () => {
      const scene = await suite.scene();
      const [hold, again] = [gate(), gate()];
      let executions = 0;
      const flow = define(async (context) => {
        executions++;
        for (const i of numbers(3)) {
          context.setValue('progress', i);
          context.setValue('big', { n: BigInt(i) });
          await context.step(`s${i}`, () => i);
        }
        await context.step('hold', () => (executions === 1 ? hold.promise : again.promise));
        context.setValue('progress', 'done');
      });
      const first = await scene.worker([flow]);
      const { id } = await first.start(flow.type, {});
      await eventually(async () => expect(await first.get(id).steps()).toHaveLength(3));
      expect(await first.get(id).values()).toEqual({ progress: 2, big: { n: 2n } });
      await scene.crash(first);
      const seen = new Set<unknown>();
      const second = await scene.worker([flow]);
      await eventually(async () => {
        seen.add((await second.get(id).values())['progress']);
        return executions === 2;
      });
      seen.add((await second.get(id).values())['progress']);
      expect([...seen]).toEqual([2]);
      again.open();
      await second.get(id).result({ timeout: '10s' });
      expect(await second.get(id).values()).toEqual({ progress: 'done', big: { n: 2n } });
    });

    it('waits for a result no longer than it is asked to', async () => {
      const scene = await suite.scene();
      const flow = define((context) => context.waitForSignal('never'));
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      expect(await failureOf(handle.result({ timeout: 20 }))).toMatchObject({ code: 'TIMEOUT' });
      const stop = new AbortController();
      const waiting = handle.result({ signal: stop.signal });
      stop.abort(new Error('enough'));
      await expect(waiting).rejects.toThrow('enough');
      expect(await failureOf(service.get('nobody').result())).toMatchObject({ code: 'RUN_NOT_FOUND' });
    });
  });
}
