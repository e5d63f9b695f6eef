import { Coalescer, InvalidArgumentError, Lifecycle, assertName } from '@nestbox/core';
import {
  isDataError,
  postgresOf,
  type Postgres,
  type PostgresOptions,
  type PostgresSource,
} from '@nestbox/postgres';
import { DEFAULT_SCHEMA, workflowMigrations } from '../postgres/workflow-schema.js';
import { operation } from './operation.js';
import { RunLocks } from './run-locks.js';
import { StateTable } from './state-table.js';
import type { RunState, StepState, WorkflowQueue } from './state.types.js';
import type {
  RunInsert,
  RunUpdate,
  RunUpdateOutcome,
  StepUpdate,
  StepUpdateOutcome,
} from './state.writes.js';
import { WorkflowStateService } from './workflow-state.service.js';

/** What postgres.js itself takes as options: host, port, database, user, password… */
type DriverOptions = NonNullable<PostgresOptions['options']>;

/** The properties that tell options of ours. */
const OWN_OPTIONS = ['url', 'options', 'client', 'embedded'];

/**
 * The state of runs in PostgreSQL, in the tables `workflow_runs` and `workflow_steps`. Calls join the ambient
 * transaction of the `Postgres` that was passed in; outside of one, concurrent calls share statements.
 */
export class PgWorkflowStateService extends WorkflowStateService {
  readonly schema: string;
  private readonly postgres: Postgres;
  private readonly table: StateTable;
  private readonly locks: RunLocks;
  private readonly lifecycle: Lifecycle;
  private readonly inserts: Coalescer<RunInsert, undefined>;
  private readonly writes: Coalescer<StepUpdate, StepUpdateOutcome>;

  /**
   * @param source a URL, options, a postgres.js client, or a `Postgres`; the last two are shared, and never closed here
   * @param queue see {@link WorkflowStateService}
   * @param schemaName where the tables are. Default: `workflows`
   * @throws InvalidArgumentError
   */
  constructor(source: PostgresSource | DriverOptions, queue?: WorkflowQueue, schemaName = DEFAULT_SCHEMA) {
    super(queue);
    const { postgres, owned } = postgresOf(sourceOf(source));
    const migrations = workflowMigrations(postgres, { schema: schemaName });
    this.schema = schemaName;
    this.postgres = postgres;
    this.table = new StateTable(postgres, schemaName);
    this.locks = new RunLocks(postgres, schemaName);
    this.lifecycle = new Lifecycle(
      'PgWorkflowStateService',
      async () => void (await migrations.run()),
      async () => {
        await Promise.all([this.inserts.close(), this.writes.close(), this.locks.close()]);
        if (owned) await postgres.close();
      },
    );
    this.inserts = new Coalescer({
      name: 'New runs of workflows',
      flush: async (runs) => {
        await this.table.insertRuns(runs);
        return runs.map(() => undefined);
      },
      size: ({ input }) => input.length,
      isDataError,
    });
    this.writes = new Coalescer({
      name: 'Steps of workflows',
      flush: (updates) => this.table.writeSteps(updates),
      key: ({ runId, stepName }) => `${runId}\0${stepName}`,
      size: ({ value }) => value?.length ?? 0,
      isDataError,
    });
  }

  /** Creates the schema and its tables, or brings them up to date. @throws MigrationFailedError */
  async init(): Promise<void> {
    await this.lifecycle.ready();
  }

  async close(): Promise<void> {
    await this.lifecycle.close();
  }

  async withRunLock<T>(id: string, fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
    assertName(id, 'id');
    if (this.postgres.currentTransaction !== undefined) {
      throw new InvalidArgumentError(
        'withRunLock',
        'would give the lock back before the transaction that it is called in commits. Begin the transaction inside.',
      );
    }
    await this.lifecycle.ready();
    return this.locks.run(id, fn);
  }

  protected insertRun(run: RunInsert): Promise<void> {
    return this.do(`create a run of "${run.workflow}"`, async () => {
      await (this.isInTransaction ? this.table.insertRuns([run]) : this.inserts.run(run));
    });
  }

  protected readRun(id: string): Promise<RunState | null> {
    return this.do(`read run "${id}"`, () => this.table.run(id));
  }

  protected writeRun(update: RunUpdate): Promise<RunUpdateOutcome> {
    return this.do(`set the status of run "${update.id}"`, () => this.table.updateRun(update));
  }

  protected readStep(runId: string, stepName: string): Promise<StepState | undefined> {
    return this.do(`read step "${stepName}" of run "${runId}"`, () => this.table.readStep(runId, stepName));
  }

  protected writeStep(update: StepUpdate): Promise<StepUpdateOutcome> {
    return this.do(`set step "${update.stepName}" of run "${update.runId}"`, async () => {
      if (!this.isInTransaction) return this.writes.run(update);
      const [outcome] = await this.table.writeSteps([update]);
      return outcome!;
    });
  }

  protected async afterCommit(fn: () => Promise<void>): Promise<void> {
    const transaction = this.postgres.currentTransaction;
    if (transaction === undefined) return fn();
    transaction.afterCommit(fn);
  }

  private get isInTransaction(): boolean {
    return this.postgres.currentTransaction !== undefined;
  }

  private async do<R>(name: string, fn: () => Promise<R>): Promise<R> {
    return operation(name, async () => {
      await this.lifecycle.ready();
      return fn();
    });
  }
}

/** Options of postgres.js itself are taken as they are. */
function sourceOf(source: PostgresSource | DriverOptions): PostgresSource {
  if (typeof source !== 'object' || source === null) return source;
  const isOurs = 'query' in source || OWN_OPTIONS.some((option) => option in source);
  return isOurs ? (source as PostgresSource) : { options: source as DriverOptions };
}
