"""What people want, and when."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from data.catalogue import expand, load_catalogue
from data.history import products
from smartshelf.domain import demand
from smartshelf.domain.demand import Demand

CATALOGUE = load_catalogue()
PROFILES = expand(CATALOGUE)
PRODUCTS = products(PROFILES)
POPULARITY = {category.category: category.popularity for category in CATALOGUE.categories}
YEAR = [date(2025, 1, 1) + timedelta(days=day) for day in range(365)]


def wants(seed: int = 1, store_id: str = "S01") -> Demand:
    return Demand(PRODUCTS, POPULARITY, seed=seed, store_id=store_id, since=YEAR[0])


DEMAND = wants()


def test_a_store_that_keeps_its_base_rates_wants_the_same() -> None:
    kept = Demand.of_rates(
        DEMAND.rates, PRODUCTS.category, PRODUCTS.shelf_life_days, seed=1, store_id="S01", since=YEAR[0]
    )
    assert (kept.day(YEAR[200]) == DEMAND.day(YEAR[200])).all()
    assert kept.traffic(YEAR[200]) == DEMAND.traffic(YEAR[200])


def test_a_store_of_the_catalogues_size_wants_7750_units_a_day_35_percent_of_them_fresh() -> None:
    assert DEMAND.rates.sum() == pytest.approx(7_750, rel=0.001)
    fresh = np.isin(PROFILES.category, list(CATALOGUE.fresh_categories))
    assert DEMAND.rates[fresh].sum() / DEMAND.rates.sum() == pytest.approx(0.35, abs=0.005)


def test_demand_has_a_long_tail() -> None:
    ranked = np.sort(DEMAND.rates)[::-1]
    assert ranked[: len(ranked) // 5].sum() > 0.6 * ranked.sum()


def test_no_product_sells_more_than_its_room_holds_for_some_days() -> None:
    assert (DEMAND.rates <= PRODUCTS.room / demand.COVER_DAYS + 1e-9).all()


def test_a_product_sells_its_batch_in_time_or_would_not_be_listed() -> None:
    lives = PRODUCTS.batch / DEMAND.rates / PRODUCTS.shelf_life_days
    keeps = PRODUCTS.shelf_life_days > demand.SHORT_LIFE_DAYS
    fits = DEMAND.rates < PRODUCTS.room / demand.COVER_DAYS
    assert lives[keeps & fits].max() <= demand.BATCH_WITHIN_LONG_LIFE + 1e-9
    assert lives[~keeps & fits].max() <= demand.BATCH_WITHIN_LIFE + 1e-9


@pytest.mark.parametrize(
    ("year", "sunday"), [(2024, date(2024, 3, 31)), (2025, date(2025, 4, 20)), (2026, date(2026, 4, 5))]
)
def test_easter_moves(year: int, sunday: date) -> None:
    assert demand.easter(year) == sunday
    assert demand.is_holiday(sunday + timedelta(days=1))


def test_saint_francis_is_a_holiday_since_2026() -> None:
    assert not demand.is_holiday(date(2025, 10, 4))
    assert demand.is_holiday(date(2026, 10, 4))


def test_people_shop_before_a_holiday_rather_than_on_it() -> None:
    usual = demand.calendar_factor(date(2025, 8, 22))
    assert demand.calendar_factor(date(2025, 8, 15)) < usual < demand.calendar_factor(date(2025, 8, 14)) / 0.95


def test_new_years_day_trades_at_80_percent_of_its_weekday_or_more() -> None:
    assert demand.HOLIDAY >= 0.80
    assert demand.calendar_factor(date(2026, 1, 1)) >= 0.80 * demand.WEEKDAYS[3]


def test_the_mean_day_of_a_year_is_about_the_mean_day() -> None:
    assert np.mean([DEMAND.traffic(day) for day in YEAR]) == pytest.approx(1, abs=0.03)
    assert np.mean([DEMAND.day(day).sum() for day in YEAR]) == pytest.approx(DEMAND.rates.sum(), rel=0.05)


def test_demand_grows_by_2_percent_a_year() -> None:
    later = Demand(PRODUCTS, POPULARITY, seed=1, store_id="S01", since=YEAR[0] - timedelta(days=365))
    assert later.traffic(YEAR[9]) / DEMAND.traffic(YEAR[9]) == pytest.approx(1.02)


def test_cold_drinks_sell_in_july_and_hot_ones_in_january() -> None:
    july, january = (demand.season(["BEERS", "HOT BEVERAGES"], date(2025, month, 15)) for month in (7, 1))
    assert july[0] > 1.2 * january[0]
    assert january[1] > 1.2 * july[1]


def test_the_shares_of_the_hours_of_a_day_add_up_to_one() -> None:
    for weekday in range(7):
        shares = demand.hours(["BEERS", "FISH", "WINES"], weekday)
        assert shares.shape == (3, demand.HOURS)
        assert shares.sum(axis=1) == pytest.approx([1, 1, 1])


def test_fish_is_bought_earlier_than_beer() -> None:
    fish, beer = demand.hours(["FISH", "BEERS"], 1) @ np.arange(demand.OPENS, demand.CLOSES)
    assert fish < beer


def test_a_day_is_the_same_in_whatever_order_days_are_asked() -> None:
    forwards = [wants().day(day) for day in YEAR[:5]]
    other = wants()
    backwards = [other.day(day) for day in reversed(YEAR[:5])]
    assert all((a == b).all() for a, b in zip(forwards, reversed(backwards), strict=True))


def test_other_seeds_and_stores_have_other_days_of_the_same_products() -> None:
    for other in (wants(seed=2), wants(store_id="S02")):
        assert (other.rates == DEMAND.rates).all()
        assert (other.day(YEAR[0]) != DEMAND.day(YEAR[0])).all()


def test_the_weights_of_an_hour_add_up_to_one_and_follow_the_hour() -> None:
    morning, evening = DEMAND.weights(YEAR[6], 8), DEMAND.weights(YEAR[6], 20)
    assert morning.sum() == pytest.approx(1)
    beer = PROFILES.category == "BEERS"
    assert evening[beer].sum() > morning[beer].sum()


def test_the_weather_of_a_day_resembles_that_of_the_day_before() -> None:
    noise = np.array([DEMAND.warmth(day) for day in YEAR])
    assert noise.std() == pytest.approx(1, abs=0.3)
    assert np.corrcoef(noise[1:], noise[:-1])[0, 1] == pytest.approx(demand.WARMTH_MEMORY, abs=0.15)


def test_a_lower_price_sells_more() -> None:
    assert demand.uplift(0.0) == 1
    assert demand.uplift(0.2) == pytest.approx(0.8**demand.ELASTICITY)
    assert demand.uplift(0.3, demand.MARKDOWN_ELASTICITY) < demand.uplift(0.3)


def test_people_substitute_by_the_next_dearer_product_of_the_kind() -> None:
    kind, price = np.array([0, 0, 0, 1]), np.array([2.0, 1.0, 3.0, 9.0])
    assert demand.substitutes(kind, price).tolist() == [2, 0, 0, 3]
