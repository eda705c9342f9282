-- What the scripts about people share; the operations of one of them follow. All checks come before the first write.
-- KEYS: users ('id:name', 'id:holder', 'last'), names (name to id), blocks ('user:block'), members ('block:user'), queued
--       ('user:message'), frames (by the same: time, position, frame), rank, recent ('user:temp' to message, and 'k:message' to
--       the member for whom it was kept last), order, leases, contacts ('user:other'), groups ('id:name', 'id:owner', 'last'),
--       spoken (block to rank), talks ('user:rank:with'), talked ('user:with' to rank), early ('user:message'), readers
--       ('block:position:user'), read ('user:block' to position), used (people by when they were last heard of), alive (blocks
--       likewise), also (user to connections that had the account before and live, in text; table to where looking for unnoted
--       rows continues). Sorted sets but order, leases, used and alive are read by prefix. The other end of a conversation is 'c'
--       and a person or 'b' and a block. A position is an epoch and a seq.
-- ARGV: people at most, messages kept for one, ms that a sender's number is known, the host, the block of everyone,
--       contacts, blocks of one and all blocks at most, conversations of one, names a search looks at, when ranks begin,
--       lanes of ids, how many learn late of a message at most, for whom a message is kept in one call, by how many ms who was only
--       made counts as older, the names of the host and of the block of everyone, operation, its own.
-- Answers a list whose first item is a word.
local users, names, blocks, members, queued, frames, rank, recent, order, leases, contacts, groups, spoken, talks, talked,
  early, readers, read, used, alive, also = unpack(KEYS)
local most, most_queued, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local host, everyone = ARGV[4], ARGV[5]
local most_contacts, most_joined, most_blocks = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local most_talks, looked_at = tonumber(ARGV[9]), ARGV[10]
local start, lanes, most_late, at_once = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14])
local only_made = tonumber(ARGV[15])
local host_name, everyone_name = ARGV[16], ARGV[17]
local operation = ARGV[18]
local arg = {unpack(ARGV, 19)}
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function text(n) return string.format('%.0f', n) end
-- Ids, ranks, times and the parts of positions have one width, so that they sort as text.
local function wide(n) return string.format('%016.0f', tonumber(n)) end
local function position(epoch, seq) return wide(epoch) .. wide(seq) end

-- Higher than all before; grows with the clock, so that ids of different conversations are about as old as they look.
local function next_rank()
  local next = math.max((tonumber(redis.call('GET', rank) or '') or 0) + 1, now - start)
  redis.call('SET', rank, text(next))
  return next
end

local function under(key, prefix) return redis.call('ZRANGEBYLEX', key, '[' .. prefix .. ':', '(' .. prefix .. ';') end
local function count(key, prefix) return redis.call('ZLEXCOUNT', key, '[' .. prefix .. ':', '(' .. prefix .. ';') end
local function first(key, prefix)
  return redis.call('ZRANGEBYLEX', key, '[' .. prefix .. ':', '(' .. prefix .. ';', 'LIMIT', 0, 1)[1]
end
local function has(key, member) return redis.call('ZSCORE', key, member) end
local function tail(member) return string.match(member, ':(%d+)$') end
local function known(user) return redis.call('HEXISTS', users, user .. ':name') == 1 end

-- What was heard of longest ago goes first when there is no room. What somebody only made counts as much older, so that a
-- flood of them pushes out itself.
local function heard(key, id)
  -- The first of each stay.
  if key == used and id == host or key == alive and id == everyone then return end
  redis.call('ZADD', key, text(now), id)
end
local function made(key, id) redis.call('ZADD', key, 'NX', text(now - only_made), id) end

-- A row of users or groups that earlier versions made, which did not note when it was heard of; a page is looked at.
local function unnoted(table, key, noted, but)
  if math.floor(redis.call('HLEN', key) / 2) - 1 <= redis.call('ZCARD', noted) then return nil end
  local page = redis.call('HSCAN', key, redis.call('HGET', also, table) or '0', 'COUNT', 100)
  redis.call('HSET', also, table, page[1])
  for at = 1, #page[2], 2 do
    local id = string.match(page[2][at], '^(%d+):name$')
    if id and id ~= but and not redis.call('ZSCORE', noted, id) then return id end
  end
end

-- Takes a conversation out of a person's.
local function untalk(user, with)
  local last = redis.call('HGET', talked, user .. ':' .. with)
  if not last then return end
  redis.call('ZREM', talks, user .. ':' .. last .. ':' .. with)
  redis.call('HDEL', talked, user .. ':' .. with)
end

-- Brings a conversation to the top of a person's.
local function talk(user, with, at)
  local key = user .. ':' .. with
  local last = redis.call('HGET', talked, key)
  if last then redis.call('ZREM', talks, user .. ':' .. last .. ':' .. with) end
  redis.call('ZADD', talks, 0, user .. ':' .. at .. ':' .. with)
  redis.call('HSET', talked, key, at)
  if count(talks, user) > most_talks then
    local oldest = first(talks, user)
    redis.call('ZREM', talks, oldest)
    redis.call('HDEL', talked, user .. ':' .. string.match(oldest, ':(%w+)$'))
  end
end

