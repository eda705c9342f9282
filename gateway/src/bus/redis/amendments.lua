-- What messages have become, for the scripts that write amendments; it is put in front of them.
-- Beside the history of a room lies a sorted set, in the order of its members' bytes. A member begins with the seq of a
-- message in 16 hex digits. `f` follows where the message was edited or deleted, and then, each with a space behind it:
-- e or d, time and seq of the change, time and epoch of the message; and its stored form. Such a message is no longer
-- in the history itself. `r` follows for each reaction: emoji, NUL, person in 16 hex digits, seq of the reaction.
-- A change is asked for as `kind seq rest`: `e` edit or `d` delete, rest 1 where a moderator does it; `r` react or `u` take
-- back, rest the person in 16 hex digits, a space, the emoji.
local MOST_EMOJI, MOST_PEOPLE = 20, 1000
local NOT_FOUND, FORBIDDEN, FULL = -2, -3, -4

local function exact(n) return string.format('%.0f', n) end
local function place(seq) return string.format('%016x', seq) end

-- The first member of a room's set that begins with `start`.
local function first_member(room, start)
  return redis.call('ZRANGEBYLEX', room.amended, '[' .. start, '[' .. start .. '\255', 'LIMIT', 0, 1)[1]
end

-- Where the part of a stored entry begins and ends whose length is at `at`.
local function part(stored, at)
  local length, unit = 0, 1
  repeat
    local byte = string.byte(stored, at)
    if not byte then return nil end
    length, unit, at = length + byte % 128 * unit, unit * 128, at + 1
  until byte < 128
  return at, at + length - 1
end

-- A stored entry (see entry.rs): its author, and where the length of its body, the body, and what follows begin.
local function layout(stored)
  local from, to = nil, 19
  if string.byte(stored, 1) == 2 then
    from, to = part(stored, 20)
    if not from then return nil end
  end
  from, to = part(stored, to + 1)
  if not from then return nil end
  local author = string.sub(stored, from, to)
  for _ = 1, 2 do
    from, to = part(stored, to + 1)
    if not from then return nil end
  end
  local head = to + 1
  from, to = part(stored, head)
  if not from then return nil end
  return {author = author, head = head, body = from, rest = to + 1}
end

-- The stored entry with another body, and without its sender's payload, which says the same as the old one.
local function with_body(stored, at, body)
  local flags, rest = string.byte(stored, 3), string.sub(stored, at.rest)
  if flags % 4 >= 2 then
    flags = flags - 2
    local _, last = part(stored, at.rest)
    rest = flags % 2 == 1 and last and string.sub(stored, at.rest, last) or ''
  end
  local length, digits = #body, ''
  while length >= 128 do
    digits = digits .. string.char(128 + length % 128)
    length = math.floor(length / 128)
  end
  return string.sub(stored, 1, 2) .. string.char(flags) .. string.sub(stored, 4, at.head - 1)
    .. digits .. string.char(length) .. body .. rest
end

-- A message in a segment of the history. False: what is there is no message; nil: nothing is there.
local function in_segment(room, segment, id)
  local key = room.segments .. segment .. ':' .. room.name
  local found = redis.call('XRANGE', key, id, id, 'COUNT', 1)[1]
  if not found then return nil end
  local stored = found[2][4]
  local message = string.byte(stored, 1) == 1 and layout(stored)
  return message and {key = key, id = found[1], time = found[2][2], epoch = string.match(found[1], '%d+$'), stored = stored}
end

-- A message as it is now: from the newest segment of its history that has it, or from the room's set. False: there is none.
-- The newest segment comes first, as it has nearly all that are changed.
local function find_message(room, seq)
  local id = exact(seq)
  local newest = in_segment(room, room.segment, id)
  if newest ~= nil then return newest end
  local form = first_member(room, place(seq) .. 'f')
  if form then
    local _, last, kind, time, epoch = string.find(form, '^f(%a) %d+ %d+ (%d+) (%d+) ', 17)
    return last and kind ~= 'd' and {form = form, time = time, epoch = epoch, stored = string.sub(form, last + 1)}
  end
  for segment = room.segment - 1, math.max(0, room.segment - 64), -1 do
    local older = in_segment(room, segment, id)
    if older ~= nil then return older end
  end
  return false
end

-- What is asked for, taken apart.
local function read_change(text)
  local kind, seq, rest = string.match(text, '^(%a) (%d+) (.*)$')
  local change = {kind = kind, seq = tonumber(seq)}
  if kind == 'r' or kind == 'u' then
    change.person, change.emoji = string.sub(rest, 1, 16), string.sub(rest, 18)
    change.start = place(change.seq) .. 'r' .. change.emoji .. '\0'
  else
    change.moderator = rest == '1'
  end
  return change
