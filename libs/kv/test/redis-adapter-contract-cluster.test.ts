import { RedisAdapter } from '@nestbox/kv';
import { startRedisCluster, type TestRedisCluster } from '@nestbox/testing';
import { kvContract } from '@nestbox/testing/contracts';

let cluster: TestRedisCluster;
let stores = 0;

beforeAll(async () => {
  cluster = await startRedisCluster();
});

afterAll(() => cluster[Symbol.asyncDispose]());

kvContract('the Redis adapter on a cluster', {
  create: () => {
    const prefix = `store${++stores}`;
    const options = { sweepInterval: '100ms', changes: { pollInterval: '20ms' } };
    const open = () => new RedisAdapter({ cluster: cluster.nodes }, prefix, options);
    return Promise.resolve({ adapter: open(), another: () => Promise.resolve(open()) });
  },
  capabilities: { query: false, atomicAcrossKeys: false },
});
