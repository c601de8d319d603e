"""On-shelf availability: how long shelves were empty while people wanted to buy.

On-shelf availability (OSA) = SKUs available / SKUs expected. Measured by the minute: in a daily mean an afternoon
without stock disappears.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Minutes = NDArray[np.float64]


def empty_minutes(stock: NDArray[Any], wanted: NDArray[Any], minutes: float) -> Minutes:
    """Minutes of a stretch of time in which a shelf was empty, demand flowing evenly and nothing coming in.

    ``stock`` at its start; ``wanted``: units asked for in it. Stock lasts stock / wanted of the time.
    """
    lasts = np.minimum(stock / np.maximum(wanted, 1), 1.0)
    return np.where(stock <= 0, minutes, np.where(wanted > stock, minutes * (1 - lasts), 0.0))


def on_shelf(out_minutes: Any, open_minutes: Any) -> Any:
    """Share 0-1 of the open time with stock; 1 where nothing was open."""
    opened = np.asarray(open_minutes, dtype=np.float64)
    return np.where(opened > 0, 1 - np.asarray(out_minutes) / np.where(opened > 0, opened, 1), 1.0)


def by_group(out_minutes: Any, group: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
    """Minutes out of stock summed by group (an aisle, say), the groups numbered from 0."""
    return np.bincount(group, weights=out_minutes, minlength=groups).astype(np.float64)
