"""Shelves and backroom as they physically are: units of lots, and who takes which."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from producers.shoppers import TAKES_EARLIEST


class Lot(Struct, array_like=True):
    """Units of one batch in one place; dates are ISO dates."""

    batch_code: str
    received_date: str
    expiry_date: str
    quantity: int


class Shelf(Struct, array_like=True):
    """One shelf and its part of the backroom; lots by (expiry, batch). The sums prove that no unit gets lost."""

    lots: list[Lot] = msgspec.field(default_factory=list)
    backroom: list[Lot] = msgspec.field(default_factory=list)
    #: Opening stock, deliveries and counts.
    received: int = 0
    sold: int = 0
    wasted: int = 0
    #: Carried out without being paid (scenarios); for the books still in a basket.
    unpaid: int = 0

    @property
    def stock(self) -> int:
        return sum(lot.quantity for lot in self.lots)

    @property
    def in_backroom(self) -> int:
        return sum(lot.quantity for lot in self.backroom)


def put(lots: list[Lot], lot: Lot) -> None:
    """Add units to their lot, which is made when it is not there."""
    for there in lots:
        if there.batch_code == lot.batch_code:
            there.quantity += lot.quantity
            return
    lots.append(lot)
    lots.sort(key=lambda each: (each.expiry_date, each.batch_code))


def take(lots: list[Lot], batch_code: str, wanted: int) -> Lot | None:
    """Take up to ``wanted`` units of a lot; None when there are none. What is empty goes."""
    for index, lot in enumerate(lots):
        if lot.batch_code == batch_code:
            taken = min(lot.quantity, wanted)
            lot.quantity -= taken
            if not lot.quantity:
                del lots[index]
            return Lot(lot.batch_code, lot.received_date, lot.expiry_date, taken) if taken else None
    return None


def choose(lots: list[Lot], choice: float) -> str:
    """The lot a shopper's hand goes to: mostly what expires first, else any other unit by chance."""
    others = sum(lot.quantity for lot in lots[1:])
    if choice < TAKES_EARLIEST or not others:
        return lots[0].batch_code
    unit = int((choice - TAKES_EARLIEST) / (1 - TAKES_EARLIEST) * others)
    for lot in lots[1:]:
        if unit < lot.quantity:
            return lot.batch_code
        unit -= lot.quantity
    return lots[-1].batch_code
