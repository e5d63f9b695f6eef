import { ADD_LUA } from './add.js';
import { APPEND_FIELDS, APPEND_LUA } from './append.js';
import { BASICS_LUA } from './basics.js';
import { LOAD_LUA } from './load.js';

/**
 * Applies a batch of operations on one shard. First every operation is worked out in memory, then all effects are
 * written with few commands.
 *
 * KEYS  meta, changes, due, marks, index, one entry for each operation, one history for each that records
 * ARGV  changes   to keep in the stream of changes; '0': none
 *       bytes     of changes to keep
 *       load      'whole' or 'head', as the load function says
 *       before    bytes of the name of an entry before its key
 *       mode      'each': operations succeed or fail on their own; 'all': none takes effect unless all can
 *       count     of operations
 *       forget    ms after which a tombstone may be forgotten
 *       versions  states of a key to keep in its history
 *       then for each operation: data, what
 *
 * `what` is `<kind>;<life>;<expected>;<record>`:
 *   kind      s set (data: JSON), d delete, i increment (data: by), c check
 *   life      ms, 'k' for keep, or nothing for ever
 *   expected  a version, 'a' for absent, or nothing for any
 *   record    '1' to keep the state in the key's history
 *
 * Returns one result for each operation:
 *   set        the version
 *   delete     1, or 0 when there was nothing
 *   increment  { version, sum }
 *   check      1, or 0 when it does not hold
 *   { 'conflict', version or '' }, { 'counter', JSON or '' }, { 'foreign' }
 */
export const WRITE_LUA = /* lua */ `${BASICS_LUA}${LOAD_LUA}${APPEND_LUA}${ADD_LUA}
local KEYS, ARGV, call = KEYS, ARGV, redis.call
local match, sub = string.match, string.sub
local META, CHANGES, DUE, MARKS, INDEX = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local FIXED_KEYS, FIXED_ARGS = 5, 8
local key_at, count = ARGV[4] + 1, tonumber(ARGV[6])
local forget, versions = tonumber(ARGV[7]), ARGV[8]
local micros, millis = clock()
local now = int(millis)
local meta = call('HMGET', META, ${APPEND_FIELDS}, 'floor')
local texts, absent, marked =
  load(KEYS, MARKS, FIXED_KEYS + 1, count, key_at, ARGV[3] == 'whole', tonumber(meta[4] or 0))

-- What there will be, by the name of the entry: its text and when it expires; or (a number) a tombstone's version.
local after, expires = {}, {}
local results, failed = {}, false
local changes, bytes, histories = {}, 0, {}
local record_at = FIXED_KEYS + count

local function fail(result)
  failed = true
  return result
end

local function matches(expected, version)
  if expected == 'a' then return not version end
  return expected == '' or expected == version
end

local what, kind, life_given, expected, record

local function operate(entry, text, data)
  local history
  if record ~= '' then
    record_at = record_at + 1
    history = KEYS[record_at]
  end
  local state = after[entry] or text or absent[entry]
  local version, created, expiry = match(state, '^kv1;(%d+);(%d+);%d+;(%d*);')
  local base = version or (type(state) == 'number' and state)
  if not base then return fail({ 'foreign' }) end
  if version and expiry ~= '' then marked[entry] = true end

  local fitting = matches(expected, version)
  if kind == 'c' then return fitting and 1 or fail(0) end
  if not fitting then return fail({ 'conflict', version or '' }) end
  if kind == 'd' and not version then return 0 end

  local life, sum = life_given, nil
  if kind == 'i' then
    local current = version and match(state, '^kv1;%d+;%d+;%d+;%d*;(.*)$') or '0'
    sum = add(current, data)
    if not sum then return fail({ 'counter', version and current or '' }) end
    data = sum
    if version then life = 'k' end
  end

  base = tonumber(base)
  if history and not version then
    -- Should an evicting server have dropped the mark, the history still knows which versions were used.
    local newest = call('XREVRANGE', history, '+', '-', 'COUNT', 1)[1]
    if newest then base = math.max(base, tonumber(match(newest[1], '^%d+'))) end
  end
  local next_version = base + 1
  if kind == 'd' then
    text = 'd;' .. int(next_version) .. ';' .. now
    after[entry], expires[entry] = next_version, nil
  else
    if life == 'k' then
      expiry = version and expiry or ''
    else
      expiry = life == '' and '' or int(millis + life)
    end
    text = 'kv1;' .. int(next_version) .. ';' .. (created or now) .. ';' .. now .. ';' .. expiry .. ';' .. data
    after[entry], expires[entry] = text, expiry ~= '' and expiry or nil
  end
  changes[#changes + 1], changes[#changes + 2] = entry, text
  bytes = bytes + #entry + #text
  if history then histories[#histories + 1] = { history, int(next_version), text } end
  if kind == 'd' then return 1 end
  return sum and { next_version, sum } or next_version
end

for i = 1, count do
  local at = FIXED_ARGS + 2 * i
  if ARGV[at] ~= what then
    what = ARGV[at]
    kind, life_given, expected, record = match(what, '^(%a);(%w*);(%w*);(%d*)$')
  end
  results[i] = operate(KEYS[FIXED_KEYS + i], texts[i], ARGV[at - 1])
end
if #changes == 0 or (failed and ARGV[5] == 'all') then return results end

-- The effects. The stream goes first: should it refuse, nothing has happened yet.
append(META, CHANGES, meta, micros, changes, bytes, tonumber(ARGV[1]), tonumber(ARGV[2]))
for _, state in ipairs(histories) do
  call('XADD', state[1], 'MAXLEN', versions, state[2] .. '-0', 'state', state[3])
end

local msets, dels, indexed, unindexed, marks, unmarked, dues = {}, {}, {}, {}, {}, {}, {}
local forget_at = int(millis + forget)
for i = 1, count do
  local entry = KEYS[FIXED_KEYS + i]
  local text = after[entry]
  if text then
    after[entry] = nil
    local key, was, expiry = sub(entry, key_at), not absent[entry], expires[entry]
    if type(text) == 'number' then
      marks[#marks + 1], marks[#marks + 2] = key, 't' .. int(text)
      dues[#dues + 1], dues[#dues + 2] = forget_at, key
      if was then
        dels[#dels + 1] = entry
        unindexed[#unindexed + 1] = key
      end
    else
      if expiry then
        call('SET', entry, text, 'PXAT', expiry)
        marks[#marks + 1], marks[#marks + 2] = key, 'e' .. match(text, '^kv1;(%d+)')
        dues[#dues + 1], dues[#dues + 2] = expiry, key
      else
        msets[#msets + 1], msets[#msets + 2] = entry, text
        if marked[entry] then unmarked[#unmarked + 1] = key end
      end
      if not was then indexed[#indexed + 1], indexed[#indexed + 2] = 0, key end
    end
  end
end
in_chunks(msets, 1000, function(...) call('MSET', ...) end)
in_chunks(dels, 1000, function(...) call('DEL', ...) end)
in_chunks(indexed, 1000, function(...) call('ZADD', INDEX, ...) end)
in_chunks(unindexed, 1000, function(...) call('ZREM', INDEX, ...) end)
in_chunks(marks, 1000, function(...) call('HSET', MARKS, ...) end)
in_chunks(dues, 1000, function(...) call('ZADD', DUE, ...) end)
in_chunks(unmarked, 1000, function(...)
  call('HDEL', MARKS, ...)
  call('ZREM', DUE, ...)
end)
return results
`;
