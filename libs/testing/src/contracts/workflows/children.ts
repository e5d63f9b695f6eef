/// <reference types="jest" />
import { eventually } from '../../eventually.js';
import { expectSameAtEveryPoint } from './crashes.js';
import { define, failureOf, gate, unique, type WorkflowSuite } from './subject.js';

export function children(suite: WorkflowSuite): void {
  describe('a child', () => {
    it('gives its result, and is a run of its own', async () => {
      const scene = await suite.scene();
      const child = define(async (_, n: number) => n * 2);
      const parent = define((context, n: number) => context.child(child.type, n));
      const service = await scene.worker([parent, child]);
      const handle = await service.start(parent.type, 21);
      expect(await handle.result({ timeout: '10s' })).toBe(42);
      const { runs } = await service.list({ parent: handle.id });
      expect(runs).toMatchObject([
        { workflow: child.name, status: 'completed', input: 21, output: 42, parent: handle.id },
      ]);
      expect(await handle.steps()).toMatchObject([
        { name: child.name, kind: 'child', status: 'done', result: 42 },
      ]);
    });

    it('fails its parent with the error that it failed with', async () => {
      const scene = await suite.scene();
      const child = define(() => Promise.reject(Object.assign(new RangeError('no'), { code: 'NO' })));
      const parent = define((context) =>
        context.child(child.type, {}).catch(({ name, message, code }) => ({ name, message, code })),
      );
      const service = await scene.worker([parent, child]);
      const handle = await service.start(parent.type, {});
      expect(await handle.result({ timeout: '10s' })).toEqual({
        name: 'RangeError',
        message: 'no',
        code: 'NO',
      });
    });

    it('that is cancelled is an error of its parent', async () => {
      const scene = await suite.scene();
      const child = define((context) => context.waitForSignal('never'));
      const parent = define((context) => context.child(child.type, {}).catch(({ code }) => code));
      const service = await scene.worker([parent, child]);
      const handle = await service.start(parent.type, {});
      const id = await eventually(async () => (await service.list({ parent: handle.id })).runs[0]?.id ?? '');
      await service.cancel(id);
      expect(await handle.result({ timeout: '10s' })).toBe('RUN_CANCELLED');
    });

    it('that ends before its parent is parked wakes it', async () => {
      const scene = await suite.scene();
      const child = define(async (_, n: number) => n);
      const parent = define(async (context) => {
        let sum = 0;
        for (let i = 1; i <= 10; i++) sum += await context.child(child.type, i, { name: `child ${i}` });
        return sum;
      });
      // With room for one, the parent is parked so that its child can run.
      const service = await scene.worker([parent, child], { concurrency: 1 });
      const handle = await service.start(parent.type, {});
      expect(await handle.result({ timeout: '20s' })).toBe(55);
    });

    it('that ends in another process wakes its parent', async () => {
      const scene = await suite.scene();
      const go = gate();
      const child = define((context) => context.step('wait', () => go.promise.then(() => 'there')));
      const parent = define((context) => context.child(child.type, {}));
      const service = await scene.worker([parent]);
      const handle = await service.start(parent.type, {});
      await eventually(async () => expect(await handle.status()).toBe('suspended'));
      await scene.worker([child]);
      go.open();
      expect(await handle.result({ timeout: '10s' })).toBe('there');
    });

    it('is started once, wherever the processes of its parent die', async () => {
      const scene = await suite.scene();
      const started = new Set<string>();
      const grandchild = define(async (context, n: number) => {
        started.add(context.runId);
        return context.step('count', () => n);
      });
      const child = define(async (context, n: number) => (await context.child(grandchild.type, n)) * 2);
      const output = await expectSameAtEveryPoint(
        scene,
        async (context, notes) => {
          const first = await context.step('a', notes.does(1));
          const both = await Promise.all([
            context.child(child.type, first, { name: 'one' }),
            context.child(child.type, first + 1, { name: 'two' }),
          ]);
          return notes.sees('both', both);
        },
        { others: [child, grandchild], places: ['unwritten', 'written'] },
      );
      expect(output).toEqual([2, 4]);
      expect([...started].every((id) => id.endsWith(`/${grandchild.name}`))).toBe(true);
    });

    it('is cancelled together with its parent, and so are its own', async () => {
      const scene = await suite.scene();
      const undone: string[] = [];
      const grandchild = define(async (context) => {
        await context.step('done', { compensate: () => undone.push('grandchild') }, () => 1);
        await context.waitForSignal('never');
      });
      const child = define((context) => context.child(grandchild.type, {}, { name: 'grand' }));
      const parent = define((context) => context.child(child.type, {}, { name: 'child' }));
      const service = await scene.worker([parent, child, grandchild]);
      const handle = await service.start(parent.type, {});
      const ids = [handle.id, `${handle.id}/child`, `${handle.id}/child/grand`];
      await eventually(async () => expect(await service.get(ids[2]!).status()).toBe('suspended'));
      expect(await handle.cancel()).toBe(true);
      for (const id of ids) expect(await service.get(id).status()).toBe('cancelled');
      expect(await failureOf(handle.result({ timeout: '10s' }))).toMatchObject({ code: 'RUN_CANCELLED' });
      await eventually(() => expect(undone).toEqual(['grandchild']));
    });

    it('with an id that there is already is that run', async () => {
      const scene = await suite.scene();
      let ran = 0;
      const child = define(async () => ++ran);
      const id = unique('shared');
      const parent = define((context) => context.child(child.type, {}, { id }));
      const service = await scene.worker([parent, child]);
      const handles = [await service.start(parent.type, {}), await service.start(parent.type, {})];
      for (const handle of handles) expect(await handle.result({ timeout: '10s' })).toBe(1);
      expect(ran).toBe(1);
    });

    it('with the id of a run of another workflow is an error', async () => {
      const scene = await suite.scene();
      const child = define(async () => 1);
      const other = define(async () => 2);
      const id = unique('taken');
      const parent = define((context) => context.child(child.type, {}, { id }));
      const service = await scene.worker([parent, child, other]);
      await service.start(other.type, {}, { id });
      const handle = await service.start(parent.type, {});
      expect(await failureOf(handle.result({ timeout: '10s' }))).toMatchObject({
        cause: { code: 'RUN_CONFLICT' },
      });
    });
  });
}
