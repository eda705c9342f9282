-- Renews the lease on a gateway's counts, and lists the gateway. Dates by this server's clock, which is the same for all
-- gateways: one whose own clock is wrong takes nobody off the list.
-- KEYS: counts of the gateway, gateways. ARGV: gateway, lease ms, how long a gateway stays listed in ms.
-- Answers 1, or 0 where the counts are gone and must be written again.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - tonumber(ARGV[3])))
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
