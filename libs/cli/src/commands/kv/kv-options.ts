import { storeKind } from '../../command/option-values.js';
import type { OptionSpec } from '../../command/define.js';
import type { StoreKind } from '../../config/config-file.js';

export interface KvOptions {
  readonly store?: StoreKind | undefined;
  readonly schema?: string | undefined;
  readonly table?: string | undefined;
  readonly keyPrefix?: string | undefined;
  readonly namespace?: string | undefined;
  readonly versioning?: boolean | undefined;
}

export const KV_OPTIONS: readonly OptionSpec[] = [
  { flags: '--store <kind>', description: 'postgres or redis; default: postgres', read: storeKind },
  { flags: '--schema <name>', description: 'of the table in PostgreSQL; default: public' },
  { flags: '--table <name>', description: 'the table in PostgreSQL; default: kv_store' },
  { flags: '--key-prefix <text>', description: "what the store's keys in Redis begin with; default: kv" },
  { flags: '--namespace <name>', description: 'only the entries of this namespace' },
];

/** For those that write. */
export const VERSIONING: OptionSpec = {
  flags: '--versioning',
  description: 'keep the state for history(), as a store with enableVersioning does',
};
