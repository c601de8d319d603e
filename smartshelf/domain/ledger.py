"""Facts become movements of units; balances are the running sums of movements.

A balance matrix has one row per shelf and one column per Place (int64, units). A movement takes from one
column and gives to another, so every row always sums to zero: nothing is made, nothing vanishes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import MOVEMENTS, Movement, Place, adjust_movement, count_movement, removal_movement

PLACES = len(Place)
Matrix = NDArray[np.int64]


class Moved(NamedTuple):
    """``quantity`` units (signed) of a shelf's product, of a lot where known, from one place to another."""

    shelf_id: str
    batch_code: str | None
    origin: Place
    destination: Place
    quantity: int


def movements(fact: e.Event) -> list[Moved]:
    """The movements of one fact; none for facts that move no units (weights, visits, readings)."""
    if isinstance(fact, e.PosTransaction):
        sale = MOVEMENTS["pos_transaction"]
        return [
            Moved(line.shelf_id, line.batch_code, sale.origin, sale.destination, line.quantity) for line in fact.items
        ]
    event_type = str(type(fact).__struct_config__.tag)
    rule = rule_for(event_type, getattr(fact, "reason", None), getattr(fact, "location", None))
    if rule is None:
        return []
    return [
        Moved(
            fact.shelf_id,  # type: ignore[attr-defined]  # every event with a movement names its shelf
            getattr(fact, "batch_code", None),
            rule.origin,
            rule.destination,
            getattr(fact, rule.quantity),
        )
    ]


def rule_for(event_type: str, reason: str | None, location: str | None) -> Movement | None:
    """How an event of this type (and, for counts, removals and adjustments, reason and location) moves units."""
    if event_type == "count":
        return count_movement(reason or "", location or "store")
    if event_type == "removal":
        return removal_movement(location or "store")
    if event_type == "wh_adjust":
        return adjust_movement(reason or "")
    return MOVEMENTS.get(event_type)


def as_counted(move: Moved, late: bool) -> Moved:
    """The movement as it counts when it arrives after a count that has already seen its effect on the shelf.

    ``late``: it happened before the shelf's last count. Only its other leg is news; the shelf's goes to unknown.
    """
    if not late:
        return move
    origin = Place.UNKNOWN if move.origin is Place.SHELF else move.origin
    destination = Place.UNKNOWN if move.destination is Place.SHELF else move.destination
    return move._replace(origin=origin, destination=destination)


def empty(shelves: int) -> Matrix:
    """A balance matrix of zeros, (shelves, places)."""
    return np.zeros((shelves, PLACES), dtype=np.int64)


def apply(balances: Matrix, rows: Iterable[int], moved: Iterable[Moved]) -> None:
    """Add movements to balances in place; ``rows[i]`` is the row of ``moved[i]``."""
    for row, move in zip(rows, moved, strict=True):
        balances[row, move.origin] -= move.quantity
        balances[row, move.destination] += move.quantity
