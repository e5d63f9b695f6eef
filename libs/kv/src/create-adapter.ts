import { findConnection } from '@nestbox/nest';
import type { ModuleRef } from '@nestjs/core';
import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import { getRedisToken, type Redis } from '@nestbox/redis';
import { assertAdapter } from './adapter-support.js';
import { FileAdapter } from './file/file.adapter.js';
import type { KvAdapter } from './kv.adapter.js';
import type { KvModuleOptions } from './kv.options.js';
import { MemoryAdapter } from './memory/memory.adapter.js';
import { PostgresAdapter } from './postgres/postgres.adapter.js';
import { RedisAdapter } from './redis/redis.adapter.js';

/** The connections of that name, as far as the application has them. */
export interface Connections {
  name: string | undefined;
  postgres: Postgres | undefined;
  redis: Redis | undefined;
}

/** The adapter that the options ask for. */
export function createAdapter(options: KvModuleOptions, known: Connections, moduleRef: ModuleRef): KvAdapter {
  const { store } = options;
  switch (store) {
    case 'memory':
      return new MemoryAdapter(options);
    case 'file':
      return new FileAdapter(options);
    case 'redis': {
      const { keyPrefix, connection, ...rest } = options;
      const redis =
        known.redis ?? findConnection(moduleRef, getRedisToken, 'RedisModule', connection ?? known.name);
      return new RedisAdapter(redis, keyPrefix, rest);
    }
    case 'postgres': {
      const { connection, ...rest } = options;
      const client =
        known.postgres ??
        findConnection(moduleRef, getPostgresToken, 'PostgresModule', connection ?? known.name);
      return new PostgresAdapter({ ...rest, client });
    }
    default:
      assertAdapter(store, 'store', "'postgres', 'redis', 'memory', 'file', or an adapter");
      return store;
  }
}
