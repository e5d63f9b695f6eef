import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { workflowContract, type WorkflowContractSubject } from '@nestbox/testing/contracts';
import { PgWorkflowBackend } from '@nestbox/workflows';
import postgres, { type Sql } from 'postgres';

let database: TestDatabase;
let shared: Postgres;
let client: Sql;
let onClient: Postgres;
let schemas = 0;

beforeAll(async () => {
  database = await testDatabase();
  shared = new Postgres(database.url);
  client = postgres(database.url, { max: 8, onnotice: () => undefined });
  onClient = new Postgres({ client });
  const show = async () => {
    const j = (rows: unknown) => JSON.stringify(rows, (_, v) => (typeof v === 'bigint' ? String(v) : v)).replaceAll('},', '},\n');
    console.error(j(await shared.query("select pid, state, wait_event_type w, wait_event e, pg_blocking_pids(pid) b, extract(epoch from now() - query_start)::float8 age, left(query, 90) q from pg_stat_activity where datname = current_database()")));
    for (const q of ['select * from S.workflow_active', 'select run_id, step_name, status, seq, result from S.workflow_steps where run_id in (select run_id from S.workflow_active)', 'select run_id, name, payload, dedupe, taken_by from S.workflow_signals where run_id in (select run_id from S.workflow_active)'])
      console.error(j(await shared.query(q.replaceAll('S.', '"Flows ""1""".')).catch(String)));
  };
  setInterval(show, 12_000).unref();
});

afterAll(async () => {
  await Promise.all([shared.close(), onClient.close()]);
  await client.end();
  await database.drop();
});

async function expire(worker: string): Promise<void> {
  await shared.query(`update nestbox.leases set expires_at = clock_timestamp() where name = $1`, [worker]);
}

function subjectOn(source: () => Postgres): Promise<WorkflowContractSubject> {
  const schema = `Flows "${++schemas}"`;
  return Promise.resolve({ open: () => new PgWorkflowBackend(source(), { schema }), expire });
}

workflowContract('the workflow engine on PostgreSQL', { create: () => subjectOn(() => shared) });

