/// <reference types="jest" />
import { eventually } from '../../eventually.js';
import { define, failureOf, gate, numbers, unique, type Defined, type WorkflowSuite } from './subject.js';

/** Fails at b until it is mended. */
function failing(): { flow: Defined; ran: string[]; mend: () => void } {
  const ran: string[] = [];
  let isMended = false;
  const flow = define(async (context, input) => {
    for (const name of ['a', 'b', 'c']) {
      await context.step(name, () => {
        ran.push(name);
        if (name === 'b' && !isMended) throw new Error('broken');
      });
    }
    return input;
  });
  return { flow, ran, mend: () => (isMended = true) };
}

export function orders(suite: WorkflowSuite): void {
  describe('a retry', () => {
    it('does only that again which failed, and what comes after', async () => {
      const scene = await suite.scene();
      const { flow, ran, mend } = failing();
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, 'in');
      await failureOf(handle.result({ timeout: '10s' }));
      mend();
      await handle.retry();
      expect(await handle.result({ timeout: '10s' })).toBe('in');
      expect(ran).toEqual(['a', 'b', 'b', 'c']);
      expect(await handle.info()).toMatchObject({ status: 'completed', error: undefined, output: 'in' });
    });

    it('from a step does that and all later ones again', async () => {
      const scene = await suite.scene();
      const { flow, ran, mend } = failing();
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await failureOf(handle.result({ timeout: '10s' }));
      mend();
      await handle.retry({ fromStep: 'a' });
      await handle.result({ timeout: '10s' });
      expect(ran).toEqual(['a', 'b', 'a', 'b', 'c']);
    });

    it('does again what was undone', async () => {
      const scene = await suite.scene();
      const ran: string[] = [];
      let isMended = false;
      const flow = define(async (context) => {
        await context.step('keep', () => ran.push('keep'));
        await context.step('book', { compensate: () => ran.push('cancel') }, () => ran.push('book'));
        await context.step('pay', () => {
          if (!isMended) throw new Error('no');
        });
        return 'paid';
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await failureOf(handle.result({ timeout: '10s' }));
      isMended = true;
      await handle.retry();
      expect(await handle.result({ timeout: '10s' })).toBe('paid');
      expect(ran).toEqual(['keep', 'book', 'cancel', 'book']);
    });

    it('is refused for runs that are not over, for unknown steps and unknown runs', async () => {
      const scene = await suite.scene();
      const { flow } = failing();
      const waiting = define((context) => context.waitForSignal('never'));
      const service = await scene.worker([flow, waiting]);
      const failed = await service.start(flow.type, {});
      await failureOf(failed.result({ timeout: '10s' }));
      expect(await failureOf(failed.retry({ fromStep: 'x' }))).toMatchObject({
        code: 'RUN_STATE',
        status: 'failed',
      });
      expect(await failed.status()).toBe('failed');
      const running = await service.start(waiting.type, {});
      expect(await failureOf(running.retry())).toMatchObject({ code: 'RUN_STATE', runId: running.id });
      expect(await failureOf(service.retry('nobody'))).toMatchObject({ code: 'RUN_NOT_FOUND' });
    });

    it('of all that match', async () => {
      const scene = await suite.scene();
      const { flow, mend } = failing();
      const service = await scene.worker([flow]);
      const handles = await Promise.all(numbers(3).map((i) => service.start(flow.type, i)));
      for (const handle of handles) await failureOf(handle.result({ timeout: '10s' }));
      mend();
      expect(await service.retryAll({ workflow: flow.name, status: 'failed' })).toBe(3);
      expect(await Promise.all(handles.map((handle) => handle.result({ timeout: '10s' })))).toEqual([
        0, 1, 2,
      ]);
    });
  });

  describe('a resume', () => {
    it('lets a cancelled run go on from where it was', async () => {
      const scene = await suite.scene();
      const ran: string[] = [];
      const flow = define(async (context) => {
        await context.step('a', () => ran.push('a'));
        await context.waitForSignal('go');
        return context.step('b', () => ran.push('b'));
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await eventually(async () => expect(await handle.status()).toBe('suspended'));
      await handle.cancel();
      await eventually(() => service.activeRuns === 0);
      await handle.resume();
      await handle.signal('go');
      await handle.result({ timeout: '10s' });
      expect(ran).toEqual(['a', 'b']);
    });

    it('is refused for runs that have ended well', async () => {
      const scene = await suite.scene();
      const flow = define(async () => 1);
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await handle.result();
      expect(await failureOf(handle.resume())).toMatchObject({ code: 'RUN_STATE', status: 'completed' });
    });

    it('of all that are stuck or dead', async () => {
      const scene = await suite.scene();
      const name = unique('versions');
      const hold = gate();
      const old = define(
        async (context) => [await context.step('a', () => 1), await context.step('b', () => hold.promise)],
        { name },
      );
      const first = await scene.worker([old]);
      const handles = await Promise.all(numbers(3).map(() => first.start(old.type, {})));
      await eventually(async () => {
        for (const { id } of handles) expect(await first.get(id).steps()).toHaveLength(1);
      });
      await scene.crash(first);
      const second = await scene.worker([
        define(async (context) => context.step('other', () => 1), { name }),
      ]);
      await eventually(async () => {
        for (const { id } of handles) expect(await second.get(id).status()).toBe('stuck');
      });
      await second.close();
      hold.open();
      const third = await scene.worker([old]);
      expect(await third.resumeAll({ workflow: name })).toBe(3);
      for (const { id } of handles)
        expect(await third.get(id).result({ timeout: '10s' })).toEqual([1, undefined]);
    });
  });

  describe('a fork', () => {
    it('is a new run with the steps before one', async () => {
      const scene = await suite.scene();
      const { flow, ran, mend } = failing();
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, 'in');
      await failureOf(handle.result({ timeout: '10s' }));
      mend();
      const id = unique('fork');
      const fork = await handle.fork({ fromStep: 'b', id });
      expect(fork.id).toBe(id);
      expect(await fork.result({ timeout: '10s' })).toBe('in');
      expect(ran).toEqual(['a', 'b', 'b', 'c']);
      expect(await fork.info()).toMatchObject({ forkedFrom: handle.id, workflow: flow.name });
      expect(await handle.status()).toBe('failed');
    });

    it('may have another input, and begins anew without a step', async () => {
      const scene = await suite.scene();
      const { flow, ran, mend } = failing();
      mend();
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, 'in');
      await handle.result({ timeout: '10s' });
      const fork = await handle.fork({ input: undefined });
      expect(await fork.result({ timeout: '10s' })).toBeUndefined();
      expect(ran).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
    });

    it('is refused for unknown steps and runs, and ids that are taken', async () => {
      const scene = await suite.scene();
      const flow = define(async () => 1);
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      await handle.result();
      expect(await failureOf(handle.fork({ fromStep: 'x' }))).toMatchObject({ code: 'RUN_STATE' });
      expect(await failureOf(handle.fork({ id: handle.id }))).toMatchObject({ code: 'RUN_CONFLICT' });
      expect(await failureOf(service.fork('nobody'))).toMatchObject({ code: 'RUN_NOT_FOUND' });
    });
  });

  describe('a cancel of all that match', () => {
    it('ends them and no others', async () => {
      const scene = await suite.scene();
      const flow = define((context) => context.waitForSignal('go'));
      const other = define((context) => context.waitForSignal('go'));
      const service = await scene.worker([flow, other]);
      const handles = await Promise.all(numbers(5).map((i) => service.start(flow.type, `tag${i % 2}`)));
      const kept = await service.start(other.type, 'tag1');
      expect(await service.cancelAll({ workflow: flow.name, search: 'TAG1' })).toBe(2);
      expect(
        await Promise.all(handles.map((handle) => handle.status().then((status) => status === 'cancelled'))),
      ).toEqual([false, true, false, true, false]);
      expect(await kept.status()).not.toBe('cancelled');
      expect(await service.cancelAll({ workflow: flow.name })).toBe(3);
      expect(await service.cancelAll({ workflow: flow.name })).toBe(0);
    });
  });
}
