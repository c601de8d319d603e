"""Lots drawn for a store that has no past, and its weekly offers."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from data.catalogue import expand, load_catalogue
from data.discounts import first_week, weekly_discounts
from data.opening import deliveries_before, drawn_lots

PROFILES = expand(load_catalogue())
START = date(2026, 1, 1)


@pytest.mark.parametrize("seed", range(5))
def test_about_1830_lots_are_drawn_for_the_store_and_2250_for_the_warehouse(seed: int) -> None:
    store, warehouse = drawn_lots(PROFILES, START, seed)
    assert len(store) == pytest.approx(1_830, rel=0.1)
    assert len(warehouse) == pytest.approx(2_250, rel=0.1)
    assert store.stock(1_142).mean() == pytest.approx(39, abs=1)


def test_newer_backroom_lots_are_whole_batches() -> None:
    _, warehouse = drawn_lots(PROFILES, START, 1)
    newer = warehouse.row[1:] == warehouse.row[:-1]
    assert newer.sum() > 500
    assert (warehouse.quantity[1:][newer] % PROFILES.standard_batch_size[warehouse.row[1:][newer]] == 0).all()


def test_some_lots_lie_on_the_shelf_and_in_the_backroom_at_once() -> None:
    store, warehouse = drawn_lots(PROFILES, START, 1)
    shared = set(store.batch_code.tolist()) & set(warehouse.batch_code.tolist())
    assert 200 < len(shared) < 600


def test_no_more_is_drawn_for_the_backroom_than_it_would_be_filled_up_to() -> None:
    most = PROFILES.warehouse_capacity // 10
    _, warehouse = drawn_lots(PROFILES, START, 1, most=most)
    assert (warehouse.stock(1_142) <= np.maximum(most, 1)).all()


def test_no_more_is_drawn_than_sells_before_it_expires() -> None:
    sells = np.arange(1_142) % 60
    store, warehouse = drawn_lots(PROFILES, START, 1, sells=sells)
    assert (store.stock(1_142) <= np.maximum(sells, 1)).all()
    assert (store.stock(1_142) + warehouse.stock(1_142) <= np.maximum(sells, 1) + 1).all()


def test_two_stores_begin_with_different_stock_of_the_same_products() -> None:
    first, _ = drawn_lots(PROFILES, START, 1, "S01")
    second, _ = drawn_lots(PROFILES, START, 1, "S02")
    assert (first.stock(1_142) != second.stock(1_142)).mean() > 0.5


def test_deliveries_lie_on_monday_wednesday_and_friday_before_the_start() -> None:
    days = deliveries_before(START, 4)
    assert days.astype(str).tolist() == ["2025-12-31", "2025-12-29", "2025-12-26", "2025-12-24"]


def test_the_weekly_file_has_9360_offers_from_30_december_2024() -> None:
    offers = weekly_discounts(1_142, START, 1)
    assert len(offers) == 9_360
    assert str(offers.week_start[0]) == "2024-12-30"
    assert str(offers.week_start[-1]) == "2027-12-20"
    assert set(offers.discount.tolist()) == {0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35}


def test_no_shelf_is_offered_twice_in_a_week() -> None:
    offers = weekly_discounts(1_142, START, 1)
    assert all(len(set(week)) == 60 for week in offers.row.reshape(156, 60).tolist())


def test_offers_begin_a_year_before_any_start() -> None:
    assert first_week(date(2026, 11, 21)) == date(2025, 11, 17)
    assert np.datetime64(first_week(START)).item().weekday() == 0
