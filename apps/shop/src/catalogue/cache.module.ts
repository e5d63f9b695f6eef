import { getKvToken, KeyValueStore, RedisAdapter } from '@nestbox/kv';
import { Redis } from '@nestbox/redis';
import { type DynamicModule, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CACHE } from './product-cache.js';

/**
 * The store for the cache, in Redis. `KvModule` opens its stores when the application starts, and a shop whose Redis
 * is away would not start; this one is opened at its first use.
 */
@Module({})
export class CacheModule implements OnApplicationShutdown {
  constructor(@Inject(getKvToken(CACHE)) private readonly store: KeyValueStore) {}

  static forRoot(): DynamicModule {
    const token = getKvToken(CACHE);
    return {
      module: CacheModule,
      global: true,
      providers: [
        {
          provide: token,
          inject: [Redis],
          useFactory: (redis: Redis) => new KeyValueStore({ adapter: new RedisAdapter(redis, 'shop') }),
        },
      ],
      exports: [token],
    };
  }

  async onApplicationShutdown(): Promise<void> {
    await this.store.close();
  }
}
