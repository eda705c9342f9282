-- One decision about accounts that are matched in pairs. All checks come before the first write.
-- KEYS: ids, accounts, sessions, pool, graces, ended ('a' and an account that is out of use), exits, own, holders, leases,
--       over (sessions that ended), reads (account to 'epoch:seq', up to where its inbox was read). The two sorted sets own
--       ('account:session') and holders ('gateway:account') are read by prefix. Earlier versions put 's' and a session into ended.
-- ARGV: first id, accounts at most, sessions of an account at most, ms that what has ended is kept, sessions at most, operation,
--       its own.
-- Answers a list whose first item is a word.
local ids, accounts, sessions, pool, graces, ended, exits, own, holders, leases, over, reads = unpack(KEYS)
local first, most_accounts, most_sessions, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local most_in_all = tonumber(ARGV[5])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local FIELDS = {':nick', ':token', ':holder', ':seen', ':grace'}
local function text(n) return string.format('%.0f', n) end

local function next_id()
  local id = redis.call('INCR', ids)
  if id < first then
    id = first
    redis.call('SET', ids, text(id))
  end
  return text(id)
end

local function get(account, field) return redis.call('HGET', accounts, account .. field) end
local function gateway(holder) return string.match(holder or '', '^%x+') end

local function hold(account, holder)
  local before = gateway(get(account, ':holder'))
  if before then redis.call('ZREM', holders, before .. ':' .. account) end
  redis.call('HSET', accounts, account .. ':holder', holder)
  if holder ~= '' then redis.call('ZADD', holders, 0, gateway(holder) .. ':' .. account) end
end

local function absent(account)
  local grace = tonumber(get(account, ':grace') or '') or 0
  redis.call('ZADD', graces, text(now + grace), account)
end

local function release(account)
  hold(account, '')
  redis.call('SREM', pool, account)
  absent(account)
end

local function in_use(account) return redis.call('ZLEXCOUNT', own, '[' .. account .. ':', '(' .. account .. ';') end

local function pair(session)
  local a, b, live = string.match(redis.call('HGET', sessions, session) or '', '^(%d+):(%d+):(%d)$')
  return a, b, live
end

local function other(session, account)
  local a, b, live = pair(session)
  if a == account then return b, live end
  if b == account then return a, live end
end

local function end_session(session)
  local a, b, live = pair(session)
  if live ~= '1' then return end
  redis.call('HSET', sessions, session, a .. ':' .. b .. ':0')
  redis.call('ZREM', own, a .. ':' .. session, b .. ':' .. session)
  redis.call('ZADD', over, text(now + kept), session)
end

-- A row that ended: an account, or a session of an earlier version.
local function forget(member)
  redis.call('ZREM', ended, member)
  local kind, id = string.match(member, '^(%a)(%d+)$')
  if kind == 's' then
    redis.call('HDEL', sessions, id)
  else
    for _, field in ipairs(FIELDS) do redis.call('HDEL', accounts, id .. field) end
    redis.call('HDEL', reads, id)
  end
end

local function forget_session(session)
  redis.call('ZREM', over, session)
  redis.call('HDEL', sessions, session)
end

-- Whether there is room for one more account, perhaps because those go that have been out of use for longest.
local function has_room()
  for _, member in ipairs(redis.call('ZRANGE', ended, 0, 99)) do
    if redis.call('HLEN', accounts) < most_accounts * #FIELDS then return true end
    forget(member)
  end
  return redis.call('HLEN', accounts) < most_accounts * #FIELDS
end

local function log_out(account)
  redis.call('ZREM', graces, account)
  redis.call('SREM', pool, account)
  hold(account, '')
  redis.call('ZADD', ended, text(now + kept), 'a' .. account)
  for _, member in ipairs(redis.call('ZRANGEBYLEX', own, '[' .. account .. ':', '(' .. account .. ';')) do
    local session = string.match(member, ':(%d+)$')
    local partner = other(session, account)
    if partner then redis.call('ZADD', exits, text(now), session .. ':' .. account .. ':' .. partner) end
    end_session(session)
  end
end

-- Uniform among the others: each draw is uniform, and those of oneself are drawn again.
local function draw(account)
  for _ = 1, 32 do
    local one = redis.call('SRANDMEMBER', pool)
    if not one then return nil end
    if one ~= account then return one end
  end
  for _, one in ipairs(redis.call('SRANDMEMBER', pool, 2)) do
    if one ~= account then return one end
  end
end

local operation = ARGV[6]

