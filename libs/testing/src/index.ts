// The contract suites have an entry of their own, `@nestbox/testing/contracts`: whoever only needs a server should not
// load the libraries that the suites are about.
export { TestServerError } from './errors.js';
export { eventually, type EventuallyOptions } from './eventually.js';
export { freePort } from './free-port.js';
export { type TestDatabase } from './servers/database.js';
export {
  postgresVersionsAtHand,
  type PostgresBinaries,
  type PostgresVersion,
} from './servers/postgres-binaries.js';
export { startPostgres, TestPostgres, type StartPostgresOptions } from './servers/test-postgres.js';
export {
  startPostgresWithStandby,
  TestPostgresWithStandby,
  type StartPostgresWithStandbyOptions,
} from './servers/postgres-with-standby.js';
export { startRedis, TestRedis, type StartRedisOptions } from './servers/test-redis.js';
export {
  startRedisCluster,
  TestRedisCluster,
  type RedisClusterNode,
  type StartRedisClusterOptions,
} from './servers/redis-cluster.js';
export {
  startRedisSentinel,
  TestRedisSentinel,
  type StartRedisSentinelOptions,
} from './servers/redis-sentinel.js';
export { testDatabase, testRedis, type TestRedisSpace } from './shared.js';
export { Fixture, spawnFixture, type FixtureExit, type SpawnFixtureOptions } from './spawn-fixture.js';
