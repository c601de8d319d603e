"""A year of a store, lived day by day by the rules of the live one, all shelves at once.

What the live store does by events and staff, this does in columns: the same demand model, thresholds, order rule,
markdown and expiry (``smartshelf.domain``), in hours instead of minutes. A day runs like this:

    06:00  expired lots leave; what expires today or tomorrow is reduced
    07:00  the store opens; every hour people buy what they find, and shelves that are low are refilled
    08:00  Monday, Wednesday, Friday: what was ordered arrives, one lot per product
    12:00  Sunday, Tuesday, Thursday: orders go out
    22:00  the store closes; the day's sales and refills are booked on lots, first-expiring first

Lots of one product expire in the order in which they came, as each product has one shelf life; so the lots of a shelf
are kept in that order, one row per shelf (``_Lots``), and need no sorting. A lot may lie partly on the shelf and
partly in the backroom. Within a day only the sums of a shelf are moved from hour to hour.

The last week is that of the stock-take: every evening all shelves are filled to their target, so that the live store
opens with full shelves while the backroom has had two deliveries to recover; on the very last evening, what expires
that day leaves at once and what is still on order comes early. So the closing state is the opening state of the next
morning to the unit, and nothing is on its way.

Units are conserved: opening + delivered = on shelf + in the backroom + sold + wasted, for every shelf (``Books``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.catalogue import Profiles
from data.discounts import WeeklyDiscounts
from data.lots import Lots, make_lots
from data.opening import drawn_lots
from smartshelf.domain import availability, features, fefo, ordering, pricing, restock
from smartshelf.domain.calendar import Calendar
from smartshelf.domain.demand import (
    HOURS,
    MARKDOWN_ELASTICITY,
    OPENS,
    SUBSTITUTES,
    Demand,
    Products,
    fillable,
    hours,
    substitutes,
    uplift,
)
from smartshelf.domain.policy import SHELF_DEFAULTS, WAREHOUSE_DEFAULTS

Units = NDArray[np.int64]
Small = NDArray[np.int32]
Grid = NDArray[Any]
Rates = NDArray[np.float64]
Flags = NDArray[np.bool_]

DAYS = 365
#: Days lived before the first row, so that stocks, lots, rates and lags of the first row are those of a running store.
WARM_UP = 42
#: In the last week before the live store opens, staff fill every shelf each evening (see the docstring).
STOCK_TAKE_DAYS = 7
#: Chance that a shopper takes the unit that expires first (SPEC 5).
TAKES_EARLIEST = 0.80
#: Variance of a product's daily demand per unit of its mean, beyond weekday, season and price: people take several
#: units at once (the live shoppers: 1.7).
DISPERSION = 0.65
SATURDAY = 5
#: Into so many equal chances a day is cut when units are given their hour.
HOUR_DRAWS = 4096
CALENDAR = Calendar()
EPOCH = date(1970, 1, 1)
DELIVERY_HOUR, CUTOFF_HOUR = CALENDAR.delivery.at.hour - OPENS, CALENDAR.cutoff.at.hour - OPENS
MINUTES_AN_HOUR = 60.0

#: What is recorded of every shelf and day; the columns of the panel follow from it (``data.panel``).
RECORDED = {
    "sales_qty": np.int32,
    "lost_demand_qty": np.int32,
    "stockout_events": np.int16,
    "stockout_minutes": np.float32,
    "current_stock_shelf": np.int32,
    "current_stock_warehouse": np.int32,
    "expired_qty_shelf": np.int32,
    "expired_qty_wh": np.int32,
    "moved_wh_to_shelf": np.int32,
    "wh_reorder_point_qty": np.int32,
    "pending_supplier_qty": np.int32,
    "ordered_batches": np.int16,
    "shelf_alerts": np.int16,
    "warehouse_alerts": np.bool_,
    "is_shelf_alert": np.bool_,
    "is_warehouse_alert": np.bool_,
    "discount": np.float32,
    "min_expiration_days": np.int16,
    "avg_expiration_days": np.float32,
    "qty_expiring_next_7d": np.int32,
}


@dataclass(frozen=True, eq=False)
class Books:
    """Where every unit of each shelf's product went in the recorded days."""

    opening: Units
    delivered: Units
    on_shelf: Units
    backroom: Units
    sold: Units
    wasted: Units

    def differences(self) -> Units:
        """Units unaccounted for, by shelf: zeros."""
        return self.opening + self.delivered - self.on_shelf - self.backroom - self.sold - self.wasted


