-- What the scripts about people share; the operations of one of them follow. All checks come before the first write.
-- KEYS: users ('id:name', 'id:holder', 'last'), names (name to id), blocks ('user:block'), members ('block:user'),
--       queued ('user:message'), frames (by the same), message, recent ('user:temp' to message), order, leases,
--       contacts ('user:other'), groups ('id:name', 'id:owner', 'last'), spoken (block to message),
--       talks ('user:message:with'), talked ('user:with' to message). Sorted sets but order and leases are read by
--       prefix. Who one talks with is 'c' and a person or 'b' and a block.
-- ARGV: people at most, messages kept for one, ms that a sender's number is known, the host, the block of everyone,
--       contacts, blocks of one and all blocks at most, conversations of one, names a search looks at, the names of the
--       host and of the block of everyone, operation, its own.
-- Answers a list whose first item is a word.
local users, names, blocks, members, queued, frames, message, recent, order, leases, contacts, groups, spoken, talks, talked
  = unpack(KEYS)
local most, most_queued, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local host, everyone = ARGV[4], ARGV[5]
local most_contacts, most_joined, most_blocks = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local most_talks, looked_at = tonumber(ARGV[9]), ARGV[10]
local host_name, everyone_name = ARGV[11], ARGV[12]
local operation = ARGV[13]
local arg = {unpack(ARGV, 14)}
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function text(n) return string.format('%.0f', n) end
-- Ids of messages, and times that compare with them, have one width, so that members sort by them.
local function wide(n) return string.format('%016.0f', tonumber(n)) end

local function under(key, prefix) return redis.call('ZRANGEBYLEX', key, '[' .. prefix .. ':', '(' .. prefix .. ';') end
local function count(key, prefix) return redis.call('ZLEXCOUNT', key, '[' .. prefix .. ':', '(' .. prefix .. ';') end
local function first(key, prefix)
  return redis.call('ZRANGEBYLEX', key, '[' .. prefix .. ':', '(' .. prefix .. ';', 'LIMIT', 0, 1)[1]
end
local function has(key, member) return redis.call('ZSCORE', key, member) end
local function tail(member) return string.match(member, ':(%d+)$') end
local function known(user) return redis.call('HEXISTS', users, user .. ':name') == 1 end

-- Brings a conversation to the top of a person's.
local function talk(user, with, id)
  local key = user .. ':' .. with
  local last = redis.call('HGET', talked, key)
  if last and last >= id then return end
  if last then redis.call('ZREM', talks, user .. ':' .. last .. ':' .. with) end
  redis.call('ZADD', talks, 0, user .. ':' .. id .. ':' .. with)
  redis.call('HSET', talked, key, id)
  if count(talks, user) > most_talks then
    local oldest = first(talks, user)
    redis.call('ZREM', talks, oldest)
    redis.call('HDEL', talked, user .. ':' .. string.match(oldest, ':(%w+)$'))
  end
end

