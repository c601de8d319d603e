"""The year of history as a table with the columns of ``analytics.shelf_daily_features``.

What each column is: ``smartshelf.domain.features``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.catalogue import Profiles
from data.history import CALENDAR, History, Units
from smartshelf.contracts.render.columns import Scalar, columns
from smartshelf.contracts.rows import MirrorRow, ShelfDailyFeature
from smartshelf.domain import features, restock
from smartshelf.domain.demand import HOURS, OPENS
from smartshelf.domain.policy import SHELF_DEFAULTS
from smartshelf.io.closing import DAILY, Closing

#: Days that are turned into rows at once: a month or so, to bound the memory of large stores.
DAYS_AT_ONCE = 31

COUNT, RATIO, FLAG = pa.int32(), pa.float32(), pa.bool_()
#: Kinds of the contract as the file holds them: half as wide, repeated names as numbers.
_KINDS = {
    "text": pa.dictionary(pa.int32(), pa.string()),
    "date": pa.date32(),
    "integer": COUNT,
    "float": RATIO,
    "money": pa.float64(),
    "boolean": FLAG,
    "moment": pa.timestamp("us", tz="UTC"),
}
_OF_MIRRORS = {column.name for column in columns(MirrorRow)}
#: The contract's columns but for those that only mirrors have.
SCHEMA = pa.schema(
    [
        (column.name, _KINDS[column.type.kind])
        for column in columns(ShelfDailyFeature)
        if isinstance(column.type, Scalar) and column.name not in _OF_MIRRORS
    ]
)
#: Few different values: worth a dictionary in the file. For all others it only costs time.
REPEATED = [name for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True) if pa.types.is_dictionary(kind)] + [
    "feature_date",
    "item_price",
    "shelf_capacity",
    "warehouse_capacity",
    "standard_batch_size",
    "shelf_threshold_qty",
    "discount",
    "snapshot_ts",
]

Grid = NDArray[Any]


def rows(store_id: str, profiles: Profiles, history: History) -> Iterator[pa.Table]:
    """The rows of one store's year, some weeks at a time, by day and then shelf."""
    for start in range(0, history.days, DAYS_AT_ONCE):
        yield _Slice(store_id, profiles, history, start, min(start + DAYS_AT_ONCE, history.days)).table()


def hours(store_id: str, history: History) -> pa.Table:
    """Units sold by day and open hour, all shelves together."""
    days = np.arange(history.days)
    return pa.table(
        {
            "store_id": pa.array([store_id] * (history.days * HOURS)),
            "feature_date": np.repeat(np.datetime64(history.first) + days, HOURS),
            "hour": np.tile(np.arange(OPENS, OPENS + HOURS, dtype=np.int32), history.days),
            "sales_qty": history.hourly_sales.ravel(),
        }
    )


def books(store_id: str, profiles: Profiles, history: History) -> pa.Table:
    """Where the units of every shelf went: opening + delivered = on_shelf + backroom + sold + wasted."""
    names = ("opening", "delivered", "on_shelf", "backroom", "sold", "wasted")
    columns = {name: getattr(history.books, name) for name in names}
    return pa.table({"store_id": [store_id] * len(profiles), "shelf_id": profiles.shelf_id, **columns})


def closing(profiles: Profiles, history: History) -> Closing:
    """The days that the live store's lags reach back to."""
    recorded = {name: grid[-features.ALERT_DAYS :] for name, grid in history.recorded.items()}
    return Closing(
        last_day=history.first + timedelta(days=history.days - 1),
        shelf_ids=profiles.shelf_id.tolist(),
        daily={name: recorded[name] for name in DAILY},
        reorder_point=recorded["wh_reorder_point_qty"][-1],
        is_short=recorded["is_warehouse_alert"][-1],
        rate=history.rate,
        variance=history.variance,
    )


class _Slice:
    """Days ``start`` to ``end`` (not included) of the year."""

    def __init__(self, store_id: str, profiles: Profiles, history: History, start: int, end: int) -> None:
        self.store_id, self.profiles, self.history = store_id, profiles, history
        self.start, self.end, self.count = start, end, len(profiles)
        self.days = end - start
        self.dates = np.datetime64(history.first, "D") + np.arange(start, end)

    def table(self) -> pa.Table:
        columns = self._columns()
        return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)

    def _columns(self) -> dict[str, pa.Array]:
        profiles, history = self.profiles, self.history
        shelves = features.Shelves(
            price=profiles.item_price,
            capacity=profiles.maximum_stock,
            threshold=restock.threshold(profiles.maximum_stock, SHELF_DEFAULTS["threshold_pct"]),
            warehouse_capacity=profiles.warehouse_capacity,
            batch=profiles.standard_batch_size,
        )
        of_days = features.columns(
            self.dates,
            shelves,
            {name: self._recorded(name) for name in features.MEASURED},
            features.lags({name: grid[: self._at(self.end)] for name, grid in history.recorded.items()}, self.days),
            history.people[self._at(self.start) : self._at(self.end)],
            features.promised(history.on_offer[self.start + 1 : self.end + features.SOON_DAYS], self.days),
            CALENDAR,
        )
        known = of_days | {
            "lost_demand_qty": self._recorded("lost_demand_qty"),
            "batches_to_order": self._next_order(),
            "label_next_day_stockout": self._next_stockout(),
        }
        return {name: self._column(values, SCHEMA.field(name).type) for name, values in known.items()} | {
            "store_id": self._names(np.zeros(self.count, np.int32), np.array([self.store_id])),
            "shelf_id": self._names(np.arange(self.count, dtype=np.int32), profiles.shelf_id),
            "item_category": self._names(*_coded(profiles.category)),
            "item_subcategory": self._names(*_coded(profiles.subcategory)),
        }

    def _at(self, day: int) -> int:
        """Row of a day of the year among the recorded days, which begin with the warm-up."""
        return self.history.warm_up + day

    def _recorded(self, name: str) -> Grid:
        return self.history.recorded[name][self._at(self.start) : self._at(self.end)]

    def _next_order(self) -> Grid:
        batches = np.zeros((self.days, self.count), np.int32)
        unknown = np.ones((self.days, self.count), np.bool_)
        for row in range(self.days):
            day = self.history.first + timedelta(days=self.start + row)
            wait = next(
                ahead for ahead in range(1, 8) if (day.weekday() + ahead) % features.WEEK in CALENDAR.cutoff.weekdays
            )
            if self.start + row + wait < self.history.days:
                batches[row] = self.history.recorded["ordered_batches"][self._at(self.start + row + wait)]
                unknown[row] = False
        return np.ma.masked_array(batches, unknown)

    def _next_stockout(self) -> Grid:
        minutes = self.history.recorded["stockout_minutes"][self._at(self.start) + 1 : self._at(self.end) + 1]
        out = np.zeros((self.days, self.count), np.bool_)
        out[: len(minutes)] = minutes > 0
        unknown = np.zeros_like(out)
        unknown[len(minutes) :] = True
        return np.ma.masked_array(out, unknown)

    def _column(self, values: Grid, kind: pa.DataType) -> pa.Array:
        flat = np.broadcast_to(np.ma.getdata(values), (self.days, self.count)).ravel()
        mask = np.ma.getmask(values)
        return pa.array(flat, mask=None if mask is np.ma.nomask else mask.ravel()).cast(kind)

    def _names(self, codes: Units | Grid, names: Grid) -> pa.Array:
        return pa.DictionaryArray.from_arrays(np.tile(codes, self.days), pa.array(names.tolist(), pa.string()))


def _coded(values: Grid) -> tuple[Grid, Grid]:
    names, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int32), names
