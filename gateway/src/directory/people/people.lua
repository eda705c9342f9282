-- The holder of the account on a gateway that lives; false when nobody does.
local function holder(user)
  local held = redis.call('HGET', users, user .. ':holder')
  if not held or held == '' then return false end
  local lease = redis.call('ZSCORE', leases, string.match(held, '^%x+'))
  return lease and tonumber(lease) > now and held
end

-- Another live connection has the account.
local function foreign(user, by)
  local other = holder(user)
  return other and other ~= by
end

local function add(id, name)
  redis.call('HSETNX', users, host .. ':name', host_name)
  redis.call('HSETNX', users, host .. ':holder', '')
  redis.call('HSETNX', groups, 'last', everyone)
  redis.call('HSETNX', groups, everyone .. ':name', everyone_name)
  redis.call('HSETNX', groups, everyone .. ':owner', host)
  if id == host then return end
  redis.call('HSET', users, id .. ':name', name, id .. ':holder', '')
  redis.call('ZADD', blocks, 0, id .. ':' .. everyone)
  redis.call('ZADD', members, 0, everyone .. ':' .. id)
  redis.call('ZADD', contacts, 0, id .. ':' .. host)
  talk(id, 'c' .. host, wide(next_rank()))
  talk(id, 'b' .. everyone, wide(next_rank()))
  made(used, id)
  if name ~= '' then redis.call('HSETNX', names, name, id) end
end

local function forget(member)
  redis.call('ZREM', queued, member)
  redis.call('HDEL', frames, member)
end

-- A connection had the account before, and has not given it back: two tabs of one person.
local function shares(user, by)
  return string.find(' ' .. (redis.call('HGET', also, user) or '') .. ' ', ' ' .. by .. ' ', 1, true)
end

-- Notes which connections share the account: 'by' does not, 'before' does; the latest eight.
local function note_sharer(user, by, before)
  local sharing = {before}
  for other in string.gmatch(redis.call('HGET', also, user) or '', '%S+') do
    if other ~= by and other ~= before and #sharing < 8 then sharing[#sharing + 1] = other end
  end
  if #sharing == 0 then redis.call('HDEL', also, user) else redis.call('HSET', also, user, table.concat(sharing, ' ')) end
end

local function enqueue(user, id, stored)
  if not known(user) then return end
  local member = user .. ':' .. id
  redis.call('ZADD', queued, 0, member)
  redis.call('HSET', frames, member, stored)
  if count(queued, user) > most_queued then forget(first(queued, user)) end
end

-- What is sent to people begins at no position.
local function personal(time, frame) return wide(time) .. position(0, 0) .. frame end

local function personal_id() return wide(next_rank() * lanes + lanes - 1) end

-- The block of an id, false when it went to a person.
local function block_of(id)
  local lane = tonumber(id) % lanes
  return lane ~= lanes - 1 and text(lane)
end

local function remember(from, temp, id)
  if temp == '' then return end
  redis.call('HSET', recent, from .. ':' .. temp, id)
  redis.call('ZADD', order, text(now), from .. ':' .. temp)
end

-- A person's connection does not read the block, or reads it after another position.
local function unread(user, block)
  local last = redis.call('HGET', read, user .. ':' .. block)
  if last then
    redis.call('ZREM', readers, block .. ':' .. last .. ':' .. user)
    redis.call('HDEL', read, user .. ':' .. block)
  end
end

-- Nothing of a person is left but what they said.
local function forget_person(id)
  for _, member in ipairs(under(queued, id)) do forget(member) end
  for _, member in ipairs(under(blocks, id)) do
    unread(id, tail(member))
    redis.call('ZREM', members, tail(member) .. ':' .. id)
  end
  for _, member in ipairs(under(contacts, id)) do redis.call('ZREM', contacts, tail(member) .. ':' .. id) end
  for _, member in ipairs(under(talks, id)) do
    local with = string.match(member, ':(%w+)$')
    untalk(id, with)
    if string.sub(with, 1, 1) == 'c' then untalk(string.sub(with, 2), 'c' .. id) end
  end
  for _, key in ipairs({blocks, contacts, early}) do
    redis.call('ZREMRANGEBYLEX', key, '[' .. id .. ':', '(' .. id .. ';')
  end
  local name = redis.call('HGET', users, id .. ':name')
  if name and redis.call('HGET', names, name) == id then redis.call('HDEL', names, name) end
  redis.call('HDEL', users, id .. ':name', id .. ':holder')
  redis.call('HDEL', also, id)
  redis.call('ZREM', used, id)