@dataclass(frozen=True, eq=False)
class History:
    """What was lived. ``recorded`` by name and ``people`` by day begin with the warm-up: (warm_up + days, shelves).

    ``hourly_sales``: (days, hours). ``on_offer``: whether the weekly file has a shelf, for the days and a week more.
    """

    first: date
    days: int
    warm_up: int
    recorded: dict[str, Grid]
    people: Units
    hourly_sales: Units
    on_offer: NDArray[np.bool_]
    books: Books
    store_lots: Lots
    warehouse_lots: Lots
    #: Demand as sales have shown it by the last evening: units a day, and their variance.
    rate: Rates
    variance: Rates

    def of_year(self, name: str) -> Grid:
        """A recorded column without the warm-up: (days, shelves)."""
        return self.recorded[name][self.warm_up :]


@dataclass
class _Lots:
    """Lots of all shelves, one row each, oldest first; dates in days since 1970, units in either place."""

    received: Small
    expiry: Small
    shelf: Small
    backroom: Small

    def receive(self, units: Units, day: int, life: Units) -> None:
        """Add a delivery as the newest lot of every shelf it has units for."""
        self._make_room()
        rows = np.flatnonzero(units)
        place = self._used()[rows]
        self.received[rows, place] = day
        self.expiry[rows, place] = day + life[rows]
        self.backroom[rows, place] = units[rows]

    def _used(self) -> Units:
        return ((self.shelf > 0) | (self.backroom > 0)).sum(axis=1)

    def _make_room(self) -> None:
        """Close the gaps that empty lots leave; one more place where a shelf has none left."""
        gone = (self.shelf == 0) & (self.backroom == 0)
        order = np.argsort(gone, axis=1, kind="stable")
        for name in ("received", "expiry", "shelf", "backroom"):
            setattr(self, name, np.asfortranarray(np.take_along_axis(getattr(self, name), order, axis=1)))
        if not gone.any(axis=1).all():
            for name in ("received", "expiry", "shelf", "backroom"):
                setattr(self, name, np.asfortranarray(np.pad(getattr(self, name), ((0, 0), (0, 4)))))


@dataclass
class _Today:
    """A day of all shelves; ``at``: days since 1970."""

    at: int
    discount: Rates
    alerted: Flags
    people: int
    sold: Units
    lost: Units
    moved: Units
    events: Units
    alerts: Units
    minutes: Rates
    delivered: Units
    expired_shelf: Units
    expired_backroom: Units
    hourly: list[int] = field(default_factory=list)


