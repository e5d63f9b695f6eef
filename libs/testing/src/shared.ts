import { randomBytes } from 'node:crypto';
import { TestServerError } from './errors.js';
import { createDatabase, type TestDatabase } from './servers/database.js';

/**
 * Creates an empty database with a random name on the shared server: the one that `TEST_DATABASE_URL` leads to, else
 * the one that the suite's global setup started (`NESTBOX_TEST_POSTGRES_URL`). Drop it when done.
 */
export async function testDatabase(): Promise<TestDatabase> {
  return createDatabase(urlOf('testDatabase()', 'TEST_DATABASE_URL', 'NESTBOX_TEST_POSTGRES_URL'));
}

/** A shared Redis, and a prefix for keys and channels that no other test uses. */
export interface TestRedisSpace {
  url: string;
  /** Such as `test_3f2a9c…:`. */
  prefix: string;
}

/**
 * The shared Redis that `TEST_REDIS_URL` leads to, else the one that the suite's global setup started
 * (`NESTBOX_TEST_REDIS_URL`), with a random prefix.
 */
export async function testRedis(): Promise<TestRedisSpace> {
  return {
    url: urlOf('testRedis()', 'TEST_REDIS_URL', 'NESTBOX_TEST_REDIS_URL'),
    prefix: `test_${randomBytes(8).toString('hex')}:`,
  };
}

function urlOf(caller: string, given: string, started: string): string {
  const url = process.env[given] || process.env[started];
  if (url === undefined || url === '') {
    throw new TestServerError(
      `${caller} found no server. Set ${given}, or start one in your test runner's global setup and set ${started} there.`,
    );
  }
  return url;
}
