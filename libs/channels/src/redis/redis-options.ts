import { InvalidArgumentError, assertName, parseDuration, type Duration } from '@nestbox/core';

/** Options of channels on Redis. */
export interface RedisChannelStoreOptions {
  /** The property of a session that says whose it is: a string or a number. Default: `'userId'`. */
  userKey?: string;
  /**
   * When what a crash left behind goes by itself: a channel that was neither added, touched nor given a session for so
   * long, and subscriptions of channels that never were. Give all stores of a prefix the same. Default: `'1d'`.
   */
  ttl?: Duration;
}

export interface RedisChannelSettings {
  userKey: string;
  ttlMs: number;
}

/** @throws InvalidArgumentError */
export function settingsOf(options: RedisChannelStoreOptions): RedisChannelSettings {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentError('options', 'must be an object such as { ttl: "1d" }.');
  }
  const { userKey = 'userId', ttl = '1d' } = options;
  assertName(userKey, 'options.userKey');
  return { userKey, ttlMs: parseDuration(ttl, 'options.ttl') };
}
