-- Writes a gateway's counts of members under its lease, keeps the sum of each room over all gateways, and takes the counts
-- of one gateway whose lease has ended out of the sums, at most 500 rooms in a call.
-- KEYS: sums of rooms, with a mark of each gateway whose counts they hold; leases; gateways as older releases list them;
--       counts of the gateway.
-- ARGV: gateway, what the key of a gateway's counts begins with, lease ms or 0 to end it, how long older releases list a
--       gateway in ms, time in ms as it has passed for the caller or 0, then for each room (name, count).
-- Answers {1, or 0 where the counts were not there and must all be written again, leases that have ended and are still
-- counted, rooms whose sum was repaired...}.
local sums, leases, listed, counts = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local gateway, lease = ARGV[1], tonumber(ARGV[3])
local function text(n) return string.format('%.0f', n) end
-- No room has such a name.
local function mark(of) return '\2' .. of end
local function add(room, by)
  if by ~= 0 and redis.call('HINCRBY', sums, room, by) <= 0 then redis.call('HDEL', sums, room) end
end
local clock = redis.call('TIME')
local now, passed = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(ARGV[5])
-- A clock that has jumped ends no lease.
if passed > 0 and math.abs(now - passed) > 10000 then now = passed end

local kept, counted = redis.call('EXISTS', counts) == 1, redis.call('HEXISTS', sums, mark(gateway)) == 1
if counted and not kept then
  -- What of the sums was this gateway's is no longer known: every gateway adds its counts again.
  redis.call('UNLINK', sums)
elseif kept and not counted then
  redis.call('UNLINK', counts)
  kept = false
end
for at = 6, #ARGV, 2 do
  local room, count = ARGV[at], tonumber(ARGV[at + 1])
  local before = tonumber(redis.call('HGET', counts, room) or 0)
  if count == 0 then redis.call('HDEL', counts, room) else redis.call('HSET', counts, room, count) end
  add(room, count - before)
end
if redis.call('EXISTS', counts) == 1 then
  redis.call('HSET', sums, mark(gateway), '1')
  -- Where a whole ChatRoom ends at once, nobody takes its counts out of the sums for a while.
  redis.call('PEXPIRE', counts, 86400000)
  redis.call('ZADD', leases, text(now + lease), gateway)
  redis.call('ZADD', listed, text(now), gateway)
else
  redis.call('HDEL', sums, mark(gateway))
  redis.call('ZREM', leases, gateway)
  redis.call('ZREM', listed, gateway)
end
redis.call('ZREMRANGEBYSCORE', listed, '-inf', text(now - tonumber(ARGV[4])))

-- A lease that was renewed while the clock was ahead lasts no longer than another.
if lease > 0 then
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', leases, '(' .. text(now + lease), '+inf', 'LIMIT', 0, 100)) do
    redis.call('ZADD', leases, text(now + lease), other)
  end
end
local answer = {kept and 1 or 0, 0}
local dead = redis.call('ZRANGEBYSCORE', leases, '-inf', text(now), 'LIMIT', 0, 1)[1]
if dead then
  local theirs = ARGV[2] .. dead
  local fields = redis.call('HSCAN', theirs, '0', 'COUNT', 500)[2]
  if #fields == 0 and redis.call('HEXISTS', sums, mark(dead)) == 1 then redis.call('UNLINK', sums) end
  for at = 1, #fields, 2 do
    add(fields[at], -tonumber(fields[at + 1]))
    redis.call('HDEL', theirs, fields[at])
    answer[#answer + 1] = fields[at]
  end
  if redis.call('EXISTS', theirs) == 0 then
    redis.call('HDEL', sums, mark(dead))
    redis.call('ZREM', leases, dead)
    redis.call('ZREM', listed, dead)
  end
end
answer[2] = redis.call('ZCOUNT', leases, '-inf', text(now))
return answer
