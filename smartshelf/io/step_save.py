"""One save: facts, state and position in a single Redis script, so that a crash neither repeats nor skips a fact.

Used by everyone who lives simulated time: init (step 0), the world, and the clock of a real feed. A save is a
compare-and-set on the hash ``world``: whoever finds another (epoch, step, save number) there writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import redis

from smartshelf.contracts import redis_keys as keys
from smartshelf.contracts.control import Mark
from smartshelf.contracts.topics import STREAMS
from smartshelf.contracts.types import encode

Fact = tuple[str, str, bytes]  # (stream, partition key, JSON)
Changes = Mapping[str, Mapping[str, bytes | None]]  # hash -> field -> value, None deletes
Outcome = Literal["saved", "held", "conflict"]

#: ``sim:now`` is for people and dashboards: no more often than this, real milliseconds.
PUBLISH_EVERY_MS = 250

#: Step of a store that has no opening yet; its saves (by init) do not ask the clock.
UNBORN = -1

_SCRIPT = """
local world, at = KEYS[1], 0
local function take() at = at + 1 return ARGV[at] end
local epoch, step, number, until_ms = take(), tonumber(take()), tonumber(take()), tonumber(take())
local now_iso, today, mark, mark_step = take(), take(), take(), take()

local there = redis.call('HMGET', world, 'epoch', 'step', 'save', 'now_at')
if (there[1] or epoch) ~= epoch or tonumber(there[2] or -1) ~= step or tonumber(there[3] or 0) ~= number then
  return 'conflict'
end
local target = tonumber(redis.call('GET', KEYS[2]) or 0)
if step >= 0 and until_ms > target then return 'held' end

local position = {'epoch', epoch, 'save', number + 1, 't_ms', string.format('%.0f', until_ms)}
if mark ~= '' then
  position[#position + 1] = 'step'
  position[#position + 1] = mark_step
elseif not there[2] then
  position[#position + 1] = 'step'
  position[#position + 1] = '-1'
end
redis.call('HSET', world, unpack(position))

local last = {}
for _ = 1, tonumber(take()) do
  local stream, key, data = take(), take(), take()
  last[stream] = redis.call('XADD', stream, '*', 'key', key, 'data', data)
end
for _ = 1, tonumber(take()) do
  local hash, field, value = take(), take(), take()
  redis.call('HSET', hash, field, value)
end
for _ = 1, tonumber(take()) do
  local hash, field = take(), take()
  redis.call('HDEL', hash, field)
end

local clock = redis.call('TIME')
local wall = clock[1] * 1000 + math.floor(clock[2] / 1000)
if wall - tonumber(there[4] or 0) >= PUBLISH_EVERY_MS or until_ms >= target or wall < tonumber(there[4] or 0) then
  redis.call('SET', KEYS[3], now_iso)
  redis.call('SET', KEYS[4], today)
  redis.call('HSET', world, 'now_at', string.format('%.0f', wall))
end

if mark ~= '' then
  local ids = {}
  for _ = 1, tonumber(take()) do
    local stream = take()
    local id = last[stream] or '0-0'
    if not last[stream] then
      local info = redis.pcall('XINFO', 'STREAM', stream)
      for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then id = info[i + 1] end
      end
    end
    ids[#ids + 1] = '"' .. stream .. '":"' .. id .. '"'
  end
  redis.call('XADD', KEYS[5], '*', 'key', 'mark', 'data', mark .. '"streams":{' .. table.concat(ids, ',') .. '}}')
end
return 'saved'
""".replace("PUBLISH_EVERY_MS", str(PUBLISH_EVERY_MS))

_KEYS = (keys.WORLD, keys.TARGET, keys.NOW, keys.TODAY, keys.MARKS)
_ISO = "%Y-%m-%dT%H:%M:%S"


class Position(NamedTuple):
    """How far the store has been lived, as Redis has it."""

    epoch: int | None
    step: int
    number: int
    #: Lived until, simulated milliseconds since 1970; None before the opening.
    t_ms: int | None


def read_position(client: redis.Redis) -> Position:
    """The position a writer continues from; ask after a connection error whether the last save happened."""
    epoch, step, number, t_ms = client.hmget(keys.WORLD, ["epoch", "step", "save", "t_ms"])
    return Position(
        int(epoch) if epoch else None,
        int(step) if step else UNBORN,
        int(number) if number else 0,
        int(t_ms) if t_ms else None,
    )


def save(
    client: redis.Redis,
    *,
    epoch: int,
    step: int,
    number: int,
    facts: Sequence[Fact],
    changes: Changes,
    until_ms: int,
    mark: Mark | None,
) -> Outcome:
    """Write facts and changed state if the store still stands at (epoch, step, number); all or nothing.

    ``step`` is the last complete step and ``number`` the number of saves so far, as the writer knows them;
    a success makes it ``number + 1``, and ``mark.k`` when a mark ends the step (its ``streams`` are filled in
    here). ``until_ms`` is the simulated moment (ms since 1970) up to which the store has now been lived.

    "held": the clock does not allow that moment yet, nothing was written. "conflict": somebody else wrote, or
    an earlier call succeeded without its answer arriving (see ``read_position``). Raises redis errors as they
    are; the client must not retry by itself (redis_stream.connect).
    """
    moment = datetime.fromtimestamp(until_ms / 1000, UTC)
    arguments: list[str | int | bytes] = [epoch, step, number, until_ms, _iso(moment), moment.date().isoformat()]
    arguments += [_mark_head(mark), mark.k] if mark else ["", ""]
    arguments.append(len(facts))
    for fact in facts:
        arguments += fact
    fields = [(name, field, value) for name, values in changes.items() for field, value in values.items()]
    sets = [item for item in fields if item[2] is not None]
    arguments.append(len(sets))
    for name, field, value in sets:
        arguments += (name, field, value)  # type: ignore[arg-type]  # None was filtered out
    arguments.append(len(fields) - len(sets))
    for name, field, value in fields:
        if value is None:
            arguments += (name, field)
    if mark:
        arguments.append(len(STREAMS))
        arguments += STREAMS
    answer = client.register_script(_SCRIPT)(keys=_KEYS, args=arguments)
    return answer.decode()


def is_out_of_memory(error: redis.RedisError) -> bool:
    """Whether Redis refused the write for lack of memory (Redis 6 wraps the code in the script's error)."""
    return isinstance(error, redis.exceptions.OutOfMemoryError) or re.search(r"\bOOM\b", str(error)) is not None


def _mark_head(mark: Mark) -> bytes:
    """The mark's JSON up to where the script appends the streams."""
    head = {
        "epoch": mark.epoch,
        "k_from": mark.k_from,
        "k": mark.k,
        "t": mark.t,
        "stores": mark.stores,
        "rows": mark.rows,
        "n": mark.n,
    }
    return encode(head)[:-1] + b","


def _iso(moment: datetime) -> str:
    milliseconds = f".{moment.microsecond // 1000:03d}" if moment.microsecond else ""
    return f"{moment.strftime(_ISO)}{milliseconds}Z"
