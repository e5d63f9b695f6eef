/** The fields of the meta hash that {@link APPEND_LUA} wants, in this order; others may follow. */
export const APPEND_FIELDS = /* lua */ `'revision', 'changes', 'filled'`;

/**
 * A Lua function that appends changes to the stream of a shard, as one entry with the id `<revision>-<number>` of its
 * first change, or several entries where there are very many.
 *
 * A revision is the clock's time in microseconds, or one more than the last where that is higher: so revisions grow
 * even past a failover that lost the last ones. Numbers have no gaps, so that readers notice trimming.
 *
 * The stream keeps a window of `max_changes` changes, or as many as fit `max_bytes`, and up to an eighth more: every
 * eighth of a window the revision is noted, and what is before the one noted a window ago is trimmed.
 */
export const APPEND_LUA = /* lua */ `
-- changes: names of entries and texts by turns; bytes: what they take; max_changes: 0 where none are kept
local function append(META, CHANGES, meta, micros, changes, bytes, max_changes, max_bytes)
  local call, count = redis.call, #changes / 2
  local revision = math.max((meta[1] or 0) + 1, micros)
  local number = (meta[2] or 0) + 1
  if max_changes == 0 then
    call('HSET', META, 'revision', int(revision + count - 1), 'changes', int(number + count - 1))
    return
  end
  local done = 0
  in_chunks(changes, 1000, function(...)
    call('XADD', CHANGES, int(revision + done) .. '-' .. int(number + done), ...)
    done = done + 500
  end)
  local before = tonumber(meta[3] or 0)
  local filled = before + math.max(count / max_changes, bytes / max_bytes)
  local newest = int(revision + count - 1)
  call('HSET', META, 'revision', newest, 'changes', int(number + count - 1), 'filled', string.format('%.9f', filled))
  local eighth = math.floor(filled * 8)
  if eighth > math.floor(before * 8) then
    local mark = 'mark' .. eighth % 8
    local window_ago = call('HGET', META, mark)
    call('HSET', META, mark, newest)
    if window_ago then call('XTRIM', CHANGES, 'MINID', '~', window_ago) end
  end
end
`;
