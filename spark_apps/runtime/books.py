"""The books of one store, folded once for all stages of a process: shelves with their backroom, lots, and demand.

Three state values: names and dates, which seldom change, units, and what has been learnt of demand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smartshelf.contracts.events import Event
from smartshelf.domain import shelf
from smartshelf.domain.calendar import Calendar
from smartshelf.domain.ledger import PLACES
from smartshelf.domain.lots import Index, LotBook, LotPlace, Shows
from smartshelf.domain.shelf import Column, ShelfBook, micros, shelves_of
from spark_apps.runtime import codec
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.rates import NOTHING, WEEK, DemandRates, Opening

if TYPE_CHECKING:
    from spark_apps.runtime.stage import Step

#: 2: with demand beside them.
FORMAT = 2
#: Topics whose facts the books are made of.
TOPICS = frozenset({"shelf_events", "pos_transactions", "wh_events", "proposals"})
#: Names of the state values; a store that has one has all.
VALUES = NAMES, UNITS, DEMAND = "books:names", "books:units", "books:demand"
#: Lots that have been nowhere for so long leave the state, and their rows with them.
FORGET_AFTER = timedelta(days=14)

#: Units and versions never come near 2^31; weights in milligrams and times in microseconds do.
_SMALL = np.dtype("<i4")
_LARGE = np.dtype("<i8")
_SHELF_COLUMNS: dict[str, np.dtype[Any]] = {
    name: _LARGE if name in ("weight", "updated", "counted", "wh_updated") else _SMALL for name in shelf.COLUMNS
}
_LOT_COLUMNS: dict[str, tuple[np.dtype[Any], int]] = {
    "units": (_SMALL, len(LotPlace)),
    "version": (_SMALL, len(Shows)),
    "updated": (_LARGE, len(Shows)),
}


class _Names(NamedTuple):
    """What seldom changes; books loaded from the same bytes share it."""

    shelf_ids: list[str]
    row_of: dict[str, int]
    lots: Index
    received_day: Column
    expiry_day: Column
    counted: dict[str, int]


@dataclass
class Books:
    """Read-only for stages; holds the facts of the step that they advance to."""

    shelves: ShelfBook = field(default_factory=ShelfBook)
    lots: LotBook = field(default_factory=LotBook)
    demand: DemandRates = field(default_factory=DemandRates)
    #: Shelves that the step's facts or its configuration name, sorted.
    touched: tuple[str, ...] = ()
    #: ``names`` as they were dumped last, and what says that they still are the same.
    _dumped: tuple[tuple[int, int], bytes] | None = None

    def copy(self) -> Books:
        """Books that can be folded further without touching these; demand is shared, facts do not change it."""
        return Books(self.shelves.copy(), self.lots.copy(), self.demand)

    def advance(self, facts: Sequence[Event], config: StoreConfig, step: Step) -> None:
        """Fold the facts and configuration of a step; at midnight learn from the day, and forget what is used up."""
        changes, at = config.changes, step.at
        if changes.any:
            shelf_ids = (*changes.profiles, *changes.removed)
            self.shelves.configure(shelf_ids, at)
            self.lots.configure(shelf_ids, micros(at))
        self.fold(facts)
        named = chain(changes.profiles, changes.removed, *map(shelves_of, facts))
        self.touched = tuple(sorted(set(named)))
        self._learn(config, step)
        if at.date() != step.since.date():
            midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
            self.lots.retire(micros(midnight), FORGET_AFTER)

    def _learn(self, config: StoreConfig, step: Step) -> None:
        """Nothing is sold while the clock stands."""
        demand, calendar = self.demand, self.demand.calendar
        demand.meet([config.profiles[shelf_id] for shelf_id in config.changes.profiles], self.shelves)
        if step.closes_day:
            demand.close_day(self._rows(config.profiles), self.shelves)
        if not step.n and calendar.is_open(step.at):
            opens = bool(calendar.opening.within(step.since, step.at))
            demand.watch(self._rows(config.profiles if opens else self.touched), self.shelves)

    def _rows(self, shelves: Iterable[str]) -> Column:
        row_of = self.shelves.row_of
        return np.array([row_of[shelf_id] for shelf_id in shelves if shelf_id in row_of], dtype=np.int64)

    def fold(self, facts: Sequence[Event]) -> None:
        """Add facts, in order."""
        self.shelves.fold(facts)
        self.lots.fold(facts)

    # --- as state values -------------------------------------------------------------------------

    def dump(self) -> dict[str, bytes]:
        """The state values; ``names`` is the same object as long as nothing in it changes."""
        key = len(self.shelves.shelf_ids), self.lots.revision
        if self._dumped is None or self._dumped[0] != key:
            self._dumped = key, self._names()
        return {NAMES: self._dumped[1], UNITS: self._units(), DEMAND: codec.pack(FORMAT, self.demand.plain())}

    def _names(self) -> bytes:
        lots = self.lots
        days = [_pack(lots.received_day, _LARGE), _pack(lots.expiry_day, _LARGE)]
        body = [self.shelves.shelf_ids, lots.shelf_ids, lots.batch_codes, *days, lots.counted]
        return codec.pack(FORMAT, body)

    def _units(self) -> bytes:
        shelves = {name: _pack(getattr(self.shelves, name), kind) for name, kind in _SHELF_COLUMNS.items()}
        lots = {name: _pack(getattr(self.lots, name), kind) for name, (kind, _) in _LOT_COLUMNS.items()}
        return codec.pack(FORMAT, [PLACES, shelves, self.shelves.orders, lots])

    @classmethod
    def load(cls, values: Mapping[str, bytes], opening: Opening = NOTHING, calendar: Calendar = WEEK) -> Books:
        """From state values, and what the demand rates are made with."""
        names = _load_names(values[NAMES])
        places, of_shelves, orders, of_lots = codec.unpack(values[UNITS], FORMAT, UNITS)
        columns = {name: _unpack(raw, _SHELF_COLUMNS[name]) for name, raw in of_shelves.items()}
        balances = columns.pop("balances").reshape(-1, places)
        shelves = ShelfBook(
            names.shelf_ids,
            # A place that came with newer code has held nothing so far.
            np.pad(balances, ((0, 0), (0, PLACES - places))),
            **columns,
            orders={order: (shelf_id, units) for order, (shelf_id, units) in orders.items()},
            row_of=names.row_of,
        )
        matrices = {
            name: _unpack(of_lots[name], kind).reshape(-1, width) for name, (kind, width) in _LOT_COLUMNS.items()
        }
        lots = LotBook(
            names.lots,
            units=matrices["units"],
            version=matrices["version"],
            updated=matrices["updated"],
            received_day=names.received_day,
            expiry_day=names.expiry_day,
            counted=names.counted,
            own=False,
        )
        demand = DemandRates.of(codec.unpack(values[DEMAND], FORMAT, DEMAND), opening, calendar)
        return cls(shelves, lots, demand, _dumped=((len(names.shelf_ids), 0), values[NAMES]))


@lru_cache(maxsize=8)
def _load_names(data: bytes) -> _Names:
    shelf_ids, lot_shelves, batch_codes, received, expiry, counted = codec.unpack(data, FORMAT, NAMES)
    return _Names(
        shelf_ids,
        {shelf_id: row for row, shelf_id in enumerate(shelf_ids)},
        Index(zip(lot_shelves, batch_codes, strict=True)),
        _unpack(received, _LARGE),
        _unpack(expiry, _LARGE),
        counted,
    )


def _pack(column: NDArray[Any], kind: np.dtype[Any]) -> bytes:
    return column.astype(kind, copy=False).tobytes()


def _unpack(data: bytes, kind: np.dtype[Any]) -> Column:
    return np.frombuffer(data, dtype=kind).astype(np.int64)
