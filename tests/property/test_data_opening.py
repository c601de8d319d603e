"""What holds for the generated data of any seed, scale, day and store."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.catalogue import expand, load_catalogue
from data.discounts import first_week, weekly_discounts
from data.opening import drawn_lots

CATALOGUE = load_catalogue()

scales = st.floats(0.01, 0.3)
seeds = st.integers(0, 2**63 - 1)
days = st.dates(date(2020, 1, 1), date(2035, 12, 31))
stores = st.sampled_from(["S01", "S02", "milan"])


@settings(max_examples=40, deadline=None)
@given(scale=scales, seed=seeds, day=days, store=stores)
def test_lots_fill_what_there_is_and_live_around_the_start(scale: float, seed: int, day: date, store: str) -> None:
    profiles = expand(CATALOGUE, scale)
    shelf, backroom = drawn_lots(profiles, day, seed, store)
    start = np.datetime64(day)
    assert (shelf.stock(len(profiles)) >= 1).all()
    assert (shelf.stock(len(profiles)) <= profiles.maximum_stock).all()
    assert (backroom.stock(len(profiles)) >= 1).all()
    assert (backroom.stock(len(profiles)) <= profiles.warehouse_capacity).all()
    for lots in (shelf, backroom):
        assert (lots.quantity >= 1).all()
        assert (lots.received_date < start).all()
        assert (lots.expiry_date >= start).all()
        assert (lots.expiry_date - lots.received_date == profiles.shelf_life_days[lots.row]).all()
        assert len(set(lots.batch_code.tolist())) == len(lots)


@settings(max_examples=40, deadline=None)
@given(scale=scales, seed=seeds, day=days)
def test_nothing_in_the_backroom_expires_before_what_is_on_the_shelf(scale: float, seed: int, day: date) -> None:
    profiles = expand(CATALOGUE, scale)
    shelf, backroom = drawn_lots(profiles, day, seed)
    latest = np.full(len(profiles), np.datetime64("1900-01-01"))
    np.maximum.at(latest, shelf.row, shelf.expiry_date)
    assert (backroom.expiry_date >= latest[backroom.row]).all()


@settings(max_examples=30, deadline=None)
@given(seed=seeds, day=days, store=stores)
def test_the_same_seed_gives_the_same_lots_and_offers(seed: int, day: date, store: str) -> None:
    profiles = expand(CATALOGUE, 0.05)
    for once, again in zip(drawn_lots(profiles, day, seed, store), drawn_lots(profiles, day, seed, store), strict=True):
        assert once.batch_code.tolist() == again.batch_code.tolist()
        assert once.quantity.tolist() == again.quantity.tolist()
    offers, same = (weekly_discounts(len(profiles), day, seed, store_id=store) for _ in range(2))
    assert offers.row.tolist() == same.row.tolist()
    assert offers.discount.tolist() == same.discount.tolist()


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(0.01, 4.0))
def test_shelf_ids_are_unique_and_shelves_grow_with_the_scale(scale: float) -> None:
    profiles = expand(CATALOGUE, scale)
    assert abs(len(profiles) - 1_142 * scale) <= 1
    assert len(set(profiles.shelf_id.tolist())) == len(profiles)
    assert len(set(profiles.item_name.tolist())) == len(profiles)


@settings(max_examples=30, deadline=None)
@given(day=days, seed=seeds, shelves=st.integers(1, 300), scale=st.floats(0.05, 3))
def test_offers_run_from_monday_over_a_year_back_and_stay_between_5_and_35_percent(
    day: date, seed: int, shelves: int, scale: float
) -> None:
    offers = weekly_discounts(shelves, day, seed, scale=scale)
    assert first_week(day).weekday() == 0
    assert 365 <= (day - first_week(day)).days <= 371
    assert len(offers) == 156 * min(max(round(60 * scale), 1), shelves)
    assert (offers.discount >= 0.05).all()
    assert (offers.discount <= 0.35).all()
    assert (offers.row >= 0).all()
    assert (offers.row < shelves).all()
