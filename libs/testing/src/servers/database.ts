import { randomBytes } from 'node:crypto';
import { connectPostgres } from '../driver.js';

/** A database that a test has for itself. */
export interface TestDatabase {
  url: string;
  name: string;
  /** Drops it, and disconnects who still uses it. May be called twice. */
  drop(): Promise<void>;
}

/** Creates an empty database with a random name on the server that `serverUrl` leads to. */
export async function createDatabase(serverUrl: string): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await execute(serverUrl, `create database "${name}"`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    name,
    drop: () => execute(serverUrl, `drop database if exists "${name}" with (force)`),
  };
}

async function execute(url: string, statement: string): Promise<void> {
  const sql = await connectPostgres(url);
  try {
    await sql.unsafe(statement);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
