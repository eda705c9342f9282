-- Appends a group of posts of one partition. All checks come before the first write, and dedupe is written last,
-- because Redis does not roll a failed script back. The two writes that stored data can make fail are pcalls: the first
-- entry of the log, before which nothing is written, and a history that holds what the room never said, which goes.
-- Amendments also change what is kept of an earlier message; see amendments.lua, which is put in front of this.
-- KEYS: meta, log, heads, keys0, keys1, the history segments of the rooms (named in ARGV too), and of rooms with amendments in
-- the group what their messages have become; not those of rooms where the slot is still on its way to this server, which would
-- miss those of new rooms.
-- ARGV: format, partitions, dedupe window ms, history messages, history age ms, log bytes, segment bytes, most rooms,
--       first epoch of the data as the caller knows it, mark of the group, run id of this process, 1 if the caller has
--       given back what this data had lost, time in ms as it has passed for the caller or 0, rooms R, then
--       R x (name, segment, key), then for each post (room 1..R, fingerprint, bytes, change or empty).
-- The caller asks for the run id once a connection, which ends with the process: to look it up in INFO here would cost
-- as much as storing a message.
-- Answers {'OK', epoch, time, {seq, or 'seq epoch time mark' of a duplicate,
-- or -1 where there is no place for another room, -2 where there is no such message to change, -3 where it is
-- another's, -4 where it has all reactions that it can have, ...}}, or without having written
-- {'ADOPT'}, {'FORMAT', found}, {'PARTITIONS', found}, {'SEGMENT', room 1..R, segment},
-- {'BROKEN', epoch} where a permanent key of the partition is missing or its log is not the one that its metadata
-- describes, {'LOST', first epoch} where the data is not that which the caller knows, {'TRYAGAIN'} while a history that has
-- yet to follow would find another in its place, {'HOLD', ms} while others may give back what this data had lost.
local meta = redis.call('HMGET', KEYS[1], 'format', 'partitions', 'run', 'generation', 'offset', 'time', 'window', 'bytes', 'first', 'born', 'hold')
if not meta[1] then return {'ADOPT'} end
if meta[1] ~= ARGV[1] then return {'FORMAT', meta[1]} end
if meta[2] ~= ARGV[2] then return {'PARTITIONS', meta[2]} end
if meta[3] ~= ARGV[11] then return {'ADOPT'} end
local born = meta[10] or '0'
if born ~= ARGV[9] then return {'LOST', born} end
if redis.call('EXISTS', KEYS[3], KEYS[4], KEYS[5]) < 3 then return {'BROKEN', meta[4]} end

local epoch, offset = meta[4], tonumber(meta[5])
local clock = redis.call('TIME')
local time, passed = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(ARGV[13])
-- A clock that steps further than this has jumped: then what has passed for the caller counts. Nor does a time count that
-- was written during a jump; it is only kept from going back by less.
local jump = 10000
if passed > 0 and math.abs(time - passed) > jump then time = passed end
if tonumber(meta[6]) > time and tonumber(meta[6]) - time <= jump then time = tonumber(meta[6]) end
local window, messages, age = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local log_bytes, segment_bytes, most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local rooms, moving = tonumber(ARGV[14]), #KEYS == 5
local text = exact
-- What lies in the slot of this partition begins so.
local prefix = string.sub(KEYS[1], 1, -5)

-- After a loss: until when who holds nothing of it waits, in ms, for how long at most, and whether known rooms wait too.
local hold, most_hold, all = string.match(meta[11] or '', '(%d+) (%d+) (%d)')
local held = hold and tonumber(hold) - time
if held and (held <= 0 or held > tonumber(most_hold)) then held = nil end
if held and all == '1' and ARGV[12] ~= '1' then return {'HOLD', text(held)} end

local names, at = {}, 14
for room = 1, rooms do names[room] = ARGV[at + 1]; at = at + 3 end
local heads = redis.call('HMGET', KEYS[3], unpack(names))
local state, full = {}, nil
for room = 1, rooms do
  local seq, segment, bytes, expiry, changed = 0, 0, 0, 0, ''
  if heads[room] then
    seq, segment, bytes, expiry, changed = string.match(heads[room], '(%d+) (%d+) (%d+) (%d+)(.*)')
    seq, segment, bytes, expiry = tonumber(seq), tonumber(segment), tonumber(bytes), tonumber(expiry)
  elseif held then
    return {'HOLD', text(held)}
  elseif full == nil then
    full = redis.call('HLEN', KEYS[3]) > most
  end
  if time >= expiry then bytes, changed = 0, '' end
  local amended = prefix .. 'amended:' .. names[room]
  if moving and changed ~= '' and redis.call('EXISTS', amended) == 0 then return {'TRYAGAIN'} end
  if moving and bytes > 0 and redis.call('EXISTS', ARGV[14 + room * 3]) == 0 then return {'TRYAGAIN'} end
  if bytes > segment_bytes then segment, bytes, expiry = segment + 1, 0, 0 end
  if tonumber(ARGV[14 + room * 3 - 1]) ~= segment then return {'SEGMENT', room, segment} end
  state[room] = {seq = seq, from = seq, segment = segment, bytes = bytes, expiry = expiry, key = ARGV[14 + room * 3],
    refused = full and not heads[room], new = not heads[room], name = names[room], segments = prefix .. 'room:',
    amended = amended, changed = changed}
end

local prints = {}
for post = at + 1, #ARGV, 4 do prints[#prints + 1] = ARGV[post + 1] end
-- The window turns by one step at most, so that no jump of the clock forgets the keys of the last one; a number from the
-- future is replaced by the next of the same hash.
local turn, last = math.floor(time / window), tonumber(meta[7])
local turns = turn > last
if turns then
  turn = turn + (turn - last + 1) % 2
elseif last > turn + 1 then
  turn = turn + (last - turn) % 2
else
  turn = last
end
local current, previous = KEYS[4 + turn % 2], KEYS[4 + (turn + 1) % 2]
local recent, older = {}, redis.call('HMGET', previous, unpack(prints))
if not turns then recent = redis.call('HMGET', current, unpack(prints)) end

local changes = {}
for post = 1, #prints do
  local asked, room = ARGV[at + post * 4], state[tonumber(ARGV[at + post * 4 - 3])]
  if asked ~= '' and not (recent[post] or older[post]) then
    changes[post] = read_change(asked)
    look_up(room, changes[post])
  end
end

local begun = false
-- The hash always holds a field: in a slot that moves, a missing key would stop the script.
local function rotate()
  if not turns then return end
  redis.call('UNLINK', current)
  redis.call('HSET', current, '', '0')
end

local bytes, first = tonumber(meta[8]), tonumber(meta[9])
local answers, fresh, known = {}, {}, {}
-- Numbers in .. keep 14 digits, enough for seqs and offsets; one conversion a message of the time would be felt.
local stamp, id = text(time), epoch .. '-'
local suffix = ' ' .. epoch .. ' ' .. stamp .. ' ' .. ARGV[10]
local call, base = redis.call, at
for post = 1, #prints do
  local print = prints[post]
  local before = recent[post] or older[post] or known[print]
  local index, stored, change = tonumber(ARGV[base + 1]), ARGV[base + 3], changes[post]
  local room, name = state[index], names[index]
  local refusal = not before and change and why_not(change, stored)
  if before then
    answers[post] = before
  elseif type(refusal) == 'string' then
    answers[post] = refusal .. ' ' .. epoch .. ' ' .. stamp
  elseif refusal or room.refused then
    answers[post] = refusal or -1
  else
    local seq = room.seq + 1
    room.seq, offset = seq, offset + 1
    local write = begun and call or redis.pcall
    local written = write('XADD', KEYS[2], id .. offset, 'r', name, 'm', seq .. ' ' .. stamp .. ' ' .. bytes, 'e', stored)
    if type(written) == 'table' and written.err then
      if string.find(written.err, 'equal or smaller') or string.find(written.err, 'WRONGTYPE') then return {'BROKEN', epoch} end
      return written
    end
    begun = true
    if messages > 0 then
      local keep = change and kept_of(change, stored) or stored
      local kept = redis.pcall('XADD', room.key, seq .. '-' .. epoch, 't', stamp, 'e', keep)
      if type(kept) == 'table' and kept.err then
        call('UNLINK', room.key)
        call('XADD', room.key, seq .. '-' .. epoch, 't', stamp, 'e', keep)
      end
      room.bytes = room.bytes + #keep + 32
    end
    if change then
      make_change(room, change, text(seq), stamp, stored)
      room.changes = true
    end
    bytes = bytes + #stored + #name + 32
    local answer = seq .. suffix
    known[print] = answer
    fresh[#fresh + 1], fresh[#fresh + 2] = print, answer
    answers[post] = seq
  end
  base = base + 4
end

-- The log: 'first' is the count of bytes before its first entry.
while bytes - first > log_bytes do
  local length = redis.call('XLEN', KEYS[2])
  if length <= 1 then break end
  redis.call('XTRIM', KEYS[2], 'MAXLEN', '=', math.min(length - 1, math.floor(length * 7 / 8)))
  local fields = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1][2]
  for field = 1, #fields, 2 do
    if fields[field] == 'm' then first = tonumber(string.match(fields[field + 1], '%S+$')) end
  end
end

-- Redis sets 4 KB aside for a new stream. Written back as it is stored, it takes what it holds; without the rights to
-- that it stays as it is.
local function shrink(key)
  local stored = redis.pcall('DUMP', key)
  if type(stored) == 'string' then redis.pcall('RESTORE', key, 0, stored, 'REPLACE') end
end

-- Histories: a segment lives as long as its youngest entry may be shown, and a quarter more; every 128 entries those
-- beyond number and age go. What messages have become goes with them; those calls may fail where a slot moves, because that
-- is a key of its own.
local changed = {}
for index = 1, rooms do
  local room = state[index]
  if room.seq > room.from then
    if messages > 0 and room.from == 0 then shrink(room.key) end
    -- Left by another room of this name.
    if room.new then redis.pcall('UNLINK', room.amended) end
    local extended = time + age > room.expiry
    if extended then
      room.expiry = time + math.floor(age * 5 / 4)
      if messages > 0 then redis.call('PEXPIREAT', room.key, text(room.expiry)) end
    end
    if room.changes then
      write_reactions(room)
      room.changed = ' 1'
    end
    -- The set may be new, or new again; where others have reacted with the same emoji before, it is not.
    if room.begins or extended and room.changed ~= '' then redis.pcall('PEXPIREAT', room.amended, text(room.expiry)) end
    if messages > 0 and math.floor(room.seq / 128) > math.floor(room.from / 128) then
      local before = redis.call('XLEN', room.key)
      -- By number, not by seq: where data was lost and given back, seqs have a hole.
      redis.call('XTRIM', room.key, 'MAXLEN', '=', messages)
      for _ = 1, 4 do
        local old = nil
        for _, item in ipairs(redis.call('XRANGE', room.key, '-', '+', 'COUNT', 64)) do
          if tonumber(item[2][2]) >= time - age then break end
          old = tonumber(string.match(item[1], '^%d+'))
        end
        if not old then break end
        redis.call('XTRIM', room.key, 'MINID', '=', text(old + 1))
      end
      local left = redis.call('XLEN', room.key)
      if room.changed ~= '' and left < before then
        -- A room with several segments keeps at least its number of messages in them.
        local first = redis.call('XRANGE', room.key, '-', '+', 'COUNT', 1)[1]
        local kept = room.segment > 0 and math.max(room.seq - 2 * messages, 1)
          or tonumber(first and string.match(first[1], '^%d+') or room.seq)
        redis.pcall('ZREMRANGEBYLEX', room.amended, '-', '(' .. place(kept))
      end
      room.bytes = math.floor(room.bytes * left / math.max(before, 1))
    end
    changed[#changed + 1] = names[index]
    changed[#changed + 1] = text(room.seq) .. ' ' .. room.segment .. ' ' .. text(room.bytes) .. ' ' .. text(room.expiry) .. room.changed
  end
end
rotate()
if #changed > 0 then redis.call('HSET', KEYS[3], unpack(changed)) end
-- Written even when all posts were duplicates, so that WAIT covers those too.
redis.call('HSET', KEYS[1], 'offset', text(offset), 'time', stamp, 'window', text(turn), 'bytes', text(bytes), 'first', text(first))
if #fresh > 0 then redis.call('HSET', current, unpack(fresh)) end
return {'OK', epoch, stamp, answers}
