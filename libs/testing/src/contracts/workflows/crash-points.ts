/// <reference types="jest" />
import type { WorkflowContext } from '@nestbox/workflows';
import { CRASH_PLACES, expectSameAtEveryPoint, type Notes } from './crashes.js';
import { numbers, pause, type WorkflowSuite } from './subject.js';

/** Each a crash at every point where a process can die. */
export function crashPoints(suite: WorkflowSuite): void {
  describe('a crash at any point changes nothing for', () => {
    it('steps one after the other', async () => {
      const scene = await suite.scene();
      const output = await expectSameAtEveryPoint(scene, async (context, notes) => {
        const a = await context.step('a', notes.does(1));
        const b = await context.step('b', notes.does(a + 1));
        const c = await context.step('c', notes.does(b + 1));
        return notes.sees('all', [a, b, c]);
      });
      expect(output).toEqual([1, 2, 3]);
    });

    it('un-scoped parallel branches whose steps have names of their own', async () => {
      const scene = await suite.scene();
      const output = await expectSameAtEveryPoint(scene, async (context, notes) => {
        const branch = async (name: string, ms: number): Promise<string[]> => {
          const first = await context.step(`${name} first`, notes.does(`${name}1`, ms));
          const then = await context.step(`${name} then`, notes.does(`${first}2`, ms));
          return notes.sees(name, [first, then]);
        };
        return Promise.all([branch('a', 9), branch('b', 1), branch('c', 4)]);
      });
      expect(output).toEqual(['a', 'b', 'c'].map((name) => [`${name}1`, `${name}12`]));
    });

    it('branches with the same step names', async () => {
      const scene = await suite.scene();
      const output = await expectSameAtEveryPoint(scene, async (context, notes) => {
        const branch = (name: string, ms: number): Promise<string[]> =>
          context.branch(name, async (own) => {
            const first = await own.step('charge', notes.does(`${name}1`, ms));
            const again = await own.step('charge', notes.does(`${name}2`));
            return notes.sees(name, [first, again, await own.step('ship', notes.does(`${name}3`, ms))]);
          });
        return Promise.all([branch('a', 8), branch('b', 1)]);
      });
      expect(output).toEqual([
        ['a1', 'a2', 'a3'],
        ['b1', 'b2', 'b3'],
      ]);
    });

    it('a map whose branches have the same step names', async () => {
      const scene = await suite.scene();
      const output = await expectSameAtEveryPoint(scene, async (context, notes) =>
        context.map(
          'ship',
          [7, 1, 4],
          (item) => item,
          async (own, item) => {
            const first = await own.step('pack', notes.does(item * 10, item));
            return notes.sees(`of ${item}`, [first, await own.step('send', notes.does(item * 100))]);
          },
        ),
      );
      expect(output).toEqual([
        [70, 700],
        [10, 100],
        [40, 400],
      ]);
    });

    it('maps in maps, and the same map twice', async () => {
      const scene = await suite.scene();
      const map = (context: WorkflowContext, notes: Notes, round: string): Promise<string[][]> =>
        context.map('outer', ['x', 'y'], String, (outer, x) =>
          outer.map('inner', ['x', 'y'], String, async (inner, y) =>
            notes.sees(
              `${round}${x}${y}`,
              await inner.step('do', notes.does(`${round}${x}${y}`, x === y ? 3 : 0)),
            ),
          ),
        );
      const output = await expectSameAtEveryPoint(
        scene,
        async (context, notes) => [await map(context, notes, '1'), await map(context, notes, '2')],
        { places: ['unwritten', 'written'] },
      );
      expect(output).toEqual(
        ['1', '2'].map((round) => ['x', 'y'].map((x) => ['x', 'y'].map((y) => round + x + y))),
      );
    });

    it('helper functions that are called in a loop', async () => {
      const scene = await suite.scene();
      const output = await expectSameAtEveryPoint(scene, async (context, notes) => {
        const helper = async (i: number): Promise<string> => {
          await Promise.resolve();
          const a = await context.step('ask', notes.does(`a${i}`));
          const inner = async (): Promise<string> => {
            await Promise.resolve();
            return context.step('tell', notes.does(`${a}t${i}`));
          };
          return inner();
        };
        const all: string[] = [];
        for (const i of numbers(4)) all.push(notes.sees(`helper ${i}`, await helper(i)));
        return all;
      });
      expect(output).toEqual(['a0t0', 'a1t1', 'a2t2', 'a3t3']);
    });

    it('un-scoped parallel functions that use a name one after the other', async () => {
      const scene = await suite.scene();
      const output = await expectSameAtEveryPoint(
        scene,
        async (context, notes) => {
          const one = async (name: string, ms: number): Promise<string> => {
            await context.step(name, notes.does(name, ms));
            return notes.sees(name, await context.step('mail', notes.does(`to ${name}`)));
          };
          return Promise.all([one('slow', 40), one('quick', 0)]);
        },
        { mayBeAmbiguous: true },
      );
      expect(output).toEqual(['to slow', 'to quick']);
    });

    it('un-scoped parallel functions that use a name one after the other, each behind a branch', async () => {
      const scene = await suite.scene();
      const output = await expectSameAtEveryPoint(
        scene,
        async (context, notes) => {
          const one = async (name: string, ms: number): Promise<string> => {
            await context.branch(name, (own) => own.step('wait', notes.does(name, ms)));
            return notes.sees(name, await context.step('mail', notes.does(`to ${name}`)));
          };
          return Promise.all([one('slow', 40), one('quick', 0)]);
        },
        { mayBeAmbiguous: true },
      );
      expect(output).toEqual(['to slow', 'to quick']);
    });

    it('un-scoped parallel functions that use the name of a map one after the other', async () => {
      const scene = await suite.scene();
      const output = await expectSameAtEveryPoint(
        scene,
        async (context, notes) => {
          const one = async (name: string, ms: number): Promise<string[]> => {
            await context.step(name, notes.does(name, ms));
            const all = await context.map('mail', ['k'], String, (own) =>
              own.step('do', notes.does(`to ${name}`)),
            );
            return notes.sees(name, all);
          };
          return Promise.all([one('slow', 40), one('quick', 0)]);
        },
        { mayBeAmbiguous: true },
      );
      expect(output).toEqual([['to slow'], ['to quick']]);
    });

    it('random numbers and ids in un-scoped parallel functions', async () => {
      const scene = await suite.scene();
      await expectSameAtEveryPoint(scene, async (context, notes) => {
        const one = async (name: string, ms: number): Promise<void> => {
          await context.step(name, notes.does(name, ms));
          notes.sees(`number of ${name}`, context.random());
          notes.sees(`id of ${name}`, context.uuid());
          await context.step(`${name} again`, notes.does(name));
        };
        await Promise.all([one('slow', 30), one('quick', 0)]);
      });
    });

    it('times, random numbers, ids and values', async () => {
      const scene = await suite.scene();
      await expectSameAtEveryPoint(scene, async (context, notes) => {
        // A time that is not recorded yet may be another one; but then nothing is done that builds on it.
        const [at, later] = [context.now(), context.now()];
        const drawn = [context.random(), context.random(), context.uuid()];
        await context.step('a', notes.does(1));
        notes.sees('now', [at, later, ...drawn]);
        context.setValue('progress', 0.5);
        await context.map('each', [1, 2], String, async (own, item) => {
          const seen = [own.now(), own.random(), own.uuid()];
          await own.step('b', notes.does(item));
          seen.push(own.random(), own.uuid());
          await own.step('c', notes.does(item));
          notes.sees(`of ${item}`, seen);
        });
        context.setValue('progress', 1);
      });
    });

    it('a race between steps', async () => {
      const scene = await suite.scene();
      const output = await expectSameAtEveryPoint(
        scene,
        async (context, notes) => {
          const quick = context.step('quick', notes.does('quick'));
          const slow = context.step('slow', notes.does('slow', 60));
          const winner = await Promise.race([quick, slow]);
          const next = await context.step('next', notes.does(`after ${winner}`));
          return [winner, next, await slow];
        },
        { places: ['written'] },
      );
      expect(output).toEqual(['quick', 'after quick', 'slow']);
    });

    it('steps that nobody waits for', async () => {
      const scene = await suite.scene();
      const output = await expectSameAtEveryPoint(scene, async (context, notes) => {
        void context.step('aside', notes.does('aside', 2));
        const a = await context.step('a', notes.does(1));
        void context.step('last', notes.does('last'));
        return a;
      });
      expect(output).toBe(1);
    });

    it('steps that fail, and code that goes on after it', async () => {
      const scene = await suite.scene();
      const output = await expectSameAtEveryPoint(scene, async (context, notes) => {
        const problem = await context
          .step('fails', () => Promise.reject(Object.assign(new TypeError('no'), { code: 'NO' })))
          .catch(({ name, message, code }: Error & { code: string }) => [name, message, code]);
        notes.sees('problem', problem);
        return [problem, await context.step('after', notes.does('went on'))];
      });
      expect(output).toEqual([['TypeError', 'no', 'NO'], 'went on']);
    });

    it('transaction steps, beside others', async () => {
      const scene = await suite.scene();
      const output = await expectSameAtEveryPoint(scene, async (context, notes) => {
        const a = await context.step('a', notes.does(1));
        const b = await context.transaction('b', () => a + 1);
        const [c, d] = await Promise.all([
          context.transaction('c', async () => b + 1),
          context.step('d', notes.does(b + 2, 1)),
        ]);
        return notes.sees('all', [a, b, c, d]);
      });
      expect(output).toEqual([1, 2, 3, 4]);
    });

    it('sleeps', async () => {
      const scene = await suite.scene();
      await expectSameAtEveryPoint(scene, async (context, notes) => {
        await context.step('a', notes.does(1));
        await Promise.all([context.sleep('long', 20), context.sleep('short', 2)]);
        await context.step('b', notes.does(2));
        await context.sleepUntil('until', new Date(context.now().getTime() + 5));
      });
    });

    it('functions that wait for something else than the context', async () => {
      const scene = await suite.scene();
      await expectSameAtEveryPoint(
        scene,
        async (context, notes) => {
          await pause(3);
          await context.step('a', notes.does(1));
          await pause(3);
          await context.step('b', notes.does(2));
        },
        { places: CRASH_PLACES.slice(1) },
      );
    });
  });
}