end

-- Whether there is room for one more, perhaps because who was not heard of for longest goes. People who are here stay.
local function has_room()
  for _ = 1, 100 do
    if redis.call('HLEN', users) < most * 2 then return true end
    local oldest = unnoted('users', users, used, host) or redis.call('ZRANGE', used, 0, 0)[1]
    if not oldest then return false end
    if holder(oldest) then heard(used, oldest) else forget_person(oldest) end
  end
  return redis.call('HLEN', users) < most * 2
end

if operation == 'login' then
  local name = arg[1]
  local id = redis.call('HGET', names, name)
  if id then
    heard(used, id)
  else
    if not has_room() then return {'FULL'} end
    redis.call('HSETNX', users, 'last', host)
    repeat id = text(redis.call('HINCRBY', users, 'last', 1)) until not known(id)
    add(id, name)
  end
  talk(id, 'b' .. everyone, wide(next_rank()))
  return {'USER', id, name}
end

-- Arguments: user, name, holder, ms that the holder's gateway is believed to live. A fourth item: another had the account.
if operation == 'init' then
  local user, name, by, lease = arg[1], arg[2], arg[3], tonumber(arg[4])
  local taken = foreign(user, by)
  if not known(user) then
    if not has_room() then return {'FULL'} end
    add(user, name)
  end
  heard(used, user)
  note_sharer(user, by, taken and holder(user) or nil)
  redis.call('HSET', users, user .. ':holder', by)
  redis.call('ZADD', leases, 'GT', text(now + lease), string.match(by, '^%x+'))
  for _, member in ipairs(under(blocks, user)) do unread(user, tail(member)) end
  return {'USER', user, redis.call('HGET', users, user .. ':name'), taken and 'TAKEN' or nil}
end

if operation == 'release' then
  if redis.call('HGET', users, arg[1] .. ':holder') == arg[2] then
    redis.call('HSET', users, arg[1] .. ':holder', '')
    heard(used, arg[1])
  else
    note_sharer(arg[1], arg[2], nil)
  end
  return {'DONE'}
end

