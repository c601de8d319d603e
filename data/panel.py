"""The year of history as a table with the columns of ``analytics.shelf_daily_features``.

One row per shelf and day, stamped with what is known when its ``feature_date`` has ended (``snapshot_ts``, the midnight
after it). Nothing later is in it, but for the two columns to learn from, marked *label*. Quantities are units.

| column | is |
|---|---|
| store_id, shelf_id, feature_date | the key |
| item_category, item_subcategory, item_price | of the product; list price, EUR |
| day_of_week, is_weekend | 0 = Monday; Saturday or Sunday |
| warehouse_inbound_day | suppliers deliver on this weekday |
| refill_day | the shelf was refilled at least once |
| discount | mean reduction (0-1) over the units on the shelf at opening: weekly, combined with near-expiry |
| is_discounted | one of the two applied |
| is_discounted_next_7d | the weekly file, known in advance, has the shelf on one of the next 7 days |
| people_count | visits to the store |
| sales_qty | sold on the day |
| sales_last_1d, _7d, _14d | sold on the 1, 7, 14 days before the day, the day itself not included |
| stockout_events | times the shelf was found empty or ran empty while the store was open |
| stockout_minutes | open minutes (of 900) with nothing on the shelf |
| lost_demand_qty | asked for and not found (simulation truth; history only) |
| shelf_capacity, warehouse_capacity | room |
| current_stock_shelf, current_stock_warehouse | at the end of the day |
| shelf_fill_ratio, warehouse_fill_ratio | stock / capacity |
| shelf_threshold_qty | below it the shelf is refilled |
| expired_qty_shelf, expired_qty_wh | taken away as expired on the day |
| is_shelf_alert | a refill_request was open at some time of the day |
| alerts_last_30d_shelf | refill_requests opened on the last 30 days, the day included |
| wh_reorder_point_qty | reorder point of the last cutoff |
| pending_supplier_qty | ordered and not yet delivered, at the end of the day |
| is_warehouse_alert | backroom + pending at or below the reorder point, at the end of the day |
| alerts_last_30d_wh | times that became so on the last 30 days, the day included |
| moved_wh_to_shelf | refilled on the day |
| standard_batch_size | units of a supplier batch |
| min_expiration_days | days from the day to the first expiry of any lot, shelf or backroom; null without a lot |
| avg_expiration_days | mean over all units; null without a lot |
| qty_expiring_next_7d | units in the store that expire on the day or the 7 days after |
| batches_to_order | *label*: batches the rule orders at the first cutoff after the day; null beyond the year |
| label_next_day_stockout | *label*: the shelf is out of stock at some time of the next day; null on the last day |
| snapshot_ts | when the row was taken, UTC |
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.catalogue import Profiles
from data.history import CALENDAR, NO_LOT, SOON_DAYS, History, Units
from smartshelf.domain import restock
from smartshelf.domain.demand import HOURS, OPENS
from smartshelf.domain.policy import SHELF_DEFAULTS

ALERT_DAYS, WEEK = 30, 7
#: Days that are turned into rows at once: a month or so, to bound the memory of large stores.
DAYS_AT_ONCE = 31

COUNT, RATIO, FLAG = pa.int32(), pa.float32(), pa.bool_()
SCHEMA = pa.schema(
    [
        ("store_id", pa.dictionary(pa.int32(), pa.string())),
        ("shelf_id", pa.dictionary(pa.int32(), pa.string())),
        ("feature_date", pa.date32()),
        ("item_category", pa.dictionary(pa.int32(), pa.string())),
        ("item_subcategory", pa.dictionary(pa.int32(), pa.string())),
        ("day_of_week", COUNT),
        ("is_weekend", FLAG),
        ("warehouse_inbound_day", FLAG),
        ("refill_day", FLAG),
        ("item_price", pa.float64()),
        ("discount", RATIO),
        ("is_discounted", FLAG),
        ("is_discounted_next_7d", FLAG),
        ("people_count", COUNT),
        ("sales_qty", COUNT),
        ("sales_last_1d", COUNT),
        ("sales_last_7d", COUNT),
        ("sales_last_14d", COUNT),
        ("stockout_events", COUNT),
        ("stockout_minutes", RATIO),
        ("lost_demand_qty", COUNT),
        ("shelf_capacity", COUNT),
        ("current_stock_shelf", COUNT),
        ("shelf_fill_ratio", RATIO),
        ("shelf_threshold_qty", COUNT),
        ("expired_qty_shelf", COUNT),
        ("alerts_last_30d_shelf", COUNT),
        ("is_shelf_alert", FLAG),
        ("warehouse_capacity", COUNT),
        ("current_stock_warehouse", COUNT),
        ("warehouse_fill_ratio", RATIO),
        ("wh_reorder_point_qty", COUNT),
        ("pending_supplier_qty", COUNT),
        ("expired_qty_wh", COUNT),
        ("alerts_last_30d_wh", COUNT),
        ("is_warehouse_alert", FLAG),
        ("moved_wh_to_shelf", COUNT),
        ("standard_batch_size", COUNT),
        ("min_expiration_days", COUNT),
        ("avg_expiration_days", RATIO),
        ("qty_expiring_next_7d", COUNT),
        ("batches_to_order", COUNT),
        ("label_next_day_stockout", FLAG),
        ("snapshot_ts", pa.timestamp("us", tz="UTC")),
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
        profiles, of = self.profiles, self._recorded
        weekday = (self.dates.astype(np.int64) + 3) % WEEK
        discount, moved = of("discount"), of("moved_wh_to_shelf")
        low = restock.threshold(profiles.maximum_stock, SHELF_DEFAULTS["threshold_pct"])
        shelf, backroom = of("current_stock_shelf"), of("current_stock_warehouse")
        no_lot = of("min_expiration_days") == NO_LOT
        snapshot = (self.dates + 1).astype("datetime64[us]")
        return {
            "store_id": self._names(np.zeros(self.count, np.int32), np.array([self.store_id])),
            "shelf_id": self._names(np.arange(self.count, dtype=np.int32), profiles.shelf_id),
            "feature_date": self._by_day(self.dates, pa.date32()),
            "item_category": self._names(*_coded(profiles.category)),
            "item_subcategory": self._names(*_coded(profiles.subcategory)),
            "day_of_week": self._by_day(weekday, COUNT),
            "is_weekend": self._by_day(weekday >= 5, FLAG),
            "warehouse_inbound_day": self._by_day(np.isin(weekday, list(CALENDAR.delivery.weekdays)), FLAG),
            "refill_day": _flat(moved > 0, FLAG),
            "item_price": self._by_shelf(profiles.item_price, pa.float64()),
            "discount": _flat(discount, RATIO),
            "is_discounted": _flat(discount > 0, FLAG),
            "is_discounted_next_7d": _flat(self._promised(), FLAG),
            "people_count": self._by_day(self.history.people[self._at(self.start) : self._at(self.end)], COUNT),
            "sales_qty": _flat(of("sales_qty"), COUNT),
            "sales_last_1d": _flat(self._past("sales_qty", 1), COUNT),
            "sales_last_7d": _flat(self._past("sales_qty", 7), COUNT),
            "sales_last_14d": _flat(self._past("sales_qty", 14), COUNT),
            "stockout_events": _flat(of("stockout_events"), COUNT),
            "stockout_minutes": _flat(of("stockout_minutes"), RATIO),
            "lost_demand_qty": _flat(of("lost_demand_qty"), COUNT),
            "shelf_capacity": self._by_shelf(profiles.maximum_stock, COUNT),
            "current_stock_shelf": _flat(shelf, COUNT),
            "shelf_fill_ratio": _flat(_ratio(shelf, profiles.maximum_stock), RATIO),
            "shelf_threshold_qty": self._by_shelf(low, COUNT),
            "expired_qty_shelf": _flat(of("expired_qty_shelf"), COUNT),
            "alerts_last_30d_shelf": _flat(self._past("shelf_alerts", ALERT_DAYS, today=True), COUNT),
            "is_shelf_alert": _flat(of("is_shelf_alert"), FLAG),
            "warehouse_capacity": self._by_shelf(profiles.warehouse_capacity, COUNT),
            "current_stock_warehouse": _flat(backroom, COUNT),
            "warehouse_fill_ratio": _flat(_ratio(backroom, profiles.warehouse_capacity), RATIO),
            "wh_reorder_point_qty": _flat(of("wh_reorder_point_qty"), COUNT),
            "pending_supplier_qty": _flat(of("pending_supplier_qty"), COUNT),
            "expired_qty_wh": _flat(of("expired_qty_wh"), COUNT),
            "alerts_last_30d_wh": _flat(self._past("warehouse_alerts", ALERT_DAYS, today=True), COUNT),
            "is_warehouse_alert": _flat(of("is_warehouse_alert"), FLAG),
            "moved_wh_to_shelf": _flat(moved, COUNT),
            "standard_batch_size": self._by_shelf(profiles.standard_batch_size, COUNT),
            "min_expiration_days": _flat(of("min_expiration_days"), COUNT, no_lot),
            "avg_expiration_days": _flat(of("avg_expiration_days"), RATIO, no_lot),
            "qty_expiring_next_7d": _flat(of("qty_expiring_next_7d"), COUNT),
            "batches_to_order": self._next_order(),
            "label_next_day_stockout": self._next_stockout(),
            "snapshot_ts": self._by_day(snapshot, pa.timestamp("us", tz="UTC")),
        }

    def _at(self, day: int) -> int:
        """Row of a day of the year among the recorded days, which begin with the warm-up."""
        return self.history.warm_up + day

    def _recorded(self, name: str) -> Grid:
        return self.history.recorded[name][self._at(self.start) : self._at(self.end)]

    def _past(self, name: str, window: int, *, today: bool = False) -> Grid:
        """Sum over the ``window`` days before each day, or up to and with it."""
        last = self._at(self.start) + today
        known = self.history.recorded[name][max(last - window, 0) : self._at(self.end) - 1 + today]
        upto = np.zeros((window + self.days, self.count), np.int32)
        np.cumsum(known, axis=0, out=upto[len(upto) - len(known) :])
        return upto[window:] - upto[: self.days]

    def _promised(self) -> Grid:
        """Whether the weekly file has the shelf on one of the next seven days; it reaches beyond the year."""
        on_offer = self.history.on_offer
        offered = on_offer[self.start + 1 : self.end + SOON_DAYS].astype(np.int32)
        upto: Grid = np.vstack([np.zeros((1, self.count), np.int32), np.cumsum(offered, axis=0, dtype=np.int32)])
        return upto[SOON_DAYS:] > upto[: self.days]

    def _next_order(self) -> pa.Array:
        batches = np.zeros((self.days, self.count), np.int32)
        unknown = np.ones((self.days, self.count), np.bool_)
        for row in range(self.days):
            day = self.history.first + timedelta(days=self.start + row)
            wait = next(ahead for ahead in range(1, 8) if (day.weekday() + ahead) % WEEK in CALENDAR.cutoff.weekdays)
            if self.start + row + wait < self.history.days:
                batches[row] = self.history.recorded["ordered_batches"][self._at(self.start + row + wait)]
                unknown[row] = False
        return _flat(batches, COUNT, unknown)

    def _next_stockout(self) -> pa.Array:
        minutes = self.history.recorded["stockout_minutes"][self._at(self.start) + 1 : self._at(self.end) + 1]
        out = np.zeros((self.days, self.count), np.bool_)
        out[: len(minutes)] = minutes > 0
        unknown = np.zeros_like(out)
        unknown[len(minutes) :] = True
        return _flat(out, FLAG, unknown)

    def _by_day(self, values: Grid, kind: pa.DataType) -> pa.Array:
        return pa.array(np.repeat(values, self.count)).cast(kind)

    def _by_shelf(self, values: Grid, kind: pa.DataType) -> pa.Array:
        return pa.array(np.tile(values, self.days)).cast(kind)

    def _names(self, codes: Units | Grid, names: Grid) -> pa.Array:
        return pa.DictionaryArray.from_arrays(np.tile(codes, self.days), pa.array(names.tolist(), pa.string()))


def _coded(values: Grid) -> tuple[Grid, Grid]:
    names, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int32), names


def _ratio(stock: Grid, capacity: Units) -> Grid:
    ratio: Grid = np.round(stock / capacity.astype(np.float32), 4)
    return ratio


def _flat(values: Grid, kind: pa.DataType, null: Grid | None = None) -> pa.Array:
    mask = None if null is None else null.ravel()
    return pa.array(values.ravel(), mask=mask).cast(kind)
