import KeyvRedis from '@keyv/redis';
import { KeyValueStore, RedisAdapter } from '@nestbox/kv';
import { Redis as IORedis } from 'ioredis';
import Keyv from 'keyv';
import { keyOf, valueOf } from './workload.mjs';

export async function openRedisSides(url) {
  return [await openNestbox(url), openKeyv(url), openRaw(url)];
}

async function openNestbox(url) {
  const adapter = new RedisAdapter(url, 'bench-nestbox');
  const store = new KeyValueStore({ adapter });
  await adapter.init();
  return {
    name: 'nestbox',
    set: (i) => store.set(keyOf(i), valueOf(i)),
    get: (i) => store.get(keyOf(i)),
    close: () => store.close(),
  };
}

function openKeyv(url) {
  const keyv = new Keyv({
    store: new KeyvRedis(url, { throwOnErrors: true }),
    namespace: 'bench-keyv',
    useKeyPrefix: false,
  });
  return {
    name: 'keyv',
    set: (i) => keyv.set(keyOf(i), valueOf(i)),
    get: (i) => keyv.get(keyOf(i)),
    close: () => keyv.disconnect(),
  };
}

function openRaw(url) {
  const redis = new IORedis(url, { enableAutoPipelining: true });
  return {
    name: 'ioredis',
    set: (i) => redis.set(`bench-raw:${keyOf(i)}`, JSON.stringify(valueOf(i))),
    async get(i) {
      const json = await redis.get(`bench-raw:${keyOf(i)}`);
      return json === null ? undefined : JSON.parse(json);
    },
    close: () => redis.quit(),
  };
}
