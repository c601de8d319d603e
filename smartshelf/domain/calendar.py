"""The store's week: when it opens and closes, when suppliers take orders, when they deliver.

All moments are simulated UTC. The calendar never asks for the time: `moment` is always an argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal, get_args

Event = Literal["cutoff", "delivery", "opening", "closing"]
EVENTS: tuple[Event, ...] = get_args(Event)

#: Short names of the weekdays, Monday = 0 as in datetime.weekday().
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Timetable:
    """Something that happens at the same time of day on some weekdays (Monday = 0)."""

    weekdays: frozenset[int]
    at: time

    def __post_init__(self) -> None:
        if not self.weekdays or not self.weekdays <= EVERY_DAY:
            raise ValueError("a timetable needs at least one weekday, 0 (Monday) to 6 (Sunday)")

    def after(self, moment: datetime) -> datetime:
        """The first occurrence later than ``moment``; one exactly at ``moment`` has happened already."""
        return next(self._from(moment))

    def within(self, after: datetime, until: datetime) -> list[datetime]:
        """Every occurrence in (after, until], in order: what fires in a step, also when the step was long."""
        found = []
        for occurrence in self._from(after):
            if occurrence > until:
                break
            found.append(occurrence)
        return found

    def _from(self, moment: datetime) -> Iterator[datetime]:
        day = moment.astimezone(UTC).date()
        while True:
            occurrence = datetime.combine(day, self.at, UTC)
            if occurrence > moment and day.weekday() in self.weekdays:
                yield occurrence
            day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The fixed instants of a store's week; the defaults are those of the product."""

    cutoff: Timetable = Timetable(frozenset({6, 1, 3}), time(12))
    delivery: Timetable = Timetable(frozenset({0, 2, 4}), time(8))
    opening: Timetable = Timetable(EVERY_DAY, time(7))
    closing: Timetable = Timetable(EVERY_DAY, time(22))

    def next(self, event: Event, moment: datetime) -> datetime:
        """The first ``event`` later than ``moment``."""
        timetable: Timetable = getattr(self, event)
        return timetable.after(moment)

    def is_open(self, moment: datetime) -> bool:
        """Whether shoppers may be let in: from opening (included) to closing (excluded)."""
        return self.opening.at <= moment.astimezone(UTC).time() < self.closing.at
