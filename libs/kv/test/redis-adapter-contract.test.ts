import { RedisAdapter } from '@nestbox/kv';
import { startRedis, type TestRedis } from '@nestbox/testing';
import { kvContract } from '@nestbox/testing/contracts';

let server: TestRedis;
let stores = 0;

beforeAll(async () => {
  server = await startRedis();
});

afterAll(() => server[Symbol.asyncDispose]());

kvContract('the Redis adapter on a server', {
  create: () => {
    const prefix = `store${++stores}`;
    const open = () => new RedisAdapter(server.url, prefix, { sweepInterval: '100ms' });
    return Promise.resolve({ adapter: open(), another: () => Promise.resolve(open()) });
  },
  capabilities: { query: false, atomicAcrossKeys: true },
});
