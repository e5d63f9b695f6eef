import { RedisAdapter } from '@nestbox/kv';
import { startRedis, startRedisCluster, type TestRedis, type TestRedisCluster } from '@nestbox/testing';
import { kvContract } from '@nestbox/testing/contracts';

let server: TestRedis;
let cluster: TestRedisCluster;
let stores = 0;

beforeAll(async () => {
  [server, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
});

afterAll(async () => {
  await Promise.all([server[Symbol.asyncDispose](), cluster[Symbol.asyncDispose]()]);
});

const options = { sweepInterval: '100ms', changes: { pollInterval: '20ms' } } as const;

kvContract('the Redis adapter on a server', {
  create: () => {
    const prefix = `store${++stores}`;
    const open = () => new RedisAdapter(server.url, prefix, options);
    return Promise.resolve({ adapter: open(), another: () => Promise.resolve(open()) });
  },
  capabilities: { query: false, atomicAcrossKeys: true },
});

kvContract('the Redis adapter on a cluster', {
  create: () => {
    const prefix = `store${++stores}`;
    const open = () => new RedisAdapter({ cluster: cluster.nodes }, prefix, options);
    return Promise.resolve({ adapter: open(), another: () => Promise.resolve(open()) });
  },
  capabilities: { query: false, atomicAcrossKeys: false },
});
