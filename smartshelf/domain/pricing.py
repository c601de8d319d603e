"""Discounts: how they combine, and what a lot that expires today or tomorrow is reduced by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]

LARGEST_DISCOUNT = 0.95
#: Of a lot that expires tomorrow, and at most; discounts move in steps, as price labels do.
LEAST_MARKDOWN, MOST_MARKDOWN, STEP = 0.30, 0.50, 0.05
#: A lot is reduced on its last day of sale and the day before.
MARKDOWN_DAYS = 1


def combine(*discounts: Any) -> Shares:
    """Discounts (0-1) on one price: each is taken from what the others leave, 95 % at most."""
    left: Any = 1.0
    for discount in discounts:
        left = left * (1 - np.asarray(discount, dtype=np.float64))
    return np.round(np.minimum(1 - left, LARGEST_DISCOUNT), 4)


def markdown(days_left: NDArray[Any], quantity: NDArray[Any], expected: Any) -> Shares:
    """Discount (0-1) of lots that expire today or tomorrow: 30-50 % by urgency, 0 for all others.

    ``quantity``: units of the lot on the shelf; ``expected``: units the shelf usually sells in a day. Urgency is the
    share of the lot that usual sales would leave on its last evening: 30 % where they clear it, 50 % where nothing
    would go. The last day counts one step more. Deeper with more stock and less time, as optimal markdowns are (G.
    Gallego and G. van Ryzin, "Optimal Dynamic Pricing of Inventories with Stochastic Demand over Finite Horizons",
    1994); the range is the product's own.
    """
    days_left, quantity = np.asarray(days_left), np.asarray(quantity)
    clears = np.asarray(expected) * (days_left + 1)
    left_over = np.clip(1 - clears / np.maximum(quantity, 1), 0, 1)
    steps = np.floor(left_over * (MOST_MARKDOWN - LEAST_MARKDOWN) / STEP + 1e-9) + (days_left == 0)
    depth = np.minimum(LEAST_MARKDOWN + STEP * steps, MOST_MARKDOWN)
    reduced = (quantity > 0) & (days_left >= 0) & (days_left <= MARKDOWN_DAYS)
    return np.where(reduced, np.round(depth, 2), 0.0)
