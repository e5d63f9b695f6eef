export type { ClusterClient, RedisClient, SingleClient } from './driver.js';
export { escapeGlob } from './glob.js';
export { RedisScript, type ScriptDefinition } from './redis-script.js';
export { MissingDriverError, RedisUnavailableError } from './redis.errors.js';
export { RedisHealthIndicator, type RedisHealthOptions } from './redis.health.js';
export { RedisModule, type RedisModuleExtras } from './redis.module.js';
export type {
  ClusterDriverOptions,
  RedisClusterOptions,
  RedisConnectionOptions,
  RedisModuleOptions,
  RedisServerOptions,
  RedisSettings,
  RedisSharedOptions,
  ServerDriverOptions,
} from './redis.options.js';
export { redisOf, type RedisSource } from './redis-of.js';
export { Redis, type DuplicateOptions } from './redis.js';
export { InjectRedis, getRedisToken } from './redis.tokens.js';
export type { ScanOptions } from './scan.js';
export type {
  BinaryMessageHandler,
  BinarySubscribeOptions,
  MessageHandler,
  RedisSubscription,
  SubscribeOptions,
  TextSubscribeOptions,
} from './subscription.js';
