import { RedisChannelStore } from '@nestbox/channels';
import { RedisEventHubStore } from '@nestbox/event-hub';
import { testRedis, type TestRedisSpace } from '@nestbox/testing';
import { eventHubContract } from '@nestbox/testing/contracts';

let redis: TestRedisSpace;
let stores = 0;

beforeAll(async () => {
  redis = await testRedis();
});

eventHubContract('the Redis store of subscriptions', {
  create: () => {
    const prefix = `${redis.prefix}${++stores}`;
    const open = () => ({
      channels: new RedisChannelStore(redis.url, prefix),
      hub: new RedisEventHubStore(redis.url, prefix),
    });
    return Promise.resolve({ ...open(), another: () => Promise.resolve(open()) });
  },
  capabilities: { refusesUnknownChannels: false, ordered: true },
});
