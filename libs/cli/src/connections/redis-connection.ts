import { InvalidArgumentError, messageOf } from '@nestbox/core';
import { Redis, type RedisModuleOptions } from '@nestbox/redis';
import { CommandFailedError } from '../command.errors.js';
import { UsageError } from '../usage-error.js';

/** How long a server may be silent. */
const unavailableAfter = '2s';

/**
 * A Redis that is not connected yet.
 *
 * @param url of a server, or of some nodes of a cluster, with commas
 * @throws UsageError
 */
export function redisAt(url: string): Redis {
  const [first = '', ...others] = url.split(',');
  try {
    return new Redis(others.length === 0 ? { url: first, unavailableAfter } : clusterOf([first, ...others]));
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new UsageError(`the URL of Redis ${error.problem.replace(/\.$/, '')}`);
  }
}

/** @throws CommandFailedError when it does not answer in time, or has no database of that number */
export async function reachRedis(redis: Redis): Promise<void> {
  try {
    await redis.connect();
  } catch (error) {
    const where = redis.isCluster ? 'the Redis cluster' : `Redis at ${redis.server}`;
    throw new CommandFailedError(`cannot connect to ${where}: ${messageOf(error)}`, { cause: error });
  }
}

/** Who may log in is the same on all nodes, and stands in the first URL. */
function clusterOf(urls: readonly string[]): RedisModuleOptions {
  const nodes = urls.map(parse);
  const { username, password, protocol } = nodes[0]!;
  return {
    cluster: nodes.map(({ hostname, port }) => ({
      host: hostname.replaceAll(/^\[|\]$/g, '') || 'localhost',
      port: port === '' ? 6379 : Number(port),
    })),
    unavailableAfter,
    options: {
      redisOptions: {
        ...(username !== '' && { username: decodeURIComponent(username) }),
        ...(password !== '' && { password: decodeURIComponent(password) }),
        ...(protocol === 'rediss:' && { tls: {} }),
      },
    },
  };
}

function parse(url: string): URL {
  if (URL.canParse(url)) return new URL(url);
  throw new UsageError('one of the Redis URLs is none');
}
