"""The clock of a running store, for everybody but the clock service: look, order, hold, wait.

``Clock`` may be used from several threads and processes at once; each call is one script in Redis.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import uuid4

import msgspec
import redis

from simulated_time import scripts
from simulated_time.clock import Grid, Mode, from_ms, to_ms
from smartshelf.contracts import redis_keys as keys
from smartshelf.errors import BadInput, SettingError, SmartShelfError, Unavailable
from smartshelf.io import redis_stream
from smartshelf.io.step_save import read_position
from smartshelf.settings import MAX_SPEED, Settings

#: A clock service that has not been heard of for this long (real seconds) does not move the time.
SILENT_AFTER = 5.0

State = Literal["running", "auto", "advancing", "paused", "held", "ended", "stopped"]


class HoldRecord(msgspec.Struct, kw_only=True, frozen=True):
    """A named hold as it is stored (field of the hash ``sim:holds``)."""

    why: str
    owner: str
    #: Real seconds a holder may stay silent; None: until it is released.
    lease_s: float | None = None
    #: Wall-clock time at which the lease ends unless renewed, ISO 8601; for people and for take-over.
    until: str | None = None
    #: Raised by every renewal.
    beat: str = ""


_encode = msgspec.json.encode
_decode_hold = msgspec.json.Decoder(HoldRecord).decode


class Hold(NamedTuple):
    """A hold in force."""

    name: str
    why: str
    #: Wall-clock time at which it ends by itself; None: until released.
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Status:
    """Where the clock is and what it does. Moments are simulated UTC, speeds simulated per real second."""

    now: datetime
    #: How far the store may live at the moment.
    target: datetime
    mode: Mode
    #: The multiplier of mode running; kept while auto or an advance is on.
    speed: float
    #: The speed of the last few seconds; None when the service has just started or is silent.
    achieved: float | None
    state: State
    #: The same as a sentence.
    text: str
    #: Where an advance ends.
    goal: datetime | None
    holds: tuple[Hold, ...]
    #: The step the store is in; complete when ``now`` is its end.
    step: int
    step_seconds: float
    sim_start: datetime
    sim_end: datetime | None
    epoch: int
    #: False when no clock service moves the time.
    alive: bool

    @property
    def paused(self) -> bool:
        """Whether a person, an advance or the end of the simulation has paused the clock."""
        return any(hold.name == scripts.PAUSE for hold in self.holds)


def begin(client: redis.Redis, config: Settings) -> Grid:
    """Give the store its time line if it has none yet, and return it. Idempotent; used by init and the clock.

    The environment's speed is only the first one. SIM_START, STEP_SECONDS, the kind of world and of time are
    fixed until `reset`: SettingError names the one that differs. Without SIM_START, a store on the wall clock
    starts where init opened it, else at the beginning of the step of the moment of this first call.
    """
    wall = not config.use_simulated_time
    step_ms = config.step_seconds * 1000
    given = not wall or "sim_start" in config.model_fields_set
    start_ms = to_ms(config.sim_start) if given else _wall_start(client, step_ms)
    auto = config.time_multiplier == "auto"
    if auto and config.world == "feed":
        raise SettingError(
            "A store on a real feed cannot run at 'auto'", value="auto", remedy="Set TIME_MULTIPLIER to 1."
        )
    fixed = {
        "start_ms": str(start_ms),
        "step_ms": str(step_ms),
        "time": "wall" if wall else "simulated",
        "world": config.world,
    }
    first = {
        **fixed,
        "mode": "wall" if wall else "auto" if auto else "running",
        "speed": repr(1.0 if auto else config.time_multiplier),
        "version": "1",
    }
    there = _pairs(_run(client, scripts.BEGIN, *(part for item in first.items() for part in item)))
    grid = Grid(int(there["start_ms"]), int(there["step_ms"]), None)
    wanted = {**fixed, "start_ms": fixed["start_ms"] if given else there["start_ms"]}
    for name, setting in _FIXED.items():
        if there[name] != wanted[name]:
            raise SettingError(
                f"{setting} is fixed until `smartshelf reset`; this store runs with {_show(name, there[name])}",
                value=_show(name, wanted[name]),
                remedy=f"Take {setting} back, or reset the store.",
            )
    if wall:
        return grid
    end_ms = grid.step_end(grid.start_ms + int(timedelta(days=config.sim_days).total_seconds() * 1000))
    client.hset(keys.CLOCK, "end_ms", end_ms)
    return Grid(grid.start_ms, grid.step_ms, end_ms)


def _wall_start(client: redis.Redis, step_ms: int) -> int:
    with _answering():
        opened = read_position(client)
    if opened.step == 0 and opened.t_ms is not None:
        return opened.t_ms
    return to_ms(datetime.now(UTC)) // step_ms * step_ms


_FIXED = {
    "start_ms": "SIM_START",
    "step_ms": "STEP_SECONDS",
    "time": "USE_SIMULATED_TIME",
    "world": "The kind of world",
}


def _show(name: str, value: str) -> str:
    if name == "start_ms":
        return iso(from_ms(int(value)))
    return f"{int(value) / 1000:g}" if name == "step_ms" else value


class Clock:
    """The clock of the store that ``client`` is connected to.

    Methods raise Unavailable when Redis does not answer or the clock was never started, and BadInput for a
    wish that cannot be granted.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        #: Tells this object's holds from those of others.
        self._owner = uuid4().hex

    # Looking

    def status(self) -> Status:
        """Everything about the clock at one instant."""
        answer = self._run(scripts.LOOK)
        if not answer:
            raise _unborn()
        clock, held, target, lived, epoch, wall = answer
        return _status(_pairs(clock), _holds(held), int(target), int(lived), int(epoch or 0), int(wall))

    def now(self) -> datetime:
        """How far the store has lived."""
        return self.status().now

    def target_ms(self) -> int:
        """How far the store may live, simulated milliseconds since 1970."""
        return to_ms(self.status().target)

    # Orders

    def set_speed(self, multiplier: float) -> None:
        """Run at this many simulated seconds per real second; ends a pause and an advance."""
        if not (math.isfinite(multiplier) and 0 < multiplier <= MAX_SPEED):
            raise BadInput(
                f"A speed is a number above 0 and at most {MAX_SPEED} (simulated seconds per real second)",
                value=multiplier,
                remedy="`smartshelf clock pause` stops the time.",
            )
        self._order("running", repr(float(multiplier)))

    def auto(self) -> None:
        """Run as fast as the store keeps up; ends a pause and an advance."""
        self._order("auto")

    def advance_to(self, moment: datetime) -> datetime:
        """Run as fast as the store keeps up to the first step end at or after ``moment``, and pause there.

        Returns that step end. Nothing on the way is left out. Ends a pause.
        """
        status = self.status()
        grid = Grid(to_ms(status.sim_start), int(status.step_seconds * 1000), None)
        goal_ms = grid.step_end(to_ms(moment))
        self._order("advance", "", str(goal_ms), str(to_ms(moment)))
        return from_ms(goal_ms)

    def pause(self, why: str = "paused by hand") -> datetime:
        """Stop at the end of the running step, until `resume`. Returns that moment."""
        return self.hold(scripts.PAUSE, why)

    def resume(self) -> None:
        """End the pause: go on as before it. Holds of commands stay."""
        self._release(scripts.PAUSE, "")

    # Holds

    def hold(self, name: str, why: str, lease_s: float | None = None) -> datetime:
        """Hold the clock at the end of the running step under ``name``; returns that moment.

        With a lease (real seconds) the clock service ends the hold when it is not renewed in time, by `renew`
        or another call of this. Unavailable when somebody else holds the clock under that name.
        """
        now, record = self._record(why, lease_s)
        answer = self._run(scripts.HOLD, name, _encode(record), self._owner, now)
        if answer[0] == b"unborn":
            raise _unborn()
        if answer[0] == b"taken":
            raise Unavailable(
                f"Another '{name}' holds the clock",
                value=_decode_hold(answer[1]).why,
                remedy="Wait until it has ended; a lease nobody renews ends by itself.",
            )
        return from_ms(int(answer[1]))

    def renew(self, name: str, why: str, lease_s: float) -> None:
        """Start the lease of an own hold anew; Unavailable when it had lapsed meanwhile (time may have gone on)."""
        _, record = self._record(why, lease_s)
        if self._run(scripts.RENEW, name, _encode(record), self._owner) == b"lost":
            raise Unavailable(f"The hold '{name}' was lost: its lease ran out", remedy="Start again.")

    def release(self, name: str) -> None:
        """End an own hold; nothing happens if it has ended already or belongs to somebody else."""
        self._release(name, self._owner)

    @contextmanager
    def holding(self, name: str, why: str, lease_s: float = 30.0) -> Iterator[Callable[[], bool]]:
        """Hold the clock while the block runs; the lease is renewed in the background.

        Yields a function that says whether the hold has been in force all the time.
        """
        self.hold(name, why, lease_s)
        done, lost = threading.Event(), threading.Event()

        def keep() -> None:
            while not done.wait(lease_s / 3):
                try:
                    self.renew(name, why, lease_s)
                except SmartShelfError:
                    lost.set()

        keeper = threading.Thread(target=keep, name=f"hold-{name}", daemon=True)
        keeper.start()
        try:
            yield lambda: not lost.is_set()
        finally:
            done.set()
            keeper.join()
            self.release(name)

    # Waiting

    def wait_until(
        self,
        moment: datetime,
        timeout: float | None = None,
        progress: Callable[[Status], None] | None = None,
        every: float = 0.1,
    ) -> Status:
        """Wait until the store has lived until ``moment``; returns the status then.

        ``timeout`` and ``every`` are real seconds, None waits for ever. ``progress`` is called with each look.
        Raises Unavailable naming where the store stands and what the clock does.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            status = self.status()
            if progress:
                progress(status)
            if status.now >= moment:
                return status
            if deadline is not None and time.monotonic() > deadline:
                raise Unavailable(
                    f"The store did not reach {iso(moment)} within {timeout:g} s: it stands at {iso(status.now)}, "
                    f"{status.text}",
                    remedy="See `smartshelf status`.",
                )
            time.sleep(every)

    def _order(self, mode: Mode, speed: str = "", goal_ms: str = "", moment_ms: str = "") -> None:
        answer = self._run(scripts.ORDER, mode, speed, goal_ms, moment_ms).decode()
        if answer == "ok":
            return
        if answer in ("past", "beyond"):
            status = self.status()
            wish = iso(from_ms(int(moment_ms)))
            raise BadInput(
                f"The clock cannot be set back: the store has lived until {iso(status.now)}"
                if answer == "past"
                else f"The simulation ends at {_iso_or_never(status.sim_end)}",
                value=wish,
                remedy="Name a later time." if answer == "past" else "Name an earlier time, or raise SIM_DAYS.",
            )
        raise _refused(answer)

    def _release(self, name: str, owner: str) -> None:
        answer = self._run(scripts.RELEASE, name, owner).decode()
        if answer in ("unborn", "ended"):
            raise _refused(answer)

    def _record(self, why: str, lease_s: float | None) -> tuple[str, HoldRecord]:
        with _answering():
            seconds, microseconds = self._client.time()
        now = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
        until = None if lease_s is None else _sortable(now + timedelta(seconds=lease_s))
        return _sortable(now), HoldRecord(why=why, owner=self._owner, lease_s=lease_s, until=until, beat=uuid4().hex)

    def _run(self, script: str, *arguments: str | bytes) -> Any:
        return _run(self._client, script, *arguments)


def iso(moment: datetime) -> str:
    """ISO 8601 with Z, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _iso_or_never(moment: datetime | None) -> str:
    return "no fixed time" if moment is None else iso(moment)


