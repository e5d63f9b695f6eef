/// <reference types="jest" />

import type { WorkflowContext, WorkflowService } from '@nestbox/workflows';
import { eventually } from '../../eventually.js';
import {
  define,
  failureOf,
  gate,
  unique,
  type Defined,
  type Gate,
  type Scene,
  type WorkflowSuite,
} from './subject.js';

type Code = (context: WorkflowContext, ran: string[], hold: Gate) => Promise<unknown>;

/** A step that says that it was done. */
const step = (context: WorkflowContext, ran: string[], name: string): Promise<string> =>
  context.step(name, () => {
    ran.push(name);
    return name;
  });

/** Code of which a, b and c are done when it comes to its hold. */
const OLD: Code = async (context, ran, hold) => {
  const all = [await step(context, ran, 'a'), await step(context, ran, 'b'), await step(context, ran, 'c')];
  all.push(
    await context.step('hold', async () => {
      await hold.promise;
      return 'hold';
    }),
  );
  return [...all, await step(context, ran, 'd')];
};

/** Code with these steps in place of a, b and c. */
const withSteps =
  (...names: string[]): Code =>
  async (context, ran) => {
    const all: string[] = [];
    for (const name of [...names, 'hold', 'd']) all.push(await step(context, ran, name));
    return all;
  };

const CHANGED: [string, Code][] = [
  ['reordered', withSteps('b', 'a', 'c')],
  ['reordered later on', withSteps('a', 'c', 'b')],
  ['removed', withSteps('a', 'c')],
  ['removed at the end', withSteps('a', 'b')],
  ['renamed', withSteps('a', 'B', 'c')],
  ['inserted', withSteps('a', 'new', 'b', 'c')],
  ['inserted first', withSteps('new', 'a', 'b', 'c')],
  ['all removed', async () => 'nothing'],
  [
    'run at the same time',
    async (context, ran) => {
      await Promise.all(['c', 'b', 'a'].map((name) => step(context, ran, name)));
      return step(context, ran, 'd');
    },
  ],
  [
    'put into a branch',
    async (context, ran) => {
      await step(context, ran, 'a');
      return context.branch('own', (own) => step(own, ran, 'b'));
    },
  ],
  [
    'made a sleep',
    async (context, ran) => {
      await step(context, ran, 'a');
      await context.sleep('b', 1);
      await step(context, ran, 'c');
      return step(context, ran, 'd');
    },
  ],
];

interface Versions {
  name: string;
  ran: string[];
  of: (code: Code, hold?: Gate) => Defined;
}

function versions(): Versions {
  const name = unique('versions');
  const ran: string[] = [];
  const opened = gate();
  opened.open();
  return { name, ran, of: (code, hold = opened) => define((context) => code(context, ran, hold), { name }) };
}

/** Has a run of the old code lose its process at the hold. */
async function startedWith(scene: Scene, { of, ran }: Versions, code: Code, id: string): Promise<void> {
  const hold = gate();
  const flow = of(code, hold);
  const before = await scene.worker([flow]);
  await before.start(flow.type, {}, { id });
  await eventually(async () => (await before.get(id).steps()).length >= 3);
  await scene.crash(before);
  ran.splice(0);
}

async function statusIs(service: WorkflowService, id: string, status: string): Promise<void> {
  await eventually(async () => expect(await service.get(id).status()).toBe(status));
}

