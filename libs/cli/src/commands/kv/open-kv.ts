import { KeyValueStore, PostgresAdapter, RedisAdapter } from '@nestbox/kv';
import type { CommandContext } from '../../command/context.js';
import { withSchema } from '../../connections/required-schema.js';
import { UsageError } from '../../usage-error.js';
import type { KvOptions } from './kv-options.js';

/** A key-value store that is open. */
export interface OpenKv {
  readonly store: KeyValueStore;
  /** Absent in Redis. */
  readonly postgres: PostgresAdapter | undefined;
  /** Such as `public.kv_store`. */
  readonly name: string;
}

/** The application sweeps and trims its store, by its own settings; a command shall not do it by others. */
const NEVER = '20d';
const FOR_EVER = '100y';

/** Opens the store that the options and the configuration file name. It creates nothing in PostgreSQL. */
export async function openKv(context: CommandContext, options: KvOptions): Promise<OpenKv> {
  const { kv = {} } = context.config;
  const namespace = options.namespace ?? kv.namespace;
  const shared = { namespace, enableVersioning: options.versioning ?? kv.versioning ?? false };
  const suffix = namespace === undefined ? '' : `, namespace "${namespace}"`;

  if (context.storeOf(options.store, kv) === 'redis') {
    const keyPrefix = options.keyPrefix ?? kv.keyPrefix ?? 'kv';
    const redis = await context.connections.redis();
    const adapter = new RedisAdapter(redis, keyPrefix, { sweepInterval: NEVER });
    const store = new KeyValueStore({ ...shared, adapter });
    context.connections.onClose(() => store.close());
    await store.init();
    return { store, postgres: undefined, name: `${keyPrefix} in Redis${suffix}` };
  }

  const schema = options.schema ?? kv.schema ?? 'public';
  const tableName = options.table ?? kv.table ?? 'kv_store';
  const adapter = new PostgresAdapter({
    client: await context.connections.postgres(),
    schema,
    tableName,
    migrate: false,
    sweepInterval: NEVER,
    tombstoneTtl: FOR_EVER,
    changes: { retention: FOR_EVER },
  });
  const store = new KeyValueStore({ ...shared, adapter });
  context.connections.onClose(() => store.close());
  await withSchema(() => store.init(), {
    schema: schema === 'public' ? undefined : schema,
    table: tableName === 'kv_store' ? undefined : tableName,
  });
  return { store, postgres: adapter, name: `${schema}.${tableName}${suffix}` };
}

/** For what only PostgreSQL can do. @throws UsageError */
export async function openPostgresKv(
  context: CommandContext,
  options: KvOptions,
  what: string,
): Promise<OpenKv & { postgres: PostgresAdapter }> {
  if (context.storeOf(options.store, context.config.kv) === 'redis') {
    throw new UsageError(`${what} is for a store in PostgreSQL; for Redis, use kv export and kv import`);
  }
  if ((options.namespace ?? context.config.kv?.namespace) !== undefined) {
    throw new UsageError(`${what} is for a whole table; for a namespace, use kv export and kv import`);
  }
  const open = await openKv(context, options);
  return { ...open, postgres: open.postgres! };
}