def _sortable(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as failed:
        raise redis_stream.away(failed) from failed


def _run(client: redis.Redis, script: str, *arguments: str | bytes) -> Any:
    with _answering():
        return client.register_script(script)(keys=scripts.KEYS, args=arguments)


def _unborn() -> Unavailable:
    return Unavailable(
        "The clock of this store has never been started", remedy="Is the store up? `smartshelf up` starts it."
    )


def _refused(answer: str) -> SmartShelfError:
    return {
        "unborn": _unborn(),
        "wall": BadInput(
            "The store runs on the wall clock (USE_SIMULATED_TIME=0)", remedy="Only pause and resume apply to it."
        ),
        "feed": BadInput(
            "The store runs on a real feed, which cannot be hurried", remedy="Set a speed, or pause and resume."
        ),
        "ended": BadInput(
            "The simulation has come to its end", remedy="Raise SIM_DAYS and restart sim-clock, or `smartshelf reset`."
        ),
    }[answer]


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}


def _holds(flat: Sequence[bytes]) -> tuple[Hold, ...]:
    records = {flat[i].decode(): _decode_hold(flat[i + 1]) for i in range(0, len(flat), 2)}
    return tuple(
        Hold(name, record.why, datetime.fromisoformat(record.until) if record.until else None)
        for name, record in sorted(records.items())
    )


