-- Opens an epoch of a partition in the process that runs this, unless that was done already. A partition that misses one
-- of its permanent keys, or that a writer found broken, has lost its data: it begins again.
-- KEYS: meta, log, heads, keys0, keys1. ARGV: format, partitions, highest epoch that the caller has seen,
--       dedupe window ms, offset up to which the caller has seen it, epoch that was found broken or 0,
--       how long those who hold nothing of what was lost wait for others to give it back, in ms.
-- Answers {'OK', epoch, offset, first epoch of this data}, or {'FORMAT', found}, {'PARTITIONS', found} without having
-- written. The field 'born' names the data: it changes when any of it was lost.
local meta = redis.call('HMGET', KEYS[1], 'format', 'partitions', 'run', 'generation', 'offset', 'time', 'bytes', 'born')
if meta[1] and meta[1] ~= ARGV[1] then return {'FORMAT', meta[1]} end
if meta[2] and meta[2] ~= ARGV[2] then return {'PARTITIONS', meta[2]} end
local sound = meta[1] and meta[4] ~= ARGV[6] and redis.call('EXISTS', KEYS[3], KEYS[4], KEYS[5]) == 3
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if sound and run == meta[3] then return {'OK', meta[4], meta[5], meta[8] or '0'} end

local function text(n) return string.format('%.0f', n) end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local epoch = math.max(tonumber(meta[4] or '0') + 1, tonumber(ARGV[3]) + 1, now)
local time = math.max(now, tonumber(meta[6] or '0'))
local base, bytes = 0, 0
local function hold(all) redis.call('HSET', KEYS[1], 'hold', text(time + tonumber(ARGV[7])) .. ' ' .. ARGV[7] .. ' ' .. all) end
if sound then
  base, bytes = tonumber(meta[5]), tonumber(meta[7])
  -- The caller was shown what this data no longer holds: a part of it is lost.
  if tonumber(ARGV[3]) >= tonumber(meta[4]) and base < tonumber(ARGV[5]) then
    meta[8] = text(epoch)
    redis.call('HSET', KEYS[1], 'born', meta[8])
    hold('1')
  end
else
  meta[8] = text(epoch)
  redis.call('UNLINK', KEYS[2])
  -- An empty field stands for no room and no post, and keeps the key alive.
  for key = 3, 5 do
    redis.call('UNLINK', KEYS[key])
    redis.call('HSET', KEYS[key], '', '0')
  end
  -- Who never saw the partition cannot know that anything was lost: it may be new.
  if tonumber(ARGV[3]) > 0 then hold('0') end
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'partitions', ARGV[2], 'window', text(math.floor(time / tonumber(ARGV[4]))), 'bytes', '0', 'first', '0', 'born', meta[8])
end
local function open() return redis.pcall('XADD', KEYS[2], text(epoch) .. '-' .. text(base + 1), 'x', text(base), 'm', '0 ' .. text(time) .. ' ' .. text(bytes)) end
local opened = open()
if type(opened) == 'table' and opened.err then
  -- The log is ahead of its metadata: readers receive a gap instead.
  redis.call('UNLINK', KEYS[2])
  open()
end
redis.call('HSET', KEYS[1], 'run', run, 'generation', text(epoch), 'offset', text(base + 1), 'time', text(time))
return {'OK', text(epoch), text(base + 1), meta[8] or '0'}
