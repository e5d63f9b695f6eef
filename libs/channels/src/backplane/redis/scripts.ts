/** The time of the server in ms, as `now`. */
const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/** Removes the messages that are too old; they are ordered by time. */
const TRIM = `
local function trim(list, ttl)
  while true do
    local oldest = redis.call('LINDEX', list, 0)
    if not oldest or struct.unpack('>d', oldest) > now - ttl then return end
    redis.call('LPOP', list)
  end
end`;

/**
 * Keeps and sends the messages of a bucket, in one frame.
 *
 * KEYS: for each message with a history its head and its list. ARGV: the command and the channel, then for each message
 * four: its body and, with a history, how many to keep, for how many ms, and what makes the epoch unique if a new one
 * begins; else three empty ones. Returns for each message with a history epoch and offset, else an empty list.
 */
export const PUBLISH = `${NOW}${TRIM}
local records, replies = {}, {}
local key = 1
for arg = 3, #ARGV, 4 do
  local body, size, ttl, epoch = ARGV[arg], tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]), ARGV[arg + 3]
  if size then
    local head, list = KEYS[key], KEYS[key + 1]
    key = key + 2
    local current = redis.call('HGET', head, 'epoch')
    if current then
      epoch = current
    else
      epoch = string.format('%.0f', now) .. '-' .. epoch
      redis.call('DEL', list)
      redis.call('HSET', head, 'epoch', epoch)
    end
    local offset = redis.call('HINCRBY', head, 'offset', 1)
    redis.call('HSET', head, 'ttl', ttl)
    redis.call('RPUSH', list, struct.pack('>d', now) .. body)
    redis.call('LTRIM', list, -size, -1)
    trim(list, ttl)
    redis.call('PEXPIRE', head, ttl)
    redis.call('PEXPIRE', list, ttl)
    local header = struct.pack('>BdB', 1, offset, #epoch) .. epoch
    records[#records + 1] = struct.pack('>I4', #header + #body) .. header .. body
    replies[#replies + 1] = { epoch, offset }
  else
    records[#records + 1] = struct.pack('>I4B', 1 + #body, 0) .. body
    replies[#replies + 1] = {}
  end
end
redis.call(ARGV[1], ARGV[2], table.concat(records))
return replies`;

/**
 * Reads a history, as many messages as fit.
 *
 * KEYS: head and list. ARGV: 1 when there is a position to read after, its epoch and offset; how many messages at the
 * most; and after how many bytes to stop. Returns nil, or epoch, offset of the newest, whether nothing is missing, the
 * offset of the first message read, and the messages.
 */
export const READ = `${NOW}${TRIM}
local head = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'ttl')
if not head[1] then return false end
trim(KEYS[2], tonumber(head[3]))
local newest, limit, bytes = tonumber(head[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
local first = newest - redis.call('LLEN', KEYS[2]) + 1
local start, complete = first, 1
if ARGV[1] == '1' then
  local since = tonumber(ARGV[3])
  if ARGV[2] == head[1] and since <= newest then
    start = math.max(first, since + 1)
    if first > since + 1 then complete = 0 end
  else
    complete = 0
  end
else
  start = math.max(first, newest - limit + 1)
end
local entries = {}
while limit > 0 and bytes > 0 do
  local from = start - first + #entries
  local some = redis.call('LRANGE', KEYS[2], from, from + math.min(limit, 32) - 1)
  if #some == 0 then break end
  for _, entry in ipairs(some) do
    entries[#entries + 1] = entry
    bytes = bytes - #entry
    limit = limit - 1
    if bytes <= 0 then break end
  end
end
return { head[1], newest, complete, start, entries }`;
