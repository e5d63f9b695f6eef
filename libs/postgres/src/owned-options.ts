import { loadDriver, type DriverOptions, type Sql } from './driver.js';
import type { ParsedOptions } from './pool/pooled-connection.js';

/** How an owned database is reached. */
export interface Target {
  url?: string | undefined;
  options?: DriverOptions | undefined;
}

/** A postgres.js client, with our defaults where the options do not say otherwise. It connects when it is used. */
export function createClient({ url, options = {} }: Target, prepare: boolean): Sql {
  const postgres = loadDriver();
  const { types, ...others } = options;
  const merged: DriverOptions = {
    // The defaults of postgres.js are 30 s, and pauses of up to 20 s between attempts.
    connect_timeout: 5,
    backoff: (attempt: number) => (0.5 + Math.random() / 2) * Math.min(3 ** attempt / 100, 1),
    // It prints notices otherwise.
    onnotice: () => undefined,
    prepare,
    ...others,
    types: { bigint: postgres.BigInt, ...types },
  };
  return url === undefined ? postgres(merged) : postgres(url, merged);
}

/** The options as postgres.js reads them from a URL, the options and the environment. */
export function parseTarget(target: Target, prepare: boolean): ParsedOptions {
  const { options }: { options: unknown } = createClient(target, prepare);
  return options as ParsedOptions;
}

/** A client with the same options as another, but for `overrides`. It connects when it is used. */
export function deriveClient({ options }: Sql, overrides: DriverOptions): Sql {
  // postgres.js takes its own parsed options as they are.
  const derived: Record<string, unknown> = { ...options, ...overrides };
  return loadDriver()(derived as DriverOptions);
}
