import { randomBytes } from 'node:crypto';
import { quoteIdentifier, type PostgresSource } from '@nestbox/postgres';
import {
  MemoryWorkflowBackend,
  PgWorkflowBackend,
  VirtualClock,
  type WorkflowBackend,
} from '@nestbox/workflows';

/** Where the runs of a test are, with a clock that can be put forward. */
export interface TestStore {
  readonly backend: WorkflowBackend;
  /** By how much the clock was put forward, in ms. */
  readonly skippedMs: number;
  /** What has to be added to a time that is stored, to have it as the test sees it, in ms. */
  readonly offsetMs: number;
  /** The time of day as the test sees it, in ms since 1970. */
  wallTime(): number;
  /** Puts the clock forward. */
  skip(ms: number): Promise<void>;
  /** Lets others see that a worker has crashed. */
  expire(worker: string): Promise<void>;
  /** Removes what was made for the test alone, before the backend is closed. */
  dispose(): Promise<void>;
}

export class MemoryTestStore implements TestStore {
  private readonly clock = new VirtualClock();
  readonly backend = new MemoryWorkflowBackend({ clock: this.clock });
  readonly offsetMs = 0;
  skippedMs = 0;

  wallTime(): number {
    return this.clock.now();
  }

  async skip(ms: number): Promise<void> {
    this.skippedMs += ms;
    this.clock.skip(ms);
  }

  async expire(worker: string): Promise<void> {
    this.backend.expire(worker);
  }

  async dispose(): Promise<void> {}
}

/** Another transaction may hold some of the rows. */
const TRIES = 10;

/** Nobody can put the clock of the database forward; so all that waits is moved back. */
export class PgTestStore implements TestStore {
  readonly backend: PgWorkflowBackend;
  skippedMs = 0;
  private readonly schema: string;
  private readonly isOwn: boolean;

  /** @param schema undefined for one that is dropped when the test is over */
  constructor(source: PostgresSource, schema: string | undefined) {
    this.isOwn = schema === undefined;
    this.schema = schema ?? `test_${randomBytes(8).toString('hex')}`;
    this.backend = new PgWorkflowBackend(source, { schema: this.schema });
  }

  get offsetMs(): number {
    return this.skippedMs;
  }

  wallTime(): number {
    return Date.now() + this.skippedMs;
  }

  async skip(ms: number): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.backend.transaction(() => this.moveBack(ms));
        break;
      } catch (error) {
        if (tries >= TRIES || !this.backend.isTransient(error)) throw error;
      }
    }
    this.skippedMs += ms;
  }

  async expire(worker: string): Promise<void> {
    await this.backend.postgres.query(
      'update nestbox.leases set expires_at = clock_timestamp() where name = $1',
      [worker],
    );
  }

  async dispose(): Promise<void> {
    if (!this.isOwn) return;
    const { postgres } = this.backend;
    await postgres.transaction(async () => {
      // Or a client of the caller's prints what is dropped.
      await postgres.query('set local client_min_messages = warning');
      await postgres.query(`drop schema if exists ${quoteIdentifier(this.schema)} cascade`);
    });
  }

  private async moveBack(ms: number): Promise<void> {
    const schema = quoteIdentifier(this.schema);
    const by = `$1::float8 * interval '1 millisecond'`;
    const statements = [
      `update ${schema}.workflow_active set due_at = due_at - ${by}, deadline_at = deadline_at - ${by}`,
      `update ${schema}.workflow_steps set wake_at = wake_at - ${by} where wake_at is not null`,
      `update ${schema}.workflow_schedules set next_at = next_at - ${by}`,
      `update ${schema}.workflow_queues
          set starts = array(select s - ${by} from unnest(starts) with ordinality as u (s, i) order by i)`,
    ];
    for (const statement of statements) await this.backend.postgres.query(statement, [ms]);
  }
}
