"""Tills: a simple queue, and what a receipt says."""

from __future__ import annotations

from msgspec import Struct

from smartshelf.contracts.events import ReceiptLine

#: Serving one customer, simulated ms: greeting and paying, and every unit scanned.
PAYING, SCANNING = 25_000, 2_500
#: Weekly and daily offers together never take off more.
LARGEST_DISCOUNT = 0.95


class Item(Struct, array_like=True):
    """Units of one lot in a basket; ``shelf`` is the shelf's index in the store."""

    shelf: int
    batch_code: str
    received_date: str
    expiry_date: str
    quantity: int


def queue(tills: list[int], arrives: int, units: int) -> tuple[int, int]:
    """Join the till that is free first (free-at instants, changed in place): (till, instant of paying)."""
    till = tills.index(min(tills))
    tills[till] = max(tills[till], arrives) + PAYING + SCANNING * units
    return till, tills[till]


def combined(*discounts: float) -> float:
    """Offers combine multiplicatively, 0-1."""
    left = 1.0
    for discount in discounts:
        left *= 1 - discount
    return round(min(1 - left, LARGEST_DISCOUNT), 4)


def line(number: int, item: Item, shelf_id: str, unit_price: float, discount: float) -> ReceiptLine:
    return ReceiptLine(
        line_no=number,
        shelf_id=shelf_id,
        batch_code=item.batch_code,
        quantity=item.quantity,
        unit_price=unit_price,
        discount=discount,
        total_price=round(item.quantity * unit_price * (1 - discount), 2),
        expiry_date=item.expiry_date,
    )
