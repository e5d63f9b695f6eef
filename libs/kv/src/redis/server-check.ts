import { UnsupportedOperationError } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import type { RedisLink } from './redis-link.js';

/** XTRIM by id, exclusive ranges of streams, and SET with a point in time. */
const MIN_VERSION = [6, 2] as const;

/**
 * Warns of a server that evicts keys which have no time to live.
 *
 * @throws UnsupportedOperationError when the server is too old
 */
export async function checkServer(link: RedisLink): Promise<void> {
  let info: string;
  try {
    info = String(await link.command('INFO', []));
  } catch (error) {
    // A user may not be allowed to ask. Then we hope for the best.
    if (error instanceof Error && error.message.startsWith('NOPERM')) return;
    throw error;
  }
  const [, version, major, minor] = /^redis_version:((\d+)\.(\d+)\S*)/m.exec(info) ?? [];
  if (version !== undefined && isOlder(Number(major), Number(minor))) {
    throw new UnsupportedOperationError(
      'The key-value store',
      `Redis ${version}`,
      `It needs Redis ${MIN_VERSION.join('.')} or later, or Valkey.`,
    );
  }
  const policy = /^maxmemory_policy:(allkeys-\S+)/m.exec(info)?.[1];
  if (policy !== undefined) {
    new Logger('NestboxKvRedis').warn(
      `Redis may evict any key (maxmemory-policy ${policy}), so that entries can vanish and their versions be used again. ` +
        'Set it to noeviction or volatile-lru.',
    );
  }
}

function isOlder(major: number, minor: number): boolean {
  return major < MIN_VERSION[0] || (major === MIN_VERSION[0] && minor < MIN_VERSION[1]);
}
