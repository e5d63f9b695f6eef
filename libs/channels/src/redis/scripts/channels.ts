import { BASICS_LUA, SUBSCRIPTIONS_LUA } from './basics.js';

const REMOVE_LUA = /* lua */ `
-- All that there is of a channel. Whether there was one.
local function remove(channel, subs, id)
  local node, user = unpack(call('HMGET', channel, 'nodeId', 'userId'))
  if node then call('SREM', before .. 'node:' .. node, id) end
  if user then call('SREM', before .. 'user:' .. user, id) end
  leave_all(subs, id)
  call('ZREM', ids, id)
  return call('DEL', channel) == 1
end
`;

/**
 * Writes to single channels, any number at once and in their order.
 *
 * KEYS  ids, topics, then the channel of each operation
 * ARGV  before, ttl, then of each operation what, followed by what it takes:
 *         a  add      name, JSON of the opening data, owner or nothing
 *         s  session  JSON or nothing, user or nothing
 *         t  touch
 *         r  remove
 *
 * Returns of each whether there was such a channel.
 */
export const WRITE_CHANNELS_LUA = /* lua */ `${BASICS_LUA}
local KEYS, ARGV, sub = KEYS, ARGV, string.sub
local ids, topics = KEYS[1], KEYS[2]
local before, ttl = ARGV[1], ARGV[2]
local before_id = #before + 9
${SUBSCRIPTIONS_LUA}${REMOVE_LUA}
local now = int(clock())
local kept = {}
-- These go into the index together in the end.
local added = {}

local function keep_set(key, id)
  call('SADD', key, id)
  if not kept[key] then
    call('PEXPIRE', key, ttl)
    kept[key] = true
  end
end

local operations = {}

function operations.a(channel, id, at)
  local name, opening, node = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local owner = false
  if call('HSETNX', channel, 'createdAt', now) == 0 then
    owner = call('HGET', channel, 'nodeId')
    if owner and owner ~= node then
      call('SREM', before .. 'node:' .. owner, id)
      call('HDEL', channel, 'nodeId')
    end
    keep_subs(before .. 'subs:' .. id)
  end
  if node == '' then
    call('HSET', channel, 'channelId', id, 'channelName', name, 'openingData', opening, 'lastInteraction', now)
  else
    call('HSET', channel, 'channelId', id, 'channelName', name, 'openingData', opening, 'lastInteraction', now,
      'nodeId', node)
    keep_set(before .. 'node:' .. node, id)
  end
  call('PEXPIRE', channel, ttl)
  added[id] = true
  return owner
end

function operations.s(channel, id, at)
  local session, user = ARGV[at], ARGV[at + 1]
  local found, old = unpack(call('HMGET', channel, 'channelId', 'userId'))
  if not found then return 0 end
  if old and old ~= user then
    call('SREM', before .. 'user:' .. old, id)
    call('HDEL', channel, 'userId')
  end
  if session == '' then
    call('HDEL', channel, 'userSession')
    call('HSET', channel, 'lastInteraction', now)
  elseif user == '' then
    call('HSET', channel, 'userSession', session, 'lastInteraction', now)
  else
    call('HSET', channel, 'userSession', session, 'lastInteraction', now, 'userId', user)
    keep_set(before .. 'user:' .. user, id)
  end
  call('PEXPIRE', channel, ttl)
  keep_subs(before .. 'subs:' .. id)
  return 1
end

function operations.t(channel, id)
  local found, node, user = unpack(call('HMGET', channel, 'channelId', 'nodeId', 'userId'))
  if not found then return 0 end
  call('HSET', channel, 'lastInteraction', now)
  call('PEXPIRE', channel, ttl)
  if node then keep_set(before .. 'node:' .. node, id) end
  if user then keep_set(before .. 'user:' .. user, id) end
  keep_subs(before .. 'subs:' .. id)
  return 1
end

function operations.r(channel, id, at)
  local owner = ARGV[at]
  if owner ~= '' and call('HGET', channel, 'nodeId') ~= owner then return 0 end
  added[id] = nil
  kept = {}
  return remove(channel, before .. 'subs:' .. id, id) and 1 or 0
end

local takes = { a = 3, s = 2, t = 0, r = 1 }
local at = 3
local results = each(#KEYS - 2, function(i)
  local channel, what, first = KEYS[i + 2], ARGV[at], at + 1
  at = first + takes[what]
  return operations[what](channel, sub(channel, before_id), first)
end)

local scored = {}
for id in pairs(added) do
  scored[#scored + 1] = 0
  scored[#scored + 1] = id
end
if #scored > 0 then call('ZADD', ids, unpack(scored)) end
call('PEXPIRE', ids, ttl)
return results
`;

