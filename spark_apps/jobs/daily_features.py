"""Daily features: what a closed day leaves of every shelf to learn from (``shelf_daily_features``), and on-shelf
availability by aisle and hour (``availability_hourly``).

The columns of a day are made by ``smartshelf.domain.features``, as those of the generated year are. A row is written
once, at midnight, and never corrected: what arrives late counts on the day on which it arrives. A day whose opening the
store has not lived has no row: it would look like a bad day.

A shelf is out of stock in a step when it stands empty at its beginning, and out of an hour what its steps add up to.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import Availability, ShelfDailyFeature, key_json
from smartshelf.domain import alerts, availability, features, ordering, pricing
from smartshelf.domain.calendar import Calendar
from smartshelf.domain.lots import NO_DATE, LotPlace, date_of, day_of
from smartshelf.io.closing import Closing
from spark_apps.runtime import codec
from spark_apps.runtime.books import FORGET_AFTER, Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Stage, Step
from spark_apps.runtime.writing import gone, row

FEATURES, AVAILABILITY = "shelf_daily_features", "availability_hourly"
#: A row is written once.
ONLY_VERSION = 1
MINUTE = timedelta(minutes=1)
#: Reorder point of a shelf for which none has been made yet.
NO_POINT = -1
#: Store -> Monday (ISO date) -> shelf -> discount 0-1.
Weekly = Mapping[str, Mapping[str, Mapping[str, float]]]
Column = NDArray[Any]

#: One entry per row of the books; counts are of today, steps of this hour or today.
_COLUMNS: dict[str, tuple[np.dtype[Any], Any]] = {
    "sold": (np.dtype("<i4"), 0),
    "moved": (np.dtype("<i4"), 0),
    "expired_shelf": (np.dtype("<i4"), 0),
    "expired_backroom": (np.dtype("<i4"), 0),
    "alerts": (np.dtype("<i2"), 0),
    "events": (np.dtype("<i2"), 0),
    "out_today": (np.dtype("<i4"), 0),
    "out_this_hour": (np.dtype("<i4"), 0),
    "is_out": (np.dtype("?"), False),
    "alert_is_open": (np.dtype("?"), False),
    "was_alerted": (np.dtype("?"), False),
    "is_short": (np.dtype("?"), False),
    "discount": (np.dtype("<f8"), 0.0),
    "reorder_point": (np.dtype("<i4"), NO_POINT),
}
_PAST_FORMAT = 1
#: Columns that begin anew every day.
_OF_TODAY = ("sold", "moved", "expired_shelf", "expired_backroom", "alerts", "events", "out_today", "discount")


@dataclass
class Past:
    """What the closed days before today counted, as (days, shelves): no more days than lags reach back to."""

    daily: dict[str, Column]

    def add(self, today: Mapping[str, Column]) -> Past:
        """One more day; the first one goes when there are enough."""
        wide = {name: len(column) for name, column in today.items()}
        grown = {name: np.pad(grid, ((0, 0), (0, wide[name] - grid.shape[1]))) for name, grid in self.daily.items()}
        return Past({name: np.vstack([grown[name], today[name]])[-features.ALERT_DAYS :] for name in grown})

    def pack(self) -> bytes:
        packed = {name: (len(grid), grid.astype("<i2").tobytes()) for name, grid in self.daily.items()}
        return zlib.compress(codec.pack(_PAST_FORMAT, packed))

    @classmethod
    def unpack(cls, data: bytes) -> Past:
        packed = codec.unpack(zlib.decompress(data), _PAST_FORMAT, "past days")
        return cls(
            {
                name: np.frombuffer(raw, "<i2").reshape(days, -1) if days else np.zeros((0, 0), "<i2")
                for name, (days, raw) in packed.items()
            }
        )


_COUNTED = ("sales_qty", "shelf_alerts", "warehouse_alerts")
_NO_PAST = Past({name: np.zeros((0, 0), "<i2") for name in _COUNTED}).pack()


@dataclass
class State:
    """``past`` stays packed: it is looked at once a day. Days are counted from 1970."""

    columns: dict[str, Column] = field(
        default_factory=lambda: {name: np.zeros(0, kind) for name, (kind, _) in _COLUMNS.items()}
    )
    past: bytes = _NO_PAST
    #: The first day that the store lives; NO_DAY before its first step.
    first_day: int = -1
    #: Whether the store has lived today's opening.
    has_opened: bool = False
    people: int = 0
    #: Steps of this hour in which the store was open.
    open_steps: int = 0
    #: Day -> hours and aisles whose rows stand in the topic.
    told: dict[int, list[tuple[int, int]]] = field(default_factory=dict)


class DailyFeatures(Stage[State]):
    """Counts what happens, looks at the store when it opens, orders, and closes a day."""

    name: ClassVar = "daily_features"
    version: ClassVar = 2
    facts: ClassVar = frozenset({"pos_transactions", "shelf_events", "foot_traffic", "proposals"})
    books: ClassVar = True
    config: ClassVar = frozenset({"shelf_profiles", "shelf_policies", "wh_policies"})

    def __init__(
        self,
        weekly: Weekly | None = None,
        closing: Mapping[str, Closing] | None = None,
        calendar: Calendar | None = None,
    ) -> None:
        """``weekly``: the promotion file; ``closing``: each store's last days of history; fixed for its life."""
        self._weekly, self._closing = weekly or {}, closing or {}
        self._calendar = calendar or Calendar()

    def new(self) -> State:
        return State()

    def load(self, data: bytes) -> State:
        columns, past, *rest = codec.unpack(data, self.version, self.name)
        state = State(
            {name: np.frombuffer(raw, _COLUMNS[name][0]).copy() for name, raw in columns.items()},
            past,
            *rest,
        )
        state.told = {int(day): [(hour, aisle) for hour, aisle in told] for day, told in state.told.items()}
        return state

    def dump(self, state: State) -> bytes:
        columns = {name: column.tobytes() for name, column in state.columns.items()}
        told = {str(day): of_day for day, of_day in state.told.items()}
        rest = [state.past, state.first_day, state.has_opened, state.people, state.open_steps, told]
        return codec.pack(self.version, [columns, *rest])

    def advance(
        self, state: State, facts: Sequence[e.Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[State, list[Output]]:
        day = _Day(state, config, step, books, self._calendar)
        day.fit()
        if state.first_day < 0:
            day.begin(self._closing.get(step.scope.store_id))
        day.stand_open()
        day.count(facts)
        day.look()
        outputs: list[Output] = []
        if self._calendar.opening.within(step.since, step.at):
            day.open(self._offers(step.scope.store_id, step.at.date()))
        for cutoff in self._calendar.cutoff.within(step.since, step.at):
            day.review(cutoff)
        if step.at.hour != step.since.hour:
            outputs += day.close_hour()
        if step.at.date() != step.since.date():
            outputs += self._close(day)
        return state, outputs

    def _close(self, day: _Day) -> list[Output]:
        outputs: list[Output] = []
        if day.state.has_opened:
            closed = day.step.since.date()
            coming = [closed + timedelta(days=ahead) for ahead in range(1, features.SOON_DAYS + 1)]
            on_offer = [self._offers(day.step.scope.store_id, each) for each in coming]
            outputs = day.rows(on_offer)
        outputs += day.forget()
        day.begin_anew()
        return outputs

    def _offers(self, store_id: str, day: date) -> Mapping[str, float]:
        monday = day - timedelta(days=day.weekday())
        return self._weekly.get(store_id, {}).get(monday.isoformat(), {})


class _Day:
    """One step's look at one store."""

    def __init__(self, state: State, config: StoreConfig, step: Step, books: Books, calendar: Calendar) -> None:
        self.state, self.config, self.step, self.books, self.calendar = state, config, step, books, calendar
        self.now, self.book = state.columns, books.shelves

    def fit(self) -> None:
        """Room for shelves that the books have met since."""
        missing = len(self.book.shelf_ids) - len(self.now["sold"])
        for name, (kind, first) in _COLUMNS.items() if missing else ():
            self.now[name] = np.append(self.now[name], np.full(missing, first, kind))

    def begin(self, closing: Closing | None) -> None:
        """Go on from what the store's history left, if it ended yesterday."""
        today = self.step.at.date()
        self.state.first_day = day_of(today.isoformat())
        if closing is None or closing.last_day + timedelta(days=1) != today:
            return
        known = [(self.book.row_of[s], place) for place, s in enumerate(closing.shelf_ids) if s in self.book.row_of]
        rows, places = np.array(known, dtype=np.int64).reshape(-1, 2).T
        daily = {}
        for name, grid in closing.daily.items():
            daily[name] = np.zeros((len(grid), len(self.book.shelf_ids)), grid.dtype)
            daily[name][:, rows] = grid[:, places]
        self.state.past = Past(daily).pack()
        self.now["reorder_point"][rows] = closing.reorder_point[places]
        self.now["is_short"][rows] = closing.is_short[places]

    # --- every step --------------------------------------------------------------------------------

    def stand_open(self) -> None:
        """A step of open time has passed; what stood empty at its beginning was empty."""
        if self.is_open:
            self.state.open_steps += 1
            self.now["out_this_hour"] += self.now["is_out"]

    @property
    def is_open(self) -> bool:
        return not self.step.n and self.calendar.is_open(self.step.since)

    def count(self, facts: Sequence[e.Event]) -> None:
        """Add up what happened."""
        now, row_of = self.now, self.book.row_of
        for fact in facts:
            if isinstance(fact, e.PosTransaction):
                for line in fact.items:
                    now["sold"][row_of[line.shelf_id]] += line.quantity
            elif isinstance(fact, e.Refill):
                now["moved"][row_of[fact.shelf_id]] += fact.quantity
            elif isinstance(fact, e.Removal):
                place = "expired_shelf" if fact.location == "store" else "expired_backroom"
                now[place][row_of[fact.shelf_id]] += fact.quantity
            elif isinstance(fact, e.FootTraffic):
                self.state.people += 1
            elif isinstance(fact, e.Restock):
                self._alert(row_of[fact.shelf_id])

    def _alert(self, at: int) -> None:
        """A restock is proposed with each refill_request, and again while the shelf needs more."""
        if not self.now["alert_is_open"][at]:
            self.now["alert_is_open"][at] = self.now["was_alerted"][at] = True
            self.now["alerts"][at] += 1

    def look(self) -> None:
        """Which shelves stand empty now, and whose alerts are over."""
        if not (self.books.touched or self.config.changes.any):
            return
        is_out = self.book.balances[:, Place.SHELF] <= 0
        if self.is_open:
            self.now["events"] += is_out & ~self.now["is_out"]
        self.now["is_out"] = is_out
        shelves = self.config.rules.shelf_ids if self.config.changes.policies else self.books.touched
        is_open, row_of, rules = self.now["alert_is_open"], self.book.row_of, self.config.rules
        for shelf in [shelf for shelf in shelves if shelf in row_of and is_open[row_of[shelf]]]:
            ruled = rules.row_of.get(shelf)
            is_open[row_of[shelf]] = ruled is not None and not self._is_well(row_of[shelf], ruled)

    def _is_well(self, at: int, ruled: int) -> bool:
        rules, one = self.config.rules, slice(ruled, ruled + 1)
        well = alerts.recovered(rules.low[one], rules.goal[one], rules.maximum[one])
        return bool(self.book.balances[at, Place.SHELF] >= well[0])

    # --- at instants of the day --------------------------------------------------------------------

    def open(self, offers: Mapping[str, float]) -> None:
        """Prices of the day, and what is found empty."""
        self.state.has_opened = True
        self.now["events"] += self.now["is_out"]
        weekly = np.zeros(len(self.book.shelf_ids))
        for shelf_id, discount in offers.items():
            if shelf_id in self.book.row_of:
                weekly[self.book.row_of[shelf_id]] = discount
        shelves, expected = self._shelves(), np.zeros(len(self.book.shelf_ids))
        rows = self._rows(shelves)
        expected[rows] = self.books.demand.mean[rows]
        units, left = self._lots((LotPlace.STORE,), self.step.at.date())
        self.now["discount"] = pricing.combine(weekly, features.mean_markdown(units, left, expected))

    def review(self, cutoff: datetime) -> None:
        """The reorder points of a cutoff."""
        shelves, rules = self._shelves(), self.config.rules
        ruled = [rules.row_of[shelf] for shelf in shelves]
        policy = {name: column[ruled] for name, column in rules.warehouse.items()}
        interval = ordering.interval(cutoff, self.calendar)
        rows, demand = self._rows(shelves), self.books.demand
        point, _ = ordering.levels(
            rules.goods.take(ruled), policy, demand.mean[rows], demand.variance[rows], interval, self.calendar
        )
        self.now["reorder_point"][rows] = point

    def _lots(self, places: Sequence[LotPlace], day: date) -> tuple[Column, Column]:
        """Units and days left on ``day`` of every lot with a date, as (shelves, lots)."""
        lots = self.books.lots
        units = np.maximum(lots.units[:, list(places)].sum(axis=1), 0)
        here = np.flatnonzero((units > 0) & (lots.expiry_day != NO_DATE))
        shelf = np.array([self.book.row_of[lots.shelf_ids[at]] for at in here.tolist()], dtype=np.int64)
        order = np.argsort(shelf, kind="stable")
        here, shelf = here[order], shelf[order]
        place = np.arange(len(here)) - np.searchsorted(shelf, shelf)
        shape = len(self.book.shelf_ids), int(place.max(initial=0)) + 1
        grids = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        grids[0][shelf, place] = units[here]
        grids[1][shelf, place] = lots.expiry_day[here] - day_of(day.isoformat())
        return grids

    def close_hour(self) -> list[Output]:
        """The hour's availability by aisle, if the store was open in it."""
        state, now = self.state, self.now
        opened, state.open_steps = state.open_steps, 0
        if not opened:
            return []
        out, now["out_this_hour"] = now["out_this_hour"], np.zeros_like(now["out_this_hour"])
        now["out_today"] += out
        shelves = self._shelves()
        aisle_of = np.array([self.config.profiles[shelf_id].aisle for shelf_id in shelves], dtype=np.int64)
        aisles, group = np.unique(aisle_of, return_inverse=True)
        minutes = self._minutes(availability.by_group(out[self._rows(shelves)], group, len(aisles)))
        lived = self._minutes(opened * np.bincount(group, minlength=len(aisles)))
        hour = (self.step.at - MINUTE).replace(minute=0, second=0, microsecond=0)
        told = state.told.setdefault(day_of(hour.date().isoformat()), [])
        told += [(hour.hour, aisle) for aisle in aisles.tolist()]
        return [
            row(
                AVAILABILITY,
                Availability(
                    **self._mirror(),
                    aisle=aisle,
                    hour_ts=hour,
                    open_minutes=round(is_open),
                    out_minutes=round(is_out),
                ),
            )
            for aisle, is_open, is_out in zip(aisles.tolist(), lived.tolist(), minutes.tolist(), strict=True)
        ]

    def rows(self, on_offer: Sequence[Mapping[str, float]]) -> list[Output]:
        """The closed day of every shelf; ``on_offer``: the weekly offers of the days after it."""
        now, day = self.now, self.step.since.date()
        shelves = self._shelves()
        at = self._rows(shelves)
        measured = self._measured(day)
        past = Past.unpack(self.state.past).add(
            {"sales_qty": now["sold"], "shelf_alerts": now["alerts"], "warehouse_alerts": measured["became_short"]}
        )
        self.state.past = past.pack()
        now["is_short"] = measured["is_warehouse_alert"]
        offered = np.array([[shelf in offers for shelf in shelves] for offers in on_offer], dtype=np.bool_)
        columns = features.columns(
            np.array([day], "datetime64[D]"),
            self._products(shelves),
            {name: measured[name][None, at] for name in features.MEASURED},
            features.lags({name: grid[:, at] for name, grid in past.daily.items()}, 1),
            np.array([self.state.people]),
            features.promised(offered, 1),
            self.calendar,
        )
        return self._as_rows(shelves, day, columns)

    def _measured(self, day: date) -> dict[str, Column]:
        """What the day leaves, for every row of the books."""
        now, book = self.now, self.book
        units, left = self._lots((LotPlace.STORE, LotPlace.BACKROOM, LotPlace.ON_THE_WAY), day)
        backroom = book.balances[:, Place.BACKROOM]
        has_point = now["reorder_point"] != NO_POINT
        is_short = has_point & features.is_short(backroom, book.on_order, now["reorder_point"])
        return {
            "discount": now["discount"],
            "sales_qty": now["sold"],
            "stockout_events": now["events"],
            "stockout_minutes": np.round(self._minutes(now["out_today"]), 1),
            "current_stock_shelf": book.balances[:, Place.SHELF],
            "expired_qty_shelf": now["expired_shelf"],
            "is_shelf_alert": now["was_alerted"],
            "current_stock_warehouse": backroom,
            "wh_reorder_point_qty": np.ma.masked_array(now["reorder_point"], ~has_point),
            "pending_supplier_qty": book.on_order,
            "expired_qty_wh": now["expired_backroom"],
            "is_warehouse_alert": is_short,
            "became_short": is_short & ~now["is_short"],
            "moved_wh_to_shelf": now["moved"],
            **features.expiry(units, left),
        }

    def _products(self, shelves: Sequence[str]) -> features.Shelves:
        profiles, rules = [self.config.profiles[shelf] for shelf in shelves], self.config.rules
        return features.Shelves(
            price=np.array([profile.item_price for profile in profiles]),
            capacity=np.array([profile.maximum_stock for profile in profiles]),
            threshold=rules.low[[rules.row_of[shelf] for shelf in shelves]],
            warehouse_capacity=np.array([profile.warehouse_capacity for profile in profiles]),
            batch=np.array([profile.standard_batch_size for profile in profiles]),
        )

    def _as_rows(self, shelves: Sequence[str], day: date, columns: features.Columns) -> list[Output]:
        same = self._mirror() | {"feature_date": day.isoformat(), "snapshot_ts": _midnight_after(self.step, day)}
        named = {name: values for name, values in columns.items() if name not in same}
        shape = 1, len(shelves)
        lists = [np.broadcast_to(values, shape, subok=True)[0].tolist() for values in named.values()]
        made = []
        for shelf_id, values in zip(shelves, zip(*lists, strict=True), strict=True):
            profile = self.config.profiles[shelf_id]
            made.append(
                row(
                    FEATURES,
                    ShelfDailyFeature(
                        **same,
                        shelf_id=shelf_id,
                        item_category=profile.category,
                        item_subcategory=profile.subcategory,
                        **dict(zip(named, values, strict=True)),
                    ),
                )
            )
        return made

    def forget(self) -> list[Output]:
        """Rows of a day long past leave the topics; tables keep them."""
        state, closed = self.state, day_of(self.step.since.date().isoformat())
        past = closed - FORGET_AFTER.days
        store_id = self.step.scope.store_id
        outputs: list[Output] = []
        for day in [day for day in state.told if day <= past]:
            midnight = datetime.combine(date_of(day) or date.max, datetime.min.time(), self.step.at.tzinfo)
            for hour, aisle in state.told.pop(day):
                named = {"store_id": store_id, "aisle": aisle, "hour_ts": midnight + timedelta(hours=hour)}
                outputs.append(Output(AVAILABILITY, key_json(Availability, named), None))
        if past >= state.first_day:
            key = {"store_id": store_id, "feature_date": str(date_of(past))}
            outputs += [gone(FEATURES, ShelfDailyFeature, key | {"shelf_id": shelf}) for shelf in self.book.shelf_ids]
        return outputs

    def begin_anew(self) -> None:
        """A new day: nothing has happened yet."""
        state, now = self.state, self.now
        for name in _OF_TODAY:
            now[name] = np.zeros_like(now[name])
        now["was_alerted"] = now["alert_is_open"].copy()
        state.people, state.has_opened = 0, False

    # --- in common ---------------------------------------------------------------------------------

    def _mirror(self) -> dict[str, Any]:
        scope = self.step.scope
        return {
            "epoch": scope.epoch,
            "version": ONLY_VERSION,
            "as_of_step": scope.as_of_step,
            "store_id": scope.store_id,
        }

    def _shelves(self) -> list[str]:
        return list(self.config.profiles)

    def _rows(self, shelves: Sequence[str]) -> Column:
        return np.array([self.book.row_of[shelf] for shelf in shelves], dtype=np.int64)

    def _minutes(self, steps: Column) -> Column:
        return steps * ((self.step.at - self.step.since) / MINUTE)


def _midnight_after(step: Step, day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), step.at.tzinfo)
