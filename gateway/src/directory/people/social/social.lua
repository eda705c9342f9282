local function add_people(answer, ids)
  for _, id in ipairs(ids) do
    local name = redis.call('HGET', users, id .. ':name')
    if name then
      answer[#answer + 1] = id
      answer[#answer + 1] = name
    end
  end
  return answer
end

local function add_blocks(answer, ids)
  for _, id in ipairs(ids) do
    local row = redis.call('HMGET', groups, id .. ':name', id .. ':owner')
    if row[1] then
      answer[#answer + 1] = id
      answer[#answer + 1] = row[1]
      answer[#answer + 1] = row[2]
    end
  end
  return answer
end

-- Members of a block that is gone forget it as they join others.
local function forget_block(id)
  redis.call('HDEL', groups, id .. ':name', id .. ':owner')
  redis.call('HDEL', spoken, id)
  redis.call('ZREM', alive, id)
end

-- Whether there is room for one more block, perhaps because the one goes that was silent for longest.
local function has_room()
  if redis.call('HLEN', groups) < most_blocks * 2 then return true end
  local oldest = unnoted('groups', groups, alive, everyone) or redis.call('ZRANGE', alive, 0, 0)[1]
  if oldest then forget_block(oldest) end
  return oldest
end

-- In how many blocks a person is; those that are gone are forgotten where that matters.
local function joined(user)
  if count(blocks, user) < most_joined then return count(blocks, user) end
  for _, member in ipairs(under(blocks, user)) do
    local block = tail(member)
    if redis.call('HEXISTS', groups, block .. ':name') == 0 then
      redis.call('ZREM', blocks, member)
      redis.call('ZREM', members, block .. ':' .. user)
    end
  end
  return count(blocks, user)
end

local function tails(all)
  for at, member in ipairs(all) do all[at] = tail(member) end
  return all
end

local function enter(user, block)
  redis.call('ZADD', blocks, 0, user .. ':' .. block)
  redis.call('ZADD', members, 0, block .. ':' .. user)
  talk(user, 'b' .. block, wide(next_rank()))
end

if operation == 'person' then return add_people({'PEOPLE'}, {arg[1]}) end
if operation == 'block' then return add_blocks({'BLOCKS'}, {arg[1]}) end
if operation == 'contacts' then return add_people({'PEOPLE'}, tails(under(contacts, arg[1]))) end
if operation == 'memberships' then return add_blocks({'BLOCKS'}, tails(under(blocks, arg[1]))) end

-- With whom and when, some twice.
if operation == 'conversations' then
  local answer = {'CONVERSATIONS'}
  for _, member in ipairs(under(talks, arg[1])) do
    local id, with = string.match(member, ':(%d+):(%w+)$')
    answer[#answer + 1] = with
    answer[#answer + 1] = id
  end
  for _, member in ipairs(under(blocks, arg[1])) do
    local last = redis.call('HGET', spoken, tail(member))
    if last then
      answer[#answer + 1] = 'b' .. tail(member)
      answer[#answer + 1] = last
    end
  end
  return answer
end

-- Arguments: 'people' or 'blocks', what their names hold, where to continue. Answers where to continue, and what was found:
-- a few at a time, so that no search blocks Redis for long.
if operation == 'find' then
  local kind, needle, from = arg[1], string.lower(arg[2]), arg[3]
  local found = {}
  local function look(name, id) if string.find(string.lower(name), needle, 1, true) then found[#found + 1] = id end end
  if kind == 'people' then
    local page = redis.call('HSCAN', names, from, 'COUNT', looked_at)
    for at = 1, #page[2], 2 do look(page[2][at], page[2][at + 1]) end
    return add_people({'FOUND', page[1]}, found)
  end
  local page = redis.call('HSCAN', groups, from, 'MATCH', '*:name', 'COUNT', looked_at)
  for at = 1, #page[2], 2 do look(page[2][at + 1], string.match(page[2][at], '^%d+')) end
  return add_blocks({'FOUND', page[1]}, found)
end

if operation == 'befriend' then
  local user, other = arg[1], arg[2]
  if user == other or not known(user) or not known(other) then return {'UNKNOWN'} end
  if has(contacts, user .. ':' .. other) and has(contacts, other .. ':' .. user) then return {'DONE'} end
  if count(contacts, user) >= most_contacts or count(contacts, other) >= most_contacts then return {'FULL'} end
  redis.call('ZADD', contacts, 0, user .. ':' .. other, 0, other .. ':' .. user)
  return {'DONE'}
end

if operation == 'join' then
  local user, block = arg[1], arg[2]
  if not known(user) or redis.call('HEXISTS', groups, block .. ':name') == 0 then return {'UNKNOWN'} end
  if has(blocks, user .. ':' .. block) then return {'DONE'} end
  if joined(user) >= most_joined then return {'FULL'} end
  enter(user, block)
  if redis.call('HGET', groups, block .. ':owner') ~= user then heard(alive, block) end
  return {'DONE'}
end

if operation == 'create' then
  local owner, name = arg[1], arg[2]
  if not known(owner) then return {'UNKNOWN'} end
  if joined(owner) >= most_joined or not has_room() then return {'FULL'} end
  local id = text(redis.call('HINCRBY', groups, 'last', 1))
  redis.call('HSET', groups, id .. ':name', name, id .. ':owner', owner)
  made(alive, id)
  enter(owner, id)
  return {'CREATED', id, name, owner}
end

return {'NOTHING', operation}
