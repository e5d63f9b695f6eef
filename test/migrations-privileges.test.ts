import { jest } from '@jest/globals';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { SCHEMAS, currentFolder, migrationsFrom } from './support/frozen-schemas.js';
import { expectRows, writeRows } from './support/schema-rows.js';

/** The roles of docs/migrations.md: one that owns and changes the schemas, and one that works in them. */

/** Each makes all schemas, some of them several times. */
jest.setTimeout(120_000);

let database: TestDatabase;
let admin: Postgres;
let owner: string;
let app: string;

beforeEach(async () => {
  // A worker that stops in the middle of a run says so.
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  database = await testDatabase();
  admin = new Postgres({ url: database.url, options: { max: 1 } });
  [owner, app] = [`owner_${database.name}`, `app_${database.name}`];
  await admin.query(
    `create role ${owner} login; create role ${app} login; revoke create on schema public from public`,
  );
});

afterEach(async () => {
  jest.restoreAllMocks();
  await admin.query(`drop owned by ${app}, ${owner} cascade; drop role ${app}, ${owner}`);
  await admin.close();
  await database.drop();
});

function urlOf(role: string): string {
  const url = new URL(database.url);
  url.username = role;
  return url.href;
}

async function as<T>(role: string, fn: (postgres: Postgres) => Promise<T>): Promise<T> {
  const postgres = new Postgres({ url: urlOf(role), options: { max: 2 } });
  try {
    return await fn(postgres);
  } finally {
    await postgres.close();
  }
}

const all = (postgres: Postgres) =>
  SCHEMAS.map((schema) => migrationsFrom(postgres, schema, currentFolder(schema), '0.1.0'));

/** As docs/migrations.md has it. */
const GRANTS = `
  grant usage on schema nestbox, public, event_store, workflows, serverless to app;
  grant select, insert, update, delete on all tables in schema nestbox, public, event_store, workflows, serverless to app;
  grant select, usage, update on all sequences in schema nestbox, public, event_store, workflows, serverless to app;
  grant create on schema event_store to app;`;

it('an application that may not change the schemas works in them', async () => {
  await admin.query(
    `grant create on database ${database.name} to ${owner}; grant create on schema public to ${owner}`,
  );
  await as(owner, async (postgres) => {
    for (const migrations of all(postgres)) await migrations.run();
    await postgres.query(GRANTS.replaceAll(/\bapp;/g, `${app};`));
  });
  await as(app, async (postgres) => {
    for (const migrations of all(postgres)) await migrations.check();
    await expect(postgres.query('create table workflows.mine ()')).rejects.toThrow('permission denied');
  });
  await (await writeRows(urlOf(app)))[Symbol.asyncDispose]();
  await expectRows(urlOf(app));
});

it('a role that may not create schemas migrates those that were made for it, and leaves them when it takes all back', async () => {
  await admin.query(
    ['nestbox', 'event_store', 'workflows', 'serverless']
      .map((schema) => `create schema ${schema} authorization ${owner};`)
      .join('\n'),
  );
  await admin.query(`grant create on schema public to ${owner}`);
  await as(owner, async (postgres) => {
    for (const migrations of all(postgres)) await migrations.run();
    for (const migrations of all(postgres).toReversed()) await migrations.revert({ to: 0 });
    const left = await postgres.query(
      `select nspname::text as name from pg_namespace where nspowner = current_user::regrole order by 1`,
    );
    expect(left.map(({ name }) => name)).toEqual(['event_store', 'nestbox', 'serverless', 'workflows']);
    for (const migrations of all(postgres)) await migrations.run();
  });
});
