"""A store on a real feed has no simulated world: the clock service itself lives the time and ends the steps.

Outside systems write the Redis streams whenever they like; what has arrived when a step ends belongs to it.
"""

from __future__ import annotations

import time

import redis

from simulated_time.clock import Grid, from_ms
from smartshelf.contracts import redis_keys as keys
from smartshelf.contracts.control import Mark
from smartshelf.contracts.stages import lead_steps
from smartshelf.io.step_save import PUBLISH_EVERY_MS, Position, read_position, save
from smartshelf.settings import Settings


class Feed:
    """Follows the target with step marks and, between them, with the time for people (`sim:now`)."""

    def __init__(self, client: redis.Redis, grid: Grid, config: Settings) -> None:
        self._client, self._grid = client, grid
        self._most_steps = lead_steps(config.step_seconds)
        self._published = 0.0

    def live(self, target_ms: int) -> None:
        """Live until ``target_ms``: a mark for what has ended since the last one, at most L steps in each.

        Nothing happens before init has opened the store. A save that somebody else got in before is dropped;
        the next turn looks again.
        """
        position = read_position(self._client)
        while position.t_ms is not None and position.step < self._grid.last_step(target_ms):
            last = min(position.step + self._most_steps, self._grid.last_step(target_ms))
            until_ms = self._grid.start_ms + last * self._grid.step_ms
            if not self._save(position, until_ms, last):
                return
            position = position._replace(step=last, number=position.number + 1, t_ms=until_ms)
        now = time.monotonic()
        if position.t_ms is not None and position.t_ms < target_ms and now - self._published >= PUBLISH_EVERY_MS / 1000:
            self._published = now
            self._save(position, target_ms, None)

    def _save(self, position: Position, until_ms: int, ends: int | None) -> bool:
        if position.epoch is None:
            return False
        mark = None
        if ends is not None:
            stores = tuple(sorted(name.decode() for name in self._members()))
            moment = from_ms(until_ms)
            mark = Mark(epoch=position.epoch, k_from=position.step + 1, k=ends, t=moment, stores=stores, streams={})
        outcome = save(
            self._client,
            epoch=position.epoch,
            step=position.step,
            number=position.number,
            facts=(),
            changes={},
            until_ms=until_ms,
            mark=mark,
        )
        return outcome == "saved"

    def _members(self) -> set[bytes]:
        stores: set[bytes] = self._client.smembers(keys.STORES)  # type: ignore[assignment]  # replies are bytes
        return stores
