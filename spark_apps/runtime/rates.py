"""What a store has learnt of its products' demand from the days that have closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from smartshelf.contracts.ledger import Place
from smartshelf.domain import ordering
from smartshelf.domain.calendar import Calendar
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Step

#: Shelf -> units a day and their variance.
Opening = Mapping[str, tuple[float, float]]
Column = NDArray[np.float64]


class DemandRates(msgspec.Struct):
    """Smoothed daily sales by shelf, as the year of history keeps them (``ordering.smooth``); part of a stage's state.

    A day's sales are the units paid at the tills from midnight to midnight. A shelf that was empty at the end of some
    step while the store was open sold less than was wanted: that day counts only if it sold more than usual.
    """

    #: Shelf -> units a day and their variance.
    of: dict[str, tuple[float, float]] = {}
    #: Shelf -> units sold up to the last midnight.
    sold: dict[str, int] = {}
    #: Shelves that were empty today while the store was open.
    out: list[str] = []

    def follow(self, opening: Opening, calendar: Calendar, config: StoreConfig, step: Step, books: Books) -> bool:
        """Take in a step; True when it has closed a day. ``opening``: what is known of a product from before."""
        for shelf_id in config.changes.profiles:
            if shelf_id not in self.of:
                guess = ordering.FIRST_GUESS * config.profiles[shelf_id].maximum_stock
                self.of[shelf_id] = opening.get(shelf_id, (guess, guess))
        if step.n:
            return False
        closes = step.k > 0 and step.at.date() != step.since.date()
        if closes:
            self._close_day(config, books)
        if calendar.is_open(step.at):
            opens = bool(calendar.opening.within(step.since, step.at))
            self._watch(config.profiles if opens else books.touched, books)
        return closes

    def columns(self, shelves: Sequence[str]) -> tuple[Column, Column]:
        """Units a day and their variance of some shelves."""
        both = np.array([self.of[shelf] for shelf in shelves], dtype=np.float64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def _watch(self, shelves: Sequence[str] | Mapping[str, object], books: Books) -> None:
        book = books.shelves
        there = [shelf for shelf in shelves if shelf in book.row_of]
        stock = book.balances[[book.row_of[shelf] for shelf in there], Place.SHELF]
        for at in np.flatnonzero(stock <= 0).tolist():
            if there[at] not in self.out:
                self.out.append(there[at])

    def _close_day(self, config: StoreConfig, books: Books) -> None:
        book = books.shelves
        shelves = [shelf for shelf in config.profiles if shelf in book.row_of]
        total = book.balances[[book.row_of[shelf] for shelf in shelves], Place.SOLD]
        before = np.array([self.sold.get(shelf, 0) for shelf in shelves], dtype=np.int64)
        usable = np.array([shelf not in self.out for shelf in shelves], dtype=np.bool_)
        mean, variance = ordering.smooth(*self.columns(shelves), total - before, usable)
        self.of = dict(zip(shelves, zip(mean.tolist(), variance.tolist(), strict=True), strict=True))
        self.sold = dict(zip(shelves, total.tolist(), strict=True))
        self.out = []
