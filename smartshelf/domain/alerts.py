"""When an alert opens and closes, and how it says why.

Every figure in a sentence is an argument that its row shows as a field.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.int64]

#: A shelf has recovered when it stands this share of its maximum above the threshold: sales of a minute must not
#: open the next alert right after the last.
HYSTERESIS = 0.10


def recovered(low: Units, goal: Units, maximum: Units) -> Units:
    """Units from which a shelf that was low is well again: above its threshold, at most what a refill brings."""
    above = low + np.maximum(np.ceil(np.asarray(maximum) * HYSTERESIS), 1)
    return np.minimum(above, np.maximum(goal, low)).astype(np.int64)


def low_stock(current_stock: int, max_stock: int, suggested_qty: int) -> str:
    return f"{current_stock} of {max_stock} units are on the shelf; {suggested_qty} more bring it back to its target."


def stock_is_back(current_stock: int, max_stock: int) -> str:
    return f"{current_stock} of {max_stock} units are on the shelf again."


def near_expiry(current_stock: int, batch_code: str, expiry_date: str, place: str = "store") -> str:
    return f"{current_stock} units of lot {batch_code} in the {place} expire on {expiry_date}."


def lot_has_gone(batch_code: str, place: str = "store") -> str:
    return f"Lot {batch_code} has left the {place}, or has expired."


def position_recovered(point: Any, level: Any) -> Units:
    """Position from which a product that was to be ordered is well again: clearly above its reorder point."""
    point = np.asarray(point)
    return (point + np.maximum(np.ceil((np.asarray(level) - point) * HYSTERESIS), 1)).astype(np.int64)


def order_needed(inventory_position: int, reorder_point_qty: int, suggested_qty: int) -> str:
    return (
        f"On hand and on order, less what is reserved, are {inventory_position} units; the reorder point is "
        f"{reorder_point_qty}: order {suggested_qty}."
    )


def no_order_needed(inventory_position: int, reorder_point_qty: int) -> str:
    """Either the position is above the point, or what lies below it may not be filled."""
    if inventory_position > reorder_point_qty:
        return (
            f"On hand and on order, less what is reserved, are {inventory_position} units, above the reorder point "
            f"of {reorder_point_qty}."
        )
    return (
        f"On hand and on order, less what is reserved, are {inventory_position} units; the reorder point is "
        f"{reorder_point_qty}, but no batch more fits into the backroom or would sell in time."
    )


def order_is_out(inventory_position: int, reorder_point_qty: int) -> str:
    return (
        f"Ordered: on hand and on order, less what is reserved, are {inventory_position} units; the reorder point is "
        f"{reorder_point_qty}."
    )


def negative(current_stock: int, place: str) -> str:
    return f"The books hold {current_stock} units {place}: more went out than they knew of."


def no_longer_negative(current_stock: int, place: str) -> str:
    return f"The books hold {current_stock} units {place} now."


def expired(current_stock: int, batch_code: str, expiry_date: str) -> str:
    return f"{current_stock} units of lot {batch_code} with the expiry date {expiry_date} are taken away."


def expired_is_gone(batch_code: str) -> str:
    return f"What was left of lot {batch_code} has been taken away."


#: Likely cause -> how it is said.
_CAUSES = {
    "theft": "probably hidden by shoppers",
    "mis_scan": "probably missed by the till",
}


def unpaid(current_stock: int, likely_cause: str | None) -> str:
    """Below zero: tills took for units that nobody was seen to take."""
    if current_stock < 0:
        return f"Baskets held {current_stock} units at closing: more was paid for than anybody was seen to take."
    guess = f", {_CAUSES[likely_cause]}" if likely_cause else ""
    return f"{current_stock} units left the shelf and were in no basket and on no receipt at closing{guess}."


def phantom(current_stock: int, suggested_qty: int) -> str:
    """``suggested_qty``: units to be looked for."""
    return (
        f"The books hold {current_stock} units and the scale does not feel {suggested_qty} of them: probably taken "
        "without being seen, or scanned as something else. Count the shelf."
    )


def not_found(current_stock: int, batch_code: str, suggested_qty: int) -> str:
    """``suggested_qty``: units to be looked for, ``current_stock``: what is left of the lot in the backroom."""
    return (
        f"{suggested_qty} units of lot {batch_code} were to be brought to the shelf and never came; the books hold "
        f"{current_stock} more in the backroom. Count them."
    )


def booked_to_the_unknown() -> str:
    return "Booked to the unknown; nothing is left to do."


def scale_drifts(current_stock: int) -> str:
    return (
        f"The scale does not agree with the {current_stock} units of the books, and not by whole units: probably its "
        "zero wanders. Count the shelf and set the scale."
    )


def scale_is_silent(current_stock: int) -> str:
    return f"Goods were moved and the scale said nothing; the books hold {current_stock} units. Look at the scale."


def scale_agrees(current_stock: int) -> str:
    return f"Books and scale agree again: {current_stock} units."


def settled() -> str:
    return "Booked as lost; nothing is left to do."


def without_profile() -> str:
    return "The shelf is no longer in use."


def severity(current_stock: Any) -> str:
    """An empty shelf is critical, a low one a warning."""
    return "critical" if current_stock <= 0 else "warning"
