"""How much to order from suppliers, and when.

A periodic-review rule with a reorder point and an order-up-to level, in whole batches: (R, s, nQ) and (R, s, S) of
Silver, Pyke, Thomas, "Inventory and Production Management in Supply Chains", ch. 6. Reviews are the supplier cutoffs.
``review`` is the whole rule with its parameters; the year of history and the live store both order by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smartshelf.domain.calendar import EVERY_DAY, Calendar
from smartshelf.domain.demand import SHORT_LIFE_DAYS

Units = NDArray[np.int64]
Rates = NDArray[np.float64]

SECONDS_A_DAY = 86_400
#: Weight of the newest day in the demand rate: about the last three weeks count.
SMOOTHING = 0.10
#: Shelf lives of mean sales that may be in the store at most. Shops want full displays and bear some waste for them:
#: with 1.0 the simulated year wastes half as much fresh food (0.6 %, less than chains report) and its fresh shelves
#: are empty on 2 % more days. A forecast can do better than this rule.
LIVES_IN_STORE = 2.5
#: The same of goods that keep (KEEPS_DAYS): they expire when a slow seller is stocked for years. With 2.5 a store threw
#: 30-48 units a day of them away from its second year on (with 0.6: 5-8), and 7 in its first, when few lots are old
#: enough: the year of history was not like the live year after it.
LIVES_IN_STORE_OF_KEEPING = 0.6
#: Products that keep longer than this are ordered for more days at once, and the backroom holds so many full shelves of
#: them in reserve: it gives units in refills of half a shelf, not one by one.
KEEPS_DAYS, KEEPS_REVIEW_DAYS, RESERVE_SHELVES = SHORT_LIFE_DAYS, 10.0, 1.75
#: Share of a full shelf that is taken to be on it at least when a lorry has been unpacked: between the threshold (30 %)
#: and the target (80 %) of the default policies.
UNPACKED = 0.4
#: Share of a full shelf that is taken to sell in a day until a day has been seen.
FIRST_GUESS = 0.1


@dataclass(frozen=True)
class Interval:
    """Days from a cutoff to the delivery it makes (``lead``) and to the one after it (``protection``)."""

    lead: float
    protection: float


def interval(cutoff: datetime, calendar: Calendar | None = None) -> Interval:
    """What an order of this cutoff must cover: demand until the delivery after its own arrives.

    The next chance to order is the next cutoff; what it brings comes with the first delivery after that. Review period
    plus lead time, taken from the calendar instead of a mean, because Friday to Monday is a day longer.
    """
    calendar = calendar or Calendar()
    delivery = calendar.delivery.after(cutoff)
    following = calendar.delivery.after(max(calendar.cutoff.after(cutoff), delivery))
    return Interval(
        (delivery - cutoff).total_seconds() / SECONDS_A_DAY, (following - cutoff).total_seconds() / SECONDS_A_DAY
    )


def smooth(mean: Rates, variance: Rates, sold: Any, usable: Any = True) -> tuple[Rates, Rates]:
    """The demand rate (units a day) and its daily variance after one more day.

    Exponentially weighted mean and variance (Finch, "Incremental calculation of weighted mean and variance", 2009).
    A day on which the shelf ran empty tells only that demand was at least what was sold: ``usable`` False skips it
    unless it sold more than the mean.
    """
    difference = np.asarray(sold, dtype=np.float64) - mean
    counts = np.asarray(usable) | (difference > 0)
    step = np.where(counts, SMOOTHING * difference, 0.0)
    spread = np.where(counts, (1 - SMOOTHING) * (variance + difference * step), variance)
    return mean + step, spread


def position(on_hand: Any, on_order: Any, reserved: Any = 0) -> Units:
    """Inventory position = on hand + on order - reserved: what there will be when all that is promised has moved.

    (Odoo's forecast quantity, ERPNext's projected quantity.) A negative balance counts as nothing.
    """
    return np.maximum(np.asarray(on_hand), 0) + np.asarray(on_order) - np.asarray(reserved)


def reorder_point(
    rate: Rates,
    variance: Rates,
    days: float,
    safety_days: Any,
    service_level: Any,
    refill: Any = 0,
    stated: Any = np.nan,
) -> Units:
    """Units at or below which to order: ``stated`` by a policy, or demand of the interval and safety stock.

    rate x days + max(z(service level) x sqrt(variance x days), rate x safety days, refill). The backroom gives units in
    refills, not one by one: ``refill``, the units of a whole one, must still be there at the end when goods keep.
    """
    safety = np.maximum(_quantile(service_level) * np.sqrt(variance * days), rate * np.asarray(safety_days))
    return _or_stated(np.ceil(rate * days + np.maximum(safety, refill)), stated)


def order_up_to(point: Units, rate: Rates, review_days: Any, refill: Any = 0, stated: Any = np.nan) -> Units:
    """Level an order brings the position to; ``stated`` by a policy, or the reorder point plus what goes till the next.

    That is the sales of ``review_days`` or one ``refill``, whichever is more: how often a product is ordered is a
    matter of cost, goods that keep need not come with every delivery.
    """
    return _or_stated(point + np.ceil(np.maximum(rate * review_days, refill)), stated)


def sells_in_time(rate: Rates, variance: Rates, shelf_life_days: Units, lead: float) -> Rates:
    """Units beyond which a product must not be stocked: what sells until a lot delivered after ``lead`` days is old.

    rate x (lead + LIVES_IN_STORE x shelf life): the idea of R. Broekmeulen and K. van Donselaar ("A heuristic to manage
    perishable inventory with batch ordering, positive lead-times, and time-varying demand", 2009) in its simplest form.
    Of goods that keep, stock for months hangs on a rate of three weeks, and a slow seller's good week would fill the
    backroom for years: one standard error of the smoothed rate is taken off, sqrt(variance x SMOOTHING /
    (2 - SMOOTHING)).
    """
    keeps = shelf_life_days > KEEPS_DAYS
    lives = np.where(keeps, LIVES_IN_STORE_OF_KEEPING, LIVES_IN_STORE)
    error = np.sqrt(variance * (SMOOTHING / (2 - SMOOTHING)))
    return np.where(keeps, np.maximum(rate - error, 0), rate) * (lead + lives * shelf_life_days)


def batches(
    position: Units, point: Units, level: Units, batch: Units, *, room: Any = np.inf, still_sells: Any = np.inf
) -> Units:
    """Whole batches to order; 0 while the position is above the reorder point.

    As many as fit below the order-up-to level, but enough to get above the reorder point. Never more than fit into the
    backroom (``room``) or than may still be stocked of a perishable (``still_sells``), both in units.
    """
    batch = np.maximum(batch, 1)
    fits = np.floor_divide(level - position, batch)
    lifts = -np.floor_divide(position - point - 1, batch)
    most = np.floor(np.minimum(np.maximum(room, 0), np.maximum(still_sells, 0)) / batch)
    wanted = np.minimum(np.maximum(fits, lifts), most)
    return np.where(position <= point, np.maximum(wanted, 0), 0).astype(np.int64)


def in_batches(units: int, batch: int, room: float = np.inf) -> int:
    """Units in whole batches: at least ``units``, unless only less fits into ``room``."""
    batch = max(batch, 1)
    return batch * max(min(-(-units // batch), int(min(room, units + batch) // batch)), 0)


@dataclass(frozen=True, eq=False)
class Goods:
    """What the rule must know of products, as columns: units and days."""

    batch: Units
    shelf_life_days: Units
    maximum_stock: Units
    warehouse_capacity: Units

    def take(self, rows: Any) -> Goods:
        """Some of them."""
        return Goods(
            self.batch[rows], self.shelf_life_days[rows], self.maximum_stock[rows], self.warehouse_capacity[rows]
        )


class Stock(NamedTuple):
    """Units of each product where the rule counts them."""

    #: In the store or on the way there.
    on_shelf: Units
    backroom: Units
    #: Of those in the backroom: what expires before the order comes.
    perishing: Units
    on_order: Units
    #: Promised to restock plans and still to be taken from the backroom.
    reserved: Any = 0


class Review(NamedTuple):
    """What the rule says at a cutoff; units, ``batches`` in batches."""

    position: Units
    point: Units
    level: Units
    batches: Units


def review(
    goods: Goods,
    policy: Mapping[str, Any],
    rate: Rates,
    variance: Rates,
    stock: Stock,
    cutoff: Interval,
    calendar: Calendar | None = None,
) -> Review:
    """How much of each product to order at a cutoff.

    Parameters as of ``levels``. Of a product that is nowhere a batch is ordered however slowly it seems to sell: an
    empty shelf shows no sales to learn from, so it would never be ordered again.
    """
    point, level = levels(goods, policy, rate, variance, cutoff, calendar)
    there = stock.backroom + stock.on_order
    still_sells = sells_in_time(rate, variance, goods.shelf_life_days, cutoff.lead) - stock.on_shelf - there
    is_nowhere = stock.on_shelf + there <= 0
    return Review(
        where := position(stock.backroom - stock.perishing, stock.on_order, stock.reserved),
        point,
        level,
        batches(
            where,
            point,
            level,
            goods.batch,
            room=goods.warehouse_capacity - there + _leaves(goods, rate, stock, cutoff),
            still_sells=np.where(is_nowhere, np.maximum(still_sells, goods.batch), still_sells),
        ),
    )


def _leaves(goods: Goods, rate: Rates, stock: Stock, cutoff: Interval) -> Any:
    """Units that are expected to go from the backroom to the shelf until the lorry is unpacked, and make room for it.

    What sells comes off the shelf first, and an empty shelf makes room before anything is sold. When all sales until
    the delivery counted as room (rate x lead), 0.7 % of shelf-days of the year of history ended with more in the
    backroom than it holds, 53 units a day; so it is 0.1 % and 6 units, 97.0 instead of 96.8 % of shelf-days are without
    a stock-out, and fresh waste is 1.2 instead of 1.3 %. With no such room 94.4 % of shelf-days would be without one.
    """
    left = stock.on_shelf - rate * cutoff.lead
    return np.floor(np.maximum(UNPACKED * goods.maximum_stock - left, 0))


def levels(
    goods: Goods,
    policy: Mapping[str, Any],
    rate: Rates,
    variance: Rates,
    cutoff: Interval,
    calendar: Calendar | None = None,
) -> tuple[Units, Units]:
    """The reorder point and the order-up-to level of each product at a cutoff.

    ``policy``: the fields of a warehouse policy (``domain.policy.WAREHOUSE_DEFAULTS``), for all or by product;
    ``cutoff``: its ``interval``; ``rate`` and ``variance`` as ``smooth`` keeps them. Goods that keep longer than
    KEEPS_DAYS are ordered for KEEPS_REVIEW_DAYS, others from one cutoff to the next.
    """
    keeps = goods.shelf_life_days > KEEPS_DAYS
    reserve = np.where(keeps, RESERVE_SHELVES * goods.maximum_stock, 0)
    between = len(EVERY_DAY) / len((calendar or Calendar()).cutoff.weekdays)
    point = reorder_point(
        rate,
        variance,
        cutoff.protection,
        policy["safety_days"],
        policy["service_level"],
        reserve,
        policy["reorder_point_qty"],
    )
    review_days = np.where(keeps, KEEPS_REVIEW_DAYS, between)
    return point, order_up_to(point, rate, review_days, reserve, policy["order_up_to_qty"])


def _or_stated(derived: Any, stated: Any) -> Units:
    stated = np.asarray(stated)
    return np.where(np.isnan(stated), derived, np.nan_to_num(stated)).astype(np.int64)


@lru_cache(maxsize=64)
def _z(service_level: float) -> float:
    return NormalDist().inv_cdf(service_level)


def _quantile(service_level: Any) -> Any:
    """z of one level, or of a column of levels."""
    if np.ndim(service_level) == 0:
        return _z(float(service_level))
    levels, row = np.unique(service_level, return_inverse=True)
    return np.array([_z(level) for level in levels.tolist()])[row]
