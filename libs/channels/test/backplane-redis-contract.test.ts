import { RedisBackplane } from '@nestbox/channels';
import { Redis } from '@nestbox/redis';
import { startRedis, startRedisCluster } from '@nestbox/testing';
import { backplaneContract } from '@nestbox/testing/contracts';

for (const sharded of [false, true]) {
  backplaneContract(`RedisBackplane on one server, sharded: ${sharded}`, {
    create: async () => {
      const server = await startRedis();
      const redis = new Redis(server.url);
      return {
        open: async () => new RedisBackplane(redis, { sharded }),
        dispose: async () => {
          await redis.close();
          await server[Symbol.asyncDispose]();
        },
      };
    },
  });

  backplaneContract(`RedisBackplane on a cluster, sharded: ${sharded}`, {
    create: async () => {
      const cluster = await startRedisCluster();
      const redis = new Redis({ cluster: cluster.nodes });
      return {
        open: async () => new RedisBackplane(redis, { sharded }),
        dispose: async () => {
          await redis.close();
          await cluster[Symbol.asyncDispose]();
        },
      };
    },
  });
}
