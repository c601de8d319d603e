"""Comparing the books (pure): balances by shelf from several places, and the first thing that differs."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from smartshelf.contracts.ledger import Place
from smartshelf.contracts.tables import Table
from smartshelf.domain.ledger import Moved
from smartshelf.domain.lots import PLACE_OF, UNKNOWN_LOT, LotPlace

#: Fields of a state row that say when and how often it was written, not what is true.
BOOKKEEPING = frozenset({"epoch", "version", "as_of_step", "produced_at"})


#: Tables whose rows are what is true as of a step, together with every ``wh_out``.
HASHED = (
    "state.shelf_state",
    "state.wh_state",
    "state.shelf_batch_state",
    "state.wh_batch_state",
    "ops.shelf_restock_plan",
    "ops.wh_supplier_plan",
    "ops.wh_supplier_orders",
    "ops.wh_supplier_receipts",
)

#: Primary key of a row.
Key = tuple[Any, ...]
Rows = dict[Key, dict[str, Any]]


class ShelfKey(NamedTuple):
    """A shelf of a store."""

    store_id: str
    shelf_id: str


class LotKey(NamedTuple):
    """A lot of a shelf."""

    store_id: str
    shelf_id: str
    batch_code: str


@dataclass
class Balances:
    """Units by shelf and place, and by lot and place, as one source of record tells them."""

    source: str
    by_shelf: dict[ShelfKey, dict[Place, int]] = field(default_factory=dict)
    by_lot: dict[LotKey, dict[LotPlace, int]] = field(default_factory=dict)

    def add(self, store_id: str, moved: Iterable[Moved]) -> None:
        """Book movements: out of one place, into another."""
        for move in moved:
            places = self.by_shelf.setdefault(ShelfKey(store_id, move.shelf_id), {})
            places[move.origin] = places.get(move.origin, 0) - move.quantity
            places[move.destination] = places.get(move.destination, 0) + move.quantity
            lot = self.by_lot.setdefault(LotKey(store_id, move.shelf_id, move.batch_code or UNKNOWN_LOT), {})
            for place, units in ((move.origin, -move.quantity), (move.destination, move.quantity)):
                if (kept := PLACE_OF.get(place)) is not None:
                    lot[kept] = lot.get(kept, 0) + units

    def totals(self) -> dict[str, int]:
        """Units by place over all shelves; the supplier's column is negative: what was taken from it."""
        sums: dict[str, int] = {}
        for places in self.by_shelf.values():
            for place, units in places.items():
                sums[place.name.lower()] = sums.get(place.name.lower(), 0) + units
        return dict(sorted(sums.items()))

    def units(self, key: ShelfKey, place: Place) -> int:
        return self.by_shelf.get(key, {}).get(place, 0)

    def units_of_lot(self, key: LotKey, place: LotPlace) -> int:
        return self.by_lot.get(key, {}).get(place, 0)


class Difference(NamedTuple):
    """Two sources of record disagree on one figure."""

    what: str
    where: str
    expected_by: str
    expected: Any
    found_in: str
    found: Any

    def __str__(self) -> str:
        return (
            f"{self.what} of {self.where}: {self.expected_by} says {self.expected}, {self.found_in} says {self.found}"
        )


def compare(
    truth: Balances, other: Balances, places: Sequence[Place], leaving_out: Collection[ShelfKey] = ()
) -> list[Difference]:
    """Every shelf and place on which two sources disagree, in key order."""
    keys = sorted((truth.by_shelf.keys() | other.by_shelf.keys()).difference(leaving_out))
    return [
        Difference(place.name.lower(), f"{key.store_id}/{key.shelf_id}", truth.source, expected, other.source, found)
        for key in keys
        for place in places
        if (expected := truth.units(key, place)) != (found := other.units(key, place))
    ]


def compare_lots(
    truth: Balances,
    other: Balances,
    places: Sequence[LotPlace] = tuple(LotPlace),
    leaving_out: Collection[ShelfKey] = (),
) -> list[Difference]:
    """Every lot and place on which two sources disagree; a lot that one has forgotten has no units there."""
    return [
        Difference(f"{place.name.lower()} by lot", "/".join(key), truth.source, expected, other.source, found)
        for key in sorted(truth.by_lot.keys() | other.by_lot.keys())
        if ShelfKey(key.store_id, key.shelf_id) not in leaving_out
        for place in places
        if (expected := truth.units_of_lot(key, place)) != (found := other.units_of_lot(key, place))
    ]


#: Place of lots -> the places of the shelf that its lots add up to.
_ADDS_UP = {
    LotPlace.STORE: (Place.SHELF, Place.BASKET),
    LotPlace.BACKROOM: (Place.BACKROOM,),
    LotPlace.ON_THE_WAY: (Place.ON_THE_WAY,),
}


