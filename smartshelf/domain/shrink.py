"""Shrink: units that the scale does not feel, and units that left in a basket without a receipt."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.int64]
Weights = NDArray[np.float64]

#: Standard deviation of one reading of a shelf's scale, grams; its errors add up with every reading.
SCALE_ERROR = 1.0
#: So many standard deviations are put down to the scale: one false alert in about 30,000 looks.
SURE = 4.0
#: A difference below this many units is never called one.
LEAST_UNITS = 1.0


def felt(weight: Any, item_weight: Any) -> Weights:
    """Units that the scale feels (grams and grams per unit)."""
    return np.asarray(weight, dtype=np.float64) / np.asarray(item_weight, dtype=np.float64)


def tolerance(readings: Any, item_weight: Any) -> Weights:
    """Units by which the scale may be wrong after so many readings."""
    error = SURE * SCALE_ERROR * np.sqrt(np.asarray(readings, dtype=np.float64))
    return np.maximum(error / np.asarray(item_weight, dtype=np.float64), 0) + LEAST_UNITS / 2


def missing(stock: Units, weight: Any, item_weight: Any, readings: Any) -> Units:
    """Units that the books hold and the scale does not feel; 0 where its error explains the difference.

    Negative: the scale feels more than the books hold.
    """
    difference = stock - felt(weight, item_weight)
    is_sure = np.abs(difference) > tolerance(readings, item_weight)
    return np.where(is_sure, np.rint(difference), 0).astype(np.int64)
