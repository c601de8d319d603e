"""Comparing the books (pure): balances by shelf from several places, and the first thing that differs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import ShelfState
from smartshelf.domain.ledger import Moved

#: Fields of a state row that say when and how often it was written, not what is true.
BOOKKEEPING = frozenset({"epoch", "version", "as_of_step", "produced_at"})


class ShelfKey(NamedTuple):
    """A shelf of a store."""

    store_id: str
    shelf_id: str


@dataclass
class Balances:
    """Units by shelf and place, as one source of record tells them."""

    source: str
    by_shelf: dict[ShelfKey, dict[Place, int]] = field(default_factory=dict)

    def add(self, store_id: str, moved: Iterable[Moved]) -> None:
        """Book movements: out of one place, into another."""
        for move in moved:
            places = self.by_shelf.setdefault(ShelfKey(store_id, move.shelf_id), {})
            places[move.origin] = places.get(move.origin, 0) - move.quantity
            places[move.destination] = places.get(move.destination, 0) + move.quantity

    def totals(self) -> dict[str, int]:
        """Units by place over all shelves; the supplier's column is negative: what was taken from it."""
        sums: dict[str, int] = {}
        for places in self.by_shelf.values():
            for place, units in places.items():
                sums[place.name.lower()] = sums.get(place.name.lower(), 0) + units
        return dict(sorted(sums.items()))

    def units(self, key: ShelfKey, place: Place) -> int:
        return self.by_shelf.get(key, {}).get(place, 0)


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


def compare(truth: Balances, other: Balances, places: Sequence[Place]) -> list[Difference]:
    """Every shelf and place on which two sources disagree, in key order."""
    keys = sorted(truth.by_shelf.keys() | other.by_shelf.keys())
    return [
        Difference(place.name.lower(), f"{key.store_id}/{key.shelf_id}", truth.source, expected, other.source, found)
        for key in keys
        for place in places
        if (expected := truth.units(key, place)) != (found := other.units(key, place))
    ]


def compare_rows(
    source: str,
    rows: Mapping[ShelfKey, Mapping[str, Any]],
    other_source: str,
    others: Mapping[ShelfKey, Mapping[str, Any]],
) -> list[Difference]:
    """Every field of a state row on which two copies disagree, missing rows included."""
    found: list[Difference] = []
    for key in sorted(rows.keys() | others.keys()):
        where, mine, its = f"{key.store_id}/{key.shelf_id}", rows.get(key), others.get(key)
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
        ]
        doubled = [
            Difference("sequence number", f"{source} on {stream}", "contract", number, "facts", "repeated")
            for source, stream, number in sorted(self._repeated)
        ]
        return lost + doubled


def shelf_rows(values: Iterable[bytes]) -> dict[ShelfKey, dict[str, Any]]:
    """Rows of topic ``shelf_state`` as plain values, by shelf."""
    rows = (msgspec.to_builtins(msgspec.json.decode(value, type=ShelfState)) for value in values)
    return {ShelfKey(row["store_id"], row["shelf_id"]): row for row in rows}


def state_hash(tables: Mapping[str, Mapping[ShelfKey, Mapping[str, Any]]]) -> str:
    """One digest of what is true, free of when and how often it was written (PROTOCOL, Tests)."""
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
