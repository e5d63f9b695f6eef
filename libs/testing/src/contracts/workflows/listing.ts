/// <reference types="jest" />
import { Step } from '@nestbox/workflows';
import { Logger } from '@nestjs/common';
import { eventually } from '../../eventually.js';
import { define, failureOf, gate, numbers, unique, type WorkflowSuite } from './subject.js';

export function listing(suite: WorkflowSuite): void {
  describe('a list', () => {
    it('gives the newest first, page by page', async () => {
      const scene = await suite.scene();
      const flow = define(async (_, n: number) => n);
      const service = await scene.client();
      const prefix = unique('listed');
      const ids = numbers(7).map((i) => `${prefix}-${i}`);
      for (const id of ids) await service.start(flow.type, 1, { id });
      const seen: string[] = [];
      const sizes: number[] = [];
      let cursor: string | undefined;
      do {
        const page = await service.list({
          workflow: flow.name,
          limit: 3,
          ...(cursor === undefined ? {} : { cursor }),
        });
        seen.push(...page.runs.map(({ id }) => id));
        sizes.push(page.runs.length);
        ({ cursor } = page);
      } while (cursor !== undefined);
      expect(seen).toEqual(ids.toReversed());
      expect(sizes).toEqual([3, 3, 1]);
    });

    it('filters by status, queue and time', async () => {
      const scene = await suite.scene();
      const flow = define(async (_, fails) => {
        if (fails === true) throw new Error('no');
        return fails;
      });
      const service = await scene.worker([flow]);
      const failed = await service.start(flow.type, true);
      const done = await service.start(flow.type, false);
      await failureOf(failed.result({ timeout: '10s' }));
      await done.result({ timeout: '10s' });
      const waiting = await service.start(flow.type, false, { delay: '1h', queue: 'others' });
      const listed = async (filter: object): Promise<string[]> =>
        (await service.list({ workflow: flow.name, ...filter })).runs.map(({ id }) => id);
      expect(await listed({ status: 'failed' })).toEqual([failed.id]);
      expect((await listed({ status: ['failed', 'completed'] })).toSorted()).toEqual(
        [done.id, failed.id].toSorted(),
      );
      expect(await listed({ queue: 'others' })).toEqual([waiting.id]);
      const { createdAt } = await done.info();
      expect(await listed({ from: new Date(createdAt.getTime() + 60_000) })).toEqual([]);
      expect(await listed({ to: new Date(createdAt.getTime() - 60_000) })).toEqual([]);
      expect(await listed({ from: createdAt })).toContain(done.id);
      expect(await listed({ to: createdAt })).not.toContain(done.id);
      await waiting.cancel();
    });

    it('finds text as it is, in ids, inputs, outputs and errors', async () => {
      const scene = await suite.scene();
      const flow = define(async (_, input: { fail?: string; give?: string }) => {
        if (input.fail !== undefined) throw new Error(`${input.fail} is broken`);
        return `${input.give} is made`;
      });
      const service = await scene.worker([flow]);
      const a = await service.start(flow.type, { fail: '100%_Engine' });
      const b = await service.start(flow.type, { give: '1000 Wheels' });
      await failureOf(a.result({ timeout: '10s' }));
      await b.result({ timeout: '10s' });
      const found = async (search: string): Promise<string[]> =>
        (await service.list({ workflow: flow.name, search })).runs.map(({ id }) => id);
      expect(await found('100%_engine IS broken')).toEqual([a.id]);
      expect(await found('100%')).toEqual([a.id]);
      expect(await found('0_e')).toEqual([]);
      expect(await found('WHEELS is made')).toEqual([b.id]);
      expect(await found(b.id.slice(5).toUpperCase())).toEqual([b.id]);
      expect(await found('nothing of it')).toEqual([]);
    });

    it.each<[string, object]>([
      ['limit', { limit: 0 }],
      ['cursor', { cursor: 'none' }],
      ['filter.status', { status: 'gone' }],
      ['filter.from', { from: new Date(Number.NaN) }],
      ['filter.search', { search: 'a\0b' }],
    ])('refuses a bad %s', async (path, filter) => {
      const scene = await suite.scene();
      const service = await scene.client();
      expect(await failureOf(service.list(filter))).toMatchObject({ code: 'INVALID_ARGUMENT', path });
    });
  });

  describe('counts and figures', () => {
    it('tell how many runs there are, and in which state', async () => {
      await suite.own(async (scene) => {
        const hold = gate();
        const flow = define(async (context, input) => {
          if (input === 'fails') throw new Error('no');
          if (input === 'busy') await context.step('busy', () => hold.promise);
          if (input === 'parked') await context.waitForSignal('go');
        });
        const service = await scene.worker([flow]);
        const unknown = define(async () => 1);
        const handles = new Map<string, { id: string }>();
        for (const input of ['fails', 'busy', 'parked', 'completes']) {
          handles.set(input, await service.start(flow.type, input));
        }
        await service.start(unknown.type, 'ready');
        await eventually(async () =>
          expect(await service.counts()).toEqual({
            [flow.name]: { failed: 1, running: 1, suspended: 1, completed: 1 },
            [unknown.name]: { running: 1 },
          }),
        );
        expect(await service.figures()).toMatchObject({
          ready: 1,
          claimed: 1,
          parked: 1,
          stuck: 0,
          dead: 0,
          oldestReadyMs: expect.any(Number),
        });
        hold.open();
        await service.get(handles.get('busy')!.id).result({ timeout: '10s' });
      });
    });
  });

  describe('the logger of a run', () => {
    it('says what is new, and is silent while the run is replayed', async () => {
      const scene = await suite.scene();
      const lines: string[] = [];
      const before = Object.getOwnPropertyDescriptor(Logger.prototype, 'log')!;
      Logger.prototype.log = (message: unknown): void => {
        if (String(message).includes('at ')) lines.push(String(message).replace(/^.*at /, 'at '));
      };
      try {
        const hold = gate();
        const replaying: boolean[] = [];
        const flow = define(async (context) => {
          context.logger.log('at begin');
          replaying.push(context.isReplaying);
          await context.step('a', () => 1);
          context.logger.log('at a');
          await context.step('b', () => 2);
          context.logger.log('at b');
          await context.step('hold', () => hold.promise);
          replaying.push(context.isReplaying);
          context.logger.log('at end');
        });
        const first = await scene.worker([flow]);
        const { id } = await first.start(flow.type, {});
        await eventually(async () => expect(await first.get(id).steps()).toHaveLength(2));
        expect(lines).toEqual(['at begin', 'at a', 'at b']);
        await scene.crash(first);
        hold.open();
        const second = await scene.worker([flow]);
        await second.get(id).result({ timeout: '10s' });
        // What is said behind the last recorded step may be said again: nobody knows whether it was.
        expect(lines).toEqual(['at begin', 'at a', 'at b', 'at b', 'at end']);
        expect(replaying).toEqual([false, true, false]);
      } finally {
        Object.defineProperty(Logger.prototype, 'log', before);
      }
    });
  });

  describe('a method with @Step', () => {
    class Payments {
      charges = 0;

      @Step({ retries: 1, backoff: { base: 1 } })
      async charge(cents: number): Promise<number> {
        this.charges++;
        if (this.charges === 1) throw new Error('busy');
        return cents;
      }

      @Step({ name: 'the sum' })
      async sum(...all: number[]): Promise<number> {
        this.charges += 100;
        return all.reduce((a, b) => a + b, 0);
      }
    }

    it('is done once in a run, and is a plain call outside of it and in a step', async () => {
      const scene = await suite.scene();
      const payments = new Payments();
      const hold = gate();
      const flow = define(async (context) => {
        const charged = await payments.charge(5);
        const sum = await payments.sum(charged, 1);
        await context.step('hold', () => hold.promise);
        return [charged, sum, await context.step('own', () => payments.sum(1, 2))];
      });
      const first = await scene.worker([flow]);
      const { id } = await first.start(flow.type, {});
      await eventually(async () => expect(await first.get(id).steps()).toHaveLength(2));
      expect(payments.charges).toBe(102);
      await scene.crash(first);
      hold.open();
      const second = await scene.worker([flow]);
      expect(await second.get(id).result({ timeout: '10s' })).toEqual([5, 6, 3]);
      expect(payments.charges).toBe(202);
      expect((await second.get(id).steps()).map(({ name, attempts }) => [name, attempts])).toEqual([
        ['Payments.charge', 2],
        ['the sum', 1],
        ['hold', 1],
        ['own', 1],
      ]);
      expect(await payments.sum(4, 4)).toBe(8);
    });

    it('belongs to the branch that calls it', async () => {
      const scene = await suite.scene();
      const payments = new Payments();
      const flow = define((context) =>
        context.map('each', [1, 2, 3], String, async (_, item) => payments.sum(item, item)),
      );
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      expect(await handle.result({ timeout: '10s' })).toEqual([2, 4, 6]);
      expect((await handle.steps()).map(({ name }) => name).toSorted()).toEqual(
        [1, 2, 3].map((item) => `each/${item}/the sum`),
      );
    });
  });
}
