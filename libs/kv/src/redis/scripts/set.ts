import { APPEND_FIELDS, APPEND_LUA } from './append.js';
import { BASICS_LUA } from './basics.js';
import { LOAD_LUA } from './load.js';

/**
 * Sets entries of one shard, all with the same time to live and whatever there was: what most writes are, in as few
 * steps as there can be. The write script does the same and all the rest.
 *
 * KEYS  meta, changes, due, marks, index, the entries, all different
 * ARGV  changes  to keep in the stream of changes; '0': none
 *       bytes    of changes to keep
 *       load     'whole' or 'head', as the load function says
 *       before   bytes of the name of an entry before its key
 *       life     ms, or nothing for ever
 *       then the JSON of each
 *
 * Returns the version of each, or { 'foreign' }.
 */
export const SET_LUA = /* lua */ `${BASICS_LUA}${LOAD_LUA}${APPEND_LUA}
local KEYS, ARGV, call = KEYS, ARGV, redis.call
local match, sub = string.match, string.sub
local META, CHANGES, DUE, MARKS, INDEX = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local FIXED_KEYS, FIXED_ARGS = 5, 5
local count, key_at = #KEYS - FIXED_KEYS, ARGV[4] + 1
local micros, millis = clock()
local meta = call('HMGET', META, ${APPEND_FIELDS}, 'floor')
local texts, absent, marked =
  load(KEYS, MARKS, FIXED_KEYS + 1, count, key_at, ARGV[3] == 'whole', tonumber(meta[4] or 0))

local now = int(millis)
local expires = ARGV[5] ~= '' and int(millis + ARGV[5])
local tail = ';' .. now .. ';' .. (expires or '') .. ';'
local results, writes, bytes, w = {}, {}, 0, 0
local indexed, unmarked, marks, dues = {}, {}, {}, {}
for i = 1, count do
  local entry, text = KEYS[FIXED_KEYS + i], texts[i]
  local version, created, expiry
  if text then
    version, created, expiry = match(text, '^kv1;(%d+);(%d+);%d+;(%d*);')
    if version and expiry ~= '' then unmarked[#unmarked + 1] = sub(entry, key_at) end
  elseif absent[entry] ~= 'foreign' then
    version, created = absent[entry], now
    local key = sub(entry, key_at)
    indexed[#indexed + 1], indexed[#indexed + 2] = 0, key
    if marked[entry] then unmarked[#unmarked + 1] = key end
  end
  if version then
    version = version + 1
    text = 'kv1;' .. version .. ';' .. created .. tail .. ARGV[FIXED_ARGS + i]
    results[i] = version
    writes[w + 1], writes[w + 2] = entry, text
    w, bytes = w + 2, bytes + #entry + #text
    if expires then
      local key = sub(entry, key_at)
      marks[w - 1], marks[w] = key, 'e' .. version
      dues[w - 1], dues[w] = expires, key
    end
  else
    results[i] = { 'foreign' }
  end
end
if w == 0 then return results end

append(META, CHANGES, meta, micros, writes, bytes, tonumber(ARGV[1]), tonumber(ARGV[2]))
if expires then
  for i = 1, w, 2 do call('SET', writes[i], writes[i + 1], 'PXAT', expires) end
  in_chunks(marks, 1000, function(...) call('HSET', MARKS, ...) end)
  in_chunks(dues, 1000, function(...) call('ZADD', DUE, ...) end)
else
  in_chunks(writes, 1000, function(...) call('MSET', ...) end)
  in_chunks(unmarked, 1000, function(...)
    call('HDEL', MARKS, ...)
    call('ZREM', DUE, ...)
  end)
end
in_chunks(indexed, 1000, function(...) call('ZADD', INDEX, ...) end)
return results
`;
