/**
 * A Lua function that adds 64-bit whole numbers exactly, which Lua's doubles cannot: in two parts, each with the
 * number's sign. Returns nil when the first is not such a number, or the sum is none.
 */
export const ADD_LUA = /* lua */ `
local function add(a, b)
  local BASE = 1000000000000
  local function split(text)
    local digits = string.match(text, '^-?(%d+)$')
    if not digits or #digits > 19 then return nil end
    local sign = string.sub(text, 1, 1) == '-' and -1 or 1
    local high = #digits > 12 and tonumber(string.sub(digits, 1, -13)) or 0
    return sign * high, sign * tonumber(string.sub(digits, -12))
  end
  local function fits(high, low)
    local limit = (high < 0 or low < 0) and 36854775808 or 36854775807
    high, low = math.abs(high), math.abs(low)
    return high < 9223372 or (high == 9223372 and low <= limit)
  end
  local a_high, a_low = split(a)
  local b_high, b_low = split(b)
  if not a_high or not b_high or not fits(a_high, a_low) then return nil end
  local high, low = a_high + b_high, a_low + b_low
  if low >= BASE then high, low = high + 1, low - BASE end
  if low <= -BASE then high, low = high - 1, low + BASE end
  if high > 0 and low < 0 then high, low = high - 1, low + BASE end
  if high < 0 and low > 0 then high, low = high + 1, low - BASE end
  if not fits(high, low) then return nil end
  if high == 0 then return int(low) end
  return int(high) .. string.format('%012.0f', math.abs(low))
end
`;
