"""The clock service: one loop that publishes how far the store may live (`sim:target`).

It keeps nothing in memory that matters: the orders, the holds and the last target are in Redis, so it may be
killed at any moment and goes on from the last published target.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec
import redis

from simulated_time import scripts
from simulated_time.clock import Anchor, Grid, Leases, Mode, Seen, Speedometer, from_ms, pace
from simulated_time.feed import Feed
from simulated_time.store import HoldRecord, begin, iso
from smartshelf.contracts import redis_keys as keys
from smartshelf.errors import Fenced, Unavailable
from smartshelf.io import redis_stream
from smartshelf.io.step_save import is_out_of_memory
from smartshelf.service import Service
from smartshelf.settings import Settings

log = logging.getLogger(__name__)

#: Real seconds between two turns.
TURN_SECONDS = 0.05
#: Real seconds between two signs of life with the speed achieved.
BEAT_SECONDS = 1.0

_decode_hold = msgspec.json.Decoder(HoldRecord).decode
_encode = msgspec.json.encode


def serve(service: Service) -> None:
    """Run the clock until asked to stop. Raises Fenced when another clock service takes over."""
    client = redis_stream.connect(service.settings.redis_url)
    service.wait_for("Redis", lambda: redis_stream.ping(client) or None)
    timer: Timekeeper | None = None
    while not service.stopping:
        try:
            timer = timer or Timekeeper(client, service.settings)
            timer.turn()
        except (redis.ConnectionError, redis.TimeoutError, Unavailable) as failed:
            log.warning("the time stands: %s", failed)
            service.wait_for("Redis", lambda: redis_stream.ping(client) or None)
            if timer:
                timer.forget()
        except redis.ResponseError as refused:
            if not is_out_of_memory(refused):
                raise
            log.warning("Redis is out of memory: the time stands until the bridge has made room")
            service.sleep(1.0)
        service.beat()
        service.sleep(TURN_SECONDS)


class Timekeeper:
    """The clock's turns, under the lease it takes when made: whoever held it before is fenced."""

    def __init__(self, client: redis.Redis, config: Settings) -> None:
        self._client = client
        self._grid: Grid = begin(client, config)
        self._feed = Feed(client, self._grid, config) if config.world == "feed" else None
        self._token = uuid4().hex
        client.set(keys.LEASE, self._token)
        self._turn = client.register_script(scripts.TURN)
        self._leases, self._speedometer = Leases(), Speedometer()
        self._anchor: Anchor | None = None
        self._next: tuple[int, int] | None = None
        self._beaten = -BEAT_SECONDS
        self._said = ""

    def forget(self) -> None:
        """Count the time anew from what is published: Redis was away, perhaps with its last writes."""
        self._anchor = self._next = None

    def turn(self) -> None:
        """Publish what the last look allows, look again, and work out the next target from that."""
        now = time.monotonic()
        seen, holds = self._publish_and_look(now)
        self._end_lapsed(holds, now)
        self._say(seen, holds)
        if self._arrived(seen):
            return
        self._anchor, target_ms = pace(self._anchor, seen, self._grid, now=now, wall_ms=time.time_ns() // 1_000_000)
        self._next = (seen.version, target_ms) if target_ms > seen.target_ms else None
        if self._feed:
            self._feed.live(seen.target_ms)

    def _publish_and_look(self, now: float) -> tuple[Seen, dict[str, bytes]]:
        version, target = self._next or (0, "")
        beat, speed = now - self._beaten >= BEAT_SECONDS, self._speedometer.speed()
        if beat:
            self._beaten = now
        answer = self._turn(
            keys=scripts.KEYS,
            args=[self._token, version, target, "1" if beat else "", "" if speed is None else f"{speed:.1f}"],
        )
        if answer[0] == b"fenced":
            raise Fenced("Another clock service has taken over this store's clock")
        clock, holds = _pairs(answer[1]), _pairs(answer[2])
        seen = Seen(
            mode=_mode(clock[b"mode"]),
            speed=float(clock[b"speed"]),
            goal_ms=int(clock[b"goal_ms"]) if b"goal_ms" in clock else None,
            version=int(clock[b"version"]),
            held=bool(holds),
            target_ms=int(answer[3]),
            world_ms=int(answer[4]),
        )
        self._speedometer.add(now, seen.world_ms)
        return seen, {name.decode(): content for name, content in holds.items()}

    def _end_lapsed(self, holds: dict[str, bytes], now: float) -> None:
        leases = {name: (content, _decode_hold(content).lease_s) for name, content in holds.items()}
        for name in self._leases.lapsed(leases, now):
            if self._script(scripts.LAPSE, name, holds[name]) == b"ok":
                log.warning("hold %r ended: its lease of %g s was not renewed", name, leases[name][1])

    def _arrived(self, seen: Seen) -> bool:
        """Pause where an advance or the simulation ends, and say so."""
        if self._grid.end_ms is not None and seen.world_ms >= self._grid.end_ms:
            why = "the end of the simulation: SIM_START + SIM_DAYS"
        elif seen.mode == "advance" and seen.goal_ms is not None and seen.world_ms >= seen.goal_ms:
            why = f"advanced to {iso(from_ms(seen.goal_ms))}"
        else:
            return False
        if seen.held and seen.mode != "advance":
            return False
        record = _encode(HoldRecord(why=why, owner="sim-clock"))
        if self._script(scripts.ARRIVE, str(seen.version), record) == b"ok":
            log.info("paused at %s: %s", iso(from_ms(seen.world_ms)), why)
        self.forget()
        return True

    def _script(self, script: str, *arguments: str | bytes) -> bytes:
        answer: bytes = self._client.register_script(script)(keys=scripts.KEYS, args=[self._token, *arguments])
        if answer == b"fenced":
            raise Fenced("Another clock service has taken over this store's clock")
        return answer

    def _say(self, seen: Seen, holds: dict[str, bytes]) -> None:
        """Log changes of what the clock does, once each."""
        what = f"held by {', '.join(sorted(holds))}" if holds else _doing(seen)
        if what != self._said:
            log.info("%s; the store has lived until %s", what, iso(from_ms(seen.world_ms)))
            self._said = what


def _doing(seen: Seen) -> str:
    if seen.mode == "running":
        return f"running at {seen.speed:g} simulated seconds per second"
    if seen.mode == "advance" and seen.goal_ms is not None:
        return f"advancing to {iso(from_ms(seen.goal_ms))}"
    return {"auto": "running as fast as the store keeps up", "wall": "running on the wall clock"}[seen.mode]


def _mode(text: bytes) -> Mode:
    return msgspec.convert(text.decode(), Mode)


def _pairs(flat: Sequence[Any]) -> dict[bytes, bytes]:
    return {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)}