def lots_against_shelves(balances: Balances) -> list[Difference]:
    """Shelves whose lots, the unknown one included, do not add up to what the shelf has in a place."""
    sums: dict[tuple[ShelfKey, LotPlace], int] = {}
    for lot, units_by_place in balances.by_lot.items():
        for place, units in units_by_place.items():
            key = (ShelfKey(lot.store_id, lot.shelf_id), place)
            sums[key] = sums.get(key, 0) + units
    return [
        Difference(f"sum of lots, {place.name.lower()}", "/".join(key), "shelf", expected, balances.source, found)
        for key in sorted(balances.by_shelf)
        for place, parts in _ADDS_UP.items()
        if (expected := sum(balances.units(key, part) for part in parts)) != (found := sums.get((key, place), 0))
    ]


def compare_rows(
    source: str, rows: Rows, other_source: str, others: Rows, *, keeps_more: bool = False
) -> list[Difference]:
    """Every field of a row on which two copies disagree, missing rows included.

    ``keeps_more``: the other one may keep rows that the first has dropped.
    """
    found: list[Difference] = []
    for key in sorted(rows.keys() if keeps_more else rows.keys() | others.keys()):
        where, mine, its = "/".join(map(str, key)), rows.get(key), others.get(key)
        if mine is None or its is None:
            found.append(Difference("row", where, source, mine is not None, other_source, its is not None))
            continue
        found += [
            Difference(name, where, source, mine[name], other_source, its.get(name))
            for name in mine
            if mine[name] != its.get(name)
        ]
    return found


def unbalanced(balances: Balances) -> list[Difference]:
    """Shelves whose places do not sum to zero: units that were made or vanished."""
    return [
        Difference("sum over places", f"{key.store_id}/{key.shelf_id}", "ledger", 0, balances.source, total)
        for key, places in sorted(balances.by_shelf.items())
        if (total := sum(places.values()))
    ]


class Sequences:
    """Checks that every (source, stream) numbers its events 1..n, each once, in any order of arrival."""

    def __init__(self) -> None:
        self._highest: dict[tuple[str, str], int] = {}
        self._missing: dict[tuple[str, str], set[int]] = {}
        self._repeated: list[tuple[str, str, int]] = []
        #: First number of each partition whose beginning was put away without an archive.
        self._begins: dict[tuple[str, str], dict[int, int]] = {}

    def begin(self, source: str, stream: str, partition: int, number: int) -> None:
        """An event of a partition whose beginning is gone: what is missing below its first number is not looked for."""
        self._begins.setdefault((source, stream), {}).setdefault(partition, number)

    def add(self, source: str, stream: str, number: int) -> None:
        """One event with its sequence number was found."""
        key = (source, stream)
        highest = self._highest.get(key, 0)
        missing = self._missing.setdefault(key, set())
        if number > highest:
            missing.update(range(highest + 1, number))
            self._highest[key] = number
        elif number in missing:
            missing.remove(number)
        else:
            self._repeated.append((*key, number))

    def differences(self) -> list[Difference]:
        """Every number that is missing or was seen twice."""
        lost = [
            Difference("sequence number", f"{source} on {stream}", "contract", number, "facts", "missing")
            for (source, stream), numbers in sorted(self._missing.items())
            for number in sorted(numbers)
            if number >= self._first(source, stream)
        ]
        doubled = [
            Difference("sequence number", f"{source} on {stream}", "contract", number, "facts", "repeated")
            for source, stream, number in sorted(self._repeated)
            if number >= self._first(source, stream)
        ]
        return lost + doubled

    def _first(self, source: str, stream: str) -> int:
        """The number from which on everything can be looked for."""
        return max(self._begins.get((source, stream), {}).values(), default=0)


def keyed(table: Table, rows: Iterable[Mapping[str, Any]]) -> Rows:
    """Rows of a table as plain data by primary key."""
    return {tuple(row[name] for name in table.row.primary_key): row for row in (plain(table.row, r) for r in rows)}


def plain(row_type: type[Struct], values: Mapping[str, Any]) -> dict[str, Any]:
    """A row as plain data, the same whichever store of record it was read from."""
    row: dict[str, Any] = msgspec.to_builtins(msgspec.convert(msgspec.to_builtins(values), row_type, strict=False))
    return row


def store_hash(tables: Mapping[str, Rows], taken: Rows) -> str:
    """What is true of a store: its states, all plans and orders it has ever had (HASHED), and every ``wh_out``."""
    return state_hash({name: tables[name] for name in HASHED} | {"wh_out": taken})


def state_hash(tables: Mapping[str, Rows]) -> str:
    """One digest of what is true, whenever and however often it was written: two runs of a seed have the same."""
    canonical = [
        [
            name,
            [
                [*key, [[column, row[column]] for column in sorted(row) if column not in BOOKKEEPING]]
                for key, row in sorted(rows.items())
            ],
        ]
        for name, rows in sorted(tables.items())
    ]
    return hashlib.sha256(msgspec.json.encode(canonical)).hexdigest()
