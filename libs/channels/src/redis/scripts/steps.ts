import { BASICS_LUA } from './basics.js';

/* Steps on a cluster. Each has one key, may be done twice, and leaves no key without a time to live. */

/**
 * KEYS  an index
 * ARGV  member, ttl
 */
export const PUT_INDEX_LUA = /* lua */ `
redis.call('ZADD', KEYS[1], 0, ARGV[1])
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`;

/**
 * KEYS  a set
 * ARGV  member, ttl
 *
 * Returns how many members it has.
 */
export const PUT_MEMBER_LUA = /* lua */ `
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('SCARD', KEYS[1])
`;

/**
 * KEYS  the subscriptions of a channel
 * ARGV  topic, ttl
 *
 * Returns 1 when all its topics should be given more time.
 */
export const PUT_SUB_LUA = /* lua */ `
redis.call('SADD', KEYS[1], ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 and redis.call('SCARD', KEYS[1]) == 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 0
end
return left < ARGV[2] * 0.75 and 1 or 0
`;

/**
 * KEYS  a set
 * ARGV  member
 *
 * Returns whether it was one, and whether there are others.
 */
export const TAKE_MEMBER_LUA = /* lua */ `
return { redis.call('SREM', KEYS[1], ARGV[1]), redis.call('EXISTS', KEYS[1]) }
`;

/**
 * KEYS  the channel
 * ARGV  id, name, JSON of the opening data, owner or nothing, ttl
 *
 * Returns the owner that it had.
 */
export const PUT_CHANNEL_LUA = /* lua */ `${BASICS_LUA}
local now = int(clock())
local old = call('HGET', KEYS[1], 'nodeId')
call('HSETNX', KEYS[1], 'createdAt', now)
call('HSET', KEYS[1], 'channelId', ARGV[1], 'channelName', ARGV[2], 'openingData', ARGV[3], 'lastInteraction', now)
if ARGV[4] == '' then
  call('HDEL', KEYS[1], 'nodeId')
else
  call('HSET', KEYS[1], 'nodeId', ARGV[4])
end
call('PEXPIRE', KEYS[1], ARGV[5])
return old
`;

/**
 * KEYS  the channel
 * ARGV  JSON of the session or nothing, user or nothing, ttl
 *
 * Returns the user that it had in a list; null where there is no such channel.
 */
export const PUT_SESSION_LUA = /* lua */ `${BASICS_LUA}
local found, old = unpack(call('HMGET', KEYS[1], 'channelId', 'userId'))
if not found then return false end
for i, field in ipairs({ 'userSession', 'userId' }) do
  if ARGV[i] == '' then
    call('HDEL', KEYS[1], field)
  else
    call('HSET', KEYS[1], field, ARGV[i])
  end
end
call('HSET', KEYS[1], 'lastInteraction', int(clock()))
call('PEXPIRE', KEYS[1], ARGV[3])
return { old }
`;

/**
 * KEYS  the channel
 * ARGV  ttl
 *
 * Returns its owner and user; null where there is no such channel.
 */
export const TOUCH_LUA = /* lua */ `${BASICS_LUA}
local found, node, user = unpack(call('HMGET', KEYS[1], 'channelId', 'nodeId', 'userId'))
if not found then return false end
call('HSET', KEYS[1], 'lastInteraction', int(clock()))
call('PEXPIRE', KEYS[1], ARGV[1])
return { node, user }
`;

/**
 * Removes a channel itself.
 *
 * KEYS  the channel
 * ARGV  ms it must not have been touched for, or nothing; the owner it must have, or nothing
 *
 * Returns whether there was one ('gone', 'kept' or 'removed'), its owner and its user.
 */
export const TAKE_CHANNEL_LUA = /* lua */ `${BASICS_LUA}
local last, node, user = unpack(call('HMGET', KEYS[1], 'lastInteraction', 'nodeId', 'userId'))
if call('EXISTS', KEYS[1]) == 0 then return { 'gone' } end
if ARGV[1] ~= '' and last and tonumber(last) >= clock() - ARGV[1] then return { 'kept' } end
if ARGV[2] ~= '' and node ~= ARGV[2] then return { 'kept' } end
call('DEL', KEYS[1])
return { 'removed', node, user }
`;

/**
 * Renews a claim on an instance, or ends it.
 *
 * KEYS  nodes
 * ARGV  instance, ms or nothing
 */
export const HOLD_CLAIM_LUA = /* lua */ `${BASICS_LUA}
local mark = '\\0' .. ARGV[1]
if ARGV[2] == '' then return call('ZREM', KEYS[1], mark) end
return call('ZADD', KEYS[1], 'XX', int(clock() + ARGV[2]), mark)
`;
