-- Gives a room back that is not known: its entries, a head, and the keys of its recent posts, which come last.
-- KEYS: meta, log, heads, keys0, keys1, and the room's first history segment (named in ARGV too).
-- ARGV: format, partitions, epoch, dedupe window ms, history messages, history age ms, most rooms,
--       room, history key, head, then for each entry, ascending, (seq, epoch, time, fingerprint, bytes).
-- Answers {'OK', 1}, or without having written {'OK', 0} where the room is known or has no place,
-- {'ADOPT'} where another epoch is open, {'FORMAT', found}, {'PARTITIONS', found}.
local meta = redis.call('HMGET', KEYS[1], 'format', 'partitions', 'run', 'generation', 'time', 'window')
if not meta[1] then return {'ADOPT'} end
if meta[1] ~= ARGV[1] then return {'FORMAT', meta[1]} end
if meta[2] ~= ARGV[2] then return {'PARTITIONS', meta[2]} end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if run ~= meta[3] or meta[4] ~= ARGV[3] then return {'ADOPT'} end
local name, history = ARGV[8], ARGV[9]
if redis.call('HEXISTS', KEYS[3], name) == 1 or redis.call('HLEN', KEYS[3]) > tonumber(ARGV[7]) then return {'OK', 0} end

local function text(n) return string.format('%.0f', n) end
local clock = redis.call('TIME')
local time = math.max(clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(meta[5]))
if #ARGV > 10 then time = math.max(time, tonumber(ARGV[#ARGV - 2])) end
local window, messages, age = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local bytes, expiry = 0, time + math.floor(age * 5 / 4)
redis.call('UNLINK', history)
if messages > 0 and #ARGV > 10 then
  for at = 11, #ARGV, 5 do
    redis.call('XADD', history, ARGV[at] .. '-' .. ARGV[at + 1], 't', ARGV[at + 2], 'e', ARGV[at + 4])
    bytes = bytes + #ARGV[at + 4] + 32
  end
  redis.call('PEXPIREAT', history, text(expiry))
end
redis.call('HSET', KEYS[3], name, ARGV[10] .. ' 0 ' .. text(bytes) .. ' ' .. text(expiry))
redis.call('HSET', KEYS[1], 'time', text(time))
local current = KEYS[4 + tonumber(meta[6]) % 2]
for at = 11, #ARGV, 5 do
  if tonumber(ARGV[at + 2]) > time - window then
    redis.call('HSET', current, ARGV[at + 3], ARGV[at] .. ' ' .. ARGV[at + 1] .. ' ' .. ARGV[at + 2])
  end
end
return {'OK', 1}
