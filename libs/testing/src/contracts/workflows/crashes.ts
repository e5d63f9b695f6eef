/// <reference types="jest" />
import type { WorkflowBackend, WorkflowContext, WorkflowService } from '@nestbox/workflows';
import { define, gate, unique, type Defined, type Scene, type ServiceOptions } from './subject.js';

/**
 * Where a process dies: when a step is done and noted, before a write is sent, when it was written and nobody has been
 * told, before and after the commit of a transaction, before and after the start of a child.
 */
export type CrashPlace = 'recorded' | 'unwritten' | 'written';
export const CRASH_PLACES: readonly CrashPlace[] = ['recorded', 'unwritten', 'written'];

/** What the code of a workflow notes of itself, over all of its executions. */
export class Notes {
  /** How often each step was done, by its whole name. */
  readonly done = new Map<string, number>();
  private readonly seen = new Map<string, Set<string>>();

  /** The function of a step that gives this value, and counts. */
  does<R>(value: R, ms?: number): (step: { stepName: string }) => Promise<R> {
    return async ({ stepName }) => {
      this.done.set(stepName, (this.done.get(stepName) ?? 0) + 1);
      if (ms !== undefined) await new Promise((resolve) => setTimeout(resolve, ms));
      return value;
    };
  }

  /** What the code has seen at one point, which must be the same in every execution. */
  sees<R>(label: string, value: R): R {
    const others = this.seen.get(label);
    if (others === undefined) this.seen.set(label, new Set([JSON.stringify(value)]));
    else others.add(JSON.stringify(value));
    return value;
  }

  /** Points where executions have seen different things. */
  get swapped(): [string, string[]][] {
    return [...this.seen]
      .filter(([, values]) => values.size > 1)
      .map(([label, values]) => [label, [...values]]);
  }
}

/** The code of a workflow that notes what it does. */
export type Noting<Output = unknown> = (
  context: WorkflowContext,
  notes: Notes,
  input: unknown,
) => Promise<Output>;

export interface Noted<Output = unknown> {
  readonly flow: Defined<unknown, Output>;
  /** Those of one run. */
  notes: (runId: string) => Notes;
}

export function noting<Output = unknown>(run: Noting<Output>): Noted<Output> {
  const all = new Map<string, Notes>();
  const notes = (runId: string): Notes => {
    const found = all.get(runId) ?? new Notes();
    all.set(runId, found);
    return found;
  };
  return { flow: define((context, input) => run(context, notes(context.runId), input)), notes };
}

/** Counts the points of one place, and has the process die at one of them. */
class CrashPlan {
  reached = 0;
  readonly crashed = gate<string | undefined>();
  isCrashed = false;
  service: WorkflowService | undefined;

  constructor(
    readonly place: CrashPlace,
    private readonly at: number,
  ) {}

  /** @returns whether the process is dead by now */
  passes(place: CrashPlace): boolean {
    if (this.isCrashed) return true;
    if (place !== this.place || ++this.reached !== this.at) return false;
    this.isCrashed = true;
    this.crashed.open(this.service!.crash());
    return true;
  }

  get options(): ServiceOptions {
    return {
      onRecorded: () => void this.passes('recorded'),
      through: (backend) => this.through(backend),
    };
  }

