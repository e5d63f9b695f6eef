/// <reference types="jest" />
import { NonRetryableError, type WorkflowContext } from '@nestbox/workflows';
import { eventually } from '../../eventually.js';
import { define, failureOf, gate, type Scene, type WorkflowSuite } from './subject.js';

/** Runs a function as a workflow. */
async function run<R>(
  scene: Scene,
  code: (context: WorkflowContext) => Promise<R>,
): Promise<{ id: string; output: Promise<R>; steps: () => Promise<Record<string, unknown>[]> }> {
  const flow = define(code);
  const service = await scene.worker([flow]);
  const handle = await service.start(flow.type, {});
  const output = handle.result({ timeout: '15s' });
  output.catch(() => undefined);
  return { id: handle.id, output, steps: async () => (await handle.steps()).map((step) => ({ ...step })) };
}

const quick = { base: 1, jitter: false };

export function steps(suite: WorkflowSuite): void {
  describe('a step', () => {
    it('is tried again as often as it says, and tells which try it is', async () => {
      const scene = await suite.scene();
      const attempts: number[] = [];
      const { output, steps: of } = await run(scene, (context) =>
        context.step('flaky', { retries: 3, backoff: quick }, ({ attempt }) => {
          attempts.push(attempt);
          if (attempt < 3) throw new Error('not yet');
          return 'there';
        }),
      );
      expect(await output).toBe('there');
      expect(attempts).toEqual([1, 2, 3]);
      expect(await of()).toMatchObject([
        { name: 'flaky', kind: 'step', status: 'done', attempts: 3, result: 'there' },
      ]);
    });

    it('fails with its last error when it was tried often enough', async () => {
      const scene = await suite.scene();
      const { output, steps: of } = await run(scene, (context) =>
        context.step('broken', { retries: 2, backoff: quick }, ({ attempt }) => {
          throw new Error(`try ${attempt}`);
        }),
      );
      expect(await failureOf(output)).toMatchObject({ code: 'RUN_FAILED', cause: { message: 'try 3' } });
      expect(await of()).toMatchObject([{ status: 'error', attempts: 3, error: { message: 'try 3' } }]);
    });

    it('is tried once if nothing else is said', async () => {
      const scene = await suite.scene();
      let tries = 0;
      const { output } = await run(scene, (context) =>
        context.step('broken', () => {
          tries++;
          throw new Error('no');
        }),
      );
      await failureOf(output);
      expect(tries).toBe(1);
    });

    it.each<[string, boolean, number[]]>([
      ['longer each time', false, [40, 80, 100]],
      ['up to half less, by chance', true, [20, 40, 50]],
    ])('waits between tries, %s', async (_, jitter, atLeast) => {
      const scene = await suite.scene();
      const times: number[] = [];
      const { output } = await run(scene, (context) =>
        context.step(
          'flaky',
          { retries: 3, backoff: { base: 40, factor: 2, max: 100, jitter } },
          ({ attempt }) => {
            times.push(performance.now());
            if (attempt <= 3) throw new Error('not yet');
          },
        ),
      );
      await output;
      // A timer may be early by less than a millisecond.
      for (const [i, ms] of atLeast.entries())
        expect(times[i + 1]! - times[i]!).toBeGreaterThanOrEqual(ms - 2);
    });

    it('waits for a long time between tries without being in memory, and goes on counting', async () => {
      const scene = await suite.scene();
      const attempts: number[] = [];
      const flow = define((context) =>
        context.step(
          'flaky',
          { retries: 2, backoff: { base: 1_400, factor: 1, jitter: false } },
          ({ attempt }) => {
            attempts.push(attempt);
            if (attempt === 1) throw new Error('not yet');
            return attempt;
          },
        ),
      );
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await eventually(async () => expect(await handle.status()).toBe('suspended'));
      expect(await handle.steps()).toMatchObject([
        { status: 'pending', attempts: 1, error: { message: 'not yet' } },
      ]);
      expect(await handle.result({ timeout: '10s' })).toBe(2);
      expect(attempts).toEqual([1, 2]);
    });

    it('is not tried again after a NonRetryableError, or one that looks like it', async () => {
      const scene = await suite.scene();
      for (const problem of [
        new NonRetryableError('never'),
        Object.assign(new Error('never'), { name: 'NonRetryableError' }),
        Object.assign(new Error('never'), { code: 'NON_RETRYABLE' }),
      ]) {
        let tries = 0;
        const { output } = await run(scene, (context) =>
          context.step('broken', { retries: 5, backoff: quick }, () => {
            tries++;
            throw problem;
          }),
        );
        expect(await failureOf(output)).toMatchObject({ cause: { message: 'never', name: problem.name } });
        expect(tries).toBe(1);
      }
    });

    it('is tried again only after errors that retryIf takes', async () => {
      const scene = await suite.scene();
      let tries = 0;
      const { output } = await run(scene, (context) =>
        context.step(
          'flaky',
          { retries: 5, backoff: quick, retryIf: (error) => (error as Error).message === 'busy' },
          () => {
            throw new Error(++tries < 3 ? 'busy' : 'gone');
          },
        ),
      );
      expect(await failureOf(output)).toMatchObject({ cause: { message: 'gone' } });
      expect(tries).toBe(3);
    });

    it('that takes too long is told to stop, and fails', async () => {
      const scene = await suite.scene();
      const reasons: unknown[] = [];
      const { output } = await run(scene, (context) =>
        context.step('slow', { timeout: 20, retries: 1, backoff: quick }, ({ signal }) => {
          signal.addEventListener('abort', () => reasons.push(signal.reason));
          return new Promise<void>(() => undefined);
        }),
      );
      expect(await failureOf(output)).toMatchObject({
        cause: { name: 'StepTimeoutError', code: 'STEP_TIMEOUT', stepName: 'slow', timeoutMs: 20 },
      });
      expect(reasons).toMatchObject([{ code: 'STEP_TIMEOUT' }, { code: 'STEP_TIMEOUT' }]);
    });

    it('has an idempotency key that is the same for all tries and executions, and of no other step', async () => {
      const scene = await suite.scene();
      const keys: string[] = [];
      const held = gate();
      const flow = define(async (context) => {
        await context.step('other', ({ idempotencyKey }) => void keys.push(`other ${idempotencyKey}`));
        await context.step('flaky', { retries: 1, backoff: quick }, ({ idempotencyKey, attempt }) => {
          keys.push(idempotencyKey);
          if (attempt === 1) throw new Error('not yet');
          return held.promise;
        });
      });
      const first = await scene.worker([flow]);
      const { id } = await first.start(flow.type, {});
      await eventually(async () => keys.length === 3 && (await first.get(id).steps()).length === 1);
      await scene.crash(first);
      held.open();
      const second = await scene.worker([flow]);
      await second.get(id).result({ timeout: '10s' });
      const [other, ...own] = keys;
      expect(own).toHaveLength(4);
      expect(new Set(own).size).toBe(1);
      expect(other).not.toBe(`other ${own[0]}`);
    });

    it('refuses calls of the context inside', async () => {
      const scene = await suite.scene();
      for (const call of [
        (context: WorkflowContext) => context.step('inner', () => 1),
        (context: WorkflowContext) => context.sleep('inner', 1),
        (context: WorkflowContext) => context.transaction('inner', () => 1),
        (context: WorkflowContext) => context.waitForSignal('inner'),
        (context: WorkflowContext) => context.branch('inner', (own) => own.step('a', () => 1)),
        async (context: WorkflowContext) => context.now(),
      ]) {
        const { output } = await run(scene, (context) => context.step('outer', () => call(context)));
        expect(await failureOf(output)).toMatchObject({
          cause: { code: 'INVALID_ARGUMENT', message: expect.stringContaining('inside of a step') },
        });
      }
    });

    it.each<[string, string, (context: WorkflowContext) => unknown]>([
      ['a name', 'name', (context) => context.step('', () => 1)],
      ['a name with NUL', 'name', (context) => context.step('a\0b', () => 1)],
      ['retries', 'options.retries', (context) => context.step('a', { retries: -1 }, () => 1)],
      ['a timeout', 'options.timeout', (context) => context.step('a', { timeout: 'soon' }, () => 1)],
      [
        'a factor',
        'options.backoff.factor',
        (context) => context.step('a', { backoff: { factor: 0 } }, () => 1),
      ],
      ['a time', 'time', (context) => context.sleepUntil('a', new Date(Number.NaN))],
      ['keys', 'key of items[1]', (context) => context.map('a', [1, 1], String, () => 1)],
      [
        'a concurrency',
        'options.concurrency',
        (context) => context.map('a', [1], String, () => 1, { concurrency: 0 }),
      ],
    ])('and the like refuse %s that cannot be', async (_, path, call) => {
      const scene = await suite.scene();
      const { output } = await run(scene, async (context) => call(context));
      expect(await failureOf(output)).toMatchObject({ cause: { code: 'INVALID_ARGUMENT', path } });
    });
  });

  describe('a map', () => {
    it('runs so many branches at once, and gives results in the order of its items', async () => {
      const scene = await suite.scene();
      let [now, most] = [0, 0];
      const { output } = await run(scene, (context) =>
        context.map(
          'each',
          [5, 1, 4, 2, 3],
          String,
          (own, item) =>
            own.step('do', async () => {
              most = Math.max(most, ++now);
              await new Promise((resolve) => setTimeout(resolve, item));
              now--;
              return item;
            }),
          { concurrency: 2 },
        ),
      );
      expect(await output).toEqual([5, 1, 4, 2, 3]);
      expect(most).toBe(2);
    });

    it('waits for all branches, then fails with the first error', async () => {
      const scene = await suite.scene();
      const done: number[] = [];
      const { output } = await run(scene, (context) =>
        context.map('each', [1, 2, 3], String, (own, item) =>
          own.step('do', async () => {
            if (item < 3) throw new Error(`item ${item}`);
            await new Promise((resolve) => setTimeout(resolve, 30));
            done.push(item);
          }),
        ),
      );
      expect(await failureOf(output)).toMatchObject({ cause: { message: 'item 1' } });
      expect(done).toEqual([3]);
    });
  });
}
