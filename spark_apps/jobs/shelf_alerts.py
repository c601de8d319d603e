"""The shelf alert engine: low shelves, lots close to expiry, books below zero (topics ``alerts``, ``proposals``).

| rule | opens | closes |
|---|---|---|
| refill_request | stock below the threshold; proposes a restock unless one is under way | stock has recovered |
| near_expiry | a lot in the store comes close to its date, once per lot | it is gone or has expired |
| negative_balance | a place, or a lot in a place, holds less than nothing | it holds nothing or more |
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

import msgspec
import numpy as np

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import Place
from smartshelf.domain import alerts, restock
from smartshelf.domain.lots import UNKNOWN_LOT, LotPlace, day_of
from smartshelf.domain.shelf import micros
from spark_apps.jobs import near_expiry
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import Rules, StoreConfig
from spark_apps.runtime.stage import Output, Step
from spark_apps.runtime.writing import AlertBook, Deciding, Pen

REFILL, NEGATIVE = "refill_request", "negative_balance"
MINUTE = timedelta(minutes=1) // timedelta(microseconds=1)
#: Place -> how it is said, and where it is.
_WATCHED: dict[Place, tuple[str, str]] = {
    Place.SHELF: ("on the shelf", "store"),
    Place.BASKET: ("in baskets", "store"),
    Place.ON_THE_WAY: ("on the way", "warehouse"),
    Place.BACKROOM: ("in the backroom", "warehouse"),
}
_PLACES = [int(place) for place in _WATCHED]
#: The same of lots.
_WATCHED_LOTS: dict[LotPlace, tuple[str, str]] = {
    LotPlace.STORE: ("in the store", "store"),
    LotPlace.ON_THE_WAY: _WATCHED[Place.ON_THE_WAY],
    LotPlace.BACKROOM: _WATCHED[Place.BACKROOM],
}


class State(msgspec.Struct):
    """Times are microseconds since 1970, days are counted from there."""

    pen: Pen = msgspec.field(default_factory=Pen)
    alerts: AlertBook = msgspec.field(default_factory=AlertBook)
    #: Shelf -> when a restock was last proposed; only while the cooldown may still count.
    proposed: dict[str, int] = {}
    #: Shelf that is low and waits for its cooldown -> when that ends.
    cooling: dict[str, int] = {}
    #: Lot ("shelf|batch") that was told to be near expiry -> its expiry day.
    told: dict[str, int] = {}
    #: Last day whose lots were looked through.
    day: int = -1


class ShelfAlerts(Deciding[State]):
    """Looks at the shelves that a step touched, at all shelves when policies change, at all lots once a day."""

    name: ClassVar = "shelf_alerts"
    books: ClassVar = True
    config: ClassVar = frozenset({"shelf_profiles", "shelf_policies", "commands"})
    writes: ClassVar = frozenset({"proposals"})
    made: ClassVar = State

    def advance(
        self, state: State, facts: Sequence[e.Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[State, list[Output]]:
        desk = _Desk(state, config, step, books)
        outputs = state.alerts.obey(state.pen, self.name, config, step)
        outputs += desk.refills()
        outputs += desk.lots()
        outputs += desk.negatives()
        return state, outputs


class _Desk:
    """One step's look at one store."""

    def __init__(self, state: State, config: StoreConfig, step: Step, books: Books) -> None:
        self.state, self.config, self.step, self.books = state, config, step, books
        self.now = micros(step.at)

    @property
    def rules(self) -> Rules:
        return self.config.rules

    # --- refill_request ----------------------------------------------------------------------------

    def refills(self) -> list[Output]:
        shelves = self._shelves()
        outputs: list[Output] = []
        for shelf_id in [shelf for shelf in shelves if shelf not in self.config.profiles]:
            outputs += self._close(REFILL, shelf_id, alerts.without_profile())
        shelves = [shelf for shelf in shelves if shelf in self.config.profiles]
        if not shelves:
            return outputs
        book, rules = self.books.shelves, self.rules
        rows = [book.row_of[shelf] for shelf in shelves]
        ruled = [rules.row_of[shelf] for shelf in shelves]
        stock, maximum, low, goal = (
            book.balances[rows, Place.SHELF],
            rules.maximum[ruled],
            rules.low[ruled],
            rules.goal[ruled],
        )
        # While goods are on their way, the shelf waits for them.
        coming = np.maximum(book.balances[rows, Place.ON_THE_WAY], 0)
        columns = (
            restock.is_low(stock, low),
            stock >= alerts.recovered(low, goal, maximum),
            stock,
            restock.need(stock, low, goal, coming),
            book.reserved[rows],
        )
        for shelf_id, is_low, is_well, *units in zip(shelves, *(column.tolist() for column in columns), strict=True):
            if is_low:
                outputs += self._low(shelf_id, *units)
            else:
                self.state.cooling.pop(shelf_id, None)
                if is_well and self.state.alerts.has(REFILL, shelf_id):
                    outputs += self._well(shelf_id, units[0])
        return outputs

    def _shelves(self) -> list[str]:
        """Shelves whose refill rule may have another answer than before."""
        cooled = [shelf for shelf, until in self.state.cooling.items() if until <= self.now]
        if not self.config.changes.policies:
            return sorted({*self.books.touched, *cooled}) if cooled else list(self.books.touched)
        book, rules = self.books.shelves, self.rules
        low = [
            shelf_id
            for shelf_id, level in zip(rules.shelf_ids, rules.low.tolist(), strict=True)
            if shelf_id in book.row_of and book.balances[book.row_of[shelf_id], Place.SHELF] < level
        ]
        is_open = (subject for subject, _ in self.state.alerts.of_rule(REFILL))
        return sorted({*self.books.touched, *cooled, *low, *is_open})

    def _well(self, shelf_id: str, stock: int) -> list[Output]:
        maximum = self.config.profiles[shelf_id].maximum_stock
        why = alerts.stock_is_back(stock, maximum)
        return self._close(REFILL, shelf_id, why, current_stock=stock, max_stock=maximum)

    def _low(self, shelf_id: str, stock: int, quantity: int, waiting: int) -> list[Output]:
        """``quantity``: units to bring; ``waiting``: units that an open plan still waits for."""
        rules, state = self.rules, self.state
        rule, maximum = rules.row_of[shelf_id], self.config.profiles[shelf_id].maximum_stock
        state.cooling.pop(shelf_id, None)
        # A plan that waits for stock is asked for more when the shelf needs more by now.
        is_short = quantity > waiting
        if not quantity or not (is_short or not state.alerts.has(REFILL, shelf_id)):
            return []
        cooldown = int(rules.shelf["cooldown_minutes"][rule] * MINUTE)
        last = state.proposed.get(shelf_id)
        if last is not None and not restock.may_open(self.now, last, cooldown):
            state.cooling[shelf_id] = last + cooldown
            return []
        state.proposed[shelf_id] = self.now
        why = alerts.low_stock(stock, maximum, quantity)
        outputs = [
            self._raise(
                REFILL,
                shelf_id,
                shelf_id=shelf_id,
                location="store",
                current_stock=stock,
                max_stock=maximum,
                target_pct=float(rules.shelf["target_pct"][rule]),
                suggested_qty=quantity,
                severity=alerts.severity(stock),
                why=why,
            )
        ]
        if is_short:
            pen, name = state.pen, ShelfAlerts.name
            outputs.append(pen.fact(name, self.step, "proposals", e.Restock, shelf_id=shelf_id, qty=quantity, why=why))
        return outputs

    # --- near_expiry -------------------------------------------------------------------------------

    def lots(self) -> list[Output]:
        state = self.state
        if day_of(self.step.at.date().isoformat()) != state.day:
            longest = int(self.rules.shelf["cooldown_minutes"].max(initial=0) * MINUTE)
            state.proposed = {shelf: at for shelf, at in state.proposed.items() if at + longest > self.now}
        watch = near_expiry.Watch(near_expiry.STORE, ShelfAlerts.name, state, self.config, self.step, self.books)
        return watch.look(self.books.touched)

    # --- negative_balance --------------------------------------------------------------------------

    def negatives(self) -> list[Output]:
        book = self.books.shelves
        touched = [shelf for shelf in self.books.touched if shelf in book.row_of]
        if not touched:
            return []
        rows = [book.row_of[shelf] for shelf in touched]
        least = book.balances[rows][:, _PLACES].min(axis=1).tolist()
        suspects = [shelf for shelf, units in zip(touched, least, strict=True) if units < 0]
        was = {alert.shelf_id for _, alert in self.state.alerts.of_rule(NEGATIVE)}
        outputs: list[Output] = []
        for shelf_id in sorted({*suspects, *(was.intersection(touched))}):
            for place, (said, location) in _WATCHED.items():
                units = int(book.balances[book.row_of[shelf_id], place])
                outputs += self._negative(f"{shelf_id}|{place.name}", units, said, shelf_id, location)
        return outputs + self._negative_lots(touched)

    def _negative_lots(self, touched: list[str]) -> list[Output]:
        """Lots that were taken from where they are not: another lot of the shelf holds more than there is."""
        lots = self.books.lots
        rows = [row for shelf in touched for row in lots.index.rows_of.get(shelf, ())]
        suspects = [row for row, units in zip(rows, lots.units[rows].min(axis=1).tolist(), strict=True) if units < 0]
        open_lots = {
            (alert.shelf_id or "", alert.batch_code)
            for _, alert in self.state.alerts.of_rule(NEGATIVE)
            if alert.batch_code
        }
        if open_lots:
            suspects += [row for row in rows if (lots.shelf_ids[row], lots.batch_codes[row]) in open_lots]
        outputs: list[Output] = []
        for row in sorted(set(suspects)):
            shelf_id, batch_code = lots.shelf_ids[row], lots.batch_codes[row]
            for place, (said, location) in _WATCHED_LOTS.items() if batch_code != UNKNOWN_LOT else ():
                subject, units = f"{shelf_id}|{batch_code}|{place.name}", int(lots.units[row, place])
                outputs += self._negative(subject, units, f"of lot {batch_code} {said}", shelf_id, location, batch_code)
        return outputs

    def _negative(
        self, subject: str, units: int, said: str, shelf_id: str, location: str, batch_code: str | None = None
    ) -> list[Output]:
        if units >= 0:
            return self._close(NEGATIVE, subject, alerts.no_longer_negative(units, said), current_stock=units)
        if self.state.alerts.has(NEGATIVE, subject):
            return []
        return [
            self._raise(
                NEGATIVE,
                subject,
                shelf_id=shelf_id,
                batch_code=batch_code,
                location=location,
                current_stock=units,
                severity="critical",
                why=alerts.negative(units, said),
            )
        ]

    # --- alerts ------------------------------------------------------------------------------------

    def _raise(self, rule: str, subject: str, **fields: object) -> Output:
        return self.state.alerts.raise_(self.state.pen, ShelfAlerts.name, self.step, rule, subject, **fields)

    def _close(self, rule: str, subject: str, why: str, **fields: object) -> list[Output]:
        return self.state.alerts.resolve(self.state.pen, self.step, rule, subject, why, **fields)
