"""The shelf alert engine: low shelves, lots close to expiry, books below zero (topics ``alerts``, ``proposals``).

| rule | opens | closes |
|---|---|---|
| refill_request | stock below the threshold; proposes a restock unless one is under way | stock has recovered |
| near_expiry | a lot in the store comes close to its date, once per lot | it is gone or has expired |
| negative_balance | a place holds less than nothing | it holds nothing or more |
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

import msgspec
import numpy as np

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import Place
from smartshelf.domain import alerts, fefo, restock
from smartshelf.domain.lots import NO_DATE, UNKNOWN_LOT, LotPlace, date_of, day_of
from smartshelf.domain.shelf import micros
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import Rules, StoreConfig
from spark_apps.runtime.stage import Output, Step
from spark_apps.runtime.writing import AlertBook, Deciding, Pen

REFILL, NEAR, NEGATIVE = "refill_request", "near_expiry", "negative_balance"
MINUTE = timedelta(minutes=1) // timedelta(microseconds=1)
#: Place -> how it is said, and where it is.
_WATCHED: dict[Place, tuple[str, str]] = {
    Place.SHELF: ("on the shelf", "store"),
    Place.BASKET: ("in baskets", "store"),
    Place.ON_THE_WAY: ("on the way", "warehouse"),
    Place.BACKROOM: ("in the backroom", "warehouse"),
}
_PLACES = [int(place) for place in _WATCHED]


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
        self.today = day_of(step.at.date().isoformat())

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
        outputs = self._lots_gone()
        for row in self._lots_to_look_at():
            outputs += self._near(row)
        return outputs

    def _lots_to_look_at(self) -> list[int]:
        lots = self.books.lots
        if self.today == self.state.day and not self.config.changes.policies:
            rows = [row for shelf in self.books.touched for row in lots.index.rows_of.get(shelf, ())]
        else:
            widest = int(self.rules.near_in_store.max(initial=0))
            rows = lots.expiring(LotPlace.STORE, self.today + widest)
            self._new_day()
        if not rows:
            return []
        left = lots.expiry_day[rows] - self.today
        widest = int(self.rules.near_in_store.max(initial=0))
        near = fefo.is_near_expiry(left, widest, lots.units[rows, LotPlace.STORE]) & (lots.expiry_day[rows] != NO_DATE)
        return np.array(rows)[near].tolist()

    def _new_day(self) -> None:
        state = self.state
        state.day = self.today
        state.told = {lot: day for lot, day in state.told.items() if day >= self.today}
        longest = int(self.rules.shelf["cooldown_minutes"].max(initial=0) * MINUTE)
        state.proposed = {shelf: at for shelf, at in state.proposed.items() if at + longest > self.now}

    def _near(self, row: int) -> list[Output]:
        lots = self.books.lots
        shelf_id, batch_code = lots.shelf_ids[row], lots.batch_codes[row]
        subject, expiry = f"{shelf_id}|{batch_code}", int(lots.expiry_day[row])
        rule = self.rules.row_of.get(shelf_id)
        if batch_code == UNKNOWN_LOT or rule is None or subject in self.state.told:
            return []
        if expiry - self.today > self.rules.near_in_store[rule]:
            return []
        self.state.told[subject] = expiry
        quantity, date = int(lots.units[row, LotPlace.STORE]), str(date_of(expiry))
        return [
            self._raise(
                NEAR,
                subject,
                shelf_id=shelf_id,
                batch_code=batch_code,
                expiry_date=date,
                location="store",
                current_stock=quantity,
                severity="warning" if expiry - self.today <= 1 else "info",
                why=alerts.near_expiry(quantity, batch_code, date),
            )
        ]

    def _lots_gone(self) -> list[Output]:
        """Close what was told of lots that are sold out or removed; at the day's end also what has expired."""
        touched, lots = set(self.books.touched), self.books.lots
        is_new_day = self.today != self.state.day
        outputs: list[Output] = []
        if not touched and not is_new_day:
            return outputs
        for subject, alert in self.state.alerts.of_rule(NEAR):
            if alert.shelf_id not in touched and not is_new_day:
                continue
            row = lots.row_of.get((alert.shelf_id, alert.batch_code or ""))
            left = 0 if row is None else int(lots.units[row, LotPlace.STORE])
            has_expired = self.state.told.get(subject, NO_DATE) < self.today
            if left <= 0 or has_expired:
                why = alerts.lot_has_gone(alert.batch_code or "")
                outputs += self._close(NEAR, subject, why, current_stock=left)
        return outputs

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
            for place in _WATCHED:
                outputs += self._negative(shelf_id, place)
        return outputs

    def _negative(self, shelf_id: str, place: Place) -> list[Output]:
        units = int(self.books.shelves.balances[self.books.shelves.row_of[shelf_id], place])
        said, location = _WATCHED[place]
        subject = f"{shelf_id}|{place.name}"
        if units >= 0:
            return self._close(NEGATIVE, subject, alerts.no_longer_negative(units, said), current_stock=units)
        if self.state.alerts.has(NEGATIVE, subject):
            return []
        return [
            self._raise(
                NEGATIVE,
                subject,
                shelf_id=shelf_id,
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
