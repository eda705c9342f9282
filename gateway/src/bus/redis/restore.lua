-- Gives a room back, whole or what is missing at its end: entries, a head, and the keys of its recent posts, which come
-- last. Amendments are made again; see amendments.lua, which is put in front of this.
-- KEYS: meta, log, heads, keys0, keys1, and the history segment that the room continues in (named in ARGV too).
-- ARGV: format, partitions, epoch, dedupe window ms, history messages, history age ms, most rooms,
--       room, history key, new head, the room's line in heads as the caller read it (empty: it is not known),
--       id of its newest entry as the caller holds it, then for each entry above that, ascending,
--       (seq, epoch, time, fingerprint, bytes, change or empty).
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
local segment, bytes, changed = '0', 0, ''
if line == '' then
  if redis.call('HLEN', KEYS[3]) > tonumber(ARGV[7]) then return {'OK', 0} end
else
  local seq, kept
  seq, segment, kept, changed = string.match(line, '(%d+) (%d+) (%d+) %d+(.*)')
  bytes = tonumber(kept)
  -- Only what continues from the very entry that is the newest here belongs behind it.
  local newest = redis.call('XREVRANGE', history, '+', '-', 'COUNT', 1)[1]
  if seq ~= '0' and (not newest or newest[1] ~= ARGV[12]) then return {'OK', 0} end
end

local text = exact
local clock = redis.call('TIME')
local time = math.max(clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(meta[5]))
if #ARGV > 12 then time = math.max(time, tonumber(ARGV[#ARGV - 3])) end
local window, messages, age = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local expiry = time + math.floor(age * 5 / 4)
local prefix = string.sub(KEYS[1], 1, -5)
local room = {name = name, segments = prefix .. 'room:', segment = tonumber(segment), amended = prefix .. 'amended:' .. name,
  seq = tonumber(ARGV[10]), bytes = bytes}
local changes = {}
for at = 13, #ARGV, 6 do
  if ARGV[at + 5] ~= '' then changes[at] = read_change(ARGV[at + 5]) end
end
-- Stops the script before its first write where a moving slot has this key elsewhere.
if next(changes) then redis.call('EXISTS', room.amended) end
if line == '' then
  redis.call('UNLINK', history)
  redis.pcall('UNLINK', room.amended)
end
if messages > 0 and #ARGV > 12 then
  for at = 13, #ARGV, 6 do
    local seq, stored, change = ARGV[at], ARGV[at + 4], changes[at]
    local kept = change and kept_of(change, stored) or stored
    redis.call('XADD', history, seq .. '-' .. ARGV[at + 1], 't', ARGV[at + 2], 'e', kept)
    room.bytes = room.bytes + #kept + 32
    if change then
      look_up(room, change)
      if change.target.message and (not change.emoji or not why_not(change, stored)) then
        make_change(room, change, seq, ARGV[at + 2], stored)
        changed = ' 1'
      end
    end
  end
  write_reactions(room)
  redis.call('PEXPIREAT', history, text(expiry))
  redis.pcall('PEXPIREAT', room.amended, text(expiry))
end
redis.call('HSET', KEYS[3], name, ARGV[10] .. ' ' .. segment .. ' ' .. text(room.bytes) .. ' ' .. text(expiry) .. changed)
redis.call('HSET', KEYS[1], 'time', text(time))
local current = KEYS[4 + tonumber(meta[6]) % 2]
for at = 13, #ARGV, 6 do
  if tonumber(ARGV[at + 2]) > time - window then
    redis.call('HSET', current, ARGV[at + 3], ARGV[at] .. ' ' .. ARGV[at + 1] .. ' ' .. ARGV[at + 2])
  end
end
return {'OK', 1}
