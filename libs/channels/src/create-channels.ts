import { InvalidArgumentError } from '@nestbox/core';
import { findConnection } from '@nestbox/nest';
import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import { getRedisToken, type Redis } from '@nestbox/redis';
import type { ModuleRef } from '@nestjs/core';
import type { Backplane } from './backplane/backplane.js';
import { MemoryBackplane } from './backplane/memory/memory.backplane.js';
import { PgBackplane } from './backplane/postgres/pg.backplane.js';
import { RedisBackplane } from './backplane/redis/redis.backplane.js';
import type { ChannelModuleOptions } from './channel.options.js';
import { ChannelService } from './channel.service.js';
import type { ChannelStore } from './channel.store.js';
import { MemoryChannelStore } from './memory/memory.channel-store.js';
import { PgChannelStore } from './postgres/pg.channel-store.js';
import { RedisChannelStore } from './redis/redis.channel-store.js';

/** The connections of that name, as far as the application has them. */
export interface Connections {
  name: string | undefined;
  postgres: Postgres | undefined;
  redis: Redis | undefined;
}

/** What the node bus is called, beside the hub's streams. */
const BUS = 'channels';

/** The service that the options ask for. */
export function createChannels(
  options: ChannelModuleOptions,
  known: Connections,
  moduleRef: ModuleRef,
): ChannelService {
  const { lease, maxPayload, store: kind } = options;
  const { store, backplane } = createParts(options, known, moduleRef);
  return new ChannelService({
    store,
    backplane: options.backplane ?? backplane(),
    lease,
    maxPayload,
    transactions: known.postgres,
    closeStore: typeof kind === 'string' || !('closeStore' in options) || options.closeStore !== false,
  });
}

function createParts(
  options: ChannelModuleOptions,
  known: Connections,
  moduleRef: ModuleRef,
): { store: ChannelStore; backplane: () => Backplane } {
  const name = options.connection ?? known.name;
  switch (options.store) {
    case 'memory':
      return { store: new MemoryChannelStore(options), backplane: () => new MemoryBackplane() };
    case 'redis': {
      const { keyPrefix, userKey } = options;
      const redis = known.redis ?? findConnection(moduleRef, getRedisToken, 'RedisModule', name);
      return {
        store: new RedisChannelStore(redis, keyPrefix, { userKey }),
        backplane: () => new RedisBackplane(redis, { prefix: keyPrefix, name: BUS }),
      };
    }
    case 'postgres': {
      const { schema, migrate, userKey } = options;
      const postgres = known.postgres ?? findConnection(moduleRef, getPostgresToken, 'PostgresModule', name);
      return {
        store: new PgChannelStore(postgres, schema, { migrate, userKey }),
        backplane: () => new PgBackplane(postgres, { schema, migrate, name: BUS }),
      };
    }
    default:
      assertStore(options.store);
      return { store: options.store, backplane: () => new MemoryBackplane() };
  }
}

/** Told by its methods: an application may have two copies of the package. */
function assertStore(store: unknown): asserts store is ChannelStore {
  const methods = ['init', 'close', 'addChannel', 'removeChannels', 'heartbeat', 'reap'];
  const isStore =
    typeof store === 'object' &&
    store !== null &&
    methods.every((method) => typeof Reflect.get(store, method) === 'function');
  if (isStore) return;
  throw new InvalidArgumentError('store', "must be 'postgres', 'redis', 'memory', or a ChannelStore.");
}
