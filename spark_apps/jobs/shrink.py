"""Shrink: what was in baskets at closing and never paid, and what the scales do not feel (``unpaid``, ``alerts``).

| rule | opens | closes |
|---|---|---|
| unpaid | after closing: units left in baskets are booked as lost | at the next sweep |
| phantom_stock | every hour: books and scale differ by more than the scale's error | they agree again |
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time
from typing import ClassVar

import msgspec
import numpy as np

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import Place
from smartshelf.domain import alerts, shrink
from smartshelf.domain.calendar import EVERY_DAY, Timetable
from smartshelf.domain.shelf import MILLIGRAMS
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Step
from spark_apps.runtime.writing import AlertBook, Deciding, Pen

UNPAID, PHANTOM = "unpaid", "phantom_stock"
#: The shop is empty by 22:45.
SWEEP = Timetable(EVERY_DAY, time(23))


class State(msgspec.Struct):
    pen: Pen = msgspec.field(default_factory=Pen)
    alerts: AlertBook = msgspec.field(default_factory=AlertBook)


class Shrink(Deciding[State]):
    """Compares once an hour, sweeps once a day."""

    name: ClassVar = "shrink"
    books: ClassVar = True
    config: ClassVar = frozenset({"shelf_profiles", "commands"})
    writes: ClassVar = frozenset({"shelf_events"})
    made: ClassVar = State

    def advance(
        self, state: State, facts: Sequence[e.Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[State, list[Output]]:
        outputs = state.alerts.obey(state.pen, self.name, config, step)
        if step.at.hour != step.since.hour:
            outputs += self._compare(state, config, step, books)
        if SWEEP.within(step.since, step.at):
            outputs += self._sweep(state, step, books)
        return state, outputs

    def _sweep(self, state: State, step: Step, books: Books) -> list[Output]:
        outputs: list[Output] = []
        for subject, _ in state.alerts.of_rule(UNPAID):
            outputs += state.alerts.resolve(state.pen, step, UNPAID, subject, alerts.settled())
        book = books.shelves
        in_baskets = book.balances[:, Place.BASKET]
        for shelf_id, row in sorted((book.shelf_ids[row], row) for row in np.flatnonzero(in_baskets).tolist()):
            units = int(in_baskets[row])
            outputs.append(state.pen.fact(self.name, step, "shelf_events", e.Unpaid, shelf_id=shelf_id, quantity=units))
            outputs.append(
                state.alerts.raise_(
                    state.pen,
                    self.name,
                    step,
                    UNPAID,
                    shelf_id,
                    shelf_id=shelf_id,
                    location="store",
                    current_stock=units,
                    severity="warning",
                    why=alerts.unpaid(units),
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
        missing = shrink.missing(stock, weight, item_weight, book.version[rows] / 2)
        before = {subject for subject, _ in state.alerts.of_rule(PHANTOM)}
        looked_at = {shelf for shelf, units in zip(shelves, missing.tolist(), strict=True) if units > 0} | before
        by_shelf = dict(zip(shelves, zip(stock.tolist(), missing.tolist(), strict=True), strict=True))
        outputs: list[Output] = []
        for shelf_id in sorted(looked_at):
            units, phantom = by_shelf.get(shelf_id, (0, 0))
            if phantom <= 0:
                why = alerts.scale_agrees(units)
                outputs += state.alerts.resolve(state.pen, step, PHANTOM, shelf_id, why, current_stock=units)
            elif shelf_id not in before:
                outputs.append(
                    state.alerts.raise_(
                        state.pen,
                        self.name,
                        step,
                        PHANTOM,
                        shelf_id,
                        shelf_id=shelf_id,
                        location="store",
                        current_stock=units,
                        suggested_qty=phantom,
                        severity="warning",
                        why=alerts.phantom(units, phantom),
                    )
                )
        return outputs
