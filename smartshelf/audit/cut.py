"""As of which step, and up to which offsets, the books are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smartshelf.contracts.control import Tick
from smartshelf.contracts.events import DeadLetter, Evidence
from smartshelf.contracts.topics import TOPICS
from smartshelf.io import kafka


@dataclass(frozen=True)
class Cut:
    """The consistent cut of every store at its last tick.

    ``refused``: "topic/partition/offset" of facts that a stage dead-lettered: they moved nothing.
    """

    ticks: Mapping[str, Tick]
    refused: frozenset[str]

    @property
    def step(self) -> int:
        """The step all stores have reached."""
        return min((tick.k for tick in self.ticks.values()), default=-1)

    def holds(self, store_id: str, topic: str, partition: int, offset: int, source: str, step: int | None) -> bool:
        """Whether a fact counts: inside its store's cut, or decided by a job before its step."""
        tick = self.ticks.get(store_id)
        if tick is None or self.refuses(topic, partition, offset):
            return False
        if source.startswith(Evidence.JOB_PREFIX):
            return step is not None and step < tick.k
        return offset <= tick.cut.get(topic, {}).get(str(partition), -1)

    def decided(self, store_id: str, source: str, step: int | None) -> bool:
        """Whether a job decided a fact in the last step: it counts with the next."""
        tick = self.ticks.get(store_id)
        return tick is not None and source.startswith(Evidence.JOB_PREFIX) and step == tick.k

    def refuses(self, topic: str, partition: int, offset: int) -> bool:
        """Whether a stage has dead-lettered this fact."""
        return f"{topic}/{partition}/{offset}" in self.refused


def read_cut(bootstrap: str) -> Cut:
    """The last tick of every store, and what the stages have refused so far."""
    ticks: dict[str, Tick] = {}
    for message in kafka.read_all(bootstrap, "sim_ticks"):
        tick: Tick = TOPICS["sim_ticks"].decoder.decode(message.value())
        ticks[tick.store_id] = tick
    letters: list[DeadLetter] = [
        TOPICS["dead_letters"].decoder.decode(message.value()) for message in kafka.read_all(bootstrap, "dead_letters")
    ]
    return Cut(ticks, frozenset(letter.origin for letter in letters))
