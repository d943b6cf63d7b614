"""What Redis is asked to do at once, so that no two workers take the same leave."""

from __future__ import annotations

__all__ = ["HERE", "PAUSE", "TAKE"]

#: the arithmetic of `gcra.take`; a test holds the two against each other
TAKE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local cost, containment, reserve = tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])
local state = redis.call('HMGET', KEYS[1], 'all', 'sync', 'pause')
local all, sync = tonumber(state[1] or 0), tonumber(state[2] or 0)
local wait = math.max(tonumber(state[3] or 0) - now, all - tolerance - now)
if not containment then
  wait = math.max(wait, sync - tolerance * (1 - reserve) - now)
end
if wait > 0 then return tostring(wait) end
all = math.max(all, now) + interval * cost
redis.call('HSET', KEYS[1], 'all', string.format('%.6f', all))
if not containment then
  sync = math.max(sync, now) + interval / (1 - reserve) * cost
  redis.call('HSET', KEYS[1], 'sync', string.format('%.6f', sync))
end
redis.call('EXPIRE', KEYS[1], 86400)
return '0'
"""

PAUSE = """
local time = redis.call('TIME')
local until_ = tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[1])
local present = tonumber(redis.call('HGET', KEYS[1], 'pause') or 0)
if until_ > present then
  redis.call('HSET', KEYS[1], 'pause', string.format('%.6f', until_))
end
redis.call('EXPIRE', KEYS[1], 86400)
return 1
"""

#: a worker says that it is there; gives how many are
HERE = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60)
redis.call('EXPIRE', KEYS[1], 120)
return redis.call('ZCARD', KEYS[1])
"""
