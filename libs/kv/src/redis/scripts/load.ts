/**
 * A Lua function that finds out what there is of the entries in KEYS, from position `first` on. Returns
 *
 *   texts   by position: the text of the entry; false where there is none
 *   absent  by name, of entries that there are not: the version to count on from, or 'foreign' where there is
 *           something else than text
 *   marked  by name, of entries that there are not: true where there is a mark
 *
 * `whole` says whether to read entries whole, by MGET, which is faster for short ones; else just their beginnings are
 * read, long enough for every header and every counter.
 */
export const LOAD_LUA = /* lua */ `
local function load(KEYS, MARKS, first, count, key_at, whole, floor_version)
  local call = redis.call
  local texts, absent, marked = nil, {}, {}
  if whole then
    texts = call('MGET', unpack(KEYS, first, first + count - 1))
  else
    texts = {}
    for i = 1, count do
      local text = redis.pcall('GETRANGE', KEYS[first + i - 1], 0, 127)
      texts[i] = type(text) == 'table' and 'foreign' or text ~= '' and text
    end
  end

  local entries, keys
  for i = 1, count do
    if not texts[i] then
      local entry = KEYS[first + i - 1]
      if not absent[entry] then
        absent[entry] = floor_version
        entries, keys = entries or {}, keys or {}
        entries[#entries + 1], keys[#keys + 1] = entry, string.sub(entry, key_at)
      end
    end
  end
  if not entries then return texts, absent, marked end

  local n = 0
  in_chunks(keys, 1000, function(...)
    for _, mark in ipairs(call('HMGET', MARKS, ...)) do
      n = n + 1
      if mark then
        marked[entries[n]] = true
        absent[entries[n]] = tonumber(string.sub(mark, 2))
      end
    end
  end)
  -- MGET does not tell a list or a hash from nothing.
  in_chunks(entries, 1000, function(...)
    if call('EXISTS', ...) > 0 then
      for _, entry in ipairs({ ... }) do
        if call('EXISTS', entry) == 1 then absent[entry] = 'foreign' end
      end
    end
  end)
  return texts, absent, marked
end
`;
