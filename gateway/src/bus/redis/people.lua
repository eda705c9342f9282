-- Whoever has the account on a gateway that lives; false when nobody does.
local function holder(user)
  local held = redis.call('HGET', users, user .. ':holder')
  if not held or held == '' then return false end
  local lease = redis.call('ZSCORE', leases, string.match(held, '^%x+'))
  return lease and tonumber(lease) > now and held
end

local function full() return redis.call('HLEN', users) >= most * 2 end

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
  if name ~= '' then redis.call('HSETNX', names, name, id) end
end

local function forget(member)
  redis.call('ZREM', queued, member)
  redis.call('HDEL', frames, member)
end

local function enqueue(user, id, frame)
  if not known(user) then return end
  local member = user .. ':' .. id
  redis.call('ZADD', queued, 0, member)
  redis.call('HSET', frames, member, frame)
  if count(queued, user) > most_queued then forget(first(queued, user)) end
end

-- Grows with the clock, so that it compares with what is numbered by time alone.
local function next_id()
  local id = math.max((tonumber(redis.call('GET', message) or '') or 0) + 1, now * 1000)
  redis.call('SET', message, text(id))
  return wide(id)
end

if operation == 'login' then
  local name = arg[1]
  local id = redis.call('HGET', names, name)
  if not id then
    if full() then return {'FULL'} end
    redis.call('HSETNX', users, 'last', host)
    repeat id = text(redis.call('HINCRBY', users, 'last', 1)) until not known(id)
    add(id, name)
  end
  talk(id, 'b' .. everyone, wide(now * 1000))
  return {'USER', id, name}
end

-- Arguments: user, name, holder, ms that the holder's gateway is believed to live.
if operation == 'init' then
  local user, name, by, lease = arg[1], arg[2], arg[3], tonumber(arg[4])
  if not known(user) then
    if full() then return {'FULL'} end
    add(user, name)
  end
  redis.call('HSET', users, user .. ':holder', by)
  redis.call('ZADD', leases, 'GT', text(now + lease), string.match(by, '^%x+'))
  return {'USER', user, redis.call('HGET', users, user .. ':name')}
end

if operation == 'release' then
  if redis.call('HGET', users, arg[1] .. ':holder') == arg[2] then
    redis.call('HSET', users, arg[1] .. ':holder', '')
  end
  return {'DONE'}
end

if operation == 'blocks' then
  local answer = {'BLOCKS'}
  for _, member in ipairs(under(blocks, arg[1])) do answer[#answer + 1] = tail(member) end
  return answer
end

if operation == 'queue' then
  local answer = {'QUEUED'}
  for _, member in ipairs(under(queued, arg[1])) do
    answer[#answer + 1] = redis.call('HGET', frames, member)
    if arg[2] == '1' then forget(member) end
  end
  return answer
end

if operation == 'check' then
  local from, by, temp = arg[1], arg[2], arg[3]
  local other = holder(from)
  if other and other ~= by then return {'FOREIGN'} end
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', order, '-inf', text(now - kept), 'LIMIT', 0, 100)) do
    redis.call('ZREM', order, old)
    redis.call('HDEL', recent, old)
  end
  local id = temp ~= '' and redis.call('HGET', recent, from .. ':' .. temp)
  if id then return {'DUPLICATE', id} end
  return {'FRESH', next_id()}
end

-- Arguments: sender, its number or '', id, 'person' or 'block', which one, the frame.
if operation == 'keep' then
  local from, temp, id, kind, to, frame = arg[1], arg[2], wide(arg[3]), arg[4], arg[5], arg[6]
  if kind == 'person' then
    enqueue(to, id, frame)
    if known(from) and known(to) then
      talk(from, 'c' .. to, id)
      talk(to, 'c' .. from, id)
    end
  elseif redis.call('HEXISTS', groups, to .. ':name') == 1 then
    for _, member in ipairs(under(members, to)) do
      if tail(member) ~= from then enqueue(tail(member), id, frame) end
    end
    local last = redis.call('HGET', spoken, to)
    if not last or last < id then redis.call('HSET', spoken, to, id) end
  end
  if temp ~= '' then
    redis.call('HSET', recent, from .. ':' .. temp, id)
    redis.call('ZADD', order, text(now), from .. ':' .. temp)
  end
  return {'DONE'}
end

if operation == 'confirm' then
  forget(arg[1] .. ':' .. wide(arg[2]))
  return {'DONE'}
end

if operation == 'mention' then
  local frame, id = arg[1], next_id()
  for at = 2, #arg do
    local user = redis.call('HGET', names, arg[at])
    if user and not holder(user) then enqueue(user, id, frame) end
  end
  return {'DONE'}
end

return {'NOTHING', operation}
