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

// Such a client gives int8 as text, and dates as it likes.
workflowContract('the workflow engine on a client of postgres.js', {
  create: () => subjectOn(() => onClient),
});
