import { BASICS_LUA, SUBSCRIPTIONS_LUA } from './basics.js';

const REMOVE_LUA = /* lua */ `
-- All that there is of a channel. Whether there was one.
local function remove(channel, subs, id)
  local node, user = unpack(call('HMGET', channel, 'nodeId', 'userId'))
  if node then call('SREM', before .. 'node:' .. node, id) end
  if user then call('SREM', before .. 'user:' .. user, id) end
  leave_all(subs, id)
  call('ZREM', ids, id)
  call('ZREM', seen, id)
  return call('DEL', channel) == 1
end
`;

/**
 * What is done with single channels, any number at once and in their order.
 *
 * KEYS  ids, seen, topics, then of each operation its channel and its subscriptions
 * ARGV  before, ttl, then of each operation four: what, the channel's id, and two that depend
 *         add      name, JSON of the opening data; followed by the owner, or nothing, as a fifth
 *         session  JSON or nothing, user or nothing
 *         get, locate, touch, remove
 *
 * Returns one result for each.
 */
export const CHANNELS_LUA = /* lua */ `${BASICS_LUA}
local ids, seen, topics = KEYS[1], KEYS[2], KEYS[3]
local before, ttl = ARGV[1], tonumber(ARGV[2])
${SUBSCRIPTIONS_LUA}${REMOVE_LUA}
local now
local function interact(channel, subs, id)
  call('PEXPIRE', channel, ttl)
  call('ZADD', seen, now, id)
  keep_subs(subs)
end

local at = 2
local operations = {}

function operations.add(channel, subs, id, name, opening)
  at = at + 1
  local node = ARGV[at]
  local found, owner = unpack(call('HMGET', channel, 'channelId', 'nodeId'))
  if owner and owner ~= node then
    call('SREM', before .. 'node:' .. owner, id)
    if node == '' then call('HDEL', channel, 'nodeId') end
  end
  if found then
    call('HSET', channel, 'channelName', name, 'openingData', opening, 'lastInteraction', now)
  else
    call('HSET', channel, 'channelId', id, 'channelName', name, 'openingData', opening,
      'createdAt', now, 'lastInteraction', now)
  end
  call('ZADD', ids, 0, id)
  if node ~= '' then
    call('HSET', channel, 'nodeId', node)
    call('SADD', before .. 'node:' .. node, id)
    call('PEXPIRE', before .. 'node:' .. node, ttl)
  end
  interact(channel, subs, id)
  return 1
end

function operations.session(channel, subs, id, session, user)
  local found, old = unpack(call('HMGET', channel, 'channelId', 'userId'))
  if not found then return 0 end
  if old and old ~= user then
    call('SREM', before .. 'user:' .. old, id)
    call('HDEL', channel, 'userId')
  end
  if session == '' then
    call('HDEL', channel, 'userSession')
    call('HSET', channel, 'lastInteraction', now)
  else
    call('HSET', channel, 'userSession', session, 'lastInteraction', now)
  end
  if user ~= '' then
    call('HSET', channel, 'userId', user)
    call('SADD', before .. 'user:' .. user, id)
    call('PEXPIRE', before .. 'user:' .. user, ttl)
  end
  interact(channel, subs, id)
  return 1
end

function operations.get(channel)
  local found = call('HMGET', channel, 'channelName', 'openingData', 'userSession')
  return found[1] and found
end

function operations.locate(channel)
  local found, node = unpack(call('HMGET', channel, 'channelId', 'nodeId'))
  return found and { node }
end

function operations.touch(channel, subs, id)
  local found, node, user = unpack(call('HMGET', channel, 'channelId', 'nodeId', 'userId'))
  if not found then return 0 end
  call('HSET', channel, 'lastInteraction', now)
  if node then call('PEXPIRE', before .. 'node:' .. node, ttl) end
  if user then call('PEXPIRE', before .. 'user:' .. user, ttl) end
  interact(channel, subs, id)
  return 1
end

function operations.remove(channel, subs, id)
  return remove(channel, subs, id) and 1 or 0
end

local reads = { get = true, locate = true }
local written = false
local results = each((#KEYS - 3) / 2, function(i)
  local what, first = ARGV[at + 1], at + 2
  at = at + 4
  if not reads[what] then
    written = true
    now = now or int(clock())
  end
  return operations[what](KEYS[2 + 2 * i], KEYS[3 + 2 * i], ARGV[first], ARGV[first + 1], ARGV[first + 2])
end)
if written then
  call('PEXPIRE', ids, ttl)
  call('PEXPIRE', seen, ttl)
end
return results
`;

/**
 * Removes channels that were not touched for so long, the longest first.
 *
 * KEYS  ids, seen, topics
 * ARGV  before, ttl, ms, at most so many, 'gone' to remove only what expired
 *
 * Returns their ids, and how many were looked at.
 */
export const STALE_LUA = /* lua */ `${BASICS_LUA}
local ids, seen, topics = KEYS[1], KEYS[2], KEYS[3]
local before, ttl = ARGV[1], tonumber(ARGV[2])
${SUBSCRIPTIONS_LUA}${REMOVE_LUA}
local found = call('ZRANGEBYSCORE', seen, '-inf', '(' .. int(clock() - ARGV[3]), 'LIMIT', 0, ARGV[4])
local removed = {}
for _, id in ipairs(found) do
  local channel = before .. 'channel:' .. id
  if ARGV[5] ~= 'gone' or call('EXISTS', channel) == 0 then
    remove(channel, before .. 'subs:' .. id, id)
    removed[#removed + 1] = id
  end
end
return { removed, #found }
`;

/**
 * Removes some channels of an instance whose end has been claimed, and renews the claim, or ends it with the last.
 *
 * KEYS  ids, seen, topics, nodes, the set of the instance
 * ARGV  before, ttl, instance, at most so many, ms of the claim
 *
 * Returns the ids of those that belonged to it, and whether there may be more.
 */
export const CLEAR_NODE_LUA = /* lua */ `${BASICS_LUA}
local ids, seen, topics, nodes, members = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local before, ttl, node = ARGV[1], tonumber(ARGV[2]), ARGV[3]
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
 * Channels in the order of their ids, after one or from the start. Those that expired are taken out of the index.
 *
 * KEYS  ids, seen
 * ARGV  before, the bound as ZRANGEBYLEX has it, at most so many
 *
 * Returns of each: id, name, owner, both times.
 */
export const LIST_LUA = /* lua */ `
local call = redis.call
local found = call('ZRANGEBYLEX', KEYS[1], ARGV[2], '+', 'LIMIT', 0, ARGV[3])
local rows = {}
for i, id in ipairs(found) do
  local key = ARGV[1] .. 'channel:' .. id
  local name, node, created, interaction =
    unpack(call('HMGET', key, 'channelName', 'nodeId', 'createdAt', 'lastInteraction'))
  -- What belongs to one that expired is found by way of the other index.
  if not name then call('ZREM', KEYS[1], id) end
  rows[i] = { id, name, node, created, interaction }
end
return rows
`;

/**
 * How many channels there are.
 *
 * KEYS  seen
 * ARGV  ttl
 */
export const COUNT_LUA = /* lua */ `${BASICS_LUA}
return call('ZCOUNT', KEYS[1], '(' .. int(clock() - ARGV[1]), '+inf')
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
