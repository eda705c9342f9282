-- Forgets rooms whose history has ended, and where there are too many rooms also those of few messages in which nothing was
-- said for a while, unless they have members or are private. Their seqs start again, so an epoch opens with it: no earlier
-- position can be taken for a later one.
-- KEYS: meta, log, heads, sums of members, leases of gateways, gateways as older releases list them.
-- ARGV: format, partitions, time in ms as it has passed for the caller or 0, history age ms, messages of a room that goes
--       early, for how long nothing was said in it in ms or 0 where none goes early, names of rooms.
-- Answers {'OK', forgotten}, or {'ADOPT'}, {'FORMAT', found}, {'PARTITIONS', found} without having written.
local meta = redis.call('HMGET', KEYS[1], 'format', 'partitions', 'run', 'generation', 'offset', 'time', 'bytes')
if not meta[1] then return {'ADOPT'} end
if meta[1] ~= ARGV[1] then return {'FORMAT', meta[1]} end
if meta[2] ~= ARGV[2] then return {'PARTITIONS', meta[2]} end
if string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') ~= meta[3] then return {'ADOPT'} end

local function text(n) return string.format('%.0f', n) end
local clock = redis.call('TIME')
local time, passed = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(ARGV[3])
-- A clock that jumps forgets nothing.
if passed > 0 then time = math.min(time, passed) end
local age, few, early = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
-- Who has members is not known while sums are put together again, or while a gateway keeps none.
local leases = redis.call('ZCARD', KEYS[5])
if redis.call('ZCARD', KEYS[6]) > leases or leases > 0 and redis.call('EXISTS', KEYS[4]) == 0 then early = 0 end
local prefix = string.sub(KEYS[1], 1, -5)

-- When something was said last; where no history is kept, at the latest.
local function said(history, expiry)
  local newest = redis.pcall('XREVRANGE', history, '+', '-', 'COUNT', 1)
  if newest.err then return nil end
  return newest[1] and tonumber(newest[1][2][2]) or expiry - age
end

local idle, left = {}, {}
for at = 7, #ARGV do
  local name = ARGV[at]
  local head = redis.call('HGET', KEYS[3], name)
  local seq, segment, expiry = string.match(head or '', '(%d+) (%d+) %d+ (%d+)')
  if seq and tonumber(expiry) < time then
    idle[#idle + 1] = name
  elseif seq and early > 0 and tonumber(seq) <= few and segment == '0' and string.byte(name) ~= 1
    and redis.call('HEXISTS', KEYS[4], name) == 0 then
    local history = prefix .. 'room:0:' .. name
    local last = said(history, tonumber(expiry))
    if last and last + early < time then
      idle[#idle + 1] = name
      left[#left + 1] = history
      left[#left + 1] = prefix .. 'amended:' .. name
    end
  end
end
if #idle == 0 then return {'OK', 0} end
local epoch, base = text(math.max(tonumber(meta[4]) + 1, time)), tonumber(meta[5])
redis.call('XADD', KEYS[2], epoch .. '-' .. text(base + 1), 'x', text(base), 'm', '0 ' .. text(time) .. ' ' .. meta[7])
redis.call('HSET', KEYS[1], 'generation', epoch, 'offset', text(base + 1), 'time', text(time))
redis.call('HDEL', KEYS[3], unpack(idle))
-- In a slot that moves a history may be elsewhere: it ends by itself.
for _, key in ipairs(left) do redis.pcall('UNLINK', key) end
return {'OK', #idle}
