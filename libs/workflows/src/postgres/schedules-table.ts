import { quoteIdentifier, textArray, type Postgres } from '@nestbox/postgres';
import type { ScheduleRow } from '../workflow.backend.js';
import { textOf } from './run-rows.js';

type Row = Record<string, unknown>;

const COLUMNS = `s.name, s.workflow, s.cron, s.timezone, s.input::text as input, s.options::text as options,
  (extract(epoch from s.next_at) * 1000)::float8 as next, s.is_paused as paused, s.last_run_id as run`;

/** When runs begin by themselves. */
export class SchedulesTable {
  private readonly table: string;

  constructor(
    private readonly postgres: Postgres,
    schema: string,
  ) {
    this.table = `${quoteIdentifier(schema)}.workflow_schedules`;
  }

  async save(schedule: Omit<ScheduleRow, 'lastRunId'>): Promise<void> {
    const { name, workflow, cron, timezone, input, options, nextAtMs, isPaused } = schedule;
    await this.postgres.query(
      `insert into ${this.table} (name, workflow, cron, timezone, input, options, next_at, is_paused)
       values ($1, $2, $3, $4, $5::text::jsonb, $6::text::jsonb, to_timestamp($7::float8 / 1000), $8::boolean)
       on conflict (name) do update
         set workflow = excluded.workflow, cron = excluded.cron, timezone = excluded.timezone, input = excluded.input,
             options = excluded.options, next_at = excluded.next_at, is_paused = excluded.is_paused,
             updated_at = clock_timestamp()`,
      [name, workflow, cron, timezone, input, JSON.stringify(options), nextAtMs, isPaused],
    );
  }

  async remove(name: string): Promise<boolean> {
    const rows = await this.postgres.query(
      `delete from ${this.table} s where s.name = $1 returning 1 as one`,
      [name],
    );
    return rows.length > 0;
  }

  async pause(name: string, isPaused: boolean, nextAtMs: number | undefined): Promise<boolean> {
    const rows = await this.postgres.query(
      `update ${this.table} s
          set is_paused = $2::boolean, next_at = coalesce(to_timestamp($3::float8 / 1000), s.next_at),
              updated_at = clock_timestamp()
        where s.name = $1 returning 1 as one`,
      [name, isPaused, nextAtMs ?? null],
    );
    return rows.length > 0;
  }

  async list(): Promise<ScheduleRow[]> {
    return (await this.postgres.query(`select ${COLUMNS} from ${this.table} s order by s.name`)).map(
      scheduleOf,
    );
  }

  /**
   * One that cannot be started keeps no other from it.
   *
   * @throws what `start` throws, when all others are done
   */
  async runDue(
    start: (schedule: ScheduleRow, nowMs: number) => Promise<{ nextAtMs: number; runId: string }>,
  ): Promise<number | undefined> {
    const seen: string[] = [];
    const failures: unknown[] = [];
    for (let count = -1; count < seen.length;) {
      count = seen.length;
      try {
        await this.runOne(start, seen);
      } catch (error) {
        // The others shall not wait for it; without one, it is the database that cannot be asked.
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    const [row] = await this.postgres.query(
      `select (extract(epoch from min(s.next_at) - clock_timestamp()) * 1000)::float8 as ms
         from ${this.table} s where not s.is_paused`,
    );
    const ms = row!['ms'];
    return ms === null ? undefined : Math.max(0, Number(ms));
  }

  /** @param seen those to leave out; the one that was due is added */
  private runOne(
    start: (schedule: ScheduleRow, nowMs: number) => Promise<{ nextAtMs: number; runId: string }>,
    seen: string[],
  ): Promise<void> {
    return this.postgres.transaction(async () => {
      const [row] = await this.postgres.query(
        `select ${COLUMNS}, (extract(epoch from clock_timestamp()) * 1000)::float8 as now
           from ${this.table} s
          where not s.is_paused and s.next_at <= clock_timestamp() and s.name <> all ($1::text[])
          order by s.next_at
          limit 1
            for no key update skip locked`,
        [textArray(seen)],
      );
      if (row === undefined) return;
      const schedule = scheduleOf(row);
      seen.push(schedule.name);
      const { nextAtMs, runId } = await start(schedule, Number(row['now']));
      await this.postgres.query(
        `update ${this.table} s
            set next_at = to_timestamp($2::float8 / 1000), last_run_id = $3, updated_at = clock_timestamp()
          where s.name = $1`,
        [schedule.name, nextAtMs, runId],
      );
    });
  }
}

function scheduleOf(row: Row): ScheduleRow {
  return {
    name: row['name'] as string,
    workflow: row['workflow'] as string,
    cron: row['cron'] as string,
    timezone: row['timezone'] as string,
    input: row['input'] as string,
    options: JSON.parse(row['options'] as string) as ScheduleRow['options'],
    nextAtMs: Number(row['next']),
    isPaused: row['paused'] === true,
    lastRunId: textOf(row['run']),
  };
}