  private through(backend: WorkflowBackend): WorkflowBackend {
    const never = <R>(): Promise<R> => new Promise<R>(() => undefined);
    const around = async <R>(act: () => Promise<R>): Promise<R> => {
      if (this.passes('unwritten')) return never<R>();
      const result = await act();
      return this.passes('written') ? never<R>() : result;
    };
    const methods: Partial<WorkflowBackend> = {
      write: (write) => around(() => backend.write(write)),
      start: (run) => (run.parentId === undefined ? backend.start(run) : around(() => backend.start(run))),
      transaction: (fn) =>
        around(() =>
          backend.transaction(async () => {
            const result = await fn();
            // What the database does with a transaction whose connection is gone.
            if (this.passes('unwritten')) throw new Error('The process has died.');
            return result;
          }),
        ),
    };
    return new Proxy(backend, {
      get: (target, key) => {
        const own: unknown = Reflect.get(methods, key);
        if (own !== undefined) return own;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }
}

export interface CrashedRun<Output> {
  readonly id: string;
  readonly output: Output;
  readonly notes: Notes;
  /** Steps that were recorded when the process died and were done again all the same. */
  readonly repeated: string[];
  /** How many points of this kind there were until the run was over or the process died. */
  readonly reached: number;
  readonly isCrashed: boolean;
}

/** Runs a workflow in processes each of which dies at the nth point of a kind, and then in one that lives. */
export async function runCrashing<Output>(
  scene: Scene,
  { flow, notes }: Noted<Output>,
  crashes: readonly { place: CrashPlace; at: number }[],
  options: {
    input?: unknown;
    others?: readonly Defined[];
    meanwhile?: (id: string) => Promise<unknown>;
  } = {},
): Promise<CrashedRun<Output>> {
  const { input = {}, others = [], meanwhile } = options;
  const id = unique('run');
  const client = await scene.client();
  const workflows = [flow, ...others];
  const repeated: string[] = [];
  let reached = 0;
  let isCrashed = false;
  let recorded = new Map<string, number>();
  const note = (): void => {
    const { done } = notes(id);
    for (const [name, times] of recorded) if ((done.get(name) ?? 0) > times) repeated.push(name);
  };
  let isStarted = false;
  for (const { place, at } of crashes) {
    const plan = new CrashPlan(place, at);
    plan.service = await scene.worker(workflows, plan.options);
    if (!isStarted) {
      isStarted = true;
      await plan.service.start(flow.type, input, { id });
      if (meanwhile !== undefined) void meanwhile(id);
    }
    const end = new AbortController();
    const over = plan.service
      .get(id)
      .result({ signal: end.signal, timeout: '20s' })
      .catch(() => undefined);
    const worker = await Promise.race([plan.crashed.promise, over.then(() => undefined)]);
    end.abort();
    ({ reached } = plan);
    isCrashed = plan.isCrashed;
    note();
    if (!isCrashed) {
      await plan.service.close();
      break;
    }
    await scene.bury(worker);
    recorded = new Map();
    for (const { name, status } of await client.get(id).steps()) {
      if (status === 'done') recorded.set(name, notes(id).done.get(name) ?? 0);
    }
  }
  const survivor = await scene.worker(workflows);
  if (!isStarted) {
    await survivor.start(flow.type, input, { id });
    if (meanwhile !== undefined) void meanwhile(id);
  }
  const output = await survivor.get<Output>(id).result({ timeout: '20s' });
  note();
  await Promise.all([survivor.close(), client.close()]);
  return { id, output, notes: notes(id), repeated, reached, isCrashed };
}

/**
 * Runs a workflow undisturbed, then once for each point at which a process can die in it, and expects the same result,
 * nothing done twice that was recorded, and no point at which two executions have seen different things.
 */
export async function expectSameAtEveryPoint<Output>(
  scene: Scene,
  run: Noting<Output>,
  options: Parameters<typeof runCrashing>[3] & {
    places?: readonly CrashPlace[];
    /** Whether it is by luck that names are used one after the other; then a replay may refuse them, but not swap them. */
    mayBeAmbiguous?: boolean;
  } = {},
): Promise<Output> {
  const { places = CRASH_PLACES, mayBeAmbiguous = false } = options;
  const noted = noting(run);
  const { output, notes } = await undisturbed(() => runCrashing(scene, noted, [], options), mayBeAmbiguous);
  const steps = [...notes.done.keys()].toSorted();
  expect(notes.swapped).toEqual([]);
  for (const place of places) {
    for (let at = 1; ; at++) {
      let crashed: CrashedRun<Output>;
      try {
        crashed = await runCrashing(scene, noted, [{ place, at }], options);
      } catch (error) {
        if (!mayBeAmbiguous || !isAmbiguous(error)) throw error;
        continue;
      }
      const where = `${place} ${at}`;
      expect({ where, output: crashed.output }).toEqual({ where, output });
      expect({ where, repeated: crashed.repeated }).toEqual({ where, repeated: [] });
      expect({ where, swapped: crashed.notes.swapped }).toEqual({ where, swapped: [] });
      expect([...crashed.notes.done.keys()].toSorted()).toEqual(steps);
      expect(Math.max(...crashed.notes.done.values(), 0)).toBeLessThanOrEqual(2);
      if (!crashed.isCrashed) {
        expect(at).toBeGreaterThan(1);
        break;
      }
    }
  }
  return output;
}

/** Without luck, names are used at the same time in the first run already, on a machine that is busy. */
async function undisturbed<R>(run: () => Promise<R>, mayBeAmbiguous: boolean): Promise<R> {
  for (let tries = 1; ; tries++) {
    try {
      return await run();
    } catch (error) {
      if (!mayBeAmbiguous || !isAmbiguous(error) || tries === 20) throw error;
    }
  }
}

function isAmbiguous(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  return code === 'RUN_FAILED' && cause?.code === 'AMBIGUOUS_STEP';
}
