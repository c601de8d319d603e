"""The year of the store of the catalogue: its targets, and that it knows no future."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from data import history, panel
from data.catalogue import expand, load_catalogue
from data.discounts import weekly_discounts
from data.history import History, live_until
from producers import shoppers
from smartshelf.domain import features
from smartshelf.io.closing import DAILY, closing_table, read_closing

CATALOGUE = load_catalogue()
PROFILES = expand(CATALOGUE)
POPULARITY = {category.category: category.popularity for category in CATALOGUE.categories}
START = date(2026, 1, 1)
FRESH = np.isin(PROFILES.category, list(CATALOGUE.fresh_categories))


def lived(seed: int = 1, days: int = history.DAYS, start: date = START) -> History:
    offers = weekly_discounts(len(PROFILES), start, seed)
    return live_until(start, PROFILES, POPULARITY, offers, seed=seed, store_id="S01", days=days)


@pytest.fixture(scope="module")
def year() -> History:
    return lived()


def test_every_unit_of_the_year_is_accounted_for(year: History) -> None:
    assert not year.books.differences().any()
    assert (year.books.delivered % PROFILES.standard_batch_size == 0).all()


def test_stock_never_goes_negative_and_never_exceeds_the_shelf(year: History) -> None:
    stock = year.of_year("current_stock_shelf")
    assert stock.min() >= 0
    assert (stock <= PROFILES.maximum_stock).all()
    assert year.of_year("current_stock_warehouse").min() >= 0


def test_about_2_8_million_units_are_sold_and_a_third_of_them_is_fresh(year: History) -> None:
    sold = year.of_year("sales_qty")
    assert sold.sum() == pytest.approx(2_800_000, rel=0.05)
    assert 0.30 <= sold[:, FRESH].sum() / sold.sum() <= 0.40


def test_shelves_are_available_on_92_to_98_percent_of_days(year: History) -> None:
    assert 0.92 <= (year.of_year("stockout_minutes") == 0).mean() <= 0.98


def test_1_to_5_percent_of_fresh_food_is_wasted(year: History) -> None:
    wasted = year.of_year("expired_qty_shelf") + year.of_year("expired_qty_wh")
    assert 0.01 <= wasted[:, FRESH].sum() / year.of_year("sales_qty")[:, FRESH].sum() <= 0.05


def test_the_year_leaves_the_lots_a_store_opens_with(year: History) -> None:
    assert len(year.store_lots) == pytest.approx(1_830, rel=0.1)
    assert len(year.warehouse_lots) == pytest.approx(2_250, rel=0.1)
    assert year.store_lots.stock(1_142).mean() == pytest.approx(39, rel=0.05)


def test_what_is_left_is_the_last_rows_stock_to_the_unit(year: History) -> None:
    assert (year.store_lots.stock(1_142) == year.of_year("current_stock_shelf")[-1]).all()
    assert (year.warehouse_lots.stock(1_142) == year.of_year("current_stock_warehouse")[-1]).all()


def test_what_is_left_can_still_be_sold_and_is_in_its_life(year: History) -> None:
    for lots in (year.store_lots, year.warehouse_lots):
        assert (lots.expiry_date >= np.datetime64(START)).all()
        assert (lots.received_date < np.datetime64(START)).all()
        assert (lots.expiry_date - lots.received_date == PROFILES.shelf_life_days[lots.row]).all()
        assert len(set(lots.batch_code.tolist())) == len(lots)


def test_orders_go_out_at_cutoffs_only_and_arrive_on_the_next_delivery_day(year: History) -> None:
    ordered = year.of_year("ordered_batches").sum(axis=1) > 0
    weekday = (np.arange(365) + year.first.weekday()) % 7
    assert set(weekday[ordered].tolist()) == {6, 1, 3}
    pending = year.of_year("pending_supplier_qty").sum(axis=1) > 0
    assert (pending == ordered).all()  # the last day, a Wednesday, has no cutoff


def test_a_stock_out_has_minutes_and_an_event(year: History) -> None:
    assert ((year.of_year("stockout_minutes") > 0) == (year.of_year("stockout_events") > 0)).all()
    assert (year.of_year("lost_demand_qty")[year.of_year("stockout_minutes") == 0] == 0).all()


def test_filling_shelves_for_the_stock_take_is_no_alert(year: History) -> None:
    by_day = year.of_year("shelf_alerts").sum(axis=1)
    assert by_day[-7:].mean() == pytest.approx(by_day[-60:-7].mean(), rel=0.5)


def test_the_last_days_are_kept_for_the_live_store_to_run_on_from(year: History, tmp_path: Path) -> None:
    pq.write_table(closing_table("S01", panel.closing(PROFILES, year)), tmp_path / "closing.parquet")
    kept = read_closing(tmp_path / "closing.parquet")["S01"]
    assert kept.last_day == date(2025, 12, 31)
    assert kept.shelf_ids == PROFILES.shelf_id.tolist()
    for name in DAILY:
        assert (kept.daily[name] == year.of_year(name)[-features.ALERT_DAYS :]).all()
    assert (kept.reorder_point == year.of_year("wh_reorder_point_qty")[-1]).all()
    assert (kept.is_short == year.of_year("is_warehouse_alert")[-1]).all()


def test_the_same_seed_gives_the_same_year_and_another_seed_another() -> None:
    once, again, other = lived(days=30), lived(days=30), lived(seed=2, days=30)
    assert (once.of_year("sales_qty") == again.of_year("sales_qty")).all()
    assert once.store_lots.batch_code.tolist() == again.store_lots.batch_code.tolist()
    assert (once.of_year("sales_qty") != other.of_year("sales_qty")).any()


def test_a_year_is_lived_in_less_than_three_seconds_of_processor_time() -> None:
    begun = time.process_time()
    lived(seed=3)
    assert time.process_time() - begun < 3


def test_history_and_live_shoppers_reach_for_the_earliest_date_alike() -> None:
    assert history.TAKES_EARLIEST == shoppers.TAKES_EARLIEST


def test_a_store_may_begin_on_any_day() -> None:
    past = lived(days=20, start=date(2026, 7, 8))
    assert str(past.first) == "2026-06-18"
    assert not past.books.differences().any()


def test_the_backroom_is_as_full_at_the_beginning_of_the_year_as_later(year: History) -> None:
    stock = year.of_year("current_stock_warehouse").mean(axis=1)
    assert stock[:28].mean() == pytest.approx(stock[-60:-10].mean(), rel=0.12)


def test_the_store_opens_with_the_demand_that_sales_have_shown(year: History) -> None:
    lately = year.of_year("sales_qty")[-28:].mean(axis=0)
    assert np.corrcoef(year.rate, lately)[0, 1] > 0.98
    assert (year.variance >= 0).all()


def test_a_second_year_wastes_like_the_first() -> None:
    """The live store goes on where the year ends: goods that keep a year must not begin to expire only then."""
    past = lived(days=2 * history.DAYS)
    for name, more in (("expired_qty_wh", 1.6), ("expired_qty_shelf", 1.25)):
        first, second = past.of_year(name).reshape(2, history.DAYS, -1).sum(axis=(1, 2))
        assert 0.8 * first <= second <= more * first, name


def test_no_product_is_given_up(year: History) -> None:
    """An empty shelf shows no sales: the rule must not conclude that nobody wants the product."""
    names = ("current_stock_shelf", "current_stock_warehouse", "pending_supplier_qty")
    assert (sum(year.of_year(name)[-7:] for name in names).max(axis=0) > 0).all()


def test_nothing_is_on_order_when_the_store_opens() -> None:
    past = lived(days=10, start=date(2026, 7, 8))  # a Wednesday: Tuesday's order would come that morning
    assert past.of_year("ordered_batches")[-1].any()
    assert not past.of_year("pending_supplier_qty")[-1].any()
    assert not past.books.differences().any()


# --- the table -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows(year: History) -> dict[str, np.ndarray]:
    parts = list(panel.rows("S01", PROFILES, year))
    return {
        name: np.concatenate([part.column(name).to_numpy(zero_copy_only=False) for part in parts]).reshape(365, 1_142)
        for name in panel.SCHEMA.names
    }


def test_the_table_has_one_row_per_shelf_and_day_and_the_columns_of_the_data_dictionary(
    rows: dict[str, np.ndarray],
) -> None:
    assert rows["shelf_id"].size == 416_830
    assert (rows["shelf_id"] == PROFILES.shelf_id).all()
    assert (rows["feature_date"] == rows["feature_date"][:, :1]).all()
    assert str(rows["feature_date"][0, 0])[:10] == "2025-01-01"
    assert len(panel.SCHEMA.names) == 44
    spelled = str(features.__doc__).replace("sales_last_1d, _7d, _14d", "sales_last_1d, sales_last_7d, sales_last_14d")
    assert [name for name in panel.SCHEMA.names if name not in spelled] == []


def test_past_sales_are_of_the_days_before_not_of_the_day_itself(rows: dict[str, np.ndarray]) -> None:
    sold = rows["sales_qty"]
    assert (rows["sales_last_1d"][1:] == sold[:-1]).all()
    for day in (14, 40, 364):
        assert (rows["sales_last_7d"][day] == sold[day - 7 : day].sum(axis=0)).all()
        assert (rows["sales_last_14d"][day] == sold[day - 14 : day].sum(axis=0)).all()


def test_the_first_rows_know_the_days_before_the_year(rows: dict[str, np.ndarray], year: History) -> None:
    warm = year.recorded["sales_qty"][: year.warm_up]
    assert (rows["sales_last_14d"][0] == warm[-14:].sum(axis=0)).all()
    assert rows["alerts_last_30d_shelf"][0].sum() > 0


def test_alerts_of_30_days_include_the_day(rows: dict[str, np.ndarray], year: History) -> None:
    opened = year.of_year("shelf_alerts")
    assert (rows["alerts_last_30d_shelf"][100] == opened[71:101].sum(axis=0)).all()
    assert (rows["alerts_last_30d_wh"][100] == year.of_year("warehouse_alerts")[71:101].sum(axis=0)).all()


def test_only_the_two_labels_look_ahead(rows: dict[str, np.ndarray], year: History) -> None:
    out = rows["stockout_minutes"] > 0
    label = rows["label_next_day_stockout"]
    assert (label[:-1] == out[1:]).all()
    assert all(value is None for value in label[-1])
    ordered = year.of_year("ordered_batches")
    wednesday = next(day for day in range(365) if (day + year.first.weekday()) % 7 == 2)
    assert (rows["batches_to_order"][wednesday] == ordered[wednesday + 1]).all()
    assert np.isnan(rows["batches_to_order"][-1].astype(float)).all()


def test_rows_of_a_year_cut_short_equal_those_of_the_whole_but_for_labels(year: History) -> None:
    """Nothing in a row may depend on a later day: the table of the first 40 days is the same without the rest."""
    early = History(
        year.first,
        40,
        year.warm_up,
        {name: column[: year.warm_up + 40] for name, column in year.recorded.items()},
        year.people[: year.warm_up + 40],
        year.hourly_sales[:40],
        year.on_offer[:47],
        year.books,
        year.store_lots,
        year.warehouse_lots,
        year.rate,
        year.variance,
    )
    whole = next(panel.rows("S01", PROFILES, year))
    part = next(panel.rows("S01", PROFILES, early))
    labels = {"batches_to_order", "label_next_day_stockout"}
    assert all(part.column(name).equals(whole.column(name)) for name in panel.SCHEMA.names if name not in labels)


def test_a_snapshot_is_taken_at_the_midnight_that_ends_its_day(rows: dict[str, np.ndarray]) -> None:
    wait = rows["snapshot_ts"][:, 0] - rows["feature_date"][:, 0].astype("datetime64[us]")
    assert (wait == np.timedelta64(1, "D")).all()


def test_promised_offers_are_those_of_the_weekly_file(rows: dict[str, np.ndarray]) -> None:
    offers = weekly_discounts(len(PROFILES), START, 1)
    week = offers.row[offers.week_start == np.datetime64("2025-03-10")]
    sunday = (date(2025, 3, 9) - date(2025, 1, 1)).days
    following = offers.row[offers.week_start == np.datetime64("2025-03-17")]
    assert set(np.flatnonzero(rows["is_discounted_next_7d"][sunday]).tolist()) == set(week.tolist())
    tuesday = sunday + 2
    assert set(np.flatnonzero(rows["is_discounted_next_7d"][tuesday]).tolist()) == {*week.tolist(), *following.tolist()}
    assert rows["is_discounted"][tuesday][week].all()
