"""Expired removal: lots past their date leave shelf and backroom (tasks, ``proposals``, ``alerts``).

Decided L steps before the instant at which staff do it: 06:00 on the day after expiry (``next_day``), or 23:30 on the
day itself (``same_day_evening``). Both are times at which no shopper holds such a lot in a basket.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time
from typing import ClassVar, Literal

import msgspec

from smartshelf.contracts import events as e
from smartshelf.domain import alerts
from smartshelf.domain.calendar import EVERY_DAY, Timetable
from smartshelf.domain.fefo import REMOVAL_AFTER_DAYS
from smartshelf.domain.lots import UNKNOWN_LOT, LotPlace, date_of, day_of
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Step
from spark_apps.runtime.writing import AlertBook, Deciding, Pen, lead, task

RULE = "expired_removal"
Mode = Literal["next_day", "same_day_evening"]
#: When staff take expired lots away, and how many days after the date.
INSTANTS: dict[Mode, tuple[time, int]] = {
    "next_day": (time(6), REMOVAL_AFTER_DAYS),
    "same_day_evening": (time(23, 30), 0),
}
_PLACES = (("store", LotPlace.STORE), ("warehouse", LotPlace.BACKROOM))


class State(msgspec.Struct):
    pen: Pen = msgspec.field(default_factory=Pen)
    alerts: AlertBook = msgspec.field(default_factory=AlertBook)
    #: "shelf|batch|location" of lots whose removal was asked for, as long as the books hold units of them there.
    asked: list[str] = []


class ExpiredRemoval(Deciding[State]):
    """Asks once for each lot and place; what staff really find is told by their ``removal``."""

    name: ClassVar = "expired_removal"
    facts: ClassVar = frozenset({"shelf_events"})
    books: ClassVar = True
    config: ClassVar = frozenset({"shelf_profiles", "commands"})
    writes: ClassVar = frozenset({"proposals"})
    made: ClassVar = State

    def __init__(self, mode: Mode = "next_day") -> None:
        self._at, self._after_days = INSTANTS[mode]

    def advance(
        self, state: State, facts: Sequence[e.Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[State, list[Output]]:
        outputs = state.alerts.obey(state.pen, self.name, config, step)
        for fact in facts:
            if isinstance(fact, e.Removal):
                subject = f"{fact.shelf_id}|{fact.batch_code}|{fact.location}"
                why = alerts.expired_is_gone(fact.batch_code)
                # What staff found and what the books say may differ; nothing is left to take away in either case.
                outputs += state.alerts.resolve(state.pen, step, RULE, subject, why)
        if self._is_due(step):
            outputs += self._remove(state, step, books)
        return state, outputs

    def _is_due(self, step: Step) -> bool:
        """Also at the opening: it would come too late for that day."""
        if step.n:
            return False
        ahead = (lead(step) - 1) * (step.at - step.since)
        daily = Timetable(EVERY_DAY, self._at)
        return step.k == 0 or bool(daily.within(step.since + ahead, step.at + ahead))

    def _remove(self, state: State, step: Step, books: Books) -> list[Output]:
        lots = books.lots
        last = day_of(step.at.date().isoformat()) - self._after_days
        outputs: list[Output] = []
        before, state.asked = set(state.asked), []
        for location, place in _PLACES:
            for row in lots.expiring(place, last):
                shelf_id, batch_code = lots.shelf_ids[row], lots.batch_codes[row]
                if batch_code == UNKNOWN_LOT:
                    continue
                subject = f"{shelf_id}|{batch_code}|{location}"
                state.asked.append(subject)
                if subject not in before:
                    units, date = int(lots.units[row, place]), str(date_of(int(lots.expiry_day[row])))
                    outputs += _ask(state, step, subject, shelf_id, batch_code, location, units, date)
        return outputs


def _ask(
    state: State, step: Step, subject: str, shelf_id: str, batch_code: str, location: str, units: int, date: str
) -> list[Output]:
    name, why = ExpiredRemoval.name, alerts.expired(units, batch_code, date)
    alert = state.alerts.raise_(
        state.pen,
        name,
        step,
        RULE,
        subject,
        shelf_id=shelf_id,
        batch_code=batch_code,
        expiry_date=date,
        location=location,
        current_stock=units,
        severity="warning",
        why=why,
    )
    if location == "warehouse":
        payload = {"shelf_id": shelf_id, "batch_code": batch_code, "qty": units, "why": why}
        return [alert, state.pen.fact(name, step, "proposals", e.WriteOff, **payload)]
    # No quantity: all of the lot that staff find goes.
    asked = task(step, "remove", subject, shelf_id=shelf_id, batch_code=batch_code, location=location, reason="expired")
    return [alert, asked]
