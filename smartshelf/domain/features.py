"""A closed day of every shelf as the columns that a forecast learns from, of generated history and live days alike.

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
| batches_to_order | *label*: batches the rule orders at the first cutoff after the day; null in a live row |
| label_next_day_stockout | *label*: the shelf is out of stock at some time of the next day; null in a live row |
| snapshot_ts | when the row was taken, UTC |

Grids are (days, shelves); a column that is the same for all shelves or all days has one row or column of them. What is
not known is masked (``numpy.ma``). The labels of live rows are known later: ``analytics.v_ml_train`` looks them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartshelf.domain import pricing
from smartshelf.domain.calendar import Calendar

Grid = NDArray[Any]
Columns = dict[str, Grid]

#: Days that the lags of a row reach back.
ALERT_DAYS, SALES_WINDOWS = 30, (1, 7, 14)
#: Days ahead of expiries and offers that a row tells of.
SOON_DAYS = 7
#: Days to the first expiry of a shelf without a single unit.
NO_LOT = np.iinfo(np.int16).max
SATURDAY, WEEK = 5, 7

#: What a day leaves of every shelf, measured when it ends; their names are those of the columns.
MEASURED = (
    "discount",
    "sales_qty",
    "stockout_events",
    "stockout_minutes",
    "current_stock_shelf",
    "expired_qty_shelf",
    "is_shelf_alert",
    "current_stock_warehouse",
    "wh_reorder_point_qty",
    "pending_supplier_qty",
    "expired_qty_wh",
    "is_warehouse_alert",
    "moved_wh_to_shelf",
    "min_expiration_days",
    "avg_expiration_days",
    "qty_expiring_next_7d",
)
#: What happens daily and is summed over past days: column of the sums -> (what is counted, days, the day included).
LAGS = {f"sales_last_{days}d": ("sales_qty", days, False) for days in SALES_WINDOWS} | {
    "alerts_last_30d_shelf": ("shelf_alerts", ALERT_DAYS, True),
    "alerts_last_30d_wh": ("warehouse_alerts", ALERT_DAYS, True),
}


@dataclass(frozen=True, eq=False)
class Shelves:
    """What does not change from day to day, one entry per shelf."""

    price: Grid
    capacity: Grid
    threshold: Grid
    warehouse_capacity: Grid
    batch: Grid


def columns(
    dates: Grid,
    shelves: Shelves,
    measured: Mapping[str, Grid],
    lags: Mapping[str, Grid],
    people: Grid,
    promised: Grid,
    calendar: Calendar,
) -> Columns:
    """All columns of closed days but names and labels.

    ``dates``: datetime64[D]; ``measured``: the grids of MEASURED; ``lags``: see ``lags``; ``people``: visits by day;
    ``promised``: see ``promised``.
    """
    weekday = (dates.astype(np.int64) + 3) % WEEK
    no_lot = np.asarray(measured["min_expiration_days"]) == NO_LOT
    derived = {
        "feature_date": dates[:, None],
        "day_of_week": weekday[:, None],
        "is_weekend": (weekday >= SATURDAY)[:, None],
        "warehouse_inbound_day": np.isin(weekday, list(calendar.delivery.weekdays))[:, None],
        "refill_day": measured["moved_wh_to_shelf"] > 0,
        "item_price": shelves.price[None],
        "is_discounted": measured["discount"] > 0,
        "is_discounted_next_7d": promised,
        "people_count": people[:, None],
        "shelf_capacity": shelves.capacity[None],
        "shelf_fill_ratio": _ratio(measured["current_stock_shelf"], shelves.capacity),
        "shelf_threshold_qty": shelves.threshold[None],
        "warehouse_capacity": shelves.warehouse_capacity[None],
        "warehouse_fill_ratio": _ratio(measured["current_stock_warehouse"], shelves.warehouse_capacity),
        "standard_batch_size": shelves.batch[None],
        "min_expiration_days": np.ma.masked_array(measured["min_expiration_days"], no_lot),
        "avg_expiration_days": np.ma.masked_array(measured["avg_expiration_days"], no_lot),
        "snapshot_ts": (dates + 1).astype("datetime64[us]")[:, None],
    }
    return {name: measured[name] for name in MEASURED} | dict(lags) | derived


def lags(daily: Mapping[str, Grid], days: int) -> Columns:
    """The sums of LAGS for the last ``days`` days of grids of consecutive days that end on the same day.

    A sum that reaches back beyond the first day given is not known.
    """
    sums: Columns = {}
    for name, (counted, window, included) in LAGS.items():
        known = daily[counted] if included else daily[counted][:-1]
        reached = len(known) - days + np.arange(1, days + 1) >= window
        unknown = np.broadcast_to(~reached[:, None], (days, known.shape[1]))
        sums[name] = np.ma.masked_array(_sums(known, window, days), unknown)
    return sums


def _sums(daily: Grid, window: int, days: int) -> Grid:
    """Sum over the ``window`` days that end with each of the last ``days`` days."""
    known = daily[max(len(daily) - window - days + 1, 0) :]
    upto = np.zeros((window + days, daily.shape[1]), np.int32)
    np.cumsum(known, axis=0, out=upto[len(upto) - len(known) :])
    return upto[window:] - upto[:days]


def promised(on_offer: Grid, days: int) -> Grid:
    """Whether the weekly file has a shelf on one of the next seven days.

    ``on_offer``: by day and shelf, from the day after the first of ``days`` days to seven days after the last.
    """
    offered = on_offer.astype(np.int32)
    upto: Grid = np.vstack([np.zeros((1, offered.shape[1]), np.int32), np.cumsum(offered, axis=0, dtype=np.int32)])
    return upto[SOON_DAYS:] > upto[:days]


def expiry(units: Grid, days_left: Grid) -> Columns:
    """What the lots of every shelf tell of their expiry, from (shelves, lots) of all places; 0 units: no lot."""
    there = units > 0
    stock = units.sum(axis=1)
    return {
        "min_expiration_days": np.where(there, days_left, NO_LOT).min(axis=1, initial=NO_LOT),
        "avg_expiration_days": np.round((units * days_left).sum(axis=1) / np.maximum(stock, 1), 1),
        "qty_expiring_next_7d": np.where(days_left <= SOON_DAYS, units, 0).sum(axis=1),
    }


def mean_markdown(units: Grid, days_left: Grid, expected: Grid) -> Grid:
    """Mean near-expiry reduction over the units on each shelf, from (shelves, lots); 0 for an empty shelf.

    ``expected``: units that each shelf usually sells in a day.
    """
    reduced = units * pricing.markdown(days_left, units, expected[:, None])
    mean: Grid = reduced.sum(axis=1) / np.maximum(units.sum(axis=1), 1)
    return mean


def is_short(backroom: Grid, pending: Grid, reorder_point: Grid) -> Grid:
    """Whether what is there and what is coming are at or below the reorder point."""
    short: Grid = backroom + pending <= reorder_point
    return short


def _ratio(stock: Grid, capacity: Grid) -> Grid:
    ratio: Grid = np.round(stock / np.maximum(capacity, 1), 4)
    return ratio
