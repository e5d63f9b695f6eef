import { BASICS_LUA, SUBSCRIPTIONS_LUA } from './basics.js';

/**
 * What is done with single subscriptions on one server, any number at once and in their order.
 *
 * KEYS  topics, then of each operation one: the subscriptions of the channel, or the set of the topic
 * ARGV  before, ttl, then of each operation three: what, the channel's id, the topic
 *
 * Returns one result for each.
 */
export const SUBSCRIPTION_OPERATIONS_LUA = /* lua */ `${BASICS_LUA}
local topics = KEYS[1]
local before, ttl = ARGV[1], tonumber(ARGV[2])
${SUBSCRIPTIONS_LUA}
local joined = false
local operations = {}

function operations.join(subs, id, topic)
  local key = before .. 'topic:' .. topic
  joined = true
  call('SADD', subs, topic)
  if call('SADD', key, id) == 1 then call('ZADD', topics, 0, topic) end
  call('PEXPIRE', key, ttl)
  keep_subs(subs)
  return 1
end

function operations.leave(subs, id, topic)
  local left = call('SREM', subs, topic) == 1
  return (leave(topic, id) or left) and 1 or 0
end

function operations.leaveAll(subs, id)
  leave_all(subs, id)
  return 1
end

function operations.topics(subs)
  return call('SMEMBERS', subs)
end

function operations.channels(key)
  return call('SMEMBERS', key)
end

local results = each(#KEYS - 1, function(i)
  local at = 3 * i
  return operations[ARGV[at]](KEYS[i + 1], ARGV[at + 1], ARGV[at + 2])
end)
if joined then call('PEXPIRE', topics, ttl) end
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
