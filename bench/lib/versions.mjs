import { createRequire } from 'node:module';
import postgres from 'postgres';
import { Redis as IORedis } from 'ioredis';

/** The versions of the servers and of packages, for the head of a report. */
export async function describeVersions({ databaseUrl, redisUrl }, packages) {
  const sql = postgres(databaseUrl, { max: 1, onnotice() {} });
  const [{ version }] = await sql`select current_setting('server_version') as version`;
  const [{ durability }] = await sql`
    select 'fsync ' || current_setting('fsync') || ', synchronous_commit ' || current_setting('synchronous_commit') as durability`;
  await sql.end();
  const redis = new IORedis(redisUrl);
  const redisVersion = /redis_version:(\S+)/.exec(await redis.info('server'))[1];
  await redis.quit();
  const require = createRequire(import.meta.url);
  const list = packages.map((name) => `${name} ${packageVersion(require, name)}`).join(', ');
  return `PostgreSQL ${version} (${durability}), Redis ${redisVersion}; ${list}`;
}

function packageVersion(require, name) {
  for (const folder of require.resolve.paths(name)) {
    try {
      return require(`${folder}/${name}/package.json`).version;
    } catch {
      // Not in this folder; the next one up may have it.
    }
  }
  return 'unknown';
}