class _Store:
    """A store in columns over its shelves."""

    def __init__(
        self, profiles: Profiles, demand: Demand, shelf: Lots, backroom: Lots, random: np.random.Generator
    ) -> None:
        self.profiles, self.demand, self.random = profiles, demand, random
        self.count = len(profiles)
        self.lots = _joined(shelf, backroom, self.count)
        self.stock, self.backroom = self.lots.shelf.sum(axis=1), self.lots.backroom.sum(axis=1)
        self.pending = np.zeros(self.count, dtype=np.int64)
        self.rate, self.variance = _expected(demand)
        self.batch, self.life = profiles.standard_batch_size, profiles.shelf_life_days
        self.goods = _goods(profiles)
        self.low = restock.threshold(profiles.maximum_stock, SHELF_DEFAULTS["threshold_pct"])
        self.goal = restock.target(profiles.maximum_stock, SHELF_DEFAULTS["target_pct"], self.low)
        self.neighbour = substitutes(np.unique(profiles.subcategory, return_inverse=True)[1], profiles.item_price)
        self.reorder_point = np.zeros(self.count, dtype=np.int64)
        self.is_open: Flags = np.zeros(self.count, dtype=np.bool_)
        self.ordered = np.zeros(self.count, dtype=np.int64)
        self.shelves = np.arange(self.count)
        self.hour_of = tuple(_hour_table(demand, weekday) for weekday in (0, SATURDAY))

    def units(self) -> Units:
        """All units in the store."""
        return self.stock + self.backroom

    def live(self, day: date, weekly: Rates, *, fill: bool, last: bool) -> _Today:
        """One day. ``fill``: shelves are filled in the evening; ``last``: what expires today leaves in the evening."""
        at = (day - EPOCH).days
        expired = self.remove_expired(at - fefo.REMOVAL_AFTER_DAYS)
        markdown = self.markdown(at)
        today = self.begin(at, pricing.combine(weekly, markdown), *expired)
        today.people = int(self.random.poisson(self.demand.mean_visits * self.demand.traffic(day)))
        wanted = self.wanted(day, weekly, markdown)
        if day.weekday() in CALENDAR.delivery.weekdays:
            today.delivered = self.pending
            self.lots.receive(self.pending, at, self.life)
        self.trade(day, wanted, today)
        if last:
            self.receive_early(today)
        if fill:
            self.bring(np.maximum(self.goal - self.stock, 0), today)
        self.book(today)
        if last:
            shelf, backroom = self.remove_expired(at)
            today.expired_shelf = today.expired_shelf + shelf
            today.expired_backroom = today.expired_backroom + backroom
        return today

    def begin(self, at: int, discount: Rates, expired_shelf: Units, expired_backroom: Units) -> _Today:
        """An empty day."""
        none = np.zeros(self.count, dtype=np.int64)
        return _Today(
            at=at,
            discount=discount,
            alerted=self.is_open,
            people=0,
            sold=none.copy(),
            lost=none.copy(),
            moved=none.copy(),
            events=none.copy(),
            alerts=none.copy(),
            minutes=np.zeros(self.count),
            delivered=none,
            expired_shelf=expired_shelf,
            expired_backroom=expired_backroom,
        )

    # --- the night and the morning -----------------------------------------------------------------

    def remove_expired(self, until: int) -> tuple[Units, Units]:
        """Take away what expired by day ``until``: units from the shelf and from the backroom."""
        expired = self.lots.expiry <= until
        from_shelf = np.where(expired, self.lots.shelf, 0).sum(axis=1)
        from_backroom = np.where(expired, self.lots.backroom, 0).sum(axis=1)
        self.lots.shelf[expired] = 0
        self.lots.backroom[expired] = 0
        self.stock -= from_shelf
        self.backroom -= from_backroom
        return from_shelf, from_backroom

    def markdown(self, day: int) -> Rates:
        """Mean reduction, over the units on each shelf, for lots about to expire."""
        soon = (self.lots.expiry <= day + pricing.MARKDOWN_DAYS) & (self.lots.shelf > 0)
        rows = np.flatnonzero(soon.any(axis=1))
        mean = np.zeros(self.count)
        left = self.lots.expiry[rows] - day
        mean[rows] = features.mean_markdown(self.lots.shelf[rows], left, self.rate[rows])
        return mean

    def wanted(self, day: date, weekly: Rates, markdown: Rates) -> Units:
        """Units asked for by open hour and shelf."""
        mean = self.demand.day(day) * uplift(weekly) * uplift(markdown, MARKDOWN_ELASTICITY)
        units = self.random.poisson(self.random.gamma(mean / DISPERSION, DISPERSION))
        # A Poisson number of units, each at an hour of its own, is a Poisson number in every hour.
        who = np.repeat(self.shelves, units)
        drawn = (self.random.random(len(who), dtype=np.float32) * HOUR_DRAWS).astype(np.intp)
        hour = self.hour_of[day.weekday() >= SATURDAY][self.demand.category[who], drawn]
        return np.bincount(hour * self.count + who, minlength=HOURS * self.count).reshape(HOURS, self.count)

    # --- the open hours ----------------------------------------------------------------------------

    def trade(self, day: date, wanted: Units, today: _Today) -> None:
        """Live the open hours of a day."""
        self.ordered = np.zeros(self.count, dtype=np.int64)
        was_out = np.zeros(self.count, dtype=np.bool_)
        for hour in range(HOURS):
            if hour == DELIVERY_HOUR and day.weekday() in CALENDAR.delivery.weekdays:
                self.backroom = self.backroom + self.pending
                self.pending = np.zeros(self.count, dtype=np.int64)
            if hour == CUTOFF_HOUR and day.weekday() in CALENDAR.cutoff.weekdays:
                self.order(day, today.at)
            self.bring(restock.need(self.stock, self.low, self.goal), today)
            was_out &= self.stock <= 0
            now = wanted[hour]
            sold = np.minimum(self.stock, now)
            missed = now - sold
            empty = availability.empty_minutes(self.stock, now, MINUTES_AN_HOUR)
            today.minutes += empty
            today.events += (empty > 0) & ~was_out
            self.stock = self.stock - sold
            was_out = (empty > 0) & (self.stock <= 0)
            if hour + 1 < HOURS:
                self.substitute(missed, wanted[hour + 1])
            today.sold += sold
            today.lost += missed
            today.hourly.append(int(sold.sum()))

    def receive_early(self, today: _Today) -> None:
        """Take in what is still on order: the opening store knows of no order from before its time."""
        self.lots.receive(self.pending, today.at, self.life)
        self.backroom = self.backroom + self.pending
        today.delivered = today.delivered + self.pending
        self.pending = np.zeros(self.count, dtype=np.int64)

    def bring(self, needed: Units, today: _Today) -> None:
        """Refill from the backroom; a shelf that was low and stays low keeps its alert open."""
        low = restock.is_low(self.stock, self.low)
        today.alerts += low & ~self.is_open
        today.alerted = today.alerted | low
        brought = np.minimum(needed, self.backroom)
        self.stock = self.stock + brought
        self.backroom = self.backroom - brought
        today.moved += brought
        self.is_open = restock.is_low(self.stock, self.low)

    def substitute(self, missed: Units, next_hour: Units) -> None:
        """Some of those who found nothing take the product beside it a little later."""
        rows = np.flatnonzero(missed)
        if not len(rows):
            return
        rows = rows[self.neighbour[rows] != rows]
        np.add.at(next_hour, self.neighbour[rows], self.random.binomial(missed[rows], SUBSTITUTES))

    def order(self, day: date, at: int) -> None:
        """Decide what to order at this day's cutoff; what expires before it arrives is no stock."""
        perishing = np.where(self.lots.expiry <= at + 1, self.lots.backroom, 0).sum(axis=1)
        stock = ordering.Stock(self.stock, self.backroom, perishing, self.pending)
        said = ordering.review(
            self.goods, WAREHOUSE_DEFAULTS, self.rate, self.variance, stock, _interval(day), CALENDAR
        )
        self.reorder_point, self.ordered = said.point, said.batches
        self.pending = self.pending + self.ordered * self.batch

    # --- the evening -------------------------------------------------------------------------------

    def book(self, today: _Today) -> None:
        """Put the day's refills and sales on lots, and learn from the sales."""
        lots = self.lots
        taken = fefo.allocate(today.moved, lots.backroom)
        lots.backroom -= taken.astype(np.int32)
        lots.shelf += taken.astype(np.int32)
        earliest = self.random.binomial(today.sold, TAKES_EARLIEST)
        lots.shelf -= fefo.allocate(earliest, lots.shelf).astype(np.int32)
        others = lots.shelf.copy()
        others[np.arange(self.count), (others > 0).argmax(axis=1)] = 0
        anywhere = fefo.spread(today.sold - earliest, others)
        lots.shelf -= anywhere.astype(np.int32)
        rest = today.sold - earliest - anywhere.sum(axis=1)
        lots.shelf -= fefo.allocate(rest, lots.shelf).astype(np.int32)
        self.rate, self.variance = ordering.smooth(self.rate, self.variance, today.sold, today.minutes == 0)


