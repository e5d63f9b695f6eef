import { BASICS_LUA, SUBSCRIPTIONS_LUA } from './basics.js';

/**
 * Changes of single subscriptions on one server, any number at once and in their order.
 *
 * KEYS  topics, then of each operation the subscriptions of the channel and, but for `x`, the topic
 * ARGV  before, ttl, then of each operation what: `j` joins, `l` leaves, `x` leaves all
 *
 * Returns of each whether the channel was subscribed.
 */
export const WRITE_SUBSCRIPTIONS_LUA = /* lua */ `${BASICS_LUA}
local KEYS, ARGV, sub = KEYS, ARGV, string.sub
local topics = KEYS[1]
local before, ttl = ARGV[1], ARGV[2]
local before_id, before_topic = #before + 6, #before + 7
${SUBSCRIPTIONS_LUA}
local kept, joined = {}, false
local operations = {}

function operations.j(subs, id, key)
  local topic = sub(key, before_topic)
  local is_new = call('SADD', subs, topic) == 1
  if call('SADD', key, id) == 1 and call('SCARD', key) == 1 then call('ZADD', topics, 0, topic) end
  if not kept[key] then
    call('PEXPIRE', key, ttl)
    kept[key], joined = true, true
  end
  if is_new and call('SCARD', subs) == 1 then
    call('PEXPIRE', subs, ttl)
  else
    keep_subs(subs)
  end
  return is_new and 0 or 1
end

function operations.l(subs, id, key)
  kept[key] = nil
  local topic = sub(key, before_topic)
  local left = call('SREM', subs, topic) == 1
  return (leave(topic, id) or left) and 1 or 0
end

function operations.x(subs, id)
  kept = {}
  leave_all(subs, id)
  return 1
end

local at = 2
local results = each(#ARGV - 2, function(i)
  local what, subs, key = ARGV[i + 2], KEYS[at], KEYS[at + 1]
  at = at + (what == 'x' and 1 or 2)
  return operations[what](subs, sub(subs, before_id), key)
end)
if joined then call('PEXPIRE', topics, ttl) end
return results
`;

/**
 * KEYS  sets of names
 *
 * Returns of each its members with a NUL between, which no name can have; nothing where there is none.
 */
export const READ_SETS_LUA = /* lua */ `
local results = {}
for i, key in ipairs(KEYS) do results[i] = table.concat(redis.call('SMEMBERS', key), '\0') end
return results
`;

/**
 * Topics in the order of their names. Those without channels are taken out of the index.
 *
 * KEYS  topics
 * ARGV  before, both bounds as ZRANGEBYLEX has them, at most so many
 *
 * Returns of each: the topic, and whether it has channels.
 */
export const LIST_TOPICS_LUA = /* lua */ `
local call = redis.call
local rows = {}
for i, topic in ipairs(call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])) do
  local there = call('EXISTS', ARGV[1] .. 'topic:' .. topic)
  if there == 0 then call('ZREM', KEYS[1], topic) end
  rows[i] = { topic, there }
end
return rows
`;

/**
 * Takes channels out of topics that they are not subscribed to by their own sets, which expire.
 *
 * KEYS  topics
 * ARGV  before, the bound of the topics that are next, the cursor within the first, about how many channels
 *
 * Returns the next bound and cursor; '-' and '0' at the end.
 */
export const TIDY_TOPICS_LUA = /* lua */ `
local call = redis.call
local bound, cursor, left = ARGV[2], ARGV[3], tonumber(ARGV[4])
while left > 0 do
  local topic = call('ZRANGEBYLEX', KEYS[1], bound, '+', 'LIMIT', 0, 1)[1]
  if not topic then return { '-', '0' } end
  local key = ARGV[1] .. 'topic:' .. topic
  local page = call('SSCAN', key, cursor, 'COUNT', 200)
  for _, id in ipairs(page[2]) do
    if call('SISMEMBER', ARGV[1] .. 'subs:' .. id, topic) == 0 then call('SREM', key, id) end
  end
  left = left - #page[2] - 1
  cursor = page[1]
  if cursor == '0' then
    if call('EXISTS', key) == 0 then call('ZREM', KEYS[1], topic) end
    bound = '(' .. topic
  else
    bound = '[' .. topic
  end
end
return { bound, cursor }
`;
