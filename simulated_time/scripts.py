"""The Lua scripts of the clock: every change of the clock is one of them, so that none is ever half done.

Orders, holds and the end of either raise ``version``; the service's turn writes only what it computed from the
version that is still there. That is why a target computed before a hold cannot overtake the hold.
"""

from __future__ import annotations

from smartshelf.contracts import redis_keys as keys

#: Every script is called with these keys, in this order.
KEYS = (keys.CLOCK, keys.TARGET, keys.HOLDS, keys.WORLD, keys.LEASE)

#: A person's hold; it has no lease.
PAUSE = "pause"

_COMMON = """
local CLOCK, TARGET, HOLDS, WORLD, LEASE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local function ms(value) return string.format('%.0f', value) end
local function start() return tonumber(redis.call('HGET', CLOCK, 'start_ms')) end
local function lived() return tonumber(redis.call('HGET', WORLD, 't_ms') or start()) end
local function target() return tonumber(redis.call('GET', TARGET) or start()) end
local function step_end()
  local step = tonumber(redis.call('HGET', CLOCK, 'step_ms'))
  return start() + math.ceil((lived() - start()) / step) * step
end
local function changed() redis.call('HINCRBY', CLOCK, 'version', 1) end
local function born() return redis.call('HEXISTS', CLOCK, 'version') == 1 end
"""

#: ARGV: field, value ... of a clock that has never run. Returns the clock's hash.
BEGIN = (
    _COMMON
    + """
for i = 1, #ARGV, 2 do redis.call('HSETNX', CLOCK, ARGV[i], ARGV[i + 1]) end
redis.call('SETNX', TARGET, ms(start()))
return redis.call('HGETALL', CLOCK)
"""
)

#: ARGV: token, version, target or "", "1" for a sign of life, speed achieved or "".
#: Returns all that the next turn has to know.
TURN = (
    _COMMON
    + """
if redis.call('GET', LEASE) ~= ARGV[1] then return {'fenced'} end
local time = redis.call('TIME')
local wall = ms(time[1] * 1000 + math.floor(time[2] / 1000))
if ARGV[3] ~= '' and redis.call('HGET', CLOCK, 'version') == ARGV[2] and tonumber(ARGV[3]) > target() then
  redis.call('SET', TARGET, ARGV[3])
end
if ARGV[4] ~= '' then redis.call('HSET', CLOCK, 'beat_ms', wall, 'achieved', ARGV[5]) end
return {'ok', redis.call('HGETALL', CLOCK), redis.call('HGETALL', HOLDS), ms(target()), ms(lived())}
"""
)

#: ARGV: token, version, content of the hold. The end of an advance or of the simulation: the clock pauses there.
ARRIVE = (
    _COMMON
    + """
if redis.call('GET', LEASE) ~= ARGV[1] then return 'fenced' end
if redis.call('HGET', CLOCK, 'version') ~= ARGV[2] then return 'changed' end
if redis.call('HGET', CLOCK, 'mode') == 'advance' then
  redis.call('HSET', CLOCK, 'mode', redis.call('HGET', CLOCK, 'after'))
  redis.call('HDEL', CLOCK, 'goal_ms', 'after')
end
redis.call('HSET', HOLDS, 'pause', ARGV[3])
redis.call('SET', TARGET, ms(step_end()))
changed()
return 'ok'
"""
)

#: ARGV: token, name, content. Ends a hold whose holder has not renewed it, unless it did just now.
LAPSE = (
    _COMMON
    + """
if redis.call('GET', LEASE) ~= ARGV[1] then return 'fenced' end
if redis.call('HGET', HOLDS, ARGV[2]) ~= ARGV[3] then return 'renewed' end
redis.call('HDEL', HOLDS, ARGV[2])
changed()
return 'ok'
"""
)

#: ARGV: mode, speed or '', goal_ms or '', the moment asked for (ms) or ''. A new order also ends a person's pause.
ORDER = (
    _COMMON
    + """
if not born() then return 'unborn' end
if redis.call('HGET', CLOCK, 'time') == 'wall' then return 'wall' end
if ARGV[1] ~= 'running' and redis.call('HGET', CLOCK, 'world') == 'feed' then return 'feed' end
local finish = tonumber(redis.call('HGET', CLOCK, 'end_ms'))
if finish and lived() >= finish then return 'ended' end
local before = redis.call('HGET', CLOCK, 'mode')
if ARGV[1] == 'advance' then
  if tonumber(ARGV[4]) <= lived() then return 'past' end
  if finish and tonumber(ARGV[3]) > finish then return 'beyond' end
  if before ~= 'advance' then redis.call('HSET', CLOCK, 'after', before) end
  redis.call('HSET', CLOCK, 'goal_ms', ARGV[3])
else
  redis.call('HDEL', CLOCK, 'goal_ms', 'after')
end
redis.call('HSET', CLOCK, 'mode', ARGV[1])
if ARGV[2] ~= '' then redis.call('HSET', CLOCK, 'speed', ARGV[2]) end
redis.call('HDEL', HOLDS, 'pause')
redis.call('SET', TARGET, ms(math.min(target(), step_end())))
changed()
return 'ok'
"""
)

#: ARGV: name, content, owner, wall time now (ISO). Takes or renews a hold; the running step is finished at once.
HOLD = (
    _COMMON
    + """
if not born() then return {'unborn'} end
local there = redis.call('HGET', HOLDS, ARGV[1])
if there then
  local hold = cjson.decode(there)
  if hold['owner'] ~= ARGV[3] and type(hold['until']) == 'string' and hold['until'] > ARGV[4] then
    return {'taken', there}
  end
end
redis.call('HSET', HOLDS, ARGV[1], ARGV[2])
redis.call('SET', TARGET, ms(step_end()))
changed()
return {'ok', ms(step_end())}
"""
)

#: ARGV: name, content, owner. Only who holds can renew.
RENEW = (
    _COMMON
    + """
local there = redis.call('HGET', HOLDS, ARGV[1])
if not there or cjson.decode(there)['owner'] ~= ARGV[3] then return 'lost' end
redis.call('HSET', HOLDS, ARGV[1], ARGV[2])
return 'ok'
"""
)

#: ARGV: name, owner or ''. With an owner only that one's hold ends.
RELEASE = (
    _COMMON
    + """
if not born() then return 'unborn' end
local there = redis.call('HGET', HOLDS, ARGV[1])
if not there then return 'none' end
if ARGV[2] ~= '' and cjson.decode(there)['owner'] ~= ARGV[2] then return 'other' end
local finish = tonumber(redis.call('HGET', CLOCK, 'end_ms'))
if ARGV[1] == 'pause' and finish and lived() >= finish then return 'ended' end
redis.call('HDEL', HOLDS, ARGV[1])
changed()
return 'ok'
"""
)

#: Everything that says where the clock is, at one instant.
LOOK = (
    _COMMON
    + """
if not born() then return {} end
local time = redis.call('TIME')
return {redis.call('HGETALL', CLOCK), redis.call('HGETALL', HOLDS), ms(target()), ms(lived()),
        redis.call('HGET', WORLD, 'epoch') or '', ms(time[1] * 1000 + math.floor(time[2] / 1000))}
"""
)
