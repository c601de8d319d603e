"""What the business knows of every shelf of one store: the fold of facts into units, weight and version.

Rules proved by tests: units only move between places (each row sums to zero); a fact counts as one input of
a row whatever it moves there; the order of facts of different shelves does not matter; weights are summed in
whole milligrams, so that their sum does not depend on how facts were batched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import Place
from smartshelf.domain import ledger

Column = NDArray[np.int64]

#: A row's own places: what moves elsewhere (backroom, sold, ...) does not change what a shelf's row shows.
SHOWN_PLACES = frozenset({Place.SHELF, Place.BASKET, Place.ON_THE_WAY})
MILLIGRAMS = 1_000
#: No fact and no count yet; earlier than any simulated moment.
NEVER = np.iinfo(np.int64).min
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The UTC instant of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def shelves_of(fact: e.Event) -> tuple[str, ...]:
    """The shelves a fact names; none for visits and readings."""
    if type(fact) is e.PosTransaction:
        return tuple([line.shelf_id for line in fact.items])
    shelf = getattr(fact, "shelf_id", None)
    return () if shelf is None else (shelf,)


@dataclass
class ShelfBook:
    """Balances of every shelf that has ever been configured or moved, one row each, in order of appearance.

    ``weight`` is in milligrams, ``updated`` and ``counted`` (last count on the shelf) in microseconds since 1970.
    A shelf that lost its profile keeps its row: units do not vanish because a description does.
    """

    shelf_ids: list[str] = field(default_factory=list)
    balances: ledger.Matrix = field(default_factory=lambda: ledger.empty(0))
    weight: Column = field(default_factory=lambda: _column(0, 0))
    version: Column = field(default_factory=lambda: _column(0, 0))
    updated: Column = field(default_factory=lambda: _column(0, NEVER))
    counted: Column = field(default_factory=lambda: _column(0, NEVER))

    def __post_init__(self) -> None:
        self.row_of: dict[str, int] = {shelf_id: row for row, shelf_id in enumerate(self.shelf_ids)}

    def copy(self) -> ShelfBook:
        """A book that can be folded further without touching this one."""
        return ShelfBook(
            list(self.shelf_ids),
            self.balances.copy(),
            self.weight.copy(),
            self.version.copy(),
            self.updated.copy(),
            self.counted.copy(),
        )

    def configure(self, shelf_ids: Iterable[str], at: datetime) -> None:
        """Profiles of these shelves were added, changed or deleted at ``at``: an input of each one's row."""
        shelf_ids = tuple(shelf_ids)
        self._ensure(shelf_ids)
        for shelf_id in shelf_ids:
            self._touch(self.row_of[shelf_id], micros(at))

    def fold(self, facts: Iterable[e.Event]) -> None:
        """Add facts, in order."""
        for fact in facts:
            if type(fact) is e.WeightChange:
                self._weigh(fact)
            else:
                self._move(fact)

    def _weigh(self, fact: e.WeightChange) -> None:
        if milligrams := round(fact.delta_weight * MILLIGRAMS):
            row = self._row(fact.shelf_id)
            self.weight[row] += milligrams
            self._touch(row, micros(fact.timestamp))

    def _move(self, fact: e.Event) -> None:
        at = micros(fact.timestamp)
        changed: set[int] = set()
        for move in ledger.movements(fact):
            row = self._row(move.shelf_id)
            counted = ledger.as_counted(move, late=at < self.counted[row])
            self.balances[row, counted.origin] -= move.quantity
            self.balances[row, counted.destination] += move.quantity
            if move.quantity and not SHOWN_PLACES.isdisjoint((counted.origin, counted.destination)):
                changed.add(row)
        for row in changed:
            self._touch(row, at)
        if type(fact) is e.Count and fact.location == "store":
            row = self._row(fact.shelf_id)
            self.counted[row] = max(self.counted[row], at)

    def _row(self, shelf_id: str) -> int:
        row = self.row_of.get(shelf_id)
        if row is None:
            self._ensure((shelf_id,))
            row = self.row_of[shelf_id]
        return row

    def _touch(self, row: int, at: int) -> None:
        self.version[row] += 1
        if self.updated[row] < at:
            self.updated[row] = at

    def _ensure(self, shelf_ids: Iterable[str]) -> None:
        """Rows for shelves seen for the first time."""
        new = list(dict.fromkeys(shelf_id for shelf_id in shelf_ids if shelf_id not in self.row_of))
        if not new:
            return
        for shelf_id in new:
            self.row_of[shelf_id] = len(self.shelf_ids)
            self.shelf_ids.append(shelf_id)
        more = len(new)
        self.balances = np.vstack([self.balances, ledger.empty(more)])
        self.weight = np.append(self.weight, _column(more, 0))
        self.version = np.append(self.version, _column(more, 0))
        self.updated = np.append(self.updated, _column(more, NEVER))
        self.counted = np.append(self.counted, _column(more, NEVER))


def _column(rows: int, value: int) -> Column:
    return np.full(rows, value, dtype=np.int64)
