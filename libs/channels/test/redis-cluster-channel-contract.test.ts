import { RedisChannelStore } from '@nestbox/channels';
import { startRedisCluster, type TestRedisCluster } from '@nestbox/testing';
import { channelContract } from '@nestbox/testing/contracts';

let cluster: TestRedisCluster;
let stores = 0;

beforeAll(async () => {
  cluster = await startRedisCluster();
}, 60_000);

afterAll(() => cluster[Symbol.asyncDispose]());

channelContract('the Redis store of channels on a cluster', {
  create: () => {
    const prefix = `store${++stores}`;
    const open = () => new RedisChannelStore({ cluster: cluster.nodes, unavailableAfter: '10s' }, prefix);
    return Promise.resolve({ store: open(), another: () => Promise.resolve(open()) });
  },
  capabilities: { ordered: true, atomic: false },
});
