import { RedisChannelStore } from '@nestbox/channels';
import { testRedis, type TestRedisSpace } from '@nestbox/testing';
import { channelContract } from '@nestbox/testing/contracts';

let redis: TestRedisSpace;
let stores = 0;

beforeAll(async () => {
  redis = await testRedis();
});

channelContract('the Redis store of channels', {
  create: () => {
    const prefix = `${redis.prefix}${++stores}`;
    const open = () => new RedisChannelStore(redis.url, prefix);
    return Promise.resolve({ store: open(), another: () => Promise.resolve(open()) });
  },
  capabilities: { ordered: true, atomic: true },
});