if operation == 'create' then
  local nick, token, holder, grace = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
  if not has_room() then return {'NOT_FOUND'} end
  local id = next_id()
  redis.call('HSET', accounts, id .. ':nick', nick, id .. ':token', token, id .. ':holder', '',
    id .. ':seen', text(now), id .. ':grace', grace)
  hold(id, holder)
  absent(id)
  return {'CREATED', id}
end

if operation == 'reconnect' then
  local account, token, holder, grace = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
  if get(account, ':token') ~= token then return {'NOT_FOUND'} end
  local seen, read = get(account, ':seen'), redis.call('HGET', reads, account)
  hold(account, holder)
  redis.call('HDEL', reads, account)
  redis.call('HSET', accounts, account .. ':seen', text(now), account .. ':grace', grace)
  redis.call('ZREM', ended, 'a' .. account)
  redis.call('SREM', pool, account)
  absent(account)
  return {'BACK', get(account, ':nick'), seen, read or nil}
end

if operation == 'announced' then
  for at = 7, #ARGV do redis.call('ZREM', exits, ARGV[at]) end
  return {'DONE'}
end

-- Arguments: gateway or '', its lease in ms, whether to look for lost gateways, then for each note
-- (account, holder, when it was seen in this server's ms or '', up to where it has read or '', gone).
if operation == 'tick' then
  local most = 100
  if ARGV[7] ~= '' then redis.call('ZADD', leases, text(now + tonumber(ARGV[8])), ARGV[7]) end
  for at = 10, #ARGV, 5 do
    local account, holder, seen, read, gone = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    if get(account, ':holder') == holder then
      if seen ~= '' then redis.call('HSET', accounts, account .. ':seen', seen) end
      if read ~= '' then redis.call('HSET', reads, account, read) end
      if gone == '1' then release(account) end
    end
  end
  local most_lost = 10
  if ARGV[9] ~= '1' then most_lost = 0 end
  for _, lost in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', text(now), 'LIMIT', 0, most_lost)) do
    local held = redis.call('ZRANGEBYLEX', holders, '[' .. lost .. ':', '(' .. lost .. ';', 'LIMIT', 0, most)
    for _, member in ipairs(held) do release(string.match(member, ':(%d+)$')) end
    if #held < most then redis.call('ZREM', leases, lost) end
  end
  for _, account in ipairs(redis.call('ZRANGEBYSCORE', graces, '-inf', text(now), 'LIMIT', 0, most)) do
    log_out(account)
  end
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', ended, '-inf', text(now), 'LIMIT', 0, most)) do
    forget(member)
  end
  for _, session in ipairs(redis.call('ZRANGEBYSCORE', over, '-inf', text(now), 'LIMIT', 0, most)) do
    forget_session(session)
  end
  return {'EXITS', unpack(redis.call('ZRANGE', exits, 0, most - 1))}
end

-- What is left is done by the holder alone.
local account, holder = ARGV[7], ARGV[8]
if get(account, ':holder') ~= holder then return {'NOT_HELD'} end

if operation == 'enter' then
  redis.call('ZREM', graces, account)
  redis.call('SADD', pool, account)
  return {'DONE'}
end

if operation == 'match' then
  if in_use(account) >= most_sessions then return {'NOT_FOUND'} end
  local partner = draw(account)
  if not partner or in_use(partner) >= most_sessions then return {'NOT_FOUND'} end
  if redis.call('HLEN', sessions) >= most_in_all then
    local oldest = redis.call('ZRANGE', over, 0, 0)[1]
    if not oldest then return {'NOT_FOUND'} end
    forget_session(oldest)
  end
  local session = next_id()
  redis.call('HSET', sessions, session, account .. ':' .. partner .. ':1')
  redis.call('ZADD', own, 0, account .. ':' .. session, 0, partner .. ':' .. session)
  return {'MATCHED', session, partner, get(partner, ':nick')}
end

if operation == 'partner' then
  local partner, live = other(ARGV[9], account)
  if not partner then return {'NOT_FOUND'} end
  local message = '0'
  if ARGV[10] == '1' then message = next_id() end
  return {'PARTNER', partner, message, live}
end

if operation == 'seen' then
  redis.call('HSET', accounts, account .. ':seen', text(now))
  return {'DONE'}
end

if operation == 'read' then
  redis.call('HSET', reads, account, ARGV[9])
  return {'DONE'}
end

if operation == 'release' then
  release(account)
  return {'DONE'}
end

if operation == 'end' then
  if other(ARGV[9], account) then end_session(ARGV[9]) end
  return {'DONE'}
end

return {'UNKNOWN', operation}
