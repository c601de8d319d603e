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
from smartshelf.contracts.ledger import MOVEMENTS, Movement, Place, count_movement, removal_movement

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
        rule = MOVEMENTS["pos_transaction"]
        return [
            Moved(line.shelf_id, line.batch_code, rule.origin, rule.destination, line.quantity) for line in fact.items
        ]
    rule_of_fact = _rule(fact)
    if rule_of_fact is None:
        return []
    return [
        Moved(
            fact.shelf_id,  # type: ignore[attr-defined]  # every event with a movement names its shelf
            getattr(fact, "batch_code", None),
            rule_of_fact.origin,
            rule_of_fact.destination,
            getattr(fact, rule_of_fact.quantity),
        )
    ]


def _rule(fact: e.Event) -> Movement | None:
    if isinstance(fact, e.Count):
        return count_movement(fact.reason, fact.location)
    if isinstance(fact, e.Removal):
        return removal_movement(fact.location)
    return MOVEMENTS.get(type(fact).__struct_config__.tag)  # type: ignore[arg-type]


def empty(shelves: int) -> Matrix:
    """A balance matrix of zeros, (shelves, places)."""
    return np.zeros((shelves, PLACES), dtype=np.int64)


def apply(balances: Matrix, rows: Iterable[int], moved: Iterable[Moved]) -> None:
    """Add movements to balances in place; ``rows[i]`` is the row of ``moved[i]``."""
    for row, move in zip(rows, moved, strict=True):
        balances[row, move.origin] -= move.quantity
        balances[row, move.destination] += move.quantity
