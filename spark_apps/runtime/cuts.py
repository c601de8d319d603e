"""Positions in topics, and when a cut is covered."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from smartshelf.contracts.control import Offsets


class Positions:
    """Highest offset that one store has seen, by topic and partition (as text, as in ticks).

    Kafka hands out a partition in order, so a store that has seen an offset has seen all of its own below it.
    """

    def __init__(self, offsets: Offsets | None = None) -> None:
        self.offsets: Offsets = offsets or {}

    def at(self, topic: str, partition: int) -> int:
        """Highest offset seen, -1 before the first."""
        return self.offsets.get(topic, {}).get(str(partition), -1)

    def see(self, topic: str, partition: int, offset: int) -> None:
        """Everything up to ``offset`` has been taken in."""
        self.offsets.setdefault(topic, {})[str(partition)] = offset

    def cover(self, cut: Mapping[str, Mapping[str, int]], topics: Collection[str]) -> bool:
        """Whether everything that ``cut`` names of these topics has been seen."""
        return all(
            self.offsets.get(topic, {}).get(partition, -1) >= offset
            for topic in topics
            for partition, offset in cut.get(topic, {}).items()
        )


def within(cut: Mapping[str, Mapping[str, int]], topic: str, partition: int, offset: int) -> bool:
    """Whether a record lies inside a cut; a partition that the cut leaves out holds nothing of it."""
    return offset <= cut.get(topic, {}).get(str(partition), -1)
