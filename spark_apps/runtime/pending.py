"""What has arrived and waits for its step.

Facts from the bridge belong to the first step whose cut covers them. Facts that stages wrote carry ``step``
and count one step later, in the order of the stages, whether they come from memory or from the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from smartshelf.contracts.events import Event
from smartshelf.contracts.stages import STAGES
from spark_apps.runtime.cuts import within
from spark_apps.runtime.records import Fact, Record, fact_of


class Business(NamedTuple):
    """A fact that stage ``job`` decided in ``step``; ``number`` keeps the order in which it wrote them."""

    job: str
    step: int
    topic: str
    number: tuple[int, int]
    fact: Fact

    @property
    def order(self) -> tuple[int, str, str, tuple[int, int]]:
        """Where it stands among the facts of its step."""
        place = STAGES.index(self.job) if self.job in STAGES else len(STAGES)
        return place, self.job, self.topic, self.number


@dataclass
class Pending:
    """Everything that waits, of one store. Facts wait by (topic, partition), in the order of their offsets."""

    facts: dict[tuple[str, int], deque[Fact]] = field(default_factory=dict)
    business: list[Business] = field(default_factory=list)
    config: list[Record] = field(default_factory=list)

    def add(self, fact: Fact) -> None:
        """A fact from the bridge; offsets of a partition come rising."""
        self.facts.setdefault((fact.record.topic, fact.record.partition), deque()).append(fact)

    def take_facts(self, cut: Mapping[str, Mapping[str, int]]) -> list[Fact]:
        """The bridge's facts inside a cut, by (topic, partition, offset)."""
        inside: list[Fact] = []
        for (topic, partition), waiting in sorted(self.facts.items(), key=lambda item: item[0]):
            end = cut.get(topic, {}).get(str(partition), -1)
            while waiting and waiting[0].record.offset <= end:
                inside.append(waiting.popleft())
        return inside

    def take_business(self, step: int) -> list[Fact]:
        """What stages decided before ``step``, in the order of the stages."""
        due = sorted((b for b in self.business if b.step < step), key=lambda b: b.order)
        self.business = [b for b in self.business if b.step >= step]
        return [b.fact for b in due]

    def take_config(self, cut: Mapping[str, Mapping[str, int]]) -> list[Record]:
        """Configuration up to a cut, by (topic, partition, offset)."""
        inside = [r for r in self.config if within(cut, r.topic, r.partition, r.offset)]
        self.config = [r for r in self.config if not within(cut, r.topic, r.partition, r.offset)]
        return sorted(inside, key=lambda r: (r.topic, r.partition, r.offset))

    def events(self) -> Iterator[tuple[str, Event]]:
        """(topic, event) of all facts from the bridge that wait, in the order in which they will count."""
        for _, waiting in sorted(self.facts.items(), key=lambda item: item[0]):
            for fact in waiting:
                if fact.event is not None:
                    yield fact.record.topic, fact.event

    def plain(self) -> list[Any]:
        """As plain values."""
        return [
            [tuple(fact.record) for _, waiting in sorted(self.facts.items()) for fact in waiting],
            [(b.job, b.step, b.number, tuple(b.fact.record)) for b in self.business],
            [tuple(record) for record in self.config],
        ]

    @classmethod
    def of(cls, plain: Iterable[Any]) -> Pending:
        """From plain values."""
        facts, business, config = plain
        pending = cls(business=[_business(*row) for row in business], config=[Record(*row) for row in config])
        for row in facts:
            pending.add(fact_of(Record(*row)))
        return pending


def _business(job: str, step: int, number: Iterable[int], row: Iterable[Any]) -> Business:
    fact = fact_of(Record(*row))
    first, second = number
    return Business(job, step, fact.record.topic, (first, second), fact)
