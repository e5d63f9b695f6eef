import KeyvPostgres from '@keyv/postgres';
import { KeyValueStore, PostgresAdapter } from '@nestbox/kv';
import Keyv from 'keyv';
import postgres from 'postgres';
import { keyOf, valueOf } from './workload.mjs';

/** Every side has a pool of 10, which is the default of all three. */
export async function openPostgresSides(url) {
  return [await openNestbox(url), openKeyv(url), await openRaw(url)];
}

async function openNestbox(url) {
  const adapter = new PostgresAdapter({ connectionString: url, tableName: 'bench_nestbox' });
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
  const keyv = new Keyv({ store: new KeyvPostgres({ uri: url, table: 'bench_keyv' }), throwOnErrors: true });
  return {
    name: 'keyv',
    set: (i) => keyv.set(keyOf(i), valueOf(i)),
    get: (i) => keyv.get(keyOf(i)),
    close: () => keyv.disconnect(),
  };
}

/** The least that a careful hand-written store does: an upsert and a look-up by key, prepared. */
async function openRaw(url) {
  const sql = postgres(url, { onnotice() {} });
  await sql`create table if not exists bench_raw (key text primary key, value jsonb not null)`;
  return {
    name: 'postgres.js',
    async set(i) {
      const json = JSON.stringify(valueOf(i));
      await sql`insert into bench_raw (key, value) values (${keyOf(i)}, ${json}::text::jsonb)
        on conflict (key) do update set value = excluded.value`;
    },
    async get(i) {
      const [row] = await sql`select value from bench_raw where key = ${keyOf(i)}`;
      return row?.value;
    },
    close: () => sql.end({ timeout: 5 }),
  };
}
