import { quoteIdentifier, textArray, type Postgres } from '@nestbox/postgres';
import type { Ending, LoadedStep, News, RunRow } from '../workflow.backend.js';
import type { Figures, RunQuery } from '../workflow.queries.js';
import type { RunStatus } from '../workflow.types.js';
import { loadedStepOf, numberOf, RUN_COLUMNS, runRowOf, STEP_COLUMNS, valueOf } from './run-rows.js';

/** Where the text of a run may be found. The columns of names compare by bytes, and so would know no case. */
const NAMES = `lower((r.id || e'\\n' || r.workflow) collate "default")`;
const VALUES = `lower(concat_ws(e'\\n', r.input::text, r.output::text, r.error::text))`;

/** The statements that show runs. */
export class RunReader {
  private readonly runs: string;
  private readonly active: string;
  private readonly stepping: string;
  private readonly valuing: string;
  private readonly counting: string;
  private readonly figuring: string;
  private readonly hearing: string;
  private readonly ending: string;

  constructor(
    private readonly postgres: Postgres,
    schema: string,
  ) {
    const quoted = quoteIdentifier(schema);
    this.runs = `${quoted}.workflow_runs`;
    this.active = `${quoted}.workflow_active`;
    this.stepping = `select ${STEP_COLUMNS} from ${quoted}.workflow_steps s
      where s.run_id = $1 order by s.seq, s.step_name`;
    this.valuing = `select v.key, v.value::text as value from ${quoted}.workflow_values v
      where v.run_id = $1 order by v.key`;
    this.counting = `select r.workflow, r.status, count(*)::float8 as count from ${this.runs} r
      group by r.workflow, r.status order by r.workflow, r.status`;
    this.figuring = `select count(*) filter (where a.state = 0)::float8 as ready,
        count(*) filter (where a.state = 1)::float8 as claimed,
        count(*) filter (where a.state = 2)::float8 as parked,
        count(*) filter (where a.state = 3)::float8 as stuck,
        count(*) filter (where a.state = 4)::float8 as dead,
        (extract(epoch from clock_timestamp() - min(a.due_at) filter (where a.state = 0)) * 1000)::float8 as oldest
      from ${this.active} a`;
    // One that has failed is no news to the worker that has said so.
    this.hearing = `select 'ending' as kind, a.run_id as run, a.ending as name, a.claim::text as number, null as body,
        0 as position
      from ${this.active} a
      where a.worker = $1 and a.state = 1 and a.ending <> 'failed'
      union all
      select 'signal', s.run_id, s.name, s.id::text, s.payload::text, s.id
      from ${quoted}.workflow_signals s
      where s.run_id = any ($2::text[]) and s.taken_by is null
      order by position`;
    // For a stuck child, its parent goes on waiting.
    this.ending = `select ${RUN_COLUMNS} from ${this.runs} r
      where r.id = any ($1::text[]) and r.status in ('completed', 'failed', 'cancelled', 'dead')`;
  }

  async get(ids: readonly string[]): Promise<RunRow[]> {
    const rows = await this.postgres.query(
      `select ${RUN_COLUMNS} from ${this.runs} r where r.id = any ($1::text[])`,
      [textArray(ids)],
    );
    return rows.map(runRowOf);
  }

  async list(query: RunQuery): Promise<RunRow[]> {
    const params: unknown[] = [];
    const bind = (value: unknown): string => `$${params.push(value)}`;
    const { ids, workflow, statuses, queue, parentId, fromMs, toMs, search, before, limit } = query;
    const conditions: string[] = [];
    if (ids !== undefined) conditions.push(`r.id = any (${bind(textArray(ids))}::text[])`);
    if (workflow !== undefined) conditions.push(`r.workflow = ${bind(workflow)}`);
    if (statuses !== undefined) conditions.push(`r.status = any (${bind(textArray(statuses))}::text[])`);
    if (queue !== undefined) conditions.push(`r.queue = ${bind(queue)}`);
    if (parentId !== undefined) conditions.push(`r.parent_id = ${bind(parentId)}`);
    // A time between two milliseconds is after the first of them.
    if (fromMs !== undefined) conditions.push(`r.created_at >= ${bind(Math.ceil(fromMs))}::float8::bigint`);
    if (toMs !== undefined) conditions.push(`r.created_at < ${bind(Math.ceil(toMs))}::float8::bigint`);
    if (search !== undefined) {
      // In JSON, quotes and line breaks are escaped.
      const escaped = JSON.stringify(search).slice(1, -1);
      conditions.push(
        `(strpos(${NAMES}, lower(${bind(search)})) > 0 or strpos(${VALUES}, lower(${bind(escaped)})) > 0)`,
      );
    }
    if (before !== undefined) {
      conditions.push(
        `(r.created_at, r.id) < (${bind(before.createdAtMs)}::float8::bigint, ${bind(before.id)})`,
      );
    }
    const where = conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`;
    const rows = await this.postgres.query(
      `select ${RUN_COLUMNS} from ${this.runs} r ${where}
        order by r.created_at desc, r.id desc limit ${bind(limit)}::integer`,
      params,
    );
    return rows.map(runRowOf);
  }

  async steps(runId: string): Promise<LoadedStep[]> {
    return (await this.postgres.query(this.stepping, [runId])).map(loadedStepOf);
  }

  async values(runId: string): Promise<Map<string, unknown>> {
    const rows = await this.postgres.query(this.valuing, [runId]);
    return new Map(rows.map((row) => [row['key'] as string, valueOf(row['value'])]));
  }

  async counts(): Promise<Record<string, Partial<Record<RunStatus, number>>>> {
    const counts = new Map<string, Partial<Record<RunStatus, number>>>();
    for (const { workflow, status, count } of await this.postgres.query(this.counting)) {
      const ofOne = counts.get(workflow as string) ?? {};
      ofOne[status as RunStatus] = Number(count);
      counts.set(workflow as string, ofOne);
    }
    return Object.fromEntries(counts);
  }

  async figures(): Promise<Figures> {
    const [row] = await this.postgres.query(this.figuring);
    const oldest = numberOf(row!['oldest']);
    return {
      ready: Number(row!['ready']),
      claimed: Number(row!['claimed']),
      parked: Number(row!['parked']),
      stuck: Number(row!['stuck']),
      dead: Number(row!['dead']),
      oldestReadyMs: oldest === undefined ? undefined : Math.max(0, oldest),
    };
  }

  async news(worker: string, runIds: readonly string[], children: readonly string[]): Promise<News> {
    const [heard, ended] = await Promise.all([
      this.postgres.query(this.hearing, [worker, textArray(runIds)]),
      children.length === 0 ? [] : this.postgres.query(this.ending, [textArray(children)]),
    ]);
    return {
      endings: heard
        .filter(({ kind }) => kind === 'ending')
        .map(({ run, name, number }) => ({
          runId: run as string,
          ending: name as Ending,
          claim: BigInt(number as string),
        })),
      signals: heard
        .filter(({ kind }) => kind === 'signal')
        .map(({ run, name, number, body }) => ({
          id: BigInt(number as string),
          runId: run as string,
          name: name as string,
          payload: valueOf(body),
        })),
      outcomes: ended.map(runRowOf),
    };
  }
}
