import { storeKind } from '../../command/option-values.js';
import type { OptionSpec } from '../../command/define.js';
import type { StoreKind } from '../../config/config-file.js';

export interface HubOptions {
  readonly store?: StoreKind | undefined;
  readonly schema?: string | undefined;
  readonly keyPrefix?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export const HUB_OPTIONS: readonly OptionSpec[] = [
  { flags: '--store <kind>', description: 'postgres or redis; default: postgres', read: storeKind },
  { flags: '--schema <name>', description: 'in PostgreSQL; default: serverless' },
  { flags: '--key-prefix <text>', description: 'what the keys in Redis begin with; default: pikku' },
];

export const DEFAULT_SCHEMA = 'serverless';
export const DEFAULT_PREFIX = 'pikku';
