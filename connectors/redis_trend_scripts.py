"""What Redis does by itself, in Lua: each script is one atomic write that its fence lets through or not.

Numbers are compared as doubles (exact up to 2^53) and stored as the texts they came as.
Every key is declared, so that the scripts run on a cluster whose keys share a slot.

The generation is the outermost fence: a script of an older one changes nothing at all; the
first of a newer one takes over, and forgets what only the older one could have ended.
"""

from __future__ import annotations

from typing import Final

# ``take_over`` expects KEYS[1] = fence, KEYS[2] = its ages, KEYS[3] = trends that are active.
_TAKE_OVER = """
local function pair(text)
  if not text then return -math.huge, -math.huge end
  local first, second = string.match(text, '^(%-?%d+) (%-?%d+)')
  return tonumber(first), tonumber(second)
end

local function is_after(first, second, other_first, other_second)
  return first > other_first or (first == other_first and second > other_second)
end

-- false for a writer of an older generation; the second value says that this one is new.
local function take_over(generation)
  local known = redis.call('HGET', KEYS[1], 'generation')
  if known and tonumber(generation) < tonumber(known) then return false, false end
  if known and tonumber(generation) == tonumber(known) then return true, false end
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
  redis.call('HSET', KEYS[1], 'generation', generation)
  return true, true
end
"""

#: One window: its own key, and the top tags if none is newer.
#:
#: KEYS: fence, ages, active, hashtags, ends of windows, the window, its fence.
#: ARGV: generation, end, revision, size, error, time to live in seconds, then count, tag, count, tag ...
#: Returns the end of a window that is too old to be kept, if there is one.
WINDOW: Final = (
    _TAKE_OVER
    + """
local generation, stop, revision, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[6]
local accepted, is_new = take_over(generation)
if not accepted then return {} end
if is_new then redis.call('ZREMRANGEBYSCORE', KEYS[5], '(' .. stop, '+inf') end

local function put(key)
  redis.call('UNLINK', key)
  for first = 7, #ARGV, 1000 do
    redis.call('ZADD', key, unpack(ARGV, first, math.min(first + 999, #ARGV)))
  end
  if #ARGV >= 7 then redis.call('EXPIRE', key, ttl) end
end

local newest, newest_revision = pair(redis.call('HGET', KEYS[1], 'newest'))
if tonumber(stop) <= newest - tonumber(ttl) then return {} end

local held, held_revision = pair(redis.call('GET', KEYS[7]))
if is_after(tonumber(generation), tonumber(revision), held, held_revision) then
  put(KEYS[6])
  redis.call('SET', KEYS[7], table.concat({generation, revision, ARGV[4], ARGV[5]}, ' '), 'EX', ttl)
  redis.call('ZADD', KEYS[5], stop, stop)
end

if is_after(tonumber(stop), tonumber(revision), newest, newest_revision) then
  put(KEYS[4])
  redis.call('HSET', KEYS[1], 'newest', table.concat({stop, revision, ARGV[4], ARGV[5]}, ' '))
  newest = tonumber(stop)
end
return redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', string.format('%.0f', newest - tonumber(ttl)), 'LIMIT', 0, 1)
"""
)

#: Removes windows that lie too far behind the newest one.
#:
#: KEYS: fence, ends of windows, then a window, its fence, a window, its fence ...
#: ARGV: time to live in seconds, then the ends of these windows.
#: Returns ends of further ones.
PRUNE: Final = """
local newest = tonumber(string.match(redis.call('HGET', KEYS[1], 'newest') or '', '^%-?%d+'))
if not newest then return {} end
local oldest = newest - tonumber(ARGV[1])
for place = 2, #ARGV do
  -- Another process may have taken over in the meantime, with earlier windows.
  if tonumber(ARGV[place]) <= oldest then
    redis.call('UNLINK', KEYS[2 * place - 1], KEYS[2 * place])
    redis.call('ZREM', KEYS[2], ARGV[place])
  end
end
return redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', oldest), 'LIMIT', 0, 500)
"""

#: One event of a trend: into the stream once, and into the state if no later one of its tag is there.
#:
#: KEYS: fence, ages, active, stream of changes, the whole trend.
#: ARGV: generation, at, revision, kind, tag, trend id, trend for the state, event for the stream, whole event (or
#: nothing, where it has no sample posts and those of an earlier one stay), horizon in seconds, most entries of the
#: stream, time to live of the state in seconds, and of an ended trend.
#: Returns 1 when the stream got an entry, else 0.
EVENT: Final = (
    _TAKE_OVER
    + """
local generation, at, revision, kind, tag, id = unpack(ARGV, 1, 6)
if not take_over(generation) then return 0 end

local moment, horizon = tonumber(at), tonumber(ARGV[10])
local latest = tonumber(redis.call('HGET', KEYS[1], 'latest') or at)
-- What lies further back was written long ago, and its own fences are gone.
if moment < latest - horizon then return 0 end
if moment >= latest then
  latest = moment
  redis.call('HSET', KEYS[1], 'latest', at)
end

local function remember(field, value)
  redis.call('HSET', KEYS[1], field, value)
  redis.call('ZADD', KEYS[2], at, field)
end

local added = 0
local change = 'change ' .. id .. ' ' .. at
local known = redis.call('HGET', KEYS[1], change)
if not known or tonumber(revision) > tonumber(known) then
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[11], '*', 'event', kind, 'tag', tag, 'at', at, 'data', ARGV[8])
  remember(change, revision)
  added = 1
end

local state = 'tag ' .. tag
local held, held_revision = pair(redis.call('HGET', KEYS[1], state))
if is_after(moment, tonumber(revision), held, held_revision) then
  remember(state, at .. ' ' .. revision)
  local lifetime = ARGV[12]
  if kind == 'ended' then
    redis.call('HDEL', KEYS[3], tag)
    lifetime = ARGV[13]
  else
    redis.call('HSET', KEYS[3], tag, ARGV[7])
    redis.call('EXPIRE', KEYS[3], lifetime)
  end
  if ARGV[9] == '' then
    redis.call('EXPIRE', KEYS[5], lifetime)
  else
    redis.call('SET', KEYS[5], ARGV[9], 'EX', lifetime)
  end
end

-- Below the horizon no event passes, so its fences may go.
local floor = string.format('(%.0f', latest - horizon)
local passed = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', floor, 'LIMIT', 0, 500)
if #passed > 0 then
  redis.call('HDEL', KEYS[1], unpack(passed))
  redis.call('ZREM', KEYS[2], unpack(passed))
end
return added
"""
)
