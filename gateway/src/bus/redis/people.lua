-- One decision about people, their blocks and what is kept for them. All checks come before the first write.
-- KEYS: users, names, blocks, members, queued, frames, message, recent, order, leases. Read by prefix: blocks
--       ('user:block'), members ('block:user') and queued ('user:id').
-- ARGV: people at most, messages kept for one, ms that a sender's number is known, the block of everyone, operation,
--       its own.
-- Answers a list whose first item is a word.
local users, names, blocks, members, queued, frames, message, recent, order, leases = unpack(KEYS)
local most, most_queued, kept, everyone = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local operation = ARGV[5]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function text(n) return string.format('%.0f', n) end

local function under(key, prefix) return redis.call('ZRANGEBYLEX', key, '[' .. prefix .. ':', '(' .. prefix .. ';') end
local function tail(member) return string.match(member, ':(%d+)$') end

-- Whoever has the account on a gateway that lives; false when nobody does.
local function holder(user)
  local held = redis.call('HGET', users, user .. ':holder')
  if not held or held == '' then return false end
  local lease = redis.call('ZSCORE', leases, string.match(held, '^%x+'))
  return lease and tonumber(lease) > now and held
end

local function full() return redis.call('HLEN', users) >= most * 2 end

local function add(id, name)
  redis.call('HSET', users, id .. ':name', name, id .. ':holder', '')
  redis.call('ZADD', blocks, 0, id .. ':' .. everyone)
  redis.call('ZADD', members, 0, everyone .. ':' .. id)
  if name ~= '' then redis.call('HSETNX', names, name, id) end
end

local function forget(member)
  redis.call('ZREM', queued, member)
  redis.call('HDEL', frames, member)
end

-- Ids have one width, so that members sort by them.
local function enqueue(user, id, frame)
  if redis.call('HEXISTS', users, user .. ':name') == 0 then return end
  local member = user .. ':' .. id
  redis.call('ZADD', queued, 0, member)
  redis.call('HSET', frames, member, frame)
  local all = under(queued, user)
  if #all > most_queued then forget(all[1]) end
end

-- Grows with the clock, so that it compares with what is numbered by time alone.
local function next_id()
  local id = math.max((tonumber(redis.call('GET', message) or '') or 0) + 1, now * 1000)
  redis.call('SET', message, text(id))
  return string.format('%016.0f', id)
end

if operation == 'login' then
  local name = ARGV[6]
  local id = redis.call('HGET', names, name)
  if id then return {'USER', id, name} end
  if full() then return {'FULL'} end
  id = text(redis.call('HINCRBY', users, 'last', 1))
  while redis.call('HEXISTS', users, id .. ':name') == 1 do id = text(redis.call('HINCRBY', users, 'last', 1)) end
  add(id, name)
  return {'USER', id, name}
end

-- Arguments: user, name, holder, ms that the holder's gateway is believed to live.
if operation == 'init' then
  local user, name, by, lease = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])
  if redis.call('HEXISTS', users, user .. ':name') == 0 then
    if full() then return {'FULL'} end
    add(user, name)
  end
  redis.call('HSET', users, user .. ':holder', by)
  redis.call('ZADD', leases, 'GT', text(now + lease), string.match(by, '^%x+'))
  local answer = {'BLOCKS'}
  for _, member in ipairs(under(blocks, user)) do answer[#answer + 1] = tail(member) end
  return answer
end

if operation == 'release' then
  if redis.call('HGET', users, ARGV[6] .. ':holder') == ARGV[7] then
    redis.call('HSET', users, ARGV[6] .. ':holder', '')
  end
  return {'DONE'}
end

if operation == 'queue' then
  local answer = {'QUEUED'}
  for _, member in ipairs(under(queued, ARGV[6])) do
    answer[#answer + 1] = redis.call('HGET', frames, member)
    if ARGV[7] == '1' then forget(member) end
  end
  return answer
end

if operation == 'check' then
  local from, by, temp = ARGV[6], ARGV[7], ARGV[8]
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
  local from, temp, id, kind, to, frame = ARGV[6], ARGV[7], string.format('%016.0f', tonumber(ARGV[8])), ARGV[9], ARGV[10], ARGV[11]
  if kind == 'person' then
    enqueue(to, id, frame)
  else
    for _, member in ipairs(under(members, to)) do
      if tail(member) ~= from then enqueue(tail(member), id, frame) end
    end
  end
  if temp ~= '' then
    redis.call('HSET', recent, from .. ':' .. temp, id)
    redis.call('ZADD', order, text(now), from .. ':' .. temp)
  end
  return {'DONE'}
end

if operation == 'confirm' then
  forget(ARGV[6] .. ':' .. string.format('%016.0f', tonumber(ARGV[7])))
  return {'DONE'}
end

if operation == 'mention' then
  local frame, id = ARGV[6], next_id()
  for at = 7, #ARGV do
    local user = redis.call('HGET', names, ARGV[at])
    if user and not holder(user) then enqueue(user, id, frame) end
  end
  return {'DONE'}
end

return {'UNKNOWN', operation}
