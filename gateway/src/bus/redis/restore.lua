-- Gives a room back, whole or what is missing at its end: entries, a head, and the keys of its recent posts, which come
-- last.
-- KEYS: meta, log, heads, keys0, keys1, and the history segment that the room continues in (named in ARGV too).
-- ARGV: format, partitions, epoch, dedupe window ms, history messages, history age ms, most rooms,
--       room, history key, new head, the room's line in heads as the caller read it (empty: it is not known),
--       id of its newest entry as the caller holds it, then for each entry above that, ascending,
--       (seq, epoch, time, fingerprint, bytes).
-- Answers {'OK', 1}, or without having written {'OK', 0} where the room is another by now or has no place,
-- {'ADOPT'} where another epoch is open or a permanent key is missing, {'FORMAT', found}, {'PARTITIONS', found}.
local meta = redis.call('HMGET', KEYS[1], 'format', 'partitions', 'run', 'generation', 'time', 'window')
if not meta[1] then return {'ADOPT'} end
if meta[1] ~= ARGV[1] then return {'FORMAT', meta[1]} end
if meta[2] ~= ARGV[2] then return {'PARTITIONS', meta[2]} end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if run ~= meta[3] or meta[4] ~= ARGV[3] then return {'ADOPT'} end
if redis.call('EXISTS', KEYS[3], KEYS[4], KEYS[5]) < 3 then return {'ADOPT'} end
local name, history, line = ARGV[8], ARGV[9], ARGV[11]
if (redis.call('HGET', KEYS[3], name) or '') ~= line then return {'OK', 0} end
local segment, bytes = '0', 0
if line == '' then
  if redis.call('HLEN', KEYS[3]) > tonumber(ARGV[7]) then return {'OK', 0} end
else
  local seq, kept
  seq, segment, kept = string.match(line, '(%d+) (%d+) (%d+)')
  bytes = tonumber(kept)
  -- Only what continues from the very entry that is the newest here belongs behind it.
  local newest = redis.call('XREVRANGE', history, '+', '-', 'COUNT', 1)[1]
  if seq ~= '0' and (not newest or newest[1] ~= ARGV[12]) then return {'OK', 0} end
end

local function text(n) return string.format('%.0f', n) end
local clock = redis.call('TIME')
local time = math.max(clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(meta[5]))
if #ARGV > 12 then time = math.max(time, tonumber(ARGV[#ARGV - 2])) end
local window, messages, age = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local expiry = time + math.floor(age * 5 / 4)
if line == '' then redis.call('UNLINK', history) end
if messages > 0 and #ARGV > 12 then
  for at = 13, #ARGV, 5 do
    redis.call('XADD', history, ARGV[at] .. '-' .. ARGV[at + 1], 't', ARGV[at + 2], 'e', ARGV[at + 4])
    bytes = bytes + #ARGV[at + 4] + 32
  end
  redis.call('PEXPIREAT', history, text(expiry))
end
redis.call('HSET', KEYS[3], name, ARGV[10] .. ' ' .. segment .. ' ' .. text(bytes) .. ' ' .. text(expiry))
redis.call('HSET', KEYS[1], 'time', text(time))
local current = KEYS[4 + tonumber(meta[6]) % 2]
for at = 13, #ARGV, 5 do
  if tonumber(ARGV[at + 2]) > time - window then
    redis.call('HSET', current, ARGV[at + 3], ARGV[at] .. ' ' .. ARGV[at + 1] .. ' ' .. ARGV[at + 2])
  end
end
return {'OK', 1}
