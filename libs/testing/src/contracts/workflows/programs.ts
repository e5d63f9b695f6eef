/// <reference types="jest" />
import type { WorkflowContext } from '@nestbox/workflows';
import fc from 'fast-check';
import { CRASH_PLACES, noting, runCrashing, type CrashPlace, type Notes } from './crashes.js';
import { numbers, type WorkflowSuite } from './subject.js';

/** What a random workflow does, one after the other unless it says otherwise. */
type Program = readonly Part[];
type Part =
  | { kind: 'step'; name: string; ms: number }
  | { kind: 'failing' | 'now' | 'random' | 'uuid' | 'value' | 'transaction'; name: string }
  | { kind: 'sleep'; name: string; ms: number }
  /** A function of its own that is called so often. */
  | { kind: 'helper'; name: string; times: number }
  /** Steps at the same time, in no branch, with names of their own. */
  | { kind: 'parallel'; name: string; count: number; ms: number }
  | { kind: 'branches'; name: string; bodies: Program[] }
  | { kind: 'map'; name: string; keys: number; body: Program };

const name = fc.constantFrom('a', 'b', 'c');
const ms = fc.constantFrom(0, 0, 1, 4);

const { program } = fc.letrec<{ program: Program; part: Part }>((tie) => ({
  program: fc.array(tie('part'), { minLength: 1, maxLength: 3, depthIdentifier: 'program' }),
  part: fc.oneof(
    { depthIdentifier: 'program', maxDepth: 3 },
    fc.record({ kind: fc.constant('step' as const), name, ms }),
    fc.record({
      kind: fc.constantFrom('failing', 'now', 'random', 'uuid', 'value', 'transaction'),
      name,
    }),
    fc.record({ kind: fc.constant('sleep' as const), name, ms: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('helper' as const), name, times: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant('parallel' as const), name, count: fc.integer({ min: 2, max: 3 }), ms }),
    fc.record({
      kind: fc.constant('branches' as const),
      name,
      bodies: fc.array(tie('program'), { minLength: 1, maxLength: 3 }),
    }),
    fc.record({
      kind: fc.constant('map' as const),
      name,
      keys: fc.integer({ min: 0, max: 3 }),
      body: tie('program'),
    }),
  ),
}));

/** Runs a program. What it gives does not depend on the run. */
async function perform(
  context: WorkflowContext,
  notes: Notes,
  parts: Program,
  at: string,
): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const [i, part] of parts.entries()) {
    results.push(notes.sees(`${at}${i}`, await performOne(context, notes, part, `${at}${i}.`)));
  }
  return results;
}

async function performOne(context: WorkflowContext, notes: Notes, part: Part, at: string): Promise<unknown> {
  switch (part.kind) {
    case 'step':
      return context.step(part.name, notes.does(at, part.ms));
    case 'failing':
      return context
        .step(part.name, () => Promise.reject(new RangeError(at)))
        .catch((error: Error) => [error.name, error.message]);
    case 'transaction':
      return context.transaction(part.name, () => at);
    case 'value':
      context.setValue(part.name, at);
      return undefined;
    case 'now': {
      const time = context.now();
      await context.step(`${part.name} then`, notes.does(null));
      notes.sees(`${at}time`, time);
      return undefined;
    }
    case 'random':
    case 'uuid':
      notes.sees(`${at}drawn`, context[part.kind]());
      return undefined;
    case 'sleep':
      return context.sleep(part.name, part.ms);
    case 'helper': {
      const helper = async (i: number): Promise<string> => {
        await Promise.resolve();
        const first = await context.step(part.name, notes.does(`${at}${i}`));
        return context.step(`${part.name} again`, notes.does(`${first}!`));
      };
      const all: string[] = [];
      for (const i of numbers(part.times)) all.push(await helper(i));
      return all;
    }
    case 'parallel':
      return Promise.all(
        numbers(part.count).map(async (i) => {
          const first = await context.step(`${at}${i}`, notes.does(`${at}${i}`, i * part.ms));
          return context.step(`${at}${i} again`, notes.does(`${first}!`));
        }),
      );
    case 'branches':
      return Promise.all(
        part.bodies.map((body, i) =>
          context.branch(`${part.name}${i}`, (own) => perform(own, notes, body, `${at}${i}:`)),
        ),
      );
    case 'map':
      return context.map(part.name, numbers(part.keys), String, (own, key) =>
        perform(own, notes, part.body, `${at}${key}:`),
      );
  }
}

const crashes = fc.array(
  fc.record({
    place: fc.constantFrom<CrashPlace>(...CRASH_PLACES),
    at: fc.integer({ min: 1, max: 12 }),
  }),
  { minLength: 1, maxLength: 3 },
);

export function programs(suite: WorkflowSuite): void {
  describe('any workflow', () => {
    it('gives the same result wherever its processes die', async () => {
      const scene = await suite.scene();
      await fc.assert(
        fc.asyncProperty(program, crashes, async (parts, deaths) => {
          const noted = noting((context, notes) => perform(context, notes, parts, ''));
          const undisturbed = await runCrashing(scene, noted, []);
          const { output, notes, repeated } = await runCrashing(scene, noted, deaths);
          expect(output).toEqual(undisturbed.output);
          expect(repeated).toEqual([]);
          expect(notes.swapped).toEqual([]);
          expect([...notes.done.keys()].toSorted()).toEqual([...undisturbed.notes.done.keys()].toSorted());
        }),
        { numRuns: suite.options.numRuns ?? 30, interruptAfterTimeLimit: 20_000 },
      );
    }, 60_000);
  });
}
