import { InvalidArgumentError, parseDuration, type Duration } from '@nestbox/core';

/** How many changes a store in Redis keeps for those who watch it. */
export interface RedisChangesOptions {
  /**
   * So many of the newest changes are kept, unless {@link maxBytes} is reached first. On a cluster each shard keeps its
   * part, but at least 1,000. Default: 100,000.
   */
  maxLength?: number;
  /**
   * How long keys and values of the kept changes may be together, in bytes. On a cluster each shard may keep its part,
   * but at least 1 MiB. Default: 16,777,216 (16 MiB).
   */
  maxBytes?: number;
  /** How often a watching process looks for changes where it cannot be woken: on a cluster. Default: `'100ms'`. */
  pollInterval?: Duration;
}

/** How a store lays its entries out in Redis. */
export interface RedisAdapterOptions {
  /**
   * On a cluster: over how many hash tags the entries are spread. It is fixed when the store is first used. More of
   * them spread load more evenly; with 1 the whole store is in one slot, and `atomic` and `watch` with
   * `fromRevision` work for all of it. Not used on a standalone server. Default: 64.
   */
  shards?: number;
  /** `false` keeps no changes, which makes writes cheaper; `watch` is then refused. Default: keep them. */
  changes?: RedisChangesOptions | false;
  /** Versions of a key that `history` keeps, with versioning enabled. Default: 1,000. */
  maxHistory?: number;
  /**
   * How often entries whose time is up are reported to watchers and forgotten, by one of the processes. (They are
   * invisible at once.) Default: `'1s'`.
   */
  sweepInterval?: Duration;
  /** How long the version of a deleted key is kept, to count on from there. Default: `'1h'`. */
  tombstoneTtl?: Duration;
}

/** The options with their defaults, in ms. */
export interface RedisAdapterSettings {
  shards: number;
  /** 0 where no changes are kept. */
  maxChanges: number;
  maxChangeBytes: number;
  pollMs: number;
  maxHistory: number;
  sweepMs: number;
  forgetMs: number;
}

const MAX_SHARDS = 1024;
const MIN_SHARD_CHANGES = 1000;
const MIN_SHARD_BYTES = 1024 * 1024;

/** @throws InvalidArgumentError */
export function settingsOf(options: RedisAdapterOptions): RedisAdapterSettings {
  const { shards = 64, maxHistory = 1000, sweepInterval = '1s', tombstoneTtl = '1h' } = options;
  const changes = options.changes === false ? undefined : (options.changes ?? {});
  const { maxLength = 100_000, maxBytes = 16 * 1024 * 1024, pollInterval = '100ms' } = changes ?? {};
  assertWhole(shards, 'options.shards', MAX_SHARDS);
  assertWhole(maxHistory, 'options.maxHistory');
  assertWhole(maxLength, 'options.changes.maxLength');
  assertWhole(maxBytes, 'options.changes.maxBytes');
  return {
    shards,
    maxChanges: changes === undefined ? 0 : maxLength,
    maxChangeBytes: maxBytes,
    pollMs: parseDuration(pollInterval, 'options.changes.pollInterval'),
    maxHistory,
    sweepMs: parseDuration(sweepInterval, 'options.sweepInterval'),
    forgetMs: parseDuration(tombstoneTtl, 'options.tombstoneTtl'),
  };
}

/** The settings of each of several shards, which share what changes may take. */
export function settingsOfShard(settings: RedisAdapterSettings, shardCount: number): RedisAdapterSettings {
  const { maxChanges, maxChangeBytes } = settings;
  return {
    ...settings,
    maxChanges: Math.max(Math.min(maxChanges, MIN_SHARD_CHANGES), Math.ceil(maxChanges / shardCount)),
    maxChangeBytes: Math.max(
      Math.min(maxChangeBytes, MIN_SHARD_BYTES),
      Math.ceil(maxChangeBytes / shardCount),
    ),
  };
}

function assertWhole(value: unknown, path: string, max = Number.MAX_SAFE_INTEGER): void {
  if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > max) {
    throw new InvalidArgumentError(path, `${String(value)} must be a whole number from 1 to ${max}.`);
  }
}
