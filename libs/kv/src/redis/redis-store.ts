import { InvalidArgumentError } from '@nestbox/core';
import type { Redis, RedisConnectionOptions, RedisScript } from '@nestbox/redis';
import { BLOCK_MS, BlockingTail } from './blocking-tail.js';
import { RedisChangeLog } from './change-log.js';
import type { OpenTail } from './change-tail.js';
import { KeySpace } from './key-space.js';
import { PollingTail } from './polling-tail.js';
import { RedisEntries } from './redis-entries.js';
import { RedisKeys } from './redis-keys.js';
import { RedisLeases } from './redis-leases.js';
import { RedisLink } from './redis-link.js';
import { settingsOfShard, type RedisAdapterSettings } from './redis-options.js';
import { RedisReader } from './redis-reader.js';
import { RedisWatcher } from './redis-watcher.js';
import { RedisWriter } from './redis-writer.js';
import { ACQUIRE_LUA, RELEASE_LUA, RENEW_LUA } from './scripts/lease.js';
import { MEASURE_LUA } from './scripts/measure.js';
import { READ_LUA } from './scripts/read.js';
import { DUE_LUA, SWEEP_LUA } from './scripts/sweep.js';
import { SET_LUA } from './scripts/set.js';
import { WRITE_LUA } from './scripts/write.js';
import { checkServer } from './server-check.js';
import { Sweeper } from './sweeper.js';

/** All that an adapter has once it is open. */
export class RedisStore {
  readonly reader: RedisReader;
  readonly writer: RedisWriter;
  readonly entries: RedisEntries;
  readonly log: RedisChangeLog;
  readonly watcher: RedisWatcher;
  readonly leases: RedisLeases;
  private readonly sweeper: Sweeper;

  private constructor(
    what: string,
    readonly link: RedisLink,
    readonly space: KeySpace,
    storeSettings: RedisAdapterSettings,
  ) {
    const settings = settingsOfShard(storeSettings, space.shardCount);
    const script = (name: string, lua: string): RedisScript => link.script(`kv-${name}`, lua);
    const log = new RedisChangeLog(space, link, script('read', READ_LUA));
    this.log = log;
    this.reader = new RedisReader(space, link);
    const newTail: OpenTail = (positions, onChanges) =>
      space.shardCount > 1
        ? new PollingTail(log, settings.pollMs, positions, onChanges)
        : new BlockingTail(() => link.blocking(BLOCK_MS), space, positions[0]!, onChanges);
    this.watcher = new RedisWatcher(what, log, newTail);
    // On a cluster a redirected flush could be overtaken by the next.
    const inFlight = link.isCluster ? 1 : 3;
    const poke = (): void => this.watcher.poke();
    const writes = { set: script('set', SET_LUA), write: script('write', WRITE_LUA) };
    this.writer = new RedisWriter(space, settings, writes, inFlight, poke);
    const keys = new RedisKeys(space, link);
    const measure = script('measure', MEASURE_LUA);
    this.entries = new RedisEntries(space, link, keys, this.reader, this.writer, measure);
    this.leases = new RedisLeases(what, space, {
      acquire: script('acquire', ACQUIRE_LUA),
      renew: script('renew', RENEW_LUA),
      release: script('release', RELEASE_LUA),
    });
    const sweeps = { due: script('due', DUE_LUA), sweep: script('sweep', SWEEP_LUA) };
    this.sweeper = new Sweeper(space, settings, link, sweeps, poke);
  }

  /**
   * @throws InvalidArgumentError when the store was created with another number of shards;
   *   UnsupportedOperationError when the server is too old
   */
  static async open(
    what: string,
    connection: RedisConnectionOptions | Redis,
    keyPrefix: string,
    settings: RedisAdapterSettings,
  ): Promise<RedisStore> {
    const link = await RedisLink.open(connection);
    try {
      await link.connect();
      await checkServer(link);
      const space = new KeySpace(keyPrefix, link.isCluster ? settings.shards : undefined);
      if (link.isCluster) await assertLayout(link, space, keyPrefix);
      const store = new RedisStore(what, link, space, settings);
      store.sweeper.start();
      return store;
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.leases.close();
    await this.watcher.close();
    await this.sweeper.close();
    await Promise.all([this.writer.close(), this.reader.close()]);
    await this.link.close();
  }
}

/** Where an entry is depends on the number of shards, so that it must be the same for all processes for ever. */
async function assertLayout(link: RedisLink, space: KeySpace, keyPrefix: string): Promise<void> {
  const layout = `shards=${space.shardCount}`;
  await link.command('SET', [space.layout, layout, 'NX']);
  const found = await link.command('GET', [space.layout]);
  if (found !== layout) {
    const shards = String(found).replace('shards=', '');
    throw new InvalidArgumentError(
      'options.shards',
      `is ${space.shardCount}, but the store with the prefix "${keyPrefix}" was created with ${shards}. ` +
        `Use { shards: ${shards} }, or another prefix and copy the entries with copyTo.`,
    );
  }
}
