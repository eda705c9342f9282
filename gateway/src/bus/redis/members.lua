-- Reads the number of a room's members over all gateways.
-- KEYS: sums of rooms, leases, gateways as older releases list them.
-- ARGV: what the key of a gateway's counts begins with, room, time in ms as it has passed for the caller or 0.
-- Answers {sum, leases that have ended and are still counted}.
local sum = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or 0)
-- A gateway of an older release counts for itself and keeps no sums.
if redis.call('ZCARD', KEYS[3]) > redis.call('ZCARD', KEYS[2]) then
  for _, gateway in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
    if not redis.call('ZSCORE', KEYS[2], gateway) then
      sum = sum + tonumber(redis.call('HGET', ARGV[1] .. gateway, ARGV[2]) or 0)
    end
  end
end
local clock = redis.call('TIME')
local now, passed = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(ARGV[3])
if passed > 0 and math.abs(now - passed) > 10000 then now = passed end
return {sum, redis.call('ZCOUNT', KEYS[2], '-inf', string.format('%.0f', now))}
