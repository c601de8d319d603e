"""The last days before a store opens, as its history left them: sums over past days continue from there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

FILE = "closing_days.parquet"
#: Columns with one entry for each of the last days, oldest first.
DAILY = ("sales_qty", "shelf_alerts", "warehouse_alerts")


@dataclass(frozen=True, eq=False)
class Closing:
    """``daily``: the columns of DAILY as (days, shelves), the last row being ``last_day``.

    ``reorder_point``: of the last cutoff, units; ``is_short``: whether stock and orders were at or below it.
    ``rate``, ``variance``: what the ordering rule has learnt of demand, units a day.
    """

    last_day: date
    shelf_ids: list[str]
    daily: dict[str, NDArray[np.int32]]
    reorder_point: NDArray[np.int32]
    is_short: NDArray[np.bool_]
    rate: NDArray[np.float64]
    variance: NDArray[np.float64]

    def demand(self) -> dict[str, tuple[float, float]]:
        """Shelf -> units a day, and their variance."""
        learnt = zip(self.rate.tolist(), self.variance.tolist(), strict=True)
        return dict(zip(self.shelf_ids, learnt, strict=True))


def closing_table(store_id: str, closing: Closing) -> pa.Table:
    """One row per shelf."""
    shelves = len(closing.shelf_ids)

    def listed(grid: NDArray[Any]) -> pa.Array:
        of_shelf = pa.FixedSizeListArray.from_arrays(np.ascontiguousarray(grid.T).ravel().astype(np.int32), len(grid))
        return of_shelf.cast(pa.list_(pa.int32()))

    return pa.table(
        {
            "store_id": [store_id] * shelves,
            "shelf_id": closing.shelf_ids,
            "last_day": pa.array([closing.last_day] * shelves, pa.date32()),
            **{name: listed(closing.daily[name]) for name in DAILY},
            "reorder_point": closing.reorder_point.astype(np.int32),
            "is_short": closing.is_short,
            "demand_rate": closing.rate,
            "demand_variance": closing.variance,
        }
    )


def read_closing(path: Path) -> dict[str, Closing]:
    """Store -> its last days; {} when there is no such file."""
    if not path.is_file():
        return {}
    table = pq.read_table(path)
    return {
        store_id: _of_store(table.filter(pc.field("store_id") == store_id))
        for store_id in pc.unique(table["store_id"]).to_pylist()
    }


def _of_store(table: pa.Table) -> Closing:
    return Closing(
        last_day=table["last_day"][0].as_py(),
        shelf_ids=table["shelf_id"].to_pylist(),
        daily={name: _grid(table[name]) for name in DAILY},
        reorder_point=table["reorder_point"].to_numpy(),
        is_short=table["is_short"].to_numpy(zero_copy_only=False),
        rate=table["demand_rate"].to_numpy(),
        variance=table["demand_variance"].to_numpy(),
    )


def _grid(lists: pa.ChunkedArray) -> NDArray[np.int32]:
    """(days, shelves) from one list of the same length per shelf."""
    grid: NDArray[np.int32] = lists.combine_chunks().flatten().to_numpy().reshape(len(lists), -1).T
    return grid
