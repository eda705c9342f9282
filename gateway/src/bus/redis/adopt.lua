-- Opens an epoch of a partition in the process that runs this, unless that was done already.
-- KEYS: meta, log, heads, keys0, keys1. ARGV: format, partitions, highest epoch that the caller has seen,
--       dedupe window ms.
-- Answers {'OK', epoch, offset, first epoch of this data}, or {'FORMAT', found}, {'PARTITIONS', found} without having written.
local meta = redis.call('HMGET', KEYS[1], 'format', 'partitions', 'run', 'generation', 'offset', 'time', 'bytes', 'born')
if meta[1] and meta[1] ~= ARGV[1] then return {'FORMAT', meta[1]} end
if meta[2] and meta[2] ~= ARGV[2] then return {'PARTITIONS', meta[2]} end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if run == meta[3] then return {'OK', meta[4], meta[5], meta[8] or '0'} end

local function text(n) return string.format('%.0f', n) end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local epoch = math.max(tonumber(meta[4] or '0') + 1, tonumber(ARGV[3]) + 1, now)
local base, bytes = tonumber(meta[5] or '0'), tonumber(meta[7] or '0')
local time = math.max(now, tonumber(meta[6] or '0'))
if not meta[1] then
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'partitions', ARGV[2], 'window', text(math.floor(time / tonumber(ARGV[4]))), 'bytes', '0', 'first', '0', 'born', text(epoch))
  meta[8] = text(epoch)
  -- An empty field stands for no room and no post, and keeps the key alive.
  redis.call('UNLINK', KEYS[2])
  for key = 3, 5 do
    redis.call('UNLINK', KEYS[key])
    redis.call('HSET', KEYS[key], '', '0')
  end
end
redis.call('XADD', KEYS[2], text(epoch) .. '-' .. text(base + 1), 'x', text(base), 'm', '0 ' .. text(time) .. ' ' .. text(bytes))
redis.call('HSET', KEYS[1], 'run', run, 'generation', text(epoch), 'offset', text(base + 1), 'time', text(time))
return {'OK', text(epoch), text(base + 1), meta[8] or '0'}
