-- Forgets rooms whose history has ended. Their seqs start again, so an epoch opens with it: no earlier
-- position can be taken for a later one.
-- KEYS: meta, log, heads. ARGV: format, partitions, time in ms as it has passed for the caller or 0, names of rooms.
-- Answers {'OK', forgotten}, or {'ADOPT'}, {'FORMAT', found}, {'PARTITIONS', found} without having written.
local meta = redis.call('HMGET', KEYS[1], 'format', 'partitions', 'run', 'generation', 'offset', 'time', 'bytes')
if not meta[1] then return {'ADOPT'} end
if meta[1] ~= ARGV[1] then return {'FORMAT', meta[1]} end
if meta[2] ~= ARGV[2] then return {'PARTITIONS', meta[2]} end
if string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') ~= meta[3] then return {'ADOPT'} end

local function text(n) return string.format('%.0f', n) end
local clock = redis.call('TIME')
local time, told = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(ARGV[3])
-- A clock that jumps forgets nothing.
if told > 0 then time = math.min(time, told) end
local idle = {}
for name = 4, #ARGV do
  local head = redis.call('HGET', KEYS[3], ARGV[name])
  local expiry = head and string.match(head, '%d+ %d+ %d+ (%d+)')
  if expiry and tonumber(expiry) < time then idle[#idle + 1] = ARGV[name] end
end
if #idle == 0 then return {'OK', 0} end
local epoch, base = text(math.max(tonumber(meta[4]) + 1, time)), tonumber(meta[5])
redis.call('XADD', KEYS[2], epoch .. '-' .. text(base + 1), 'x', text(base), 'm', '0 ' .. text(time) .. ' ' .. meta[7])
redis.call('HSET', KEYS[1], 'generation', epoch, 'offset', text(base + 1), 'time', text(time))
redis.call('HDEL', KEYS[3], unpack(idle))
return {'OK', #idle}
