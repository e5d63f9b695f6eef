/** KEYS entries. Returns how many of them there are, and the bytes of their names and texts. */
export const MEASURE_LUA = /* lua */ `
local count, bytes = 0, 0
for _, entry in ipairs(KEYS) do
  local length = redis.call('STRLEN', entry)
  if length > 0 then
    count = count + 1
    bytes = bytes + length + #entry
  end
end
return { count, bytes }
`;
