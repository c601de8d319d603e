"""What the business knows of every lot of one store: units in the backroom, on the way and in the store.

Sensors do not tell lots apart, so shelf and baskets are one place here. A movement whose lot nobody knows
(theft, a count without lot) books on lot ``~UNKNOWN``, which may be negative: the lots of a shelf, that one
included, always add up to its shelf and baskets, and to its backroom and its way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import Place
from smartshelf.domain import ledger
from smartshelf.domain.shelf import NEVER, Column, micros

#: The lot of movements whose lot nobody knows.
UNKNOWN_LOT = "~UNKNOWN"
#: A day later than any other: lots whose expiry nobody knows come last.
NO_DATE = int(np.iinfo(np.int64).max)
_NO_DATES = (NO_DATE, NO_DATE)
_FIRST_DAY = date(1970, 1, 1)

Key = tuple[str, str]


class LotPlace(IntEnum):
    """Where units of a lot can be; the value is the column in ``LotBook.units``."""

    BACKROOM = 0
    ON_THE_WAY = 1
    STORE = 2


class Shows(IntEnum):
    """The two rows that tell of a lot; the value is the column in ``LotBook.version`` and ``updated``."""

    #: All places.
    EVERYWHERE = 0
    #: Only what is in the store.
    IN_STORE = 1


#: Where a lot's units are when they are in a place of the ledger; elsewhere they are in no lot.
PLACE_OF: dict[Place, LotPlace] = {
    Place.BACKROOM: LotPlace.BACKROOM,
    Place.ON_THE_WAY: LotPlace.ON_THE_WAY,
    Place.SHELF: LotPlace.STORE,
    Place.BASKET: LotPlace.STORE,
}
#: Between shelf and basket units stay in the store, unless a later count has seen the shelf already.
_WITHIN_STORE = (e.Pickup, e.Putback)


class Lot(NamedTuple):
    """Units of a lot in one place."""

    batch_code: str
    quantity: int
    received_date: date | None
    expiry_date: date | None


@cache
def day_of(iso_date: str) -> int:
    """Days since 1970 of an ISO date."""
    return (date.fromisoformat(iso_date) - _FIRST_DAY).days


@cache
def date_of(day: int) -> date | None:
    """The date of so many days since 1970; None for NO_DATE."""
    return None if day == NO_DATE else _FIRST_DAY + timedelta(days=day)


class Index:
    """Which lot has which row. Books that are copies of each other share one until a lot comes or goes."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self.row_of: dict[Key, int] = {}
        self.rows_of: dict[str, list[int]] = {}
        self.shelf_ids: list[str] = []
        self.batch_codes: list[str] = []
        self.add(keys)

    def add(self, keys: Iterable[Key]) -> None:
        for key in keys:
            row = self.row_of[key] = len(self.shelf_ids)
            self.rows_of.setdefault(key[0], []).append(row)
            self.shelf_ids.append(key[0])
            self.batch_codes.append(key[1])

    def keys(self) -> list[Key]:
        return list(self.row_of)


