"""Lots: which goes first, when one counts as nearly expired, when it has to leave.

Lots of many shelves are 2-D columns, one row per shelf and one column per lot, in the order in which they go
(0 units where there is no lot). Days are whole numbers (days since 1970) or datetime64[D] alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.integer[Any]]

#: A lot leaves this many days after its expiry date, the last day on which it may be sold.
REMOVAL_AFTER_DAYS = 1


def order(expiry: NDArray[Any], batch_code: NDArray[Any]) -> NDArray[np.intp]:
    """The order in which lots go: the first-expiring first, equal dates by batch code.

    After Odoo's removal strategy FEFO (product_expiry/models/stock_quant.py: removal date, in-date, id); here
    the code decides ties, because it is the same in every copy of the books.
    """
    return np.lexsort((batch_code, expiry))


def allocate(wanted: Units, lots: Units) -> Units:
    """Units taken of every lot, first lot first: min(lot, what the lots before it left unserved).

    ``wanted`` (shelves,), ``lots`` (shelves, lots) in the order they go. What no lot can serve is not taken.
    """
    before = np.cumsum(lots, axis=1)
    before -= lots
    return np.minimum(np.maximum(wanted[:, None] - before, 0), lots)


def spread(wanted: Units, lots: Units) -> Units:
    """Units taken evenly over all lots, as hands do that reach anywhere: cumulated shares, rounded down.

    Never more than a lot holds, and min(wanted, stock) in all.
    """
    upto = np.cumsum(lots, axis=1)
    stock = upto[:, -1:]
    taken: Units = np.minimum(wanted[:, None], stock) * upto // np.maximum(stock, 1)
    taken[:, 1:] -= taken[:, :-1].copy()
    return taken


def near_expiry_window(near_expiry_days: Any, shelf_life_days: Any) -> NDArray[np.int64]:
    """Days before expiry from which a lot counts as nearly expired: min(days, max(1, shelf life / 4)).

    A single number for all products would report fresh fish on the day it arrives.
    """
    return np.minimum(near_expiry_days, np.maximum(np.asarray(shelf_life_days) // 4, 1)).astype(np.int64)


def is_near_expiry(days_left: NDArray[Any], window: Any, quantity: Units) -> NDArray[np.bool_]:
    """Lots with units that expire within the window and have not expired yet."""
    return (quantity > 0) & (days_left >= 0) & (days_left <= window)
