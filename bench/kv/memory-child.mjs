import { KeyValueStore, PostgresAdapter } from '@nestbox/kv';
import { keyOf, valueOf } from './workload.mjs';

const [, , connectionString, count] = process.argv;
const store = new KeyValueStore({
  adapter: new PostgresAdapter({ connectionString, tableName: 'bench_memory' }),
});
const tenth = Number(count) / 10;

for (let part = 0; part < 10; part++) {
  let next = 0;
  const caller = async () => {
    while (next < tenth) {
      const i = next++;
      await (i % 2 === 0 ? store.set(keyOf(i), valueOf(i)) : store.get(keyOf(i)));
    }
  };
  await Promise.all(Array.from({ length: 100 }, caller));
  globalThis.gc();
  console.log(process.memoryUsage().heapUsed);
}
await store.close();