def live_until(
    start: date,
    profiles: Profiles,
    popularity: Mapping[str, float],
    offers: WeeklyDiscounts,
    *,
    seed: int,
    store_id: str,
    days: int = DAYS,
) -> History:
    """The ``days`` days before ``start``; what it leaves in store and backroom is what the store opens with.

    ``popularity``: share of units by category. Same arguments, same history. Raises BadInput for a product that lives
    shorter than the time between deliveries.
    """
    first = start - timedelta(days=days)
    demand = Demand(products(profiles), popularity, seed=seed, store_id=store_id, since=start - timedelta(days=DAYS))
    begin = first - timedelta(days=WARM_UP)
    opening = drawn_lots(profiles, begin, seed, store_id, *_usual_most(profiles, demand, begin))
    random = np.random.default_rng([seed, 11, *store_id.encode()])
    return live(profiles, demand, offers, opening, first, days=days, warm_up=WARM_UP, random=random)


def _usual_most(profiles: Profiles, demand: Demand, day: date) -> tuple[Units, Units]:
    """Units that the ordering rule stocks of each product, in the backroom and in all: nobody has a stock of years."""
    goods, none = _goods(profiles), np.zeros(len(profiles), dtype=np.int64)
    rate, variance = _expected(demand)
    stock, interval = ordering.Stock(none, none, none, none), _interval(day)
    level = ordering.review(goods, WAREHOUSE_DEFAULTS, rate, variance, stock, interval, CALENDAR).level
    return level, ordering.sells_in_time(rate, variance, profiles.shelf_life_days, interval.lead).astype(np.int64)


