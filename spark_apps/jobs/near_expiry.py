"""The rule ``near_expiry``: a lot comes close to its date, told once per lot and place; closed when it is gone.

Shared by the two alert engines: one watches the lots in the store, the other those in the backroom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from smartshelf.domain import alerts, fefo
from smartshelf.domain.lots import NO_DATE, UNKNOWN_LOT, LotPlace, date_of, day_of
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import Rules, StoreConfig, Units
from spark_apps.runtime.stage import Output, Step
from spark_apps.runtime.writing import AlertBook, Pen

RULE = "near_expiry"


class Place(NamedTuple):
    """Where lots are watched."""

    lots: LotPlace
    #: As in the rows, and as it is said.
    location: str
    said: str
    #: Days before expiry from which a lot counts as nearly expired, by shelf.
    window: Callable[[Rules], Units]
    #: Added to the subject, which names shelf and batch.
    suffix: str = ""


STORE = Place(LotPlace.STORE, "store", "store", lambda rules: rules.near_in_store)
BACKROOM = Place(LotPlace.BACKROOM, "warehouse", "backroom", lambda rules: rules.near_in_backroom, suffix="|warehouse")


class Memory(Protocol):
    """What a stage's state holds for the rule."""

    pen: Pen
    alerts: AlertBook
    #: Subject that was told to be near expiry -> its expiry day.
    told: dict[str, int]
    #: Last day whose lots were looked through.
    day: int


class Watch:
    """One step's look at the lots of one place, in the name of a stage."""

    def __init__(self, place: Place, stage: str, state: Memory, config: StoreConfig, step: Step, books: Books) -> None:
        self.place, self.stage, self.state = place, stage, state
        self.config, self.step, self.books = config, step, books
        self.today = day_of(step.at.date().isoformat())

    def look(self, shelves: Sequence[str]) -> list[Output]:
        """Lots of the shelves given, at which something moved; all lots on a new day or under new policies."""
        outputs = self._gone(shelves)
        for row in self._rows(shelves):
            outputs += self._near(row)
        return outputs

    def _rows(self, shelves: Sequence[str]) -> list[int]:
        lots, state = self.books.lots, self.state
        looks_at_all = self.today != state.day or self.config.changes.policies
        rows = [row for shelf in shelves for row in lots.index.rows_of.get(shelf, ())]
        if not (rows or looks_at_all):
            return []
        widest = int(self.place.window(self.config.rules).max(initial=0))
        if looks_at_all:
            rows = lots.expiring(self.place.lots, self.today + widest)
            state.day = self.today
            state.told = {lot: day for lot, day in state.told.items() if day >= self.today}
        left = lots.expiry_day[rows] - self.today
        near = fefo.is_near_expiry(left, widest, lots.units[rows, self.place.lots]) & (lots.expiry_day[rows] != NO_DATE)
        return np.array(rows, dtype=np.int64)[near].tolist()

    def _near(self, row: int) -> list[Output]:
        lots = self.books.lots
        shelf_id, batch_code = lots.shelf_ids[row], lots.batch_codes[row]
        subject, expiry = f"{shelf_id}|{batch_code}{self.place.suffix}", int(lots.expiry_day[row])
        rule = self.config.rules.row_of.get(shelf_id)
        if batch_code == UNKNOWN_LOT or rule is None or subject in self.state.told:
            return []
        if expiry - self.today > self.place.window(self.config.rules)[rule]:
            return []
        self.state.told[subject] = expiry
        quantity, date = int(lots.units[row, self.place.lots]), str(date_of(expiry))
        return [
            self.state.alerts.raise_(
                self.state.pen,
                self.stage,
                self.step,
                RULE,
                subject,
                shelf_id=shelf_id,
                batch_code=batch_code,
                expiry_date=date,
                location=self.place.location,
                current_stock=quantity,
                severity="warning" if expiry - self.today <= 1 else "info",
                why=alerts.near_expiry(quantity, batch_code, date, self.place.said),
            )
        ]

    def _gone(self, shelves: Sequence[str]) -> list[Output]:
        """Close what was told of lots that are used up or removed; at the day's end also what has expired."""
        touched, lots, state = set(shelves), self.books.lots, self.state
        is_new_day = self.today != state.day
        outputs: list[Output] = []
        if not touched and not is_new_day:
            return outputs
        for subject, alert in state.alerts.of_rule(RULE):
            if alert.shelf_id not in touched and not is_new_day:
                continue
            row = lots.row_of.get((alert.shelf_id, alert.batch_code or ""))
            left = 0 if row is None else int(lots.units[row, self.place.lots])
            has_expired = state.told.get(subject, NO_DATE) < self.today
            if left <= 0 or has_expired:
                why = alerts.lot_has_gone(alert.batch_code or "", self.place.said)
                outputs += state.alerts.resolve(state.pen, self.step, RULE, subject, why, current_stock=left)
        return outputs
