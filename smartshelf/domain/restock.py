"""From the backroom to the shelf: when a shelf is low, and how much to bring."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: What was to be brought to a shelf and is so long overdue was not where the books had it. Staff take eight minutes;
#: a shelf waits for what is on its way, so it must not wait for ever.
NOT_FOUND_AFTER = timedelta(hours=2)


def threshold(maximum: Units, threshold_pct: Any, min_qty: Any = 0) -> Units:
    """Units below which a shelf is low: the larger of a share of its maximum (rounded up) and ``min_qty``.

    A min/max rule (Silver, Pyke, Thomas, "Inventory and Production Management", ch. 6: (s, S)); ``min_qty`` serves
    small shelves, where a percentage is less than one unit.
    """
    level = np.maximum(_share(maximum, threshold_pct), min_qty)
    return np.minimum(level, maximum).astype(np.int64)


def target(maximum: Units, target_pct: Any, low: Units) -> Units:
    """Units a refill brings the shelf back to: a share of its maximum, rounded up, at least ``low``."""
    return np.maximum(_share(maximum, target_pct), low).astype(np.int64)


def is_low(stock: Units, low: Units) -> Flags:
    """Whether a shelf must be reported: fewer units than the threshold."""
    return stock < low


def need(stock: Units, low: Units, goal: Units, coming: Any = 0) -> Units:
    """Units to bring, 0 for a shelf that is not low or has a plan open.

    ``coming``: units of the shelf's open plan. While there is one (more than 0) no second is made, whatever the stock.
    """
    wanted = np.where(is_low(stock, low) & (np.asarray(coming) == 0), goal - np.maximum(stock, 0), 0)
    return np.maximum(wanted, 0)


def may_open(now: Any, last_opened: Any, cooldown: Any) -> Flags:
    """Whether a new alert may follow the last one (times and cooldown in one unit)."""
    return np.asarray(now - last_opened >= cooldown)


def _share(maximum: Units, percent: Any) -> NDArray[np.float64]:
    # Rounded first: 0.3 x 10 is a hair above 3 in floating point.
    return np.ceil(np.round(maximum * (np.asarray(percent) / 100), 6))