export function changedCode(suite: WorkflowSuite): void {
  describe('code that was changed under a run', () => {
    it.each(CHANGED)('with steps %s is not executed, but reported', async (_, code) => {
      const scene = await suite.scene();
      const its = versions();
      const id = unique('run');
      await startedWith(scene, its, OLD, id);
      const after = await scene.worker([its.of(code)]);
      await statusIs(after, id, 'stuck');
      expect(its.ran).toEqual([]);
      expect((await after.get(id).info()).error).toMatchObject({
        name: 'NonDeterminismError',
        code: 'NON_DETERMINISM',
        runId: id,
      });
      const problem = await failureOf(after.get(id).result({ timeout: '5s' }));
      expect(problem).toMatchObject({ cause: { code: 'NON_DETERMINISM' } });
      expect((await after.get(id).steps()).map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    });

    it('goes on when the old code is back and the run is resumed', async () => {
      const scene = await suite.scene();
      const its = versions();
      const id = unique('run');
      await startedWith(scene, its, OLD, id);
      const changed = await scene.worker([its.of(withSteps('b', 'a', 'c'))]);
      await statusIs(changed, id, 'stuck');
      await changed.close();
      const repaired = await scene.worker([its.of(OLD)]);
      expect(await repaired.get(id).status()).toBe('stuck');
      await repaired.get(id).resume();
      expect(await repaired.get(id).result({ timeout: '10s' })).toEqual(['a', 'b', 'c', 'hold', 'd']);
      expect(its.ran).toEqual(['d']);
      expect((await repaired.get(id).info()).error).toBeUndefined();
    });

    it('that only adds steps at the end goes on', async () => {
      const scene = await suite.scene();
      const its = versions();
      const id = unique('run');
      await startedWith(scene, its, OLD, id);
      const after = await scene.worker([its.of(withSteps('a', 'b', 'c', 'new'))]);
      expect(await after.get(id).result({ timeout: '10s' })).toEqual(['a', 'b', 'c', 'new', 'hold', 'd']);
      expect(its.ran).toEqual(['new', 'hold', 'd']);
    });

    it('gives stuck runs to nobody until they are resumed', async () => {
      const scene = await suite.scene();
      const its = versions();
      const id = unique('run');
      await startedWith(scene, its, OLD, id);
      const after = await scene.worker([its.of(withSteps('b'))], { pollMs: 20 });
      await statusIs(after, id, 'stuck');
      const { updatedAt } = await after.get(id).info();
      await scene.worker([its.of(withSteps('b'))], { pollMs: 20 });
      await new Promise((resolve) => setTimeout(resolve, 150));
      expect((await after.get(id).info()).updatedAt).toEqual(updatedAt);
    });
  });

  describe('patched', () => {
    const NEW: Code = async (context, ran, hold) => {
      const all = [await step(context, ran, 'a')];
      if (context.patched('check')) all.push(await step(context, ran, 'check'));
      all.push(await step(context, ran, 'b'), await step(context, ran, 'c'));
      all.push(
        await context.step('hold', async () => {
          await hold.promise;
          return 'hold';
        }),
      );
      return [...all, context.patched('check'), await step(context, ran, 'd')];
    };

    it('lets runs of both kinds go on', async () => {
      const scene = await suite.scene();
      const its = versions();
      const [old, young] = [unique('run'), unique('run')];
      await startedWith(scene, its, OLD, old);
      await startedWith(scene, its, NEW, young);
      // The one of the old code was taken over by the second process, which has died, too.
      const after = await scene.worker([its.of(NEW)]);
      expect(await after.get(old).result({ timeout: '10s' })).toEqual(['a', 'b', 'c', 'hold', false, 'd']);
      expect(await after.get(young).result({ timeout: '10s' })).toEqual([
        'a',
        'check',
        'b',
        'c',
        'hold',
        true,
        'd',
      ]);
    });

    it('is true for runs that had not come so far', async () => {
      const scene = await suite.scene();
      const its = versions();
      const id = unique('run');
      await startedWith(scene, its, OLD, id);
      const after = await scene.worker([
        its.of(async (context, ran) => {
          for (const name of ['a', 'b', 'c']) await step(context, ran, name);
          return context.patched('later');
        }),
      ]);
      expect(await after.get(id).result({ timeout: '10s' })).toBe(true);
    });

    it('stays what it was when the process dies right after it', async () => {
      const scene = await suite.scene();
      const its = versions();
      const hold = gate();
      const code: Code = async (context, ran) => {
        const before = context.patched('one');
        await step(context, ran, 'a');
        await context.step('wait', () => hold.promise);
        return [before, context.patched('two')];
      };
      const flow = its.of(code, hold);
      const first = await scene.worker([flow]);
      const { id } = await first.start(flow.type, {});
      await eventually(async () => (await first.get(id).steps()).some(({ name }) => name === 'a'));
      await scene.crash(first);
      hold.open();
      const second = await scene.worker([flow]);
      expect(await second.get(id).result({ timeout: '10s' })).toEqual([true, true]);
    });
  });

  describe('the same step name in two branches that run at the same time', () => {
    it.each<[string, Code]>([
      ['steps', async (context, ran) => Promise.all([step(context, ran, 'a'), step(context, ran, 'a')])],
      ['sleeps', async (context) => Promise.all([context.sleep('a', 10), context.sleep('a', 10)])],
      [
        'branches',
        async (context, ran) =>
          Promise.all([1, 2].map((i) => context.branch('own', (own) => step(own, ran, `s${i}`)))),
      ],
      [
        'maps',
        async (context, ran) =>
          Promise.all([1, 2].map((i) => context.map('own', [i], String, (own) => step(own, ran, `s${i}`)))),
      ],
    ])('is refused for %s', async (_, code) => {
      const scene = await suite.scene();
      const its = versions();
      const flow = its.of(code);
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      expect(await failureOf(handle.result({ timeout: '10s' }))).toMatchObject({
        code: 'RUN_FAILED',
        cause: { name: 'AmbiguousStepError', code: 'AMBIGUOUS_STEP', runId: handle.id },
      });
    });

    it('is no matter when one comes after the other', async () => {
      const scene = await suite.scene();
      const its = versions();
      const flow = its.of(async (context, ran) => {
        await step(context, ran, 'a');
        await step(context, ran, 'a');
        for (const i of [1, 2]) await context.branch('own', (own) => step(own, ran, `s${i}`));
        return 'done';
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      expect(await handle.result({ timeout: '10s' })).toBe('done');
      expect((await handle.steps()).map(({ name }) => name)).toEqual(['a', 'a#2', 'own/s1', 'own#2/s2']);
    });
  });
}
