import { loadDriver, type DriverOptions, type Sql } from './driver.js';
import { arrayTypesAreKnown } from './pool/array-types.js';
import type { ParsedOptions } from './pool/pooled-connection.js';
import { passTexts } from './pool/text-statement.js';

/** How an owned database is reached. */
export interface Target {
  url?: string | undefined;
  options?: DriverOptions | undefined;
}

/**
 * The options as postgres.js reads them from a URL, the options and the environment, with our defaults where these say
 * nothing.
 */
export function parseTarget({ url, options = {} }: Target, prepare: boolean): ParsedOptions {
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
  // A client connects when it is used, which this one never is.
  const { options: given }: { options: unknown } =
    url === undefined ? postgres(merged) : postgres(url.replace(ANY_TARGET, '$1'), merged);
  const parsed = given as ParsedOptions;
  passTexts(parsed.serializers);
  // Of several servers one takes writes; whoever wants to read from any of them says so.
  if (parsed.host.length > 1 && !ANY_TARGET.test(url ?? '')) parsed.target_session_attrs ||= 'read-write';
  return parsed;
}

/** As PostgreSQL's own clients know it, and postgres.js does not. */
const ANY_TARGET = /([?&])target_session_attrs=any(?:&|$)/;

/** An ordinary client of postgres.js, with its own pool. */
export function createClient(parsed: ParsedOptions, overrides: DriverOptions = {}): Sql {
  const fetchTypes = parsed.fetch_types && !arrayTypesAreKnown(parsed);
  const { target_session_attrs: target } = parsed;
  return loadParsed({
    ...parsed,
    fetch_types: fetchTypes,
    // For postgres.js, a standby is `read-write`.
    target_session_attrs: target === 'read-write' ? 'primary' : target,
    ...overrides,
  });
}

/** A client with the same options as another, but for `overrides`. */
export function deriveClient({ options }: Sql, overrides: DriverOptions): Sql {
  return loadParsed({ ...options, ...overrides });
}

/** postgres.js takes its own parsed options as they are. */
function loadParsed(parsed: Record<string, unknown>): Sql {
  return loadDriver()(parsed as DriverOptions);
}

const ADDRESS = new Set([
  'host',
  'hostname',
  'port',
  'path',
  'database',
  'db',
  'user',
  'username',
  'password',
  'pass',
]);

/** Options that leave the address and the credentials to a URL; postgres.js prefers the options'. */
export function withoutAddress(options: DriverOptions = {}): DriverOptions {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !ADDRESS.has(name)));
}
