/** Lua functions that the others need. */
export const BASICS_LUA = /* lua */ `
-- Lua's own way of making text of a number keeps only 14 digits.
local function int(n)
  return string.format('%.0f', n)
end

-- Lua passes some thousands of arguments at the most.
local function in_chunks(list, size, fn)
  for first = 1, #list, size do
    fn(unpack(list, first, math.min(first + size - 1, #list)))
  end
end

local function clock()
  local time = redis.call('TIME')
  local micros = time[1] * 1000000 + time[2]
  return micros, math.floor(micros / 1000)
end
`;
