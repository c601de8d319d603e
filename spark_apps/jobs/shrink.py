"""Shrink: what was in baskets at closing and never paid, what the scales do not feel, and what never came to its shelf
(``unpaid``, ``alerts``).

| rule | opens | closes |
|---|---|---|
| unpaid | after closing: units left in baskets are booked as lost | at the next sweep |
| phantom_stock | hourly: books and scale differ by more than its error, or it says nothing | they agree again |
| phantom_stock (warehouse) | the restock manager has given up waiting for goods from the backroom | at the next sweep |

All name the likely cause. For what was not paid, the baskets of the day's customers tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time
from typing import ClassVar

import msgspec
import numpy as np

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import NOT_FOUND, Place
from smartshelf.domain import alerts, shrink
from smartshelf.domain.calendar import EVERY_DAY, Timetable
from smartshelf.domain.lots import LotPlace
from smartshelf.domain.shelf import MILLIGRAMS
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Step
from spark_apps.runtime.writing import AlertBook, Deciding, Pen

UNPAID, PHANTOM = "unpaid", "phantom_stock"
STORE, WAREHOUSE = "store", "warehouse"
#: The shop is empty by 22:45.
SWEEP = Timetable(EVERY_DAY, time(23))


class State(msgspec.Struct):
    """Only what is open: baskets of those inside, scales that have not answered a movement."""

    pen: Pen = msgspec.field(default_factory=Pen)
    alerts: AlertBook = msgspec.field(default_factory=AlertBook)
    #: Customer -> shelf -> units taken and not paid yet.
    baskets: dict[str, dict[str, int]] = {}
    #: Shelf -> likely cause -> units that customers left without a receipt since the last sweep.
    slipped: dict[str, dict[shrink.Cause, int]] = {}
    #: Shelf -> movements since its scale said something.
    unfelt: dict[str, int] = {}


class Shrink(Deciding[State]):
    """Compares once an hour, sweeps once a day."""

    name: ClassVar = "shrink"
    facts: ClassVar = frozenset({"shelf_events", "pos_transactions", "wh_events"})
    books: ClassVar = True
    config: ClassVar = frozenset({"shelf_profiles", "commands"})
    writes: ClassVar = frozenset({"shelf_events"})
    made: ClassVar = State

    def advance(
        self, state: State, facts: Sequence[e.Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[State, list[Output]]:
        outputs = state.alerts.obey(state.pen, self.name, config, step)
        # Facts come by topic; who pays has taken before.
        for fact in sorted(facts, key=lambda fact: isinstance(fact, e.PosTransaction)):
            _note(state, fact)
            if isinstance(fact, e.WhAdjust) and fact.reason == NOT_FOUND and fact.qty < 0:
                outputs.append(_missed(state, fact, step, books))
        if step.at.hour != step.since.hour:
            outputs += self._compare(state, config, step, books)
        if SWEEP.within(step.since, step.at):
            outputs += self._sweep(state, step, books)
        return state, outputs

    def _sweep(self, state: State, step: Step, books: Books) -> list[Output]:
        outputs: list[Output] = []
        for subject, _ in state.alerts.of_rule(UNPAID):
            outputs += state.alerts.resolve(state.pen, step, UNPAID, subject, alerts.settled())
        for subject in sorted(_phantoms(state, WAREHOUSE)):
            outputs += state.alerts.resolve(state.pen, step, PHANTOM, subject, alerts.booked_to_the_unknown())
        for basket in state.baskets.values():
            _slip(state, basket, has_paid=False)
        slipped, state.baskets, state.slipped = state.slipped, {}, {}
        book = books.shelves
        in_baskets = book.balances[:, Place.BASKET]
        for shelf_id, row in sorted((book.shelf_ids[row], row) for row in np.flatnonzero(in_baskets).tolist()):
            units, told = int(in_baskets[row]), slipped.get(shelf_id, {})
            cause = max(sorted(told), key=told.__getitem__, default=None)
            outputs.append(state.pen.fact(self.name, step, "shelf_events", e.Unpaid, shelf_id=shelf_id, quantity=units))
            outputs.append(
                state.alerts.raise_(
                    state.pen,
                    self.name,
                    step,
                    UNPAID,
                    shelf_id,
                    shelf_id=shelf_id,
                    location=STORE,
                    current_stock=units,
                    severity="warning",
                    likely_cause=cause,
                    why=alerts.unpaid(units, cause),
                )
            )
        return outputs

    def _compare(self, state: State, config: StoreConfig, step: Step, books: Books) -> list[Output]:
        book = books.shelves
        shelves = [shelf for shelf in config.profiles if shelf in book.row_of]
        if not shelves:
            return []
        rows = [book.row_of[shelf] for shelf in shelves]
        item_weight = np.array([config.profiles[shelf].item_weight for shelf in shelves])
        stock, weight = book.balances[rows, Place.SHELF], book.weight[rows] / MILLIGRAMS
        # Every reading is an input of its row, and about every second input is one.
        readings = book.version[rows] / 2
        missing = shrink.missing(stock, weight, item_weight, readings)
        drifts = shrink.drifts(stock, weight, item_weight, readings)
        silent = shrink.is_silent([state.unfelt.get(shelf, 0) for shelf in shelves])
        before = _phantoms(state, STORE)
        looked_at = np.flatnonzero((missing > 0) | drifts | silent).tolist()
        looked_at += [row for row, shelf in enumerate(shelves) if shelf in before]
        outputs: list[Output] = []
        for shelf_id, row in sorted((shelves[row], row) for row in set(looked_at)):
            units, phantom = int(stock[row]), int(missing[row])
            if shelf_id in before:
                if not (phantom or drifts[row] or silent[row]):
                    why = alerts.scale_agrees(units)
                    outputs += state.alerts.resolve(state.pen, step, PHANTOM, shelf_id, why, current_stock=units)
            else:
                cause = _cause(silent=bool(silent[row]), drifts=bool(drifts[row]))
                outputs.append(_told(state, step, shelf_id, units, phantom, cause))
        gone = before - set(shelves)
        for shelf_id in sorted(gone):
            outputs += state.alerts.resolve(state.pen, step, PHANTOM, shelf_id, alerts.without_profile())
        return outputs


def _phantoms(state: State, location: str) -> set[str]:
    """Subjects of open alerts about units that are not where the books have them."""
    return {subject for subject, alert in state.alerts.of_rule(PHANTOM) if alert.location == location}


def _missed(state: State, fact: e.WhAdjust, step: Step, books: Books) -> Output:
    lot, units = (fact.shelf_id, fact.batch_code), -fact.qty
    left = int(books.lots.units[books.lots.row_of[lot], LotPlace.BACKROOM])
    return state.alerts.raise_(
        state.pen,
        Shrink.name,
        step,
        PHANTOM,
        f"{fact.shelf_id}|{fact.batch_code}|{WAREHOUSE}",
        shelf_id=fact.shelf_id,
        batch_code=fact.batch_code,
        location=WAREHOUSE,
        current_stock=left,
        suggested_qty=units,
        severity="warning",
        likely_cause="unseen_loss",
        why=alerts.not_found(left, fact.batch_code, units),
    )


def _note(state: State, fact: e.Event) -> None:
    """What one fact says of baskets and scales."""
    if isinstance(fact, e.WeightChange):
        state.unfelt.pop(fact.shelf_id, None)
    elif isinstance(fact, e.Pickup | e.Putback):
        units = fact.quantity if isinstance(fact, e.Pickup) else -fact.quantity
        basket = state.baskets.setdefault(fact.customer_id, {})
        basket[fact.shelf_id] = basket.get(fact.shelf_id, 0) + units
        state.unfelt[fact.shelf_id] = state.unfelt.get(fact.shelf_id, 0) + 1
    elif isinstance(fact, e.Refill):
        state.unfelt[fact.shelf_id] = state.unfelt.get(fact.shelf_id, 0) + 1
    elif isinstance(fact, e.PosTransaction):
        basket = state.baskets.pop(fact.customer_id, {})
        for line in fact.items:
            basket[line.shelf_id] = basket.get(line.shelf_id, 0) - line.quantity
        _slip(state, basket, has_paid=True)


def _slip(state: State, basket: dict[str, int], *, has_paid: bool) -> None:
    """Remember what a customer has not paid, with the likely cause."""
    left = {shelf: units for shelf, units in basket.items() if units > 0}
    if not left:
        return
    cause = shrink.cause_of_unpaid(left.values(), has_paid=has_paid)
    for shelf, units in left.items():
        by_cause = state.slipped.setdefault(shelf, {})
        by_cause[cause] = by_cause.get(cause, 0) + units


def _cause(*, silent: bool, drifts: bool) -> shrink.Cause:
    """A scale that says nothing is told before one that says something odd; what is left are whole units."""
    return "scale_silent" if silent else "scale_drift" if drifts else "unseen_loss"


def _told(state: State, step: Step, shelf_id: str, units: int, phantom: int, cause: shrink.Cause) -> Output:
    is_loss = cause == "unseen_loss"
    why = {
        "unseen_loss": alerts.phantom(units, phantom),
        "scale_drift": alerts.scale_drifts(units),
        "scale_silent": alerts.scale_is_silent(units),
    }[cause]
    return state.alerts.raise_(
        state.pen,
        Shrink.name,
        step,
        PHANTOM,
        shelf_id,
        shelf_id=shelf_id,
        location=STORE,
        current_stock=units,
        suggested_qty=phantom if is_loss else None,
        severity="warning" if is_loss else "info",
        likely_cause=cause,
        why=why,
    )
