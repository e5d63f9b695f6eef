import { InvalidArgumentError } from '@nestbox/core';
import type { ModuleRef } from '@nestjs/core';
import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import { getRedisToken, type Redis } from '@nestbox/redis';
import type { InjectionToken } from '@nestjs/common';
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
      const redis = known.redis ?? find(moduleRef, getRedisToken, 'RedisModule', connection ?? known.name);
      return new RedisAdapter(redis, keyPrefix, rest);
    }
    case 'postgres': {
      const { connection, ...rest } = options;
      const client =
        known.postgres ?? find(moduleRef, getPostgresToken, 'PostgresModule', connection ?? known.name);
      return new PostgresAdapter({ ...rest, client });
    }
    default:
      assertAdapter(store, 'store', "'postgres', 'redis', 'memory', 'file', or an adapter");
      return store;
  }
}

/** A connection that was named by the result of a factory, hence not known when the module was put together. */
function find<C>(
  moduleRef: ModuleRef,
  tokenOf: (name?: string) => InjectionToken<C>,
  moduleName: string,
  name: string | undefined,
): C {
  const found = get(moduleRef, tokenOf(name));
  if (found !== undefined && found !== null) return found;
  const named = name === undefined ? '' : `, name: '${name}'`;
  throw new InvalidArgumentError(
    'connection',
    `there is no ${moduleName}${name === undefined ? '' : ` of the name '${name}'`}. ` +
      `Import ${moduleName}.forRoot({ url: …${named} }) in the application's root module.`,
  );
}

function get<C>(moduleRef: ModuleRef, token: InjectionToken<C>): C | undefined {
  try {
    return moduleRef.get<C>(token, { strict: false });
  } catch {
    // Nest throws where it knows no such provider.
    return undefined;
  }
}
