"""Shrink: units that left in a basket without a receipt, units that the scale does not feel, and why, probably."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.int64]
Weights = NDArray[np.float64]

#: theft: hidden on the way out; mis_scan: the till did not see it; unseen_loss: taken without the shelf being seen;
#: scale_drift, scale_silent: it is the scale that is wrong.
Cause = Literal["theft", "mis_scan", "unseen_loss", "scale_drift", "scale_silent"]

#: Standard deviation of one reading of a shelf's scale, grams; its errors add up with every reading.
SCALE_ERROR = 1.0
#: So many standard deviations are put down to the scale: one false alert in about 30,000 looks.
SURE = 4.0
#: A scale is called wrong only beyond this: a store looks 27,000 times a day.
QUITE_SURE = 6.0
#: A difference below this many units is never called one.
LEAST_UNITS = 1.0
#: A scale is silent when so many movements in a row came without a weight.
SILENT_AFTER = 3


def felt(weight: Any, item_weight: Any) -> Weights:
    """Units that the scale feels (grams and grams per unit)."""
    return np.asarray(weight, dtype=np.float64) / np.asarray(item_weight, dtype=np.float64)


def tolerance(readings: Any, item_weight: Any) -> Weights:
    """Units by which the scale may be wrong after so many readings."""
    return _error(readings, SURE) / np.asarray(item_weight, dtype=np.float64) + LEAST_UNITS / 2


def missing(stock: Units, weight: Any, item_weight: Any, readings: Any) -> Units:
    """Units that the books hold and the scale does not feel; 0 where its error explains the difference.

    Negative: the scale feels more than the books hold.
    """
    difference = stock - felt(weight, item_weight)
    is_sure = np.abs(difference) > tolerance(readings, item_weight)
    return np.where(is_sure, np.rint(difference), 0).astype(np.int64)


def drifts(stock: Units, weight: Any, item_weight: Any, readings: Any) -> NDArray[np.bool_]:
    """Scales that are off by more than their error and by no whole number of units: goods do not come in parts."""
    item_weight = np.asarray(item_weight, dtype=np.float64)
    off = np.asarray(weight, dtype=np.float64) - stock * item_weight
    error = _error(readings, QUITE_SURE)
    rest: NDArray[np.bool_] = np.abs(off - np.rint(off / item_weight) * item_weight) > error
    return rest


def is_silent(movements: Any) -> NDArray[np.bool_]:
    """Scales that said nothing in so many movements in a row."""
    silent: NDArray[np.bool_] = np.asarray(movements) >= SILENT_AFTER
    return silent


def _error(readings: Any, deviations: float) -> Weights:
    """Grams by which a scale may be wrong after so many readings."""
    return deviations * SCALE_ERROR * np.sqrt(np.maximum(np.asarray(readings, dtype=np.float64), 1))


def cause_of_unpaid(unpaid: Iterable[int], *, has_paid: bool) -> Cause:
    """Why units of so many products, each so many, stayed in one customer's basket.

    A scanner misses one unit now and then; who hides goods hides all units of a product, mostly of several products,
    or of everything.
    """
    units = list(unpaid)
    return "mis_scan" if has_paid and units == [1] else "theft"
