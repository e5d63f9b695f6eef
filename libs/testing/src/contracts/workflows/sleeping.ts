/// <reference types="jest" />
import { eventually } from '../../eventually.js';
import { define, type WorkflowSuite } from './subject.js';

export function sleeping(suite: WorkflowSuite): void {
  describe('a sleep', () => {
    it('lasts as long as it says, in memory or parked', async () => {
      const scene = await suite.scene();
      const flow = define(async (context, ms: number) => {
        const begin = performance.now();
        await context.sleep('nap', ms);
        return performance.now() - begin;
      });
      const service = await scene.worker([flow]);
      const begin = performance.now();
      expect(await (await service.start(flow.type, 40)).result({ timeout: '10s' })).toBeGreaterThanOrEqual(
        39,
      );
      const long = await service.start(flow.type, 1_500);
      await eventually(async () => expect(await long.status()).toBe('suspended'));
      expect(service.activeRuns).toBe(0);
      await long.result({ timeout: '10s' });
      const took = performance.now() - begin;
      expect(took).toBeGreaterThanOrEqual(1_539);
      // An exact timer wakes it, not the next poll.
      expect(took).toBeLessThan(2_500);
    });

    it('is not begun anew by a crash', async () => {
      const scene = await suite.scene();
      const flow = define(async (context) => {
        await context.sleep('nap', 600);
        return 'awake';
      });
      const first = await scene.worker([flow]);
      const begin = performance.now();
      const { id } = await first.start(flow.type, {});
      await eventually(async () => (await first.get(id).steps()).length === 1);
      await new Promise((resolve) => setTimeout(resolve, 350));
      await scene.crash(first);
      const second = await scene.worker([flow]);
      expect(await second.get(id).result({ timeout: '10s' })).toBe('awake');
      const took = performance.now() - begin;
      expect(took).toBeGreaterThanOrEqual(595);
      expect(took).toBeLessThan(940);
    });

    it('until a time that is over does not wait', async () => {
      const scene = await suite.scene();
      const flow = define(async (context) => {
        await context.sleepUntil('then', new Date(0));
        await context.sleepUntil('soon', new Date(Date.now() + 30));
        return 'awake';
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      expect(await handle.result({ timeout: '10s' })).toBe('awake');
      expect(await handle.steps()).toMatchObject([
        { name: 'then', kind: 'sleep', status: 'done', wakeAt: new Date(0) },
        { name: 'soon', kind: 'sleep', status: 'done' },
      ]);
    });

    it('of two branches ends for each when it is due', async () => {
      const scene = await suite.scene();
      const order: string[] = [];
      const flow = define((context) =>
        Promise.all(
          [60, 20].map((ms) =>
            context.branch(`b${ms}`, async (own) => {
              await own.sleep('nap', ms);
              await own.step('note', () => void order.push(`b${ms}`));
            }),
          ),
        ),
      );
      const service = await scene.worker([flow]);
      await (await service.start(flow.type, {})).result({ timeout: '10s' });
      expect(order).toEqual(['b20', 'b60']);
    });
  });
}