def _goods(profiles: Profiles) -> ordering.Goods:
    return ordering.Goods(
        profiles.standard_batch_size,
        profiles.shelf_life_days,
        profiles.maximum_stock,
        profiles.warehouse_capacity,
    )


def _expected(demand: Demand) -> tuple[Rates, Rates]:
    """Demand rates before a day has been seen, and their variance."""
    return demand.rates.copy(), demand.rates * (1 + DISPERSION)


def products(profiles: Profiles) -> Products:
    """What demand must know of the catalogue's products."""
    return Products(
        product_id=profiles.product_id.tolist(),
        category=profiles.category.tolist(),
        subcategory=profiles.subcategory.tolist(),
        price=profiles.item_price,
        visibility=profiles.item_visibility,
        room=fillable(profiles.maximum_stock, profiles.warehouse_capacity),
        batch=profiles.standard_batch_size,
        shelf_life_days=profiles.shelf_life_days,
    )


def live(
    profiles: Profiles,
    demand: Demand,
    offers: WeeklyDiscounts,
    opening: tuple[Lots, Lots],
    first: date,
    *,
    days: int,
    warm_up: int,
    random: np.random.Generator,
) -> History:
    """Live ``days`` days from ``first``, after ``warm_up`` days that open with the lots of ``opening``."""
    store = _Store(profiles, demand, *opening, random)
    weekly_on = _weekly(offers, store.count)
    diary = _Diary(warm_up + days, store.count)
    opened = store.units()
    for number in range(warm_up + days):
        if number == warm_up:
            opened = store.units()
        day = first + timedelta(days=number - warm_up)
        before_end = warm_up + days - number
        today = store.live(day, weekly_on(day), fill=before_end <= STOCK_TAKE_DAYS, last=before_end == 1)
        diary.write(number, store, today)
    kept = diary.since(warm_up)
    books = Books(
        opening=opened,
        delivered=kept["delivered"],
        on_shelf=store.stock.copy(),
        backroom=store.backroom.copy(),
        sold=kept["sales_qty"],
        wasted=kept["expired_qty_shelf"] + kept["expired_qty_wh"],
    )
    on_offer = np.stack([weekly_on(first + timedelta(days=number)) > 0 for number in range(days + 7)])
    shelf, backroom = _closing(store.lots, profiles)
    return History(
        first,
        days,
        warm_up,
        diary.recorded,
        diary.people,
        diary.hourly[warm_up:],
        on_offer,
        books,
        shelf,
        backroom,
        store.rate,
        store.variance,
    )


