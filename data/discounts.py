"""The weekly promotion file: which shelves are cheaper from Monday to Sunday."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

WEEKS = 156
#: Shelves on offer each week in a store of scale 1.
SHELVES_A_WEEK = 60
#: Steps of 5 %, from 5 % to 35 %.
LOWEST_STEP, HIGHEST_STEP, STEP = 1, 7, 0.05


@dataclass(frozen=True, eq=False)
class WeeklyDiscounts:
    """Columns over offers: index of the shelf, the week's Monday, discount as a fraction."""

    row: NDArray[np.int64]
    week_start: NDArray[np.datetime64]
    discount: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.row)


def first_week(start: date) -> date:
    """The Monday of the week in which the year before ``start`` begins."""
    year_before = start - timedelta(days=365)
    return year_before - timedelta(days=year_before.weekday())


def weekly_discounts(
    shelves: int, start: date, seed: int, *, scale: float = 1.0, store_id: str = "S01"
) -> WeeklyDiscounts:
    """``WEEKS`` weeks of offers: 60 different shelves a week times ``scale``, as many as there are at most."""
    random = np.random.default_rng([seed, 7, *store_id.encode()])
    each_week = min(max(round(SHELVES_A_WEEK * scale), 1), shelves)
    drawn = np.array([random.permutation(shelves)[:each_week] for _ in range(WEEKS)])
    monday = np.datetime64(first_week(start), "D")
    steps = random.integers(LOWEST_STEP, HIGHEST_STEP + 1, drawn.size)
    return WeeklyDiscounts(
        row=np.sort(drawn, axis=1).ravel(),
        week_start=np.repeat(monday + 7 * np.arange(WEEKS), each_week),
        discount=np.round(steps * STEP, 2),
    )
