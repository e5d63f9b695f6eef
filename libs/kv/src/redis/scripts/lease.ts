import { BASICS_LUA } from './basics.js';

/**
 * Takes a lease that nobody holds. The fencing token is the clock's, in microseconds, or one more than the last
 * where that is higher: so it grows even past a failover that lost the last lease.
 *
 * KEYS  lease, meta
 * ARGV  owner, ms to live
 *
 * Returns { 1, token }, or { 0, ms until the holder's time is up }.
 */
export const ACQUIRE_LUA = /* lua */ `${BASICS_LUA}
local left = redis.call('PTTL', KEYS[1])
if left ~= -2 then return { 0, left } end
local last = redis.call('HGET', KEYS[2], 'token') or 0
local token = int(math.max(last + 1, (clock())))
redis.call('HSET', KEYS[2], 'token', token)
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. token, 'PX', ARGV[2])
return { 1, token }
`;

/** KEYS lease; ARGV owner and token, ms to live. Returns 1, or 0 when it is not held by this owner. */
export const RENEW_LUA = /* lua */ `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`;

/** KEYS lease; ARGV owner and token. Returns 1, or 0 when it is not held by this owner. */
export const RELEASE_LUA = /* lua */ `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`;
