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
NEVER = int(np.iinfo(np.int64).min)
#: What a new row holds in each column beside ``balances``.
FIRST: dict[str, int] = {
    "weight": 0,
    "version": 0,
    "updated": NEVER,
    "counted": NEVER,
    "reserved": 0,
    "on_order": 0,
    "wh_version": 0,
    "wh_updated": NEVER,
}
COLUMNS = ("balances", *FIRST)
#: Facts that say what the business is bound to; they move no units.
_COMMITMENTS = (e.Reserve, e.Ordered)
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
    ``reserved``: units of its open restock plan still to be taken from the backroom, ``on_order``: ordered and
    not received (``orders``: by order); ``wh_version`` and ``wh_updated`` tell of these and of the backroom.
    """

    shelf_ids: list[str] = field(default_factory=list)
    balances: ledger.Matrix = field(default_factory=lambda: ledger.empty(0))
    weight: Column = field(default_factory=lambda: _column(0, 0))
    version: Column = field(default_factory=lambda: _column(0, 0))
    updated: Column = field(default_factory=lambda: _column(0, NEVER))
    counted: Column = field(default_factory=lambda: _column(0, NEVER))
    reserved: Column = field(default_factory=lambda: _column(0, 0))
    on_order: Column = field(default_factory=lambda: _column(0, 0))
    wh_version: Column = field(default_factory=lambda: _column(0, 0))
    wh_updated: Column = field(default_factory=lambda: _column(0, NEVER))
    #: order -> (shelf, units outstanding)
    orders: dict[str, tuple[str, int]] = field(default_factory=dict)
    #: shelf -> row; made from ``shelf_ids`` where it is not given.
    row_of: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.row_of) != len(self.shelf_ids):
            self.row_of = {shelf_id: row for row, shelf_id in enumerate(self.shelf_ids)}

    def copy(self) -> ShelfBook:
        """A book that can be folded further without touching this one."""
        columns = {name: getattr(self, name).copy() for name in COLUMNS}
        # Books that know the same shelves share their names: _ensure makes new ones.
        return ShelfBook(self.shelf_ids, **columns, orders=dict(self.orders), row_of=self.row_of)

    def configure(self, shelf_ids: Iterable[str], at: datetime) -> None:
        """Profiles of these shelves were added, changed or deleted at ``at``: an input of each one's rows."""
        shelf_ids = tuple(shelf_ids)
        self._ensure(shelf_ids)
        for shelf_id in shelf_ids:
            self._touch(self.row_of[shelf_id], micros(at))
            self._touch_backroom(self.row_of[shelf_id], micros(at))

    def fold(self, facts: Iterable[e.Event]) -> None:
        """Add facts, in order."""
        for fact in facts:
            if type(fact) is e.WeightChange:
                self._weigh(fact)
            elif isinstance(fact, _COMMITMENTS):
                self._commit(fact)
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
            if move.quantity and Place.BACKROOM in (counted.origin, counted.destination):
                self._touch_backroom(row, at)
        for row in changed:
            self._touch(row, at)
        if isinstance(fact, e.WhIn) and fact.order_id in self.orders:
            self._order(fact.order_id, fact.shelf_id, 0)
        if type(fact) is e.Count and fact.location == "store":
            row = self._row(fact.shelf_id)
            self.counted[row] = max(self.counted[row], at)

    def _row(self, shelf_id: str) -> int:
        row = self.row_of.get(shelf_id)
        if row is None:
            self._ensure((shelf_id,))
            row = self.row_of[shelf_id]
        return row

    def _commit(self, fact: e.Reserve | e.Ordered) -> None:
        row = self._row(fact.shelf_id)
        if isinstance(fact, e.Reserve):
            self.reserved[row] = fact.qty
        else:
            self._order(fact.order_id, fact.shelf_id, fact.qty)
        self._touch_backroom(row, micros(fact.timestamp))

    def _order(self, order_id: str, shelf_id: str, outstanding: int) -> None:
        shelf_id, before = self.orders.pop(order_id, (shelf_id, 0))
        self.on_order[self.row_of[shelf_id]] += outstanding - before
        if outstanding:
            self.orders[order_id] = shelf_id, outstanding

    def _touch_backroom(self, row: int, at: int) -> None:
        self.wh_version[row] += 1
        self.wh_updated[row] = max(self.wh_updated[row], at)

    def _touch(self, row: int, at: int) -> None:
        self.version[row] += 1
        if self.updated[row] < at:
            self.updated[row] = at

    def _ensure(self, shelf_ids: Iterable[str]) -> None:
        """Rows for shelves seen for the first time."""
        new = list(dict.fromkeys(shelf_id for shelf_id in shelf_ids if shelf_id not in self.row_of))
        if not new:
            return
        known = len(self.shelf_ids)
        self.shelf_ids = [*self.shelf_ids, *new]
        self.row_of = self.row_of | {shelf_id: row for row, shelf_id in enumerate(new, known)}
        self.balances = np.vstack([self.balances, ledger.empty(len(new))])
        for name in COLUMNS[1:]:
            setattr(self, name, np.append(getattr(self, name), _column(len(new), FIRST[name])))


def _column(rows: int, value: int) -> Column:
    return np.full(rows, value, dtype=np.int64)
