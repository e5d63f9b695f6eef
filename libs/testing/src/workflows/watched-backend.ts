import type { Claims, LoadedStep, RunWrite, ScheduleRow, WorkflowBackend } from '@nestbox/workflows';
import { Calls } from './calls.js';
import type { TestStore } from './test-store.js';

/** What a look for schedules that are due has given. */
export interface DueLook {
  readonly started: number;
  readonly nextInMs: number | undefined;
}

/** The backend of a test: tells what is asked of it, and shows times as the test sees them. */
export class WatchedBackend {
  readonly claims = new Calls<Claims>();
  readonly dueLooks = new Calls<DueLook>();
  readonly backend: WorkflowBackend;
  /** How many runs workers have taken. */
  taken = 0;

  constructor(private readonly store: TestStore) {
    const own = this.methods();
    this.backend = new Proxy(store.backend, {
      get: (target, key): unknown => {
        const method: unknown = Reflect.get(own, key);
        if (method !== undefined) return method;
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  private methods(): Partial<WorkflowBackend> {
    const { store, claims } = this;
    const { backend } = store;
    return {
      claim: (request) =>
        claims.watch(async () => {
          const claimed = await backend.claim(request);
          this.taken += claimed.runs.length;
          return claimed;
        }),
      runDue: (start) => this.runDue(start),
      write: (write) => backend.write(this.stored(write)),
      writeNow: (write) => backend.writeNow(this.stored(write)),
      steps: async (runId) => (await backend.steps(runId)).map((step) => this.seenStep(step)),
      saveSchedule: (schedule) =>
        backend.saveSchedule({ ...schedule, nextAtMs: schedule.nextAtMs - store.offsetMs }),
      pauseSchedule: (name, isPaused, nextAtMs) =>
        backend.pauseSchedule(name, isPaused, nextAtMs === undefined ? undefined : nextAtMs - store.offsetMs),
      schedules: async () => (await backend.schedules()).map((schedule) => this.seenSchedule(schedule)),
      close: async () => {
        await store.dispose();
        await backend.close();
      },
    };
  }

  private async runDue(start: Parameters<WorkflowBackend['runDue']>[0]): Promise<number | undefined> {
    const { backend, offsetMs } = this.store;
    let started = 0;
    const look = await this.dueLooks.watch(async () => {
      const nextInMs = await backend.runDue(async (schedule, nowMs) => {
        started++;
        const { nextAtMs, runId } = await start(this.seenSchedule(schedule), nowMs + offsetMs);
        return { nextAtMs: nextAtMs - offsetMs, runId };
      });
      return { started, nextInMs };
    });
    return look.nextInMs;
  }

  private stored(write: RunWrite): RunWrite {
    const { offsetMs } = this.store;
    if (offsetMs === 0) return write;
    const steps = write.steps.map((step) =>
      step.wakeAtMs === undefined ? step : { ...step, wakeAtMs: step.wakeAtMs - offsetMs },
    );
    return { ...write, steps };
  }

  private seenStep(step: LoadedStep): LoadedStep {
    const { wakeAtMs } = step;
    return wakeAtMs === undefined ? step : { ...step, wakeAtMs: wakeAtMs + this.store.offsetMs };
  }

  private seenSchedule(schedule: ScheduleRow): ScheduleRow {
    return { ...schedule, nextAtMs: schedule.nextAtMs + this.store.offsetMs };
  }
}