@dataclass
class LotBook:
    """One row for every lot that is somewhere, or was until lately, in order of appearance.

    ``units`` by (lot, LotPlace); ``version`` and ``updated`` (microseconds since 1970) by (lot, Shows);
    ``received_day`` and ``expiry_day`` in days since 1970. ``counted``: last count of a shelf, by shelf.
    """

    index: Index = field(default_factory=Index)
    units: ledger.Matrix = field(default_factory=lambda: _matrix(0, len(LotPlace), 0))
    version: ledger.Matrix = field(default_factory=lambda: _matrix(0, len(Shows), 0))
    updated: ledger.Matrix = field(default_factory=lambda: _matrix(0, len(Shows), NEVER))
    received_day: Column = field(default_factory=lambda: _column(0))
    expiry_day: Column = field(default_factory=lambda: _column(0))
    counted: dict[str, int] = field(default_factory=dict)
    #: Whether ``index``, days and ``counted`` belong to this book alone.
    own: bool = True
    #: Number of changes of those since the book was made.
    revision: int = 0

    def copy(self) -> LotBook:
        """A book that can be folded further without touching this one."""
        self.own = False
        return LotBook(
            self.index,
            self.units.copy(),
            self.version.copy(),
            self.updated.copy(),
            self.received_day,
            self.expiry_day,
            self.counted,
            own=False,
        )

    # --- looking -------------------------------------------------------------------------------------

    @property
    def shelf_ids(self) -> list[str]:
        """The shelf of each row."""
        return self.index.shelf_ids

    @property
    def batch_codes(self) -> list[str]:
        """The batch of each row."""
        return self.index.batch_codes

    @property
    def row_of(self) -> dict[Key, int]:
        """(shelf, batch) -> row."""
        return self.index.row_of

    def in_store(self, shelf_id: str) -> list[Lot]:
        """Known lots of a shelf in the store, first-expiring first."""
        return self._lots(shelf_id, LotPlace.STORE)

    def in_backroom(self, shelf_id: str) -> list[Lot]:
        """Known lots of a shelf in the backroom, first-expiring first."""
        return self._lots(shelf_id, LotPlace.BACKROOM)

    def _lots(self, shelf_id: str, place: LotPlace) -> list[Lot]:
        there = [
            row
            for row in self.index.rows_of.get(shelf_id, ())
            if self.units[row, place] > 0 and self.batch_codes[row] != UNKNOWN_LOT
        ]
        there.sort(key=lambda row: (self.expiry_day[row], self.batch_codes[row]))
        return [self.lot(row, place) for row in there]

    def lot(self, row: int, place: LotPlace) -> Lot:
        """What a row holds in one place."""
        return Lot(
            self.batch_codes[row],
            int(self.units[row, place]),
            date_of(int(self.received_day[row])),
            date_of(int(self.expiry_day[row])),
        )

    def on_shelf(self, shelf_id: str, batch_code: str, in_baskets: int) -> int | None:
        """Units of a lot that should lie on its shelf; None when no such lot is known.

        Sensors do not tell lots apart: what is in baskets is taken to be of the first-expiring lots.
        """
        if (shelf_id, batch_code) not in self.row_of or batch_code == UNKNOWN_LOT:
            return None
        carried = max(in_baskets, 0)
        for lot in self.in_store(shelf_id):
            taken = min(carried, lot.quantity)
            if lot.batch_code == batch_code:
                return lot.quantity - taken
            carried -= taken
        return int(self.units[self.row_of[shelf_id, batch_code], LotPlace.STORE])

    def total(self, shelf_id: str, place: LotPlace) -> int:
        """Units of a shelf's product in one place, the unknown lot included."""
        return sum(int(self.units[row, place]) for row in self.index.rows_of.get(shelf_id, ()))

    def expiring(self, place: LotPlace, day: int) -> list[int]:
        """Rows with units in ``place`` that expire on ``day`` (since 1970) or before: by shelf, expiry, batch."""
        rows = np.flatnonzero((self.units[:, place] > 0) & (self.expiry_day <= day)).tolist()
        return sorted(rows, key=lambda row: (self.shelf_ids[row], self.expiry_day[row], self.batch_codes[row]))

    # --- folding -------------------------------------------------------------------------------------

    def configure(self, shelf_ids: Iterable[str], at: int) -> None:
        """Profiles that changed at ``at`` (microseconds since 1970) are an input of their lots' rows."""
        for shelf_id in shelf_ids:
            for row in self.index.rows_of.get(shelf_id, ()):
                for shows in Shows:
                    if self.version[row, shows]:
                        self._touch(row, shows, at)

    def fold(self, facts: Collection[e.Event]) -> None:
        """Add facts, in order."""
        booked = [(fact, moved) for fact in facts if (moved := self._moved(fact))]
        self._ensure(lot_of(move) for _, moved in booked for move in moved)
        for fact, moved in booked:
            self._book(fact, moved)

    def _moved(self, fact: e.Event) -> list[ledger.Moved]:
        """What a fact moves between lots' places; counts take effect on later facts at once."""
        if isinstance(fact, e.WeightChange):
            return []
        at = micros(fact.timestamp)
        if isinstance(fact, _WITHIN_STORE) and at >= self.counted.get(fact.shelf_id, NEVER):
            return []
        moved = [
            ledger.as_counted(move, late=at < self.counted.get(move.shelf_id, NEVER)) for move in ledger.movements(fact)
        ]
        if isinstance(fact, e.Count) and fact.location == "store" and at > self.counted.get(fact.shelf_id, NEVER):
            self._detach()
            self.counted[fact.shelf_id] = at
        return moved

    def _book(self, fact: e.Event, moved: list[ledger.Moved]) -> None:
        at = micros(fact.timestamp)
        everywhere: set[int] = set()
        in_store: set[int] = set()
        for move in moved:
            row = self.index.row_of[lot_of(move)]
            was_dated = self._dates(row) != _NO_DATES
            if isinstance(fact, e.Count | e.WhIn) and fact.batch_code and self._is_redated(row, fact):
                everywhere.add(row)
                in_store.add(row)
            origin, destination = PLACE_OF.get(move.origin), PLACE_OF.get(move.destination)
            if origin is destination or not move.quantity:
                continue
            if origin is not None:
                self.units[row, origin] -= move.quantity
            if destination is not None:
                self.units[row, destination] += move.quantity
            everywhere.add(row)
            if LotPlace.STORE in (origin, destination):
                in_store.add(row)
                # Its dates are an input of the row in the store, whether they came before its units or after.
                self.version[row, Shows.IN_STORE] += was_dated and not self.version[row, Shows.IN_STORE]
        for shows, rows in ((Shows.EVERYWHERE, everywhere), (Shows.IN_STORE, in_store)):
            for row in rows:
                self._touch(row, shows, at)

    def _touch(self, row: int, shows: Shows, at: int) -> None:
        self.version[row, shows] += 1
        self.updated[row, shows] = max(self.updated[row, shows], at)

    def _is_redated(self, row: int, fact: e.Count | e.WhIn) -> bool:
        """Take over the dates that a count or a delivery tells; True when a lot in the store had others."""
        known = self._dates(row)
        days = tuple(day_of(d) if d else NO_DATE for d in (fact.received_date, fact.expiry_date))
        if days in (known, _NO_DATES):
            return False
        self._detach()
        self.received_day[row], self.expiry_day[row] = days
        is_shown = bool(self.version[row, Shows.IN_STORE])
        if known == _NO_DATES:
            # They came after the lot's units, out of order: a new version of the same row.
            self.version[row, Shows.IN_STORE] += is_shown
            return False
        return is_shown

    def _dates(self, row: int) -> tuple[int, int]:
        return int(self.received_day[row]), int(self.expiry_day[row])

    # --- lots come and go ----------------------------------------------------------------------------

    def retire(self, at: int, after: timedelta) -> list[Key]:
        """Forget lots that have been nowhere for so long at ``at`` (microseconds since 1970); returns them.

        The unknown lot of a shelf stays: it is no lot that could be used up.
        """
        idle = at - after // timedelta(microseconds=1)
        empty = ~self.units.any(axis=1) & (self.updated[:, Shows.EVERYWHERE] <= idle)
        keys = self.index.keys()
        gone = [keys[row] for row in np.flatnonzero(empty).tolist() if keys[row][1] != UNKNOWN_LOT]
        if not gone:
            return []
        leaving = set(gone)
        stay = [row for row, key in enumerate(keys) if key not in leaving]
        self._detach()
        self.index = Index(keys[row] for row in stay)
        for name in _COLUMNS:
            setattr(self, name, getattr(self, name)[stay])
        return gone

    def _ensure(self, keys: Iterable[Key]) -> None:
        """Rows for lots seen for the first time."""
        new = list(dict.fromkeys(key for key in keys if key not in self.index.row_of))
        if not new:
            return
        self._detach()
        self.index.add(new)
        more = len(new)
        self.units = np.vstack([self.units, _matrix(more, len(LotPlace), 0)])
        self.version = np.vstack([self.version, _matrix(more, len(Shows), 0)])
        self.updated = np.vstack([self.updated, _matrix(more, len(Shows), NEVER)])
        self.received_day = np.append(self.received_day, _column(more))
        self.expiry_day = np.append(self.expiry_day, _column(more))

    def _detach(self) -> None:
        """Stop sharing with copies what seldom changes: it is about to."""
        self.revision += 1
        if self.own:
            return
        self.index = Index(self.index.row_of)
        self.received_day, self.expiry_day = self.received_day.copy(), self.expiry_day.copy()
        self.counted = dict(self.counted)
        self.own = True


_COLUMNS = ("units", "version", "updated", "received_day", "expiry_day")


def lot_of(move: ledger.Moved) -> Key:
    """The lot that a movement books on."""
    return move.shelf_id, move.batch_code or UNKNOWN_LOT


def _matrix(rows: int, columns: int, value: int) -> NDArray[Any]:
    return np.full((rows, columns), value, dtype=np.int64)


def _column(rows: int) -> Column:
    return np.full(rows, NO_DATE, dtype=np.int64)
