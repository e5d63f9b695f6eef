import { BASICS_LUA } from './basics.js';

/*
 * The sorted set of instances: each with the end of its lease. An instance whose channels are being removed stands in
 * it with a NUL before its name, which no name can have, and with the time until which whoever removes them may be
 * silent before another goes on.
 */

/**
 * Registers an instance, or renews its lease. While its channels are being removed it cannot come back: it is told
 * once more, after that, that they are gone.
 *
 * KEYS  nodes
 * ARGV  instance, ms of the lease, ms that the set is kept
 *
 * Returns 1 when it was registered all the time.
 */
export const HEARTBEAT_LUA = /* lua */ `${BASICS_LUA}
if call('ZSCORE', KEYS[1], '\\0' .. ARGV[1]) then return 0 end
local known = call('ZSCORE', KEYS[1], ARGV[1])
call('ZADD', KEYS[1], int(clock() + ARGV[2]), ARGV[1])
if call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then call('PEXPIRE', KEYS[1], ARGV[3]) end
return known and 1 or 0
`;

/**
 * Claims instances for the removal of their channels.
 *
 * KEYS  nodes
 * ARGV  ms of the claim, ms that the set is kept, the instance; without it, all whose leases or claims have ended
 */
export const CLAIM_LUA = /* lua */ `${BASICS_LUA}
local now = clock()
local claims = {}
local function claim(node)
  local mark = '\\0' .. node
  local held = call('ZSCORE', KEYS[1], mark)
  if held and tonumber(held) > now then return end
  call('ZREM', KEYS[1], node)
  call('ZADD', KEYS[1], int(now + ARGV[1]), mark)
  claims[#claims + 1] = node
end
if ARGV[3] then
  claim(ARGV[3])
else
  for _, member in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', int(now), 'LIMIT', 0, 100)) do
    claim(member:byte(1) == 0 and member:sub(2) or member)
  end
end
if #claims > 0 and call('PTTL', KEYS[1]) == -1 then call('PEXPIRE', KEYS[1], ARGV[2]) end
return claims
`;

/**
 * The instances, each followed by how long its lease lasts.
 *
 * KEYS  nodes
 */
export const NODES_LUA = /* lua */ `${BASICS_LUA}
local now = clock()
local found = call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local nodes = {}
for i = 1, #found, 2 do
  if found[i]:byte(1) ~= 0 then nodes[#nodes + 1] = { found[i], int(found[i + 1] - now) } end
end
return nodes
`;
