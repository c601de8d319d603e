"""How far the store may live, as pure arithmetic: no Redis, no wall clock, no settings.

The clock publishes a *target*; the world lives towards it and never beyond. Simulated times are integer
milliseconds since 1970 (UTC), real times are seconds of a monotonic clock that the caller reads, so a jump of
the machine's wall clock cannot reach the target of a simulated store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

#: What the clock has been told: a fixed speed, as fast as the store keeps up, fast-forward, the wall clock.
Mode = Literal["running", "auto", "advance", "wall"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Real seconds without a turn after which the time in between is dropped instead of caught up.
STALL_SECONDS = 1.0


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    """The aware UTC datetime of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


@dataclass(frozen=True, slots=True)
class Grid:
    """The store's steps: T(k) = start + k x step. Fixed until `reset`, but for the end."""

    start_ms: int
    step_ms: int
    #: Where the clock stops by itself; None on the wall clock.
    end_ms: int | None

    def step_at(self, ms: int) -> int:
        """The step k with ms in (T(k-1), T(k)]; 0 at the start."""
        return -((self.start_ms - ms) // self.step_ms)

    def step_end(self, ms: int) -> int:
        """The first T(k) >= ms: where a hold stops a world that has lived until ``ms``."""
        return self.start_ms + self.step_at(ms) * self.step_ms

    def last_step(self, ms: int) -> int:
        """The last step that is over at ``ms``: the greatest k with T(k) <= ms."""
        return (ms - self.start_ms) // self.step_ms


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at the store showed."""

    mode: Mode
    #: Simulated seconds per real second of mode running.
    speed: float
    #: Where an advance ends, a T(k).
    goal_ms: int | None
    #: Raised by every order and hold; an answer computed from an older one is void.
    version: int
    held: bool
    target_ms: int
    #: How far the world has lived.
    world_ms: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """From where (simulated ms) and when (real monotonic s) the speed counts."""

    target_ms: float
    at: float
    last_turn: float
    version: int


def lead_ms(speed: float, step_ms: int) -> float:
    """How far the target may be ahead of a world that cannot keep up: one real second's worth or two steps."""
    return max(2.0 * step_ms, speed * 1000)


def pace(anchor: Anchor | None, seen: Seen, grid: Grid, *, now: float, wall_ms: int) -> tuple[Anchor, int]:
    """The next target (ms) and the anchor to pass with the next look.

    ``now`` is monotonic real seconds, ``wall_ms`` the wall clock (used by mode wall only). The target never
    falls below the one seen, never passes the end, and stays where it is while a hold is in force.
    Time is counted anew from the target seen after a start, an order, a hold and a stall, and when the world
    is slower than the speed: what was missed then is not caught up.
    """
    stalled = anchor is not None and not 0 <= now - anchor.last_turn <= STALL_SECONDS
    if anchor is None or stalled or seen.held or anchor.version != seen.version:
        anchor = Anchor(seen.target_ms, now, now, seen.version)
    anchor = Anchor(anchor.target_ms, anchor.at, now, anchor.version)
    if seen.held:
        return anchor, seen.target_ms
    if seen.mode == "running":
        wish = anchor.target_ms + seen.speed * 1000 * (now - anchor.at)
        most = max(seen.world_ms + lead_ms(seen.speed, grid.step_ms), seen.target_ms)
        if wish > most:
            wish = most
            anchor = Anchor(most, now, now, seen.version)
    else:
        wish = _unpaced(seen, grid, wall_ms)
    if grid.end_ms is not None:
        wish = min(wish, grid.end_ms)
    return anchor, max(seen.target_ms, int(wish))


def _unpaced(seen: Seen, grid: Grid, wall_ms: int) -> int:
    if seen.mode == "wall":
        return wall_ms
    if seen.mode == "advance" and seen.goal_ms is not None:
        return seen.goal_ms
    return seen.target_ms if grid.end_ms is None else grid.end_ms


@dataclass(slots=True)
class Leases:
    """Which holds their holders have stopped renewing, counted in monotonic time, not by the wall clock."""

    _renewed: dict[str, tuple[bytes, float]] = field(default_factory=dict)

    def lapsed(self, holds: Mapping[str, tuple[bytes, float | None]], now: float) -> list[str]:
        """Names of the holds to end. ``holds``: name -> (its content, which each renewal changes; lease in s)."""
        self._renewed = {name: known for name, known in self._renewed.items() if name in holds}
        lapsed = []
        for name, (content, lease) in holds.items():
            known = self._renewed.get(name)
            if known is None or known[0] != content:
                self._renewed[name] = known = (content, now)
            if lease is not None and now - known[1] > lease:
                lapsed.append(name)
        return lapsed


@dataclass(slots=True)
class Speedometer:
    """The speed really achieved over the last few real seconds."""

    window: float = 5.0
    _points: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, now: float, world_ms: int) -> None:
        """Note how far the world has lived (simulated ms) at ``now`` (monotonic s)."""
        self._points.append((now, world_ms))
        while now - self._points[0][0] > self.window:
            self._points.popleft()

    def speed(self) -> float | None:
        """Simulated seconds per real second; None until there is a second to judge by."""
        if not self._points:
            return None
        (first, lived), (last, lives) = self._points[0], self._points[-1]
        return (lives - lived) / 1000 / (last - first) if last - first >= 1.0 else None
