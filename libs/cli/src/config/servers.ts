import { UsageError } from '../usage-error.js';
import type { ConfigFile } from './config-file.js';

/** Where the servers are, by precedence: the option, the environment variable, the configuration file. */
export interface Servers {
  readonly url: string | undefined;
  /** Several, with commas, are nodes of a cluster. */
  readonly redisUrl: string | undefined;
}

/** The options that say it. */
export interface ServerOptions {
  readonly url?: string | undefined;
  readonly redisUrl?: string | undefined;
}

/** @throws UsageError, which shows no URL, since there may be a password in it */
export function serversOf(options: ServerOptions, env: NodeJS.ProcessEnv, file: ConfigFile): Servers {
  return {
    url: first(
      /^postgres(ql)?:\/\//,
      'a PostgreSQL URL such as postgres://user@host:5432/database',
      ['--url', options.url],
      ['DATABASE_URL', env['DATABASE_URL'] || undefined],
      ['"url" in the configuration file', file.url],
    ),
    redisUrl: first(
      /^rediss?:\/\/[^,]*(,rediss?:\/\/[^,]*)*$/,
      'a Redis URL such as redis://host:6379, or several of a cluster with commas',
      ['--redis-url', options.redisUrl],
      ['REDIS_URL', env['REDIS_URL'] || undefined],
      ['"redisUrl" in the configuration file', file.redisUrl],
    ),
  };
}

function first(
  shape: RegExp,
  wanted: string,
  ...sources: readonly (readonly [name: string, value: string | undefined])[]
): string | undefined {
  for (const [name, value] of sources) {
    if (value === undefined) continue;
    if (!shape.test(value)) throw new UsageError(`${name} is not ${wanted}`);
    if (!value.split(/,(?=rediss?:)/).every(isReadable)) {
      throw new UsageError(
        `${name} cannot be read as a URL; in a user name and a password, letters such as / ? # % are written %2F %3F %23 %25`,
      );
    }
    return value;
  }
  return undefined;
}

/** Of several hosts, the first one stands for all. */
function isReadable(url: string): boolean {
  const single = url.replace(/^([a-z]+:\/\/(?:[^/?#]*@)?[^,/?#@]*),[^/?#@]*/, '$1');
  if (!URL.canParse(single)) return false;
  const { username, password, pathname, search, hash } = new URL(single);
  // What seems to be the database, with an @ in it, is the end of a password that has a slash.
  if (pathname.includes('@') || (username === '' && `${search}${hash}`.includes('@'))) return false;
  try {
    decodeURIComponent(`${username}${password}`);
    return true;
  } catch {
    return false;
  }
}