end

-- Counts the different emoji on a message.
local function count_emoji(room, seq)
  local start = place(seq) .. 'r'
  local from, count = '[' .. start, 0
  while count < MOST_EMOJI do
    local member = redis.call('ZRANGEBYLEX', room.amended, from, '[' .. start .. '\255', 'LIMIT', 0, 1)[1]
    if not member then break end
    count = count + 1
    from = '(' .. string.match(member, '^[^%z]*') .. '\0\255'
  end
  return count
end

-- Reads all that deciding on a change takes, once for all changes of a message.
local function look_up(room, change)
  room.targets = room.targets or {}
  local target = room.targets[change.seq]
  if target == nil then
    -- Above the head there is nothing, though an older history may be left.
    target = {message = change.seq <= room.seq and find_message(room, change.seq), people = {}, since = {}}
    room.targets[change.seq] = target
  end
  change.target = target
  if not change.emoji or not target.message then return end
  if not target.people[change.emoji] then
    target.people[change.emoji] = redis.call('ZLEXCOUNT', room.amended, '[' .. change.start, '[' .. change.start .. '\255')
  end
  local who = change.emoji .. change.person
  if target.since[who] == nil then
    local member = target.people[change.emoji] > 0 and first_member(room, change.start .. change.person)
    target.since[who] = member and string.sub(member, #change.start + 17) or false
  end
  if not target.emoji and change.kind == 'r' and target.people[change.emoji] == 0 then
    target.emoji = count_emoji(room, change.seq)
  end
end

-- Why a change is not made: a refusal, or the seq since which it is so already. Nil: it is to be made.
local function why_not(change, stored)
  local target = change.target
  local message = target.message
  if not message then return NOT_FOUND end
  if not change.emoji then
    local same = string.byte(message.stored, 2) == string.byte(stored, 2)
    local own = same and layout(message.stored).author == layout(stored).author
    return not own and not change.moderator and FORBIDDEN or nil
  end
  local since, people = target.since[change.emoji .. change.person], target.people[change.emoji]
  if change.kind == 'u' then return not since and exact(change.seq) or nil end
  if since then return since end
  if people >= MOST_PEOPLE or people == 0 and (target.emoji or 0) >= MOST_EMOJI then return FULL end
end

-- Writes the reactions that were added, all together: one call of its own for each would cost as much as a message.
local function write_reactions(room)
  local added = room.added or {}
  for from = 1, #added, 1000 do redis.call('ZADD', room.amended, unpack(added, from, math.min(from + 999, #added))) end
  room.added = nil
end

-- Makes a change whose entry in the log is `seq`, written at `time` as `stored`.
local function make_change(room, change, seq, time, stored)
  local target, at = change.target, place(change.seq)
  if change.emoji then
    local who, member = change.emoji .. change.person, change.start .. change.person
    if change.kind == 'r' then
      room.added = room.added or {}
      room.added[#room.added + 1], room.added[#room.added + 2] = 0, member .. seq
      if target.people[change.emoji] == 0 then target.emoji, room.begins = (target.emoji or 0) + 1, true end
      target.people[change.emoji], target.since[who] = target.people[change.emoji] + 1, seq
    else
      write_reactions(room)
      redis.call('ZREM', room.amended, member .. target.since[who])
      target.people[change.emoji], target.since[who] = target.people[change.emoji] - 1, false
      if target.people[change.emoji] == 0 and target.emoji then target.emoji = target.emoji - 1 end
    end
  else
    write_reactions(room)
    room.begins = true
    local message, body = target.message, '{}'
    if change.kind == 'e' then
      local said = layout(stored)
      body = string.sub(stored, said.body, said.rest - 1)
    else
      redis.call('ZREMRANGEBYLEX', room.amended, '[' .. at .. 'r', '[' .. at .. 'r\255')
    end
    if message.form then
      redis.call('ZREM', room.amended, message.form)
    else
      redis.call('XDEL', message.key, message.id)
    end
    message.stored = with_body(message.stored, layout(message.stored), body)
    message.form = at .. 'f' .. change.kind .. ' ' .. time .. ' ' .. seq .. ' ' .. message.time .. ' ' .. message.epoch .. ' '
      .. message.stored
    redis.call('ZADD', room.amended, 0, message.form)
    room.bytes = room.bytes + #message.stored + 64
    if change.kind == 'd' then target.message = false end
  end
end

-- What the history keeps of an amendment: what an edit says is kept with its message, so that it goes with it.
local function kept_of(change, stored)
  return change.kind == 'e' and with_body(stored, layout(stored), '{}') or stored
end