def _status(
    clock: dict[str, str], holds: tuple[Hold, ...], target_ms: int, lived_ms: int, epoch: int, wall_ms: int
) -> Status:
    grid = Grid(int(clock["start_ms"]), int(clock["step_ms"]), int(clock["end_ms"]) if clock.get("end_ms") else None)
    alive = wall_ms - int(clock.get("beat_ms", 0)) < SILENT_AFTER * 1000
    mode: Mode = clock["mode"]  # type: ignore[assignment]  # written by the scripts only
    speed = float(clock["speed"])
    goal = from_ms(int(clock["goal_ms"])) if "goal_ms" in clock else None
    ended = grid.end_ms is not None and lived_ms >= grid.end_ms
    state, text = _describe(mode, speed, goal, holds, ended=ended, alive=alive)
    return Status(
        now=from_ms(lived_ms),
        target=from_ms(target_ms),
        mode=mode,
        speed=speed,
        achieved=float(clock["achieved"]) if alive and clock.get("achieved") else None,
        state=state,
        text=text,
        goal=goal,
        holds=holds,
        step=grid.step_at(lived_ms),
        step_seconds=grid.step_ms / 1000,
        sim_start=from_ms(grid.start_ms),
        sim_end=None if grid.end_ms is None else from_ms(grid.end_ms),
        epoch=epoch,
        alive=alive,
    )


def _describe(
    mode: Mode, speed: float, goal: datetime | None, holds: tuple[Hold, ...], *, ended: bool, alive: bool
) -> tuple[State, str]:
    if ended:
        return "ended", "at the end of the simulation (SIM_START + SIM_DAYS)"
    if not alive:
        return "stopped", "stopped: no clock service answers (service sim-clock)"
    pauses = [hold for hold in holds if hold.name == scripts.PAUSE]
    if pauses:
        return "paused", f"paused ({pauses[0].why})"
    if holds:
        return "held", "held by " + ", ".join(f"{hold.name} ({hold.why})" for hold in holds)
    if mode == "running":
        return "running", f"running at {speed:g} simulated seconds per second"
    if mode == "wall":
        return "running", "running on the wall clock"
    if mode == "auto":
        return "auto", "running as fast as the store keeps up"
    return "advancing", f"advancing to {_iso_or_never(goal)}"
