-- Counts a room's members over all gateways whose lease lives.
-- KEYS: gateways. ARGV: what the key of a gateway's counts begins with, before its name; room.
-- Answers each gateway's count.
local counts = {}
for index, gateway in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  counts[index] = redis.call('HGET', ARGV[1] .. gateway, ARGV[2]) or '0'
end
return counts
