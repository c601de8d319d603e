"""The save without Redis: what is kept, and when a save is refused, as by ``smartshelf.io.step_save``."""

from __future__ import annotations

from collections.abc import Sequence

from producers.worlds import Worlds, open_worlds
from smartshelf.contracts import redis_keys as keys
from smartshelf.contracts.control import Mark
from smartshelf.io.step_save import UNBORN, Changes, Fact, Outcome, Position


class MemoryStore:
    """What Redis keeps of a store. ``target_ms`` is the clock's word; raise it to let the world live on."""

    def __init__(self, target_ms: int = 0) -> None:
        self.target_ms = target_ms
        self.position = Position(None, UNBORN, 0, None)
        self.hashes: dict[str, dict[str, bytes]] = {}
        self.facts: list[Fact] = []
        self.marks: list[Mark] = []

    def save(
        self,
        *,
        epoch: int,
        step: int,
        number: int,
        facts: Sequence[Fact],
        changes: Changes,
        until_ms: int,
        mark: Mark | None,
    ) -> Outcome:
        """Same meaning as smartshelf.io.step_save.save."""
        at = self.position
        if (at.epoch or epoch, at.step, at.number) != (epoch, step, number):
            return "conflict"
        if step > UNBORN and until_ms > self.target_ms:
            return "held"
        self.facts += facts
        for name, values in changes.items():
            there = self.hashes.setdefault(name, {})
            for field, value in values.items():
                if value is None:
                    there.pop(field, None)
                else:
                    there[field] = value
        if mark:
            self.marks.append(mark)
        self.position = Position(epoch, mark.k if mark else at.step, number + 1, until_ms)
        return "saved"

    def worlds(self, start_ms: int, step_ms: int) -> Worlds:
        """The worlds as a restarted process finds them."""
        prefix = keys.world("")
        stores = {name.removeprefix(prefix): fields for name, fields in self.hashes.items() if "body" in fields}
        return open_worlds(start_ms, step_ms, self.position, self.hashes.get(keys.WORLD, {}), stores, self.save)
