"""Where a unit can be, and how each event moves units: the one declarative table of the books.

Spark, the simulator, the audit and the tests all read this table; ``domain/ledger.py`` applies it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Place(IntEnum):
    """Every unit is in exactly one place; the value is its column in a balance matrix."""

    SUPPLIER = 0
    IN_TRANSIT = 1
    BACKROOM = 2
    ON_THE_WAY = 3
    SHELF = 4
    BASKET = 5
    SOLD = 6
    WASTED = 7
    LOST = 8
    UNKNOWN = 9


@dataclass(frozen=True)
class Movement:
    """``quantity`` units (the field of that name, signed) go from ``origin`` to ``destination``."""

    origin: Place
    destination: Place
    quantity: str = "quantity"


#: event_type -> movement of units. ``pos_transaction`` applies to each of its lines;
#: ``weight_change`` is not here: weight moves no units.
MOVEMENTS: dict[str, Movement] = {
    "pickup": Movement(Place.SHELF, Place.BASKET),
    "putback": Movement(Place.BASKET, Place.SHELF),
    "pos_transaction": Movement(Place.BASKET, Place.SOLD),
    "refill": Movement(Place.ON_THE_WAY, Place.SHELF),
    "removal": Movement(Place.SHELF, Place.WASTED),
    "unpaid": Movement(Place.BASKET, Place.LOST),
    "wh_in": Movement(Place.IN_TRANSIT, Place.BACKROOM, "qty"),
    "wh_out": Movement(Place.BACKROOM, Place.ON_THE_WAY, "qty"),
    "wh_adjust": Movement(Place.UNKNOWN, Place.BACKROOM, "qty"),
}

#: Why a ``wh_adjust`` takes an expired lot out of the backroom; staff are asked to throw it away.
EXPIRED = "expired"
#: Why a ``wh_adjust`` takes units off the way: they were to be brought to the shelf, and never came.
NOT_FOUND = "not_found"

#: A count moves its ``adjustment`` by (reason, location); every other reason books against UNKNOWN.
OPENING = "opening"
COUNTED_PLACE: dict[str, Place] = {"store": Place.SHELF, "warehouse": Place.BACKROOM}


def count_movement(reason: str, location: str) -> Movement:
    """Opening stock comes from the supplier, every other correction from (or to) the unknown."""
    origin = Place.SUPPLIER if reason == OPENING else Place.UNKNOWN
    return Movement(origin, COUNTED_PLACE[location], "adjustment")


def adjust_movement(reason: str) -> Movement:
    """Corrections are of the backroom, but for what nobody has found there after it was on its way by the books."""
    return Movement(Place.UNKNOWN, Place.ON_THE_WAY if reason == NOT_FOUND else Place.BACKROOM, "qty")


def removal_movement(location: str) -> Movement:
    """Expired goods are wasted from where they lay.

    The backroom's units have left its books with the ``wh_adjust`` that asked for the removal: what it moved
    to the unknown and staff really threw away is wasted now.
    """
    origin = Place.SHELF if location == "store" else Place.UNKNOWN
    return Movement(origin, Place.WASTED)