/**
 * Reads channels.
 *
 * KEYS  the channels
 *
 * Returns of each the name, the JSON of the opening data and that of the session, with a NUL between, which none of
 * them can have; nothing where there is no such channel.
 */
export const READ_CHANNELS_LUA = /* lua */ `
local call = redis.call
local results = {}
for i, channel in ipairs(KEYS) do
  local found = call('HMGET', channel, 'channelName', 'openingData', 'userSession')
  results[i] = found[1] and found[1] .. '\0' .. (found[2] or '') .. '\0' .. (found[3] or '')
end
return results
`;

/**
 * Goes through a part of the index, and removes the channels that expired or were not touched for so long.
 *
 * KEYS  ids, topics
 * ARGV  before, ttl, ms or nothing, the bound to go on from as ZRANGEBYLEX has it, how many to look at
 *
 * Returns the ids of those that were removed, and the last that was looked at.
 */
export const STALE_LUA = /* lua */ `${BASICS_LUA}
local ids, topics = KEYS[1], KEYS[2]
local before, ttl = ARGV[1], ARGV[2]
${SUBSCRIPTIONS_LUA}${REMOVE_LUA}
local oldest = ARGV[3] == '' and 0 or clock() - ARGV[3]
local found = call('ZRANGEBYLEX', ids, ARGV[4], '+', 'LIMIT', 0, ARGV[5])
local removed = {}
for _, id in ipairs(found) do
  local channel = before .. 'channel:' .. id
  local last = call('HGET', channel, 'lastInteraction')
  if not last or tonumber(last) < oldest then
    remove(channel, before .. 'subs:' .. id, id)
    removed[#removed + 1] = id
  end
end
return { removed, #found == tonumber(ARGV[5]) and found[#found] }
`;

/**
 * Removes some channels of an instance whose end has been claimed, and renews the claim, or ends it with the last.
 *
 * KEYS  ids, topics, nodes, the set of the instance
 * ARGV  before, ttl, instance, at most so many, ms of the claim
 *
 * Returns the ids of those that belonged to it, and whether there may be more.
 */
export const CLEAR_NODE_LUA = /* lua */ `${BASICS_LUA}
local ids, topics, nodes, members = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local before, ttl, node = ARGV[1], ARGV[2], ARGV[3]
${SUBSCRIPTIONS_LUA}${REMOVE_LUA}
local removed = {}
for _, id in ipairs(call('SPOP', members, ARGV[4])) do
  local channel = before .. 'channel:' .. id
  local owner = call('HGET', channel, 'nodeId')
  -- Where it expired, what it was subscribed to may still be there.
  if not owner or owner == node then
    if remove(channel, before .. 'subs:' .. id, id) then removed[#removed + 1] = id end
  end
end
local claim = '\\0' .. node
if call('EXISTS', members) == 1 then
  call('ZADD', nodes, 'XX', int(clock() + ARGV[5]), claim)
  return { removed, 1 }
end
call('ZREM', nodes, claim)
return { removed, 0 }
`;

/**
 * Channels in the order of their ids, after one or from the start.
 *
 * KEYS  ids
 * ARGV  before, the bound as ZRANGEBYLEX has it, at most so many
 *
 * Returns of each: id, name, owner, both times; of those that expired the id only.
 */
export const LIST_LUA = /* lua */ `
local call = redis.call
local found = call('ZRANGEBYLEX', KEYS[1], ARGV[2], '+', 'LIMIT', 0, ARGV[3])
local rows = {}
for i, id in ipairs(found) do
  local key = ARGV[1] .. 'channel:' .. id
  local name, node, created, interaction =
    unpack(call('HMGET', key, 'channelName', 'nodeId', 'createdAt', 'lastInteraction'))
  rows[i] = { id, name, node, created, interaction }
end
return rows
`;

/**
 * The channels of a user. Those that expired are taken out.
 *
 * KEYS  the set of the user
 * ARGV  before, user
 */
export const USER_LUA = /* lua */ `
local found = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if redis.call('HGET', ARGV[1] .. 'channel:' .. id, 'userId') == ARGV[2] then
    found[#found + 1] = id
  else
    redis.call('SREM', KEYS[1], id)
  end
end
return found
`;
