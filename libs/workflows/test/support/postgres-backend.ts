import { Postgres } from '@nestbox/postgres';
import { testDatabase } from '@nestbox/testing';
import { PgWorkflowBackend } from '../../src/postgres/pg.workflow-backend.js';
import type {
  ClaimedRun,
  ClaimRequest,
  NewRun,
  RunRow,
  RunWrite,
  WriteOutcome,
} from '../../src/workflow.backend.js';
import { newRun, newWrite } from './memory-backend.js';

/** A backend on a database that nobody else has, and short ways to ask it. */
export class PgBench {
  private constructor(
    readonly backend: PgWorkflowBackend,
    readonly postgres: Postgres,
    readonly url: string,
    private readonly drop: () => Promise<void>,
  ) {}

  static async open(): Promise<PgBench> {
    const database = await testDatabase();
    const postgres = new Postgres({ url: database.url, options: { max: 8 } });
    const backend = new PgWorkflowBackend(postgres);
    await backend.init();
    return new PgBench(backend, postgres, database.url, () => database.drop());
  }

  async close(): Promise<void> {
    await this.backend.close();
    await this.postgres.close();
    await this.drop();
  }

  /** Leaves nothing. */
  async clear(): Promise<void> {
    await this.postgres.query(
      `truncate workflows.workflow_runs, workflows.workflow_steps, workflows.workflow_active,
         workflows.workflow_signals, workflows.workflow_values, workflows.workflow_queues, workflows.workflow_schedules`,
    );
  }

  async claim(worker: string, change: Partial<ClaimRequest> = {}): Promise<readonly ClaimedRun[]> {
    const request = { worker, limit: 100, workflows: ['order', 'other'], queues: undefined, ...change };
    return (await this.backend.claim(request)).runs;
  }

  /** Starts a run, as claimed by a worker. */
  async begin(worker: string, id: string, change: Partial<NewRun> = {}): Promise<bigint> {
    const outcome = await this.backend.start(newRun(id, { worker, ...change }));
    if (outcome.kind !== 'started') throw new Error(`${id} was there`);
    return outcome.claim;
  }

  write(runId: string, claim: bigint, change: Partial<RunWrite> = {}): Promise<WriteOutcome> {
    return this.backend.write(newWrite(runId, claim, change));
  }

  async run(id: string): Promise<RunRow | undefined> {
    return (await this.backend.get([id]))[0];
  }

  async stepNames(id: string): Promise<string[]> {
    return (await this.backend.steps(id)).map(({ name }) => name);
  }

  /** The narrow row of a run that is not over. */
  async active(id: string): Promise<{ state: number; ending: unknown; recoveries: number } | undefined> {
    const [row] = await this.postgres.query(
      'select state, ending, recoveries from workflows.workflow_active where run_id = $1',
      [id],
    );
    if (row === undefined) return undefined;
    return { state: Number(row['state']), ending: row['ending'], recoveries: Number(row['recoveries']) };
  }

  /** How many statements wait for a lock that another has. */
  async blocked(): Promise<number> {
    const [row] = await this.postgres.query(
      `select count(*)::integer as count from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return Number(row!['count']);
  }
}

/** A promise that a test resolves. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}
