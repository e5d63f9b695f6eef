import { RedisChannelStore } from '@nestbox/channels';
import { RedisEventHubStore } from '@nestbox/event-hub';
import { startRedisCluster, type TestRedisCluster } from '@nestbox/testing';
import { eventHubContract } from '@nestbox/testing/contracts';

let cluster: TestRedisCluster;
let stores = 0;

beforeAll(async () => {
  cluster = await startRedisCluster();
}, 60_000);

afterAll(() => cluster[Symbol.asyncDispose]());

eventHubContract('the Redis store of subscriptions on a cluster', {
  create: () => {
    const prefix = `store${++stores}`;
    // A busy machine may take its time to connect.
    const source = { cluster: cluster.nodes, unavailableAfter: '10s' } as const;
    const open = () => ({
      channels: new RedisChannelStore(source, prefix),
      hub: new RedisEventHubStore(source, prefix),
    });
    return Promise.resolve({ ...open(), another: () => Promise.resolve(open()) });
  },
  capabilities: { refusesUnknownChannels: false, ordered: true },
});
