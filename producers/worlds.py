"""All worlds of a process in lockstep, and how their steps are saved.

A step is computed whole, then released up to what the clock allows. State is written only with the end of a step:
whoever is killed in the middle computes the same step again and goes on after the part that was released.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from producers import body as bodies
from producers.body import Body
from producers.shoppers import DAY
from producers.world import Emitted, World, moment
from smartshelf.contracts import redis_keys as keys
from smartshelf.contracts.control import Done, Mark, Task
from smartshelf.contracts.stages import STAGES, lead_steps
from smartshelf.contracts.types import encode
from smartshelf.errors import Fenced, Unavailable
from smartshelf.io.step_save import Changes, Fact, Outcome, Position

log = logging.getLogger(__name__)

#: Hash of stores that wait to be taken in: store -> packed body (see replay.py).
JOINING = f"{keys.WORLD}:joining"
TASKS = "world_tasks"
decode = msgspec.json.decode


class Saver(Protocol):
    """Where saves go; same meaning as smartshelf.io.step_save.save."""

    def __call__(
        self,
        *,
        epoch: int,
        step: int,
        number: int,
        facts: Sequence[Fact],
        changes: Changes,
        until_ms: int,
        mark: Mark | None,
    ) -> Outcome: ...


@dataclass
class Running:
    """Steps k_from..k computed and not yet marked; facts belong to k, ``released`` of them are out."""

    k_from: int
    k: int
    facts: list[Emitted]
    released: int = 0


@dataclass
class Worlds:
    """The worlds of all stores, at the end of ``step`` or inside the next one."""

    start_ms: int
    step_ms: int
    position: Position
    worlds: dict[str, World]
    save: Saver
    stages: tuple[str, ...] = STAGES
    #: Last step by store and stage that has been read as done.
    done: dict[str, dict[str, int]] = field(default_factory=dict)
    #: Where reading world_tasks goes on, by partition.
    offsets: dict[str, int] = field(default_factory=dict)
    running: Running | None = None
    #: How facts are written.
    render: Callable[[Iterable[Emitted]], list[Fact]] = field(default_factory=lambda: rendered)
    _heard: bool = False

    # --- hearing the business ------------------------------------------------------------------

    def hear(self, message: Task | Done, partition: int | None = None, offset: int = 0) -> None:
        """One record of world_tasks, in order."""
        if isinstance(message, Task):
            if message.store_id in self.worlds:
                self.worlds[message.store_id].hear(message)
        else:
            of_store = self.done.setdefault(message.store_id, {})
            of_store[message.stage] = max(message.k, of_store.get(message.stage, -1))
        if partition is not None:
            self.offsets[str(partition)] = offset + 1
        self._heard = True

    def may_begin(self, k: int) -> bool:
        """Whether every stage of every store has decided step k - L; what lies before a store's first step is given."""
        needed = k - lead_steps(self.step_ms // 1000)
        return all(
            needed < world.body.joined or self.done.get(store, {}).get(stage, -1) >= needed
            for store, world in self.worlds.items()
            for stage in self.stages
        )

    # --- living --------------------------------------------------------------------------------

    def end_of(self, k: int) -> int:
        """T(k)."""
        return self.start_ms + k * self.step_ms

    def turn(self, target_ms: int) -> bool:
        """Begin the next step or release more of the running one, as far as the clock allows; False: nothing to do."""
        if self.running is None and not self._begin(target_ms):
            return False
        running = self.running
        assert running is not None
        end = self.end_of(running.k)
        until = min(target_ms, end)
        whole = (until - self.start_ms) // self.step_ms
        if running.k_from <= whole < running.k:
            # The clock stops inside a night without facts: nothing has changed up to there.
            return self._sleep(running, whole)
        if until <= (self.position.t_ms or 0):
            return False
        upto = running.released
        while upto < len(running.facts) and running.facts[upto].at <= until:
            upto += 1
        facts = self.render(running.facts[running.released : upto])
        mark = self._mark(running.k_from, running.k) if until == end else None
        if not self._saved(facts, self._changes() if mark else {}, until, mark):
            return False
        running.released = upto
        if mark:
            self.running = None
            for world in self.worlds.values():
                world.saved()
            self._heard = False
        return True

    def _sleep(self, running: Running, k: int) -> bool:
        if not self._saved([], {}, self.end_of(k), self._mark(running.k_from, k)):
            return False
        running.k_from = k + 1
        return True

    def _begin(self, target_ms: int) -> bool:
        k = k_from = self.position.step + 1
        if target_ms <= self.end_of(k - 1) or not self.may_begin(k):
            return False
        facts = self._live(k)
        # Nights: one mark for up to L steps without facts, if the clock lets all of them pass at once.
        while (
            not facts
            and not any(world.changed for world in self.worlds.values())
            and k + 1 - k_from < lead_steps(self.step_ms // 1000)
            and target_ms >= self.end_of(k + 1)
            and self.may_begin(k + 1)
        ):
            k += 1
            facts = self._live(k)
        released = 0
        while released < len(facts) and facts[released].at <= (self.position.t_ms or 0):
            released += 1
        self.running = Running(k_from, k, facts, released)
        return True

    def _live(self, k: int) -> list[Emitted]:
        facts = [fact for store in sorted(self.worlds) for fact in self.worlds[store].live(k)]
        # Stable: facts of one store stay in their order.
        return sorted(facts, key=lambda fact: fact.at) if len(self.worlds) > 1 else facts

    def _mark(self, k_from: int, k: int) -> Mark:
        rows = {
            store: world.body.rows
            for store, world in self.worlds.items()
            if world.body.rows and k_from <= world.body.joined <= k
        }
        return Mark(
            epoch=self.position.epoch or 0,
            k_from=k_from,
            k=k,
            t=moment(self.end_of(k)),
            stores=tuple(sorted(self.worlds)),
            streams={},
            rows=rows or None,
        )

    def _changes(self) -> dict[str, dict[str, bytes | None]]:
        changes = {keys.world(store): world.changes() for store, world in self.worlds.items()}
        if self._heard:
            changes[keys.WORLD] = {"offsets": encode({TASKS: self.offsets}), "done": encode(self.done)}
        return changes

    def _saved(self, facts: Sequence[Fact], changes: Changes, until: int, mark: Mark | None) -> bool:
        at = self.position
        outcome = self.save(
            epoch=at.epoch or 0,
            step=at.step,
            number=at.number,
            facts=facts,
            changes=changes,
            until_ms=until,
            mark=mark,
        )
        if outcome == "conflict":
            raise Fenced("Another process lives this store's time, or Redis has gone back in time", value=at)
        if outcome == "held":
            return False
        self.position = Position(at.epoch, mark.k if mark else at.step, at.number + 1, until)
        return True

    # --- stores that come later ----------------------------------------------------------------

    def join(self, newcomers: Mapping[str, bytes]) -> list[str]:
        """Take in stores at the boundary of two steps, in a save of its own; [] while a step is running."""
        if self.running is not None or self.position.t_ms != self.end_of(self.position.step):
            return []
        first = self.position.step + 1
        taken = {}
        for store, data in sorted(newcomers.items()):
            if store not in self.worlds:
                body = msgspec.structs.replace(bodies.unpack(data), joined=first)
                taken[store] = World(body, self.start_ms, self.step_ms)
        changes: dict[str, dict[str, bytes | None]] = {
            keys.world(store): world.everything() for store, world in taken.items()
        }
        changes[JOINING] = dict.fromkeys(newcomers)
        changes[keys.WORLD] = {"stores": encode(sorted({*self.worlds, *taken}))}
        if not self._saved([], changes, self.position.t_ms, None):
            return []
        for world in taken.values():
            world.saved()
        self.worlds |= taken
        return sorted(taken)

    # --- scenarios -----------------------------------------------------------------------------

    def switch(self, wanted: Collection[str]) -> bool:
        """Turn scenarios on or off at the boundary of two steps, in a save of its own; False: nothing to do or not now.

        The save comes before the next step: whoever is killed in that step lives it again with the same scenarios.
        """
        if self.running is not None or self.position.t_ms != self.end_of(self.position.step):
            return False
        step = self.position.step + 1
        oldest = step - DAY // self.step_ms
        turned = {
            store: switches
            for store, world in self.worlds.items()
            if (switches := world.switches.turn(frozenset(wanted), step, oldest)) is not None
        }
        before = {store: self.worlds[store].switches for store in turned}
        for store, switches in turned.items():
            self.worlds[store].switch(switches)
        if not turned or not self._saved([], self._changes(), self.position.t_ms, None):
            for store, switches in before.items():
                self.worlds[store].switch(switches)
            return False
        for world in self.worlds.values():
            world.saved()
        self._heard = False
        return True


def rendered(facts: Iterable[Emitted]) -> list[Fact]:
    """Facts as they go to Redis, stamped with the wall clock: latency is measured from here."""
    stamp = b'"produced_at":"' + datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode() + b'"'
    return [(fact.stream, fact.key, encode(fact.fact).replace(b'"produced_at":null', stamp, 1)) for fact in facts]


def open_worlds(
    start_ms: int,
    step_ms: int,
    position: Position,
    shared: Mapping[str, bytes],
    hashes: Mapping[str, Mapping[str, bytes]],
    save: Saver,
) -> Worlds:
    """The worlds as they were saved. ``shared``: hash world; ``hashes``: hash world:STORE by store."""
    worlds = {}
    for store, fields in hashes.items():
        if "body" not in fields:
            raise Unavailable(f"The world of store {store} was never opened", remedy="See `smartshelf logs init`.")
        body: Body = bodies.unpack(fields["body"])
        worlds[store] = World(body, start_ms, step_ms, fields)
    return Worlds(
        start_ms,
        step_ms,
        position,
        worlds,
        save,
        done=_done(shared, position.step, step_ms),
        offsets=decode(shared["offsets"])[TASKS] if "offsets" in shared else {},
    )


def _done(shared: Mapping[str, bytes], step: int, step_ms: int) -> dict[str, dict[str, int]]:
    """The done marks read so far. A stage that came with newer code is waited for from the next step on."""
    done: dict[str, dict[str, int]] = decode(shared["done"]) if "done" in shared else {}
    if step >= lead_steps(step_ms // 1000):  # by now every stage that was configured has been heard of
        for of_store in done.values():
            for stage in STAGES:
                of_store.setdefault(stage, step)
    return done
