/** What the scripts for one server have in common. */
export const BASICS_LUA = /* lua */ `
local call = redis.call

-- Lua's own way of making text of a number keeps only 14 digits.
local function int(n)
  return string.format('%.0f', n)
end

local function clock()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Runs a function for each of several operations; the failure of one is its own result.
local function each(count, run)
  local results = {}
  for i = 1, count do
    local done, result = pcall(run, i)
    if not done and type(result) ~= 'table' then result = { err = 'ERR ' .. tostring(result) } end
    results[i] = result
  end
  return results
end
`;

/**
 * The subscriptions of channels on one server. The topics of a channel stand in its own set, so their keys are only
 * known in the script.
 *
 * Needs `before` (of every key), `topics` (the index) and `ttl` (ms). Every topic lives as long as each set of
 * subscriptions that names it: both times are set anew when a quarter of that of the latter has passed.
 */
export const SUBSCRIPTIONS_LUA = /* lua */ `
local function keep_subs(subs)
  local left = call('PTTL', subs)
  if left == -2 or left > ttl * 0.75 then return end
  call('PEXPIRE', subs, ttl)
  for _, topic in ipairs(call('SMEMBERS', subs)) do call('PEXPIRE', before .. 'topic:' .. topic, ttl) end
  call('PEXPIRE', topics, ttl)
end

-- Whether the channel was in the topic.
local function leave(topic, id)
  local key = before .. 'topic:' .. topic
  local left = call('SREM', key, id)
  if left == 1 and call('EXISTS', key) == 0 then call('ZREM', topics, topic) end
  return left == 1
end

local function leave_all(subs, id)
  for _, topic in ipairs(call('SMEMBERS', subs)) do leave(topic, id) end
  call('DEL', subs)
end
`;
