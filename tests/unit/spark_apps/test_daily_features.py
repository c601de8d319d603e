"""A closed day of the live store is the row that history would have; availability is measured by the minute."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from data import history, panel
from data.catalogue import Profiles, expand, load_catalogue
from data.discounts import WeeklyDiscounts, weekly_discounts
from smartshelf.contracts import events as e
from smartshelf.contracts.rows import DailyDiscount, ShelfDailyFeature, ShelfProfile
from smartshelf.domain import features, restock
from smartshelf.domain.policy import SHELF_DEFAULTS
from smartshelf.io.closing import DAILY, Closing
from spark_apps.jobs.daily_discounts import DailyDiscounts
from spark_apps.jobs.daily_features import DailyFeatures
from spark_apps.jobs.refill_bridge import RefillBridge
from spark_apps.jobs.restock_manager import RestockManager
from spark_apps.jobs.shelf_alerts import ShelfAlerts
from tests import worlds
from tests.loop import Loop
from tests.told import STORE, Storyteller, Told, Watched

# --- the same days, lived by history and told to the stage ------------------------------------------------------------

CATALOGUE = load_catalogue()
SCALE = 0.25
PROFILES = expand(CATALOGUE, SCALE)
POPULARITY = {category.category: category.popularity for category in CATALOGUE.categories}
#: Sunday to Tuesday, four weeks into a short history; the rest of it comes after. Goods expire in both places.
FIRST, DAYS, FROM, SEED = date(2025, 6, 2), 50, 27, 4
LOW = restock.threshold(PROFILES.maximum_stock, SHELF_DEFAULTS["threshold_pct"])
GOAL = restock.target(PROFILES.maximum_stock, SHELF_DEFAULTS["target_pct"], LOW)
ONLY_IN_HISTORY = ("lost_demand_qty", "batches_to_order", "label_next_day_stockout")
#: History closes an alert with any refill above the threshold, the live store when the shelf is well above.
OF_ALERTS = ("is_shelf_alert", "alerts_last_30d_shelf")


def as_rows(profiles: Profiles) -> list[ShelfProfile]:
    columns = {name: column.tolist() for name, column in profiles.columns().items()}
    each = zip(*columns.values(), strict=True)
    return [ShelfProfile(store_id=STORE, **dict(zip(columns, values, strict=True))) for values in each]


def as_mapping(offers: WeeklyDiscounts) -> dict[str, dict[str, dict[str, float]]]:
    weeks: dict[str, dict[str, float]] = defaultdict(dict)
    for monday, row, discount in zip(offers.week_start, offers.row.tolist(), offers.discount.tolist(), strict=True):
        weeks[str(monday)][PROFILES.shelf_id[row]] = discount
    return {STORE: weeks}


@dataclass
class Both:
    """The same days by the live stage and by the generator."""

    told: Told
    generated: dict[tuple[str, str], dict[str, Any]]
    #: Shelves that every refill brought to their target.
    whole: set[str]


@pytest.fixture(scope="module")
def both() -> Both:
    start = FIRST + timedelta(days=DAYS)
    offers = weekly_discounts(len(PROFILES), start, SEED, scale=SCALE, store_id=STORE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "_Store", Watched)
        past = history.live_until(start, PROFILES, POPULARITY, offers, seed=SEED, store_id=STORE, days=DAYS)
    lived = Watched.lived[past.warm_up + FROM :][:3]
    recorded = {name: grid[: past.warm_up + FROM] for name, grid in past.recorded.items()}
    before = replace(past, days=FROM, recorded=recorded, rate=lived[0].rate, variance=lived[0].variance)
    closing = panel.closing(PROFILES, before)
    stage = DailyFeatures(as_mapping(offers), {STORE: closing})
    midnight = datetime.combine(lived[0].day, datetime.min.time(), UTC)
    told = Told(midnight, as_rows(PROFILES), stage, learnt=closing.demand())
    teller = Storyteller(told, PROFILES)
    teller.open(lived[0])
    for day in lived:
        teller.tell(day)
    told.live(midnight + timedelta(days=3))
    days = {day.day for day in lived}
    rows = [
        row for part in panel.rows(STORE, PROFILES, past) for row in part.to_pylist() if row["feature_date"] in days
    ]
    partly = np.zeros(len(PROFILES), np.bool_)
    for hour in (hour for day in lived for hour in day.hours[:-1]):
        partly |= (hour["after"] < LOW) | ((hour["after"] > hour["before"]) & (hour["after"] < GOAL))
    generated = {(row["shelf_id"], row["feature_date"].isoformat()): row for row in rows}
    return Both(told, generated, set(PROFILES.shelf_id[~partly].tolist()))


@pytest.mark.parametrize("name", [name for name in panel.SCHEMA.names if name not in ONLY_IN_HISTORY])
def test_a_live_days_row_is_what_history_would_write_for_its_events(both: Both, name: str) -> None:
    assert len(both.generated) == 3 * len(PROFILES)
    compared, wrong = 0, {}
    for (shelf, day), row in both.generated.items():
        if name in OF_ALERTS and shelf not in both.whole:
            continue
        live, past = both.told.day(shelf, day)[name], row[name]
        if isinstance(past, date):
            past = past.isoformat().replace("+00:00", "Z")
        elif isinstance(past, float):
            # The file holds single precision; history knows parts of a minute.
            past = pytest.approx(past, rel=1e-6, abs=row["stockout_events"] if name == "stockout_minutes" else 1e-6)
        compared += 1
        if live != past:
            wrong[shelf, day] = (live, past)
    assert wrong == {}
    assert compared > len(PROFILES)


def test_these_days_have_everything_that_a_row_tells_of(both: Both) -> None:
    told = [both.told.day(*key) for key in both.generated]
    for name in (
        "discount", "is_discounted_next_7d", "sales_qty", "stockout_events", "expired_qty_shelf", "expired_qty_wh",
        "is_shelf_alert", "moved_wh_to_shelf", "pending_supplier_qty", "is_warehouse_alert",
    ):  # fmt: skip
        assert any(row[name] for row in told), name
    assert any(row["discount"] >= 0.3 for row in told), "a lot on its last days"
    assert any(0 < row["stockout_minutes"] < 900 for row in told)


def test_what_only_history_or_the_next_day_knows_is_null(both: Both) -> None:
    assert {both.told.day(*key)[name] for key in both.generated for name in ONLY_IN_HISTORY} == {None}


# --- a few shelves, minute by minute ----------------------------------------------------------------------------------

OPENING = datetime(2026, 1, 1, 7, tzinfo=UTC)
A, B, C = (worlds.profile(number).shelf_id for number in (0, 1, 10))


def few(start: datetime = OPENING, stage: DailyFeatures | None = None, **options: int) -> Told:
    """Shelves A and B in aisle 1, C in aisle 2; 40 units on each but for C, which is empty; 30 behind A."""
    told = Told(start, [worlds.profile(number) for number in (0, 1, 10)], stage or DailyFeatures(), **options)
    told.count(A, 40, "A1", "2025-12-29", "2026-01-20")
    told.count(B, 40, "B1", "2025-12-29", "2026-01-01")
    told.count(A, 30, "A2", "2025-12-31", "2026-01-25", "warehouse")
    return told


def clock(hour: int, minute: int = 0, day: int = 1) -> datetime:
    return datetime(2026, 1, day, hour, minute, tzinfo=UTC)


def hour_of(told: Told, aisle: int, hour: int, day: int = 1) -> tuple[int, int]:
    row = told.rows["availability_hourly"][STORE, aisle, clock(hour, 0, day).isoformat().replace("+00:00", "Z")]
    assert row is not None
    return row["open_minutes"], row["out_minutes"]


def test_an_hours_availability_is_the_minutes_of_its_shelves() -> None:
    told = few()
    told.sell(clock(9, 15), A, 40)
    told.refill(clock(10, 5), A, 30, "A2")
    told.live(clock(11))
    assert [hour_of(told, 1, hour) for hour in (7, 8, 9, 10)] == [(120, 0), (120, 0), (120, 45), (120, 5)]
    assert [hour_of(told, 2, hour) for hour in (7, 10)] == [(60, 60), (60, 60)]


def test_no_hour_is_told_of_while_the_store_is_closed() -> None:
    told = few().live(clock(9, 0, day=2))
    hours = sorted(key[2] for key in told.rows["availability_hourly"] if key[1] == 1)
    assert len(hours) == 15 + 2
    assert hours[14:16] == ["2026-01-01T21:00:00Z", "2026-01-02T07:00:00Z"]


def test_a_shelf_out_of_stock_from_opening_to_closing_is_out_for_900_minutes_in_one_event() -> None:
    row = few().live(clock(0, 0, day=2)).day(C, "2026-01-01")
    assert (row["stockout_events"], row["stockout_minutes"]) == (1, 900)
    assert (row["min_expiration_days"], row["avg_expiration_days"]) == (None, None)


def test_a_shelf_that_runs_empty_twice_has_two_events_and_what_happens_after_closing_is_none() -> None:
    told = few()
    told.sell(clock(9, 15), A, 40)
    told.refill(clock(9, 20), A, 10, "A2")
    told.sell(clock(9, 30), A, 10)
    told.refill(clock(9, 50), A, 20, "A2")
    told.sell(clock(22, 10), A, 20)
    row = told.live(clock(0, 0, day=2)).day(A, "2026-01-01")
    assert (row["stockout_events"], row["stockout_minutes"]) == (2, 25)
    assert (row["sales_qty"], row["moved_wh_to_shelf"], row["current_stock_shelf"]) == (70, 30, 0)


def test_an_alert_counts_once_however_often_its_restock_is_proposed() -> None:
    told = few()
    told.sell(clock(9), A, 30)
    for minute in (1, 2, 3):
        told.tell(clock(9, minute), "proposals", e.Restock, shelf_id=A, qty=38, why="")
    told.refill(clock(9, 30), A, 30, "A2")
    told.sell(clock(12), A, 30)
    told.tell(clock(12, 1), "proposals", e.Restock, shelf_id=A, qty=38, why="")
    told.live(clock(0, 0, day=3))
    first, second = told.day(A, "2026-01-01"), told.day(A, "2026-01-02")
    assert (first["is_shelf_alert"], second["is_shelf_alert"]) == (True, True), "the last one is still open"
    assert not told.day(B, "2026-01-01")["is_shelf_alert"]


def test_as_many_alerts_are_counted_as_the_alert_engine_opens() -> None:
    shelves = [worlds.profile(number).shelf_id for number in range(12)]
    none = {name: np.zeros((features.ALERT_DAYS, len(shelves)), np.int32) for name in DAILY}
    zeros = np.zeros(len(shelves), np.int32)
    closing = Closing(date(2025, 12, 31), shelves, none, zeros, zeros > 0, zeros + 1.0, zeros + 1.0)
    stages = (ShelfAlerts(), RestockManager(), RefillBridge(), DailyFeatures(closing={STORE: closing}))
    body = worlds.small_body(shelves=12, visits=250.0)
    loop = Loop(stages, body, learnt=closing.demand()).live(2 * worlds.DAY_STEPS)
    opened = Counter(alert.shelf_id for alert in loop.alerts("refill_request") if alert.created_at < clock(0, 0, day=3))
    rows = [row for row in loop.sent(ShelfDailyFeature) if row.feature_date == "2026-01-02"]
    assert {row.shelf_id: row.alerts_last_30d_shelf for row in rows} == {shelf: opened[shelf] for shelf in shelves}
    assert opened.total() > 5


def test_the_discount_of_a_shelf_is_what_the_tills_were_told_over_its_units() -> None:
    weekly = {STORE: {"2025-12-29": {A: 0.25}}}
    stages = (DailyDiscounts(weekly), DailyFeatures(weekly))
    loop = Loop(stages, worlds.small_body(shelves=2, visits=0.0)).live(4 * worlds.DAY_STEPS)
    told = {
        (row.shelf_id, row.discount_date): row.discount for row in loop.sent(DailyDiscount) if row.batch_code != "*"
    }
    rows = {(row.shelf_id, row.feature_date): row for row in loop.sent(ShelfDailyFeature)}
    assert rows[B, "2026-01-03"].discount == 0
    # 25 of 40 units expire on the next day.
    marked_down = 25 / 40 * told[B, "2026-01-04"]
    assert rows[B, "2026-01-04"].discount == pytest.approx(marked_down, abs=1e-4)
    assert rows[A, "2026-01-04"].discount == pytest.approx(1 - 0.75 * (1 - marked_down), abs=1e-4)
    assert not rows[B, "2026-01-03"].is_discounted
    assert rows[A, "2026-01-01"].is_discounted_next_7d
    assert not rows[A, "2026-01-04"].is_discounted_next_7d, "the week ends with the day"


def test_without_history_a_reorder_point_is_known_from_the_first_cutoff_on() -> None:
    told = few()  # a Thursday: orders go out at noon
    told.live(clock(0, 0, day=2))
    assert told.day(A, "2026-01-01")["wh_reorder_point_qty"] > 0
    late = few(clock(13), every=1_440).live(clock(0, 0, day=3))
    row = late.day(A, "2026-01-02")
    assert (row["wh_reorder_point_qty"], row["is_warehouse_alert"]) == (None, False)


def test_what_a_store_without_history_cannot_know_is_null_until_it_does() -> None:
    told = few(every=1_440)
    for day in range(1, 16):
        told.sell(clock(12, 0, day), A, 2)
    rows = [told.live(clock(0, 0, day + 1)).day(A, f"2026-01-{day:02d}") for day in range(1, 16)]
    sums = [[row[f"sales_last_{days}d"] for days in (1, 7, 14)] for row in rows]
    assert [sums[day - 1] for day in (1, 2, 7, 8, 14, 15)] == [
        [None, None, None], [2, None, None], [2, None, None], [2, 14, None], [2, 14, None], [2, 14, 28],
    ]  # fmt: skip
    assert {row["alerts_last_30d_shelf"] for row in rows} == {None}


def test_a_day_whose_opening_the_store_has_not_lived_has_no_row() -> None:
    told = few(clock(12)).live(clock(0, 0, day=3))
    days = {key[2] for key in told.rows["shelf_daily_features"]}
    assert days == {"2026-01-02"}


def test_rows_leave_the_topics_fourteen_days_later() -> None:
    told = few(every=1_440).live(clock(0, 0, day=16))
    gone = {key[2] for key, row in told.rows["shelf_daily_features"].items() if row is None}
    assert gone == {"2026-01-01"}
    hours = {key[2][:10] for key, row in told.rows["availability_hourly"].items() if row is None}
    assert hours == {"2026-01-01"}


@pytest.mark.parametrize(("every", "seed"), [(1, 1), (7, 2), (2_000, 3)])
def test_how_batches_are_cut_and_mixed_changes_no_row_and_no_state(every: int, seed: int) -> None:
    def lived(every: int, seed: int) -> Told:
        told = few(every=every, seed=seed)
        for hour in range(8, 20):
            told.sell(clock(hour, 7), A, 3)
            told.sell(clock(hour, 8), B, 4)
        told.tell(clock(15), "proposals", e.Restock, shelf_id=A, qty=38, why="")
        told.refill(clock(17, 3), A, 30, "A2")
        return told.live(clock(7, 30, day=2))

    one, other = lived(60, 0), lived(every, seed)
    assert one.rows == other.rows
    assert one.values["stage:daily_features"] == other.values["stage:daily_features"]


def test_a_quiet_minute_of_the_night_changes_nothing_in_the_state() -> None:
    told = few().live(clock(3, 0, day=2))
    before = told.values["stage:daily_features"]
    assert told.live(clock(4, 0, day=2)).values["stage:daily_features"] == before


def test_a_shelf_that_comes_later_is_told_of_from_its_first_day() -> None:
    told = few()
    told.live(clock(0, 0, day=2))
    told.configure(worlds.profile(2))
    new = worlds.profile(2).shelf_id
    told.live(clock(0, 0, day=3))
    assert told.day(new, "2026-01-02")["stockout_minutes"] == 900
    assert (STORE, new, "2026-01-01") not in told.rows["shelf_daily_features"]
    assert told.day(A, "2026-01-02")["sales_last_1d"] == 0
