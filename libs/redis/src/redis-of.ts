import { Redis } from './redis.js';
import type { RedisConnectionOptions } from './redis.options.js';

/** What a store takes in place of a {@link Redis}: a URL, options, or an ioredis client of yours. */
export type RedisSource = RedisConnectionOptions | Redis;

/**
 * The connection that was meant, and whether it is the caller's to close. What is made around a client may be closed;
 * the client itself stays open then.
 *
 * @throws InvalidArgumentError
 */
export function redisOf(source: RedisSource): { redis: Redis; owned: boolean } {
  return isRedis(source) ? { redis: source, owned: false } : { redis: new Redis(source), owned: true };
}

/** Told by its methods: an application may have two copies of the package. */
function isRedis(source: unknown): source is Redis {
  if (typeof source !== 'object' || source === null) return false;
  return ['script', 'masters', 'ping'].every((method) => typeof Reflect.get(source, method) === 'function');
}
