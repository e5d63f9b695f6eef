/// <reference types="jest" />
import { eventually } from '../../eventually.js';
import { define, failureOf, gate, type WorkflowSuite } from './subject.js';

const quick = { base: 1, jitter: false };

export function endings(suite: WorkflowSuite): void {
  describe('a run that is cancelled', () => {
    it('while it waits for a worker never begins', async () => {
      const scene = await suite.scene();
      let ran = 0;
      const flow = define(async () => void ran++);
      const client = await scene.client();
      const handle = await client.start(flow.type, {});
      expect(await handle.cancel()).toBe(true);
      expect(await handle.cancel()).toBe(false);
      const service = await scene.worker([flow]);
      const next = await service.start(flow.type, {});
      await next.result({ timeout: '10s' });
      expect(ran).toBe(1);
      expect(await handle.status()).toBe('cancelled');
      expect((await handle.info()).error).toMatchObject({ code: 'RUN_CANCELLED', runId: handle.id });
      expect(await failureOf(handle.result())).toMatchObject({ code: 'RUN_CANCELLED', runId: handle.id });
    });

    it('while a step is done tells it so, and does nothing more', async () => {
      const scene = await suite.scene();
      const [begun, stopped] = [gate(), gate<unknown>()];
      const after: string[] = [];
      const flow = define(async (context) => {
        await context
          .step('busy', async ({ signal }) => {
            begun.open();
            await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
            stopped.open(signal.reason);
            return 'late';
          })
          .catch(() => undefined);
        await context.step('after', () => void after.push('step'));
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await begun.promise;
      const client = await scene.client();
      expect(await client.cancel(handle.id)).toBe(true);
      expect(await stopped.promise).toMatchObject({ code: 'RUN_CANCELLED' });
      expect(await failureOf(handle.result({ timeout: '10s' }))).toMatchObject({ code: 'RUN_CANCELLED' });
      await eventually(() => service.activeRuns === 0);
      expect(after).toEqual([]);
      expect(await handle.status()).toBe('cancelled');
    });

    it('while it is parked ends, and its code can see it', async () => {
      const scene = await suite.scene();
      const seen: unknown[] = [];
      const flow = define(async (context) => {
        await context.step('a', { compensate: () => seen.push('undone') }, () => 1);
        await context.waitForSignal('never').catch((error: unknown) => {
          seen.push((error as { code: unknown }).code);
          throw error;
        });
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await eventually(async () => expect(await handle.status()).toBe('suspended'));
      await handle.cancel();
      await eventually(() => expect(seen).toEqual(['RUN_CANCELLED', 'undone']));
      expect(await handle.status()).toBe('cancelled');
    });

    it('in a transaction step leaves nothing of the transaction, or all', async () => {
      const scene = await suite.scene();
      const [begun, go] = [gate(), gate()];
      const flow = define(async (context) => {
        await context.transaction('pay', async () => {
          begun.open();
          await go.promise;
          return 'paid';
        });
        await context.step('after', () => 'never');
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await begun.promise;
      await handle.cancel();
      go.open();
      expect(await failureOf(handle.result({ timeout: '10s' }))).toMatchObject({ code: 'RUN_CANCELLED' });
      await eventually(() => service.activeRuns === 0);
      expect(await handle.steps()).toEqual([]);
    });

    it('while it is undone for another reason is undone once', async () => {
      const scene = await suite.scene();
      const [begun, go] = [gate(), gate()];
      const undone: string[] = [];
      const flow = define(async (context) => {
        await context.step('a', { compensate: () => undone.push('a') }, () => 1);
        await context.step(
          'b',
          {
            compensate: async () => {
              begun.open();
              await go.promise;
              undone.push('b');
            },
          },
          () => 2,
        );
        throw new Error('no');
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await begun.promise;
      await handle.cancel();
      go.open();
      await failureOf(handle.result({ timeout: '10s' }));
      await eventually(() => service.activeRuns === 0);
      expect(undone).toEqual(['b', 'a']);
    });

    it('and is not there is an error', async () => {
      const scene = await suite.scene();
      const service = await scene.client();
      expect(await failureOf(service.cancel('nobody'))).toMatchObject({ code: 'RUN_NOT_FOUND' });
    });
  });

  describe('a deadline', () => {
    it.each(['busy', 'parked'])('ends a run that is %s', async (how) => {
      const scene = await suite.scene();
      const flow = define(async (context) => {
        if (how === 'parked') return context.waitForSignal('never');
        return context.step(
          'busy',
          ({ signal }) =>
            new Promise((_, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason as Error));
            }),
        );
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {}, { deadline: how === 'parked' ? 600 : 100 });
      expect(await failureOf(handle.result({ timeout: '10s' }))).toMatchObject({
        code: 'DEADLINE_EXCEEDED',
        runId: handle.id,
      });
      expect(await handle.status()).toBe('cancelled');
      expect((await handle.info()).error).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    });

    it('of the workflow counts where the start has none', async () => {
      const scene = await suite.scene();
      const flow = define((context) => context.waitForSignal('never'), { deadline: 50 });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      expect(await failureOf(handle.result({ timeout: '10s' }))).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    });
  });

  describe('compensation', () => {
    it('undoes what was done, the last one first, with the results of the steps', async () => {
      const scene = await suite.scene();
      const undone: unknown[] = [];
      const flow = define(async (context) => {
        await context.step('a', { compensate: (result) => undone.push(result) }, () => new Map([['a', 1]]));
        await context.step('none', () => 1);
        await context.transaction('b', { compensate: (result) => undone.push(result) }, () => 'b');
        await context.map('each', [1, 2], String, (own, item) =>
          own.step('c', { compensate: (result) => undone.push(result) }, () => item),
        );
        await context.step('d', { compensate: () => undone.push('d') }, () =>
          Promise.reject(new Error('no')),
        );
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      expect(await failureOf(handle.result({ timeout: '10s' }))).toMatchObject({ cause: { message: 'no' } });
      expect(undone).toEqual([2, 1, 'b', new Map([['a', 1]])]);
      expect(await handle.status()).toBe('failed');
      const kinds = (await handle.steps()).filter(({ kind }) => kind === 'compensation');
      expect(kinds.map(({ name, status }) => [name, status])).toEqual([
        ['undo:each/2/c', 'done'],
        ['undo:each/1/c', 'done'],
        ['undo:b', 'done'],
        ['undo:a', 'done'],
      ]);
    });

    it('is not done for runs that complete', async () => {
      const scene = await suite.scene();
      const undone: unknown[] = [];
      const flow = define((context) => context.step('a', { compensate: () => undone.push('a') }, () => 1));
      const service = await scene.worker([flow]);
      await (await service.start(flow.type, {})).result({ timeout: '10s' });
      expect(undone).toEqual([]);
    });

    it('is tried again, and one that fails for good is recorded and keeps no other from being done', async () => {
      const scene = await suite.scene();
      const undone: unknown[] = [];
      let tries = 0;
      const flow = define(async (context) => {
        await context.step('a', { compensate: () => undone.push('a') }, () => 1);
        await context.step(
          'b',
          {
            backoff: quick,
            compensate: () => {
              tries++;
              throw new Error('cannot be undone');
            },
          },
          () => 2,
        );
        await context.step(
          'c',
          {
            backoff: quick,
            compensate: (_, { attempt }) => {
              if (attempt < 3) throw new Error('not yet');
              undone.push('c');
            },
          },
          () => 3,
        );
        throw new Error('no');
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      expect(await failureOf(handle.result({ timeout: '10s' }))).toMatchObject({ cause: { message: 'no' } });
      expect(undone).toEqual(['c', 'a']);
      expect(tries).toBe(11);
      expect((await handle.steps()).find(({ name }) => name === 'undo:b')).toMatchObject({
        status: 'error',
        error: { message: 'cannot be undone' },
        attempts: 11,
      });
    });

    it('goes on elsewhere when the process dies in the middle, without undoing anything twice', async () => {
      const scene = await suite.scene();
      const undone: string[] = [];
      const [begun, go] = [gate(), gate()];
      const flow = define(async (context) => {
        for (const name of ['a', 'b', 'c']) {
          await context.step(
            name,
            {
              compensate: async () => {
                if (name === 'b') {
                  begun.open();
                  await go.promise;
                }
                undone.push(name);
              },
            },
            () => name,
          );
        }
        throw new Error('no');
      });
      const first = await scene.worker([flow]);
      const { id } = await first.start(flow.type, {});
      await begun.promise;
      await eventually(async () => (await first.get(id).steps()).some(({ name }) => name === 'undo:c'));
      await scene.crash(first);
      const second = await scene.worker([flow]);
      await eventually(() => second.activeRuns === 1);
      go.open();
      expect(await failureOf(second.get(id).result({ timeout: '10s' }))).toMatchObject({
        cause: { message: 'no' },
      });
      expect(undone.filter((name) => name === 'c')).toEqual(['c']);
      expect(undone.filter((name) => name === 'a')).toEqual(['a']);
      expect(await second.get(id).status()).toBe('failed');
    });
  });
}
