import { startPostgres, startRedis } from '../../libs/testing/dist/index.js';

/** Starts the servers that the whole suite shares, unless the environment names some. */
export default async function globalSetup() {
  const servers = await Promise.allSettled([
    process.env.TEST_DATABASE_URL ? undefined : startPostgres(),
    process.env.TEST_REDIS_URL ? undefined : startRedis(),
  ]);
  globalThis.nestboxTestServers = servers.flatMap(({ value }) => value ?? []);
  for (const { reason } of servers) if (reason !== undefined) throw reason;
  const [postgres, redis] = servers.map(({ value }) => value);
  if (postgres !== undefined) process.env.NESTBOX_TEST_POSTGRES_URL = postgres.url;
  if (redis !== undefined) process.env.NESTBOX_TEST_REDIS_URL = redis.url;
}
