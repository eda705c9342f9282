-- Carries out one action of a moderator, or reads what is in force. All checks come before the first write.
-- KEYS: number, log, then for people, addresses and rooms: the hash of rows, and the sorted set of their ends.
-- ARGV of an action: 'act', actions that the log keeps, ended rows to remove at most, seconds that it lasts (0: no end), its
--       JSON, then for each change 'put' or 'remove', which of the three, and the name of the row; after 'put' the rows of
--       that kind at most.
--   Answers {'done', number, time, until} or {'full', which of the three}; until is 0 without an end.
-- ARGV of a read: 'read', a number. Answers {number, time, rows, log items above the number}.
-- A row, and field 'r' of a log item, is '<number> <time> <until> <JSON>'. The id of a log item is its number.
local number, log = KEYS[1], KEYS[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function text(n) return string.format('%.0f', n) end
local function rows(kind) return KEYS[1 + 2 * kind] end
local function ends(kind) return KEYS[2 + 2 * kind] end

if ARGV[1] == 'read' then
  local all = {}
  for kind = 1, 3 do
    for _, row in ipairs(redis.call('HVALS', rows(kind))) do all[#all + 1] = row end
  end
  local since = {}
  for _, item in ipairs(redis.call('XRANGE', log, '(' .. ARGV[2] .. '-0', '+')) do since[#since + 1] = item[2][2] end
  return {redis.call('GET', number) or '0', text(now), all, since}
end

local kept, swept, lasts, json = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local changes, at = {}, 6
while ARGV[at] do
  local change = {what = ARGV[at], kind = tonumber(ARGV[at + 1]), name = ARGV[at + 2]}
  at = at + 3
  if change.what == 'put' then
    local most = tonumber(ARGV[at])
    at = at + 1
    local known = redis.call('HEXISTS', rows(change.kind), change.name) == 1
    local over = redis.call('ZCOUNT', ends(change.kind), '-inf', text(now))
    -- What has ended makes room, as much as is removed at once.
    local held = redis.call('HLEN', rows(change.kind)) - math.min(over, tonumber(swept))
    if not known and held >= most then return {'full', text(change.kind)} end
  end
  changes[#changes + 1] = change
end

for kind = 1, 3 do
  local over = redis.call('ZRANGEBYSCORE', ends(kind), '-inf', text(now), 'LIMIT', 0, swept)
  if #over > 0 then
    redis.call('HDEL', rows(kind), unpack(over))
    redis.call('ZREM', ends(kind), unpack(over))
  end
end
local ending = lasts > 0 and text(now + lasts * 1000) or '0'
local nth = text(redis.call('INCR', number))
local row = nth .. ' ' .. text(now) .. ' ' .. ending .. ' ' .. json
for _, change in ipairs(changes) do
  if change.what == 'put' then
    redis.call('HSET', rows(change.kind), change.name, row)
    if ending == '0' then
      redis.call('ZREM', ends(change.kind), change.name)
    else
      redis.call('ZADD', ends(change.kind), ending, change.name)
    end
  else
    redis.call('HDEL', rows(change.kind), change.name)
    redis.call('ZREM', ends(change.kind), change.name)
  end
end
redis.call('XADD', log, 'MAXLEN', '=', kept, nth .. '-0', 'r', row)
return {'done', nth, text(now), ending}
