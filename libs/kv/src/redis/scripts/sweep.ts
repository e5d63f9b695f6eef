import { APPEND_FIELDS, APPEND_LUA } from './append.js';
import { BASICS_LUA } from './basics.js';

/**
 * Which keys have something due: an entry whose time is up, or a tombstone that may be forgotten.
 *
 * KEYS  due
 * ARGV  how many at the most
 */
export const DUE_LUA = /* lua */ `${BASICS_LUA}
local _, millis = clock()
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. int(millis), 'LIMIT', 0, ARGV[1])
`;

/**
 * Reports expired entries as changes, and forgets old tombstones. What has been written again since it was found to
 * be due is left alone.
 *
 * An expired entry becomes a tombstone with the next version. The versions of forgotten tombstones raise the floor
 * above which new keys start, so that no version is ever used twice.
 *
 * KEYS  meta, changes, due, marks, index, one entry for each key
 * ARGV  changes  to keep in the stream of changes; '0': none
 *       bytes    of changes to keep
 *       forget   ms after which a tombstone may be forgotten
 *       then the keys
 *
 * Returns how many entries were found to have expired.
 */
export const SWEEP_LUA = /* lua */ `${BASICS_LUA}${APPEND_LUA}
local call = redis.call
local META, CHANGES, DUE, MARKS, INDEX = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local micros, millis = clock()
local meta = call('HMGET', META, ${APPEND_FIELDS}, 'floor')
local floor = tonumber(meta[4] or 0)
local raised = floor
local changes, bytes = {}, 0
for i = 6, #KEYS do
  local entry, key = KEYS[i], ARGV[i - 2]
  local score = call('ZSCORE', DUE, key)
  if score and tonumber(score) < millis then
    local mark = call('HGET', MARKS, key)
    if not mark then
      call('ZREM', DUE, key)
    elseif string.sub(mark, 1, 1) == 't' then
      raised = math.max(raised, tonumber(string.sub(mark, 2)))
      call('HDEL', MARKS, key)
      call('ZREM', DUE, key)
    elseif call('EXISTS', entry) == 1 then
      -- Somebody else prolonged it. Looking again later leaves room for the others.
      call('ZADD', DUE, int(millis + math.max(1000, call('PTTL', entry))), key)
    else
      local version = int(string.sub(mark, 2) + 1)
      changes[#changes + 1] = entry
      changes[#changes + 1] = 'x;' .. version .. ';' .. int(millis)
      bytes = bytes + #entry + #changes[#changes]
      call('HSET', MARKS, key, 't' .. version)
      call('ZADD', DUE, int(millis + ARGV[3]), key)
      call('ZREM', INDEX, key)
    end
  end
end
if raised > floor then call('HSET', META, 'floor', int(raised)) end

if #changes > 0 then
  append(META, CHANGES, meta, micros, changes, bytes, tonumber(ARGV[1]), tonumber(ARGV[2]))
end
return #changes / 2
`;
