"""What a store has learnt of its products' demand from the days that have closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import ShelfProfile
from smartshelf.domain import ordering
from smartshelf.domain.calendar import Calendar
from smartshelf.domain.shelf import ShelfBook

#: Shelf -> units a day and their variance.
Opening = Mapping[str, tuple[float, float]]
#: What a store is made with that has no history, and the product's own week.
NOTHING: Opening = {}
WEEK = Calendar()
Column = NDArray[np.float64]

#: One entry per row of the shelf book.
_COLUMNS: dict[str, np.dtype[Any]] = {
    "mean": np.dtype("<f8"),
    "variance": np.dtype("<f8"),
    "is_known": np.dtype("?"),
    "sold": np.dtype("<i4"),
    "was_out": np.dtype("?"),
}


@dataclass
class DemandRates:
    """Smoothed daily sales by row of the shelf book, as the year of history keeps them (``ordering.smooth``).

    A day's sales are the units paid at the tills from midnight to midnight. A shelf that was empty at the end of some
    step while the store was open sold less than was wanted: that day counts only if it sold more than usual.
    ``opening``: what is known of a product from before; it and ``calendar`` are fixed for the life of a store.
    """

    opening: Opening = field(default_factory=lambda: NOTHING)
    calendar: Calendar = WEEK
    #: Units a day and their variance, of shelves that have a profile.
    mean: Column = field(default_factory=lambda: np.zeros(0, _COLUMNS["mean"]))
    variance: Column = field(default_factory=lambda: np.zeros(0, _COLUMNS["variance"]))
    is_known: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, _COLUMNS["is_known"]))
    #: Units sold up to the last midnight.
    sold: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, _COLUMNS["sold"]))
    #: Whether it was empty today while the store was open.
    was_out: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, _COLUMNS["was_out"]))

    def meet(self, profiles: Iterable[ShelfProfile], book: ShelfBook) -> None:
        """Open the rate of every shelf whose profile is new."""
        if missing := len(book.shelf_ids) - len(self.mean):
            for name in _COLUMNS:
                setattr(self, name, np.pad(getattr(self, name), (0, missing)))
        for profile in profiles:
            row = book.row_of[profile.shelf_id]
            if not self.is_known[row]:
                guess = ordering.FIRST_GUESS * profile.maximum_stock
                self.mean[row], self.variance[row] = self.opening.get(profile.shelf_id, (guess, guess))
                self.is_known[row] = True

    def watch(self, rows: NDArray[np.int64], book: ShelfBook) -> None:
        """The store is open: which of these shelves are empty."""
        self.was_out[rows] |= book.balances[rows, Place.SHELF] <= 0

    def close_day(self, rows: NDArray[np.int64], book: ShelfBook) -> None:
        """Learn from the day that ends, for the shelves that have a profile; of others nothing stays."""
        total = book.balances[rows, Place.SOLD]
        usable = ~self.was_out[rows]
        mean, variance = ordering.smooth(self.mean[rows], self.variance[rows], total - self.sold[rows], usable)
        for name in _COLUMNS:
            getattr(self, name)[:] = 0
        self.mean[rows], self.variance[rows], self.is_known[rows], self.sold[rows] = mean, variance, True, total

    def plain(self) -> dict[str, bytes]:
        """As plain values, without what it is made with."""
        return {name: getattr(self, name).tobytes() for name in _COLUMNS}

    @classmethod
    def of(cls, plain: Mapping[str, bytes], opening: Opening, calendar: Calendar) -> DemandRates:
        """From plain values, and what it is made with."""
        columns = {name: np.frombuffer(raw, _COLUMNS[name]).copy() for name, raw in plain.items()}
        return cls(opening, calendar, **columns)
