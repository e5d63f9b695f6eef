import { startPostgres, startRedis } from '@nestbox/testing';

/** Test servers are started without durability; a benchmark must pay what production pays. */
const PRODUCTION_DEFAULTS = {
  fsync: 'on',
  full_page_writes: 'on',
  shared_buffers: '128MB',
  max_connections: 100,
};

/** Servers with the durability that a production server has by default, or the ones named in the environment. */
export async function startServers() {
  const stops = [];
  let databaseUrl = process.env.BENCH_DATABASE_URL;
  if (!databaseUrl) {
    const server = await startPostgres({ settings: PRODUCTION_DEFAULTS });
    databaseUrl = (await server.createDatabase()).url;
    stops.push(() => server.stop());
  }
  let redisUrl = process.env.BENCH_REDIS_URL;
  if (!redisUrl) {
    const server = await startRedis();
    redisUrl = server.url;
    stops.push(() => server.stop());
  }
  return {
    databaseUrl,
    redisUrl,
    async stop() {
      for (const stop of stops.reverse()) await stop();
    },
  };
}