-- Arguments: user, holder.
if operation == 'blocks' then
  if foreign(arg[1], arg[2]) then return {'FOREIGN'} end
  local answer = {'BLOCKS'}
  for _, member in ipairs(under(blocks, arg[1])) do
    if redis.call('HEXISTS', groups, tail(member) .. ':name') == 1 then answer[#answer + 1] = tail(member) end
  end
  return answer
end

-- Arguments: user, whether it is forgotten, then for each block that is read (block, epoch, seq).
if operation == 'queue' then
  local user, take, after = arg[1], arg[2] == '1', {}
  for at = 3, #arg, 3 do
    local block = arg[at]
    after[block] = position(arg[at + 1], arg[at + 2])
    if has(members, block .. ':' .. user) then
      unread(user, block)
      redis.call('HSET', read, user .. ':' .. block, after[block])
      redis.call('ZADD', readers, 0, block .. ':' .. after[block] .. ':' .. user)
    end
  end
  local found = {}
  for _, member in ipairs(under(queued, user)) do
    local id, stored = tail(member), redis.call('HGET', frames, member)
    local from = after[block_of(id)]
    if not from or string.sub(stored, 17, 48) <= from then
      found[#found + 1] = {string.sub(stored, 1, 16) .. id, string.sub(stored, 49)}
    end
    if take then forget(member) end
  end
  table.sort(found, function(one, other) return one[1] < other[1] end)
  local answer = {'QUEUED'}
  for _, item in ipairs(found) do answer[#answer + 1] = item[2] end
  return answer
end

-- Arguments: sender, its holder, its number or '', 'person' or 'block'.
if operation == 'check' then
  local from, by, temp, kind = arg[1], arg[2], arg[3], arg[4]
  if foreign(from, by) and not shares(from, by) then return {'FOREIGN'} end
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', order, '-inf', text(now - kept), 'LIMIT', 0, 100)) do
    redis.call('ZREM', order, old)
    redis.call('HDEL', recent, old)
  end
  local id = temp ~= '' and redis.call('HGET', recent, from .. ':' .. temp)
  if id then return {'DUPLICATE', id} end
  if kind == 'block' then return {'FRESH'} end
  return {'FRESH', personal_id()}
end

-- Arguments: sender, its number or '', id, to whom, the frame.
if operation == 'keep' then
  local from, temp, id, to, frame = arg[1], arg[2], wide(arg[3]), arg[4], arg[5]
  if not known(to) then
    if not has_room() then return {'FULL'} end
    add(to, '')
  end
  enqueue(to, id, personal(start + math.floor(tonumber(id) / lanes), frame))
  if known(from) and known(to) then
    local at = wide(next_rank())
    talk(from, 'c' .. to, at)
    talk(to, 'c' .. from, at)
  end
  remember(from, temp, id)
  return {'DONE'}
end

-- Arguments: sender, its number or '', id, block, epoch, seq, time, the frame. Keeps it for some of the block and answers
-- {'KEEPING', who was late...} until it is kept for all, so that no block is too large for one call: a caller that calls again
-- continues where the last call ended.
if operation == 'keep_posted' then
  local from, temp, id, block = arg[1], arg[2], wide(arg[3]), arg[4]
  local at = position(arg[5], arg[6])
  local stored, mark = wide(arg[7]) .. at .. arg[8], 'k:' .. id
  if temp ~= '' and redis.call('HGET', recent, from .. ':' .. temp) == id then return {'KEPT'} end
  local late = {}
  if redis.call('HEXISTS', groups, block .. ':name') == 1 then
    local last = redis.call('HGET', recent, mark)
    local page = redis.call('ZRANGEBYLEX', members, last and '(' .. last or '[' .. block .. ':', '(' .. block .. ';', 'LIMIT', 0, at_once)
    local entered = redis.call('ZRANGEBYLEX', readers, '[' .. block .. ':' .. at, '(' .. block .. ';', 'LIMIT', 0, 1)[1]
    for _, member in ipairs(page) do
      local user = tail(member)
      if user ~= from and redis.call('ZREM', early, user .. ':' .. id) == 0 then
        enqueue(user, id, stored)
        local after = entered and #late < most_late and redis.call('HGET', read, user .. ':' .. block)
        if after and after >= at and holder(user) then late[#late + 1] = user end
      end
    end
    if #page == at_once then
      redis.call('HSET', recent, mark, page[#page])
      redis.call('ZADD', order, text(now), mark)
      return {'KEEPING', unpack(late)}
    end
    if last then
      redis.call('HDEL', recent, mark)
      redis.call('ZREM', order, mark)
    end
    redis.call('HSET', spoken, block, wide(next_rank()))
    heard(alive, block)
  end
  remember(from, temp, id)
  return {'KEPT', unpack(late)}
end

-- Arguments: user, id.
if operation == 'confirm' then
  local user, id = arg[1], wide(arg[2])
  local member = user .. ':' .. id
  if has(queued, member) then
    forget(member)
  elseif known(user) and block_of(id) then
    -- It was shown, and will be kept. Ids of so long ago that nothing of then will be are forgotten.
    local oldest = wide(math.max(now - kept - start, 0) * lanes)
    redis.call('ZADD', early, 0, member)
    redis.call('ZREMRANGEBYLEX', early, '[' .. user .. ':', '(' .. user .. ':' .. oldest)
    if count(early, user) > most_queued then redis.call('ZREM', early, first(early, user)) end
  end
  return {'DONE'}
end

if operation == 'mention' then
  local frame, id = arg[1], personal_id()
  for at = 2, #arg do
    local user = redis.call('HGET', names, arg[at])
    if user and not holder(user) then enqueue(user, id, personal(now, frame)) end
  end
  return {'DONE'}
end

return {'NOTHING', operation}