class _Diary:
    """What is written down every evening."""

    def __init__(self, days: int, shelves: int) -> None:
        self.recorded: dict[str, Grid] = {name: np.zeros((days, shelves), kind) for name, kind in RECORDED.items()}
        self.delivered = np.zeros((days, shelves), np.int32)
        self.people = np.zeros(days, np.int64)
        self.hourly = np.zeros((days, HOURS), np.int64)

    def write(self, number: int, store: _Store, today: _Today) -> None:
        units, left = store.lots.shelf + store.lots.backroom, store.lots.expiry - today.at
        short = features.is_short(store.backroom, store.pending, store.reorder_point)
        was_short = self.recorded["is_warehouse_alert"][number - 1] if number else np.zeros_like(short)
        row = {
            "sales_qty": today.sold,
            "lost_demand_qty": today.lost,
            "stockout_events": today.events,
            "stockout_minutes": np.round(today.minutes, 1),
            "current_stock_shelf": store.stock,
            "current_stock_warehouse": store.backroom,
            "expired_qty_shelf": today.expired_shelf,
            "expired_qty_wh": today.expired_backroom,
            "moved_wh_to_shelf": today.moved,
            "wh_reorder_point_qty": store.reorder_point,
            "pending_supplier_qty": store.pending,
            "ordered_batches": store.ordered,
            "shelf_alerts": today.alerts,
            "is_shelf_alert": today.alerted,
            "warehouse_alerts": short & ~was_short,
            "is_warehouse_alert": short,
            "discount": today.discount,
        } | features.expiry(units, left)
        for name, values in row.items():
            self.recorded[name][number] = values
        self.delivered[number] = today.delivered
        self.people[number] = today.people
        self.hourly[number] = today.hourly

    def since(self, number: int) -> dict[str, Units]:
        """Units moved by each shelf from a day on."""
        moved = ("sales_qty", "expired_qty_shelf", "expired_qty_wh")
        sums = {name: self.recorded[name][number:].sum(axis=0, dtype=np.int64) for name in moved}
        return sums | {"delivered": self.delivered[number:].sum(axis=0, dtype=np.int64)}


def _hour_table(demand: Demand, weekday: int) -> Units:
    """By category, the open hour that each of HOUR_DRAWS equal chances falls into."""
    upto = np.cumsum(hours(demand.categories, weekday), axis=1)
    chances = (np.arange(HOUR_DRAWS) + 0.5) / HOUR_DRAWS
    return np.stack([np.searchsorted(row[:-1], chances) for row in upto])


def _interval(day: date) -> ordering.Interval:
    return ordering.interval(datetime.combine(day, CALENDAR.cutoff.at, UTC), CALENDAR)


def _weekly(offers: WeeklyDiscounts, shelves: int) -> Callable[[date], Rates]:
    """The weekly discount of every shelf on a day; none where the file does not reach."""
    weeks: dict[date, Rates] = {}
    for monday in np.unique(offers.week_start):
        rows = offers.week_start == monday
        week = weeks[monday.item()] = np.zeros(shelves)
        week[offers.row[rows]] = offers.discount[rows]
    none = np.zeros(shelves)
    return lambda day: weeks.get(day - timedelta(days=day.weekday()), none)


def _joined(shelf: Lots, backroom: Lots, count: int) -> _Lots:
    """Lots of both places side by side, oldest first."""
    row = np.concatenate([shelf.row, backroom.row])
    received = np.concatenate([shelf.received_date, backroom.received_date]).astype("datetime64[D]").astype(np.int64)
    expiry = np.concatenate([shelf.expiry_date, backroom.expiry_date]).astype("datetime64[D]").astype(np.int64)
    key, lot = np.unique(np.stack([row, received], axis=1), axis=0, return_inverse=True)
    lot = lot.ravel()
    rows = key[:, 0]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    shape = (count, max(int(place.max()) + 1, 4))
    lots = _Lots(*(np.zeros(shape, dtype=np.int32, order="F") for _ in range(4)))
    lots.received[row, place[lot]] = received
    lots.expiry[row, place[lot]] = expiry
    lots.shelf[shelf.row, place[lot[: len(shelf)]]] = shelf.quantity
    lots.backroom[backroom.row, place[lot[len(shelf) :]]] = backroom.quantity
    return lots


def _closing(lots: _Lots, profiles: Profiles) -> tuple[Lots, Lots]:
    places = []
    for units in (lots.shelf, lots.backroom):
        row, place = np.nonzero(units)
        received = lots.received[row, place].astype("datetime64[D]")
        places.append(make_lots(profiles, received, row, units[row, place].astype(np.int64)))
    return places[0], places[1]
