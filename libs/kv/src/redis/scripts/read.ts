import { BASICS_LUA } from './basics.js';

/**
 * Changes of one shard, and the time in microseconds: every change that is made later has at least that as revision.
 *
 * KEYS  changes
 * ARGV  first id, entries at the most
 */
export const READ_LUA = /* lua */ `${BASICS_LUA}
return { int((clock())), redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2]) }
`;
