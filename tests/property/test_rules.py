"""What holds for the rules on any figures, and that they are fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smartshelf.domain import availability, fefo, ordering, pricing, restock
from smartshelf.domain.policy import SHELF_DEFAULTS, Scopes, resolve

lots = hnp.arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 8)), elements=st.integers(0, 50))
shares = st.floats(0, 1)


@given(lots, st.data())
def test_allocation_serves_min_of_wanted_and_stock_and_never_skips_an_earlier_lot(
    units: np.ndarray, data: st.DataObject
) -> None:
    wanted = data.draw(hnp.arrays(np.int64, len(units), elements=st.integers(0, 500)))
    taken = fefo.allocate(wanted, units)
    assert (taken >= 0).all()
    assert (taken <= units).all()
    assert (taken.sum(axis=1) == np.minimum(wanted, units.sum(axis=1))).all()
    left = units - taken
    opened_later = np.cumsum(taken[:, ::-1], axis=1)[:, ::-1] - taken > 0
    assert (left[opened_later] == 0).all()


@given(lots, st.data())
def test_spreading_serves_the_same_units_within_every_lot(units: np.ndarray, data: st.DataObject) -> None:
    wanted = data.draw(hnp.arrays(np.int64, len(units), elements=st.integers(0, 500)))
    taken = fefo.spread(wanted, units)
    assert (taken >= 0).all()
    assert (taken <= units).all()
    assert (taken.sum(axis=1) == np.minimum(wanted, units.sum(axis=1))).all()


@given(st.integers(1, 500), st.floats(0, 100), st.floats(0, 100), st.integers(0, 600), st.integers(-20, 600))
def test_a_refill_never_overfills_and_a_refilled_shelf_asks_for_nothing(
    maximum: int, threshold_pct: float, target_pct: float, min_qty: int, stock: int
) -> None:
    room = np.array([maximum])
    low = restock.threshold(room, threshold_pct, min_qty)
    goal = restock.target(room, target_pct, low)
    assert (low <= goal).all()
    assert (goal <= maximum).all()
    needed = restock.need(np.array([stock]), low, goal)
    filled = np.maximum(np.array([stock]), 0) + needed
    assert (filled <= np.maximum(goal, stock)).all()
    assert not restock.need(filled, low, goal).any()


@given(st.lists(shares, max_size=4))
def test_combined_discounts_lie_between_the_largest_and_95_percent(discounts: list[float]) -> None:
    combined = float(pricing.combine(*discounts))
    assert 0 <= combined <= 0.95
    assert combined >= min(max(discounts, default=0), 0.95) - 1e-4


@given(st.integers(-3, 5), st.integers(0, 500), st.floats(0, 200))
def test_a_markdown_is_nothing_or_30_to_50_percent(days_left: int, units: int, expected: float) -> None:
    depth = float(pricing.markdown(np.array([days_left]), np.array([units]), expected)[0])
    assert depth == 0 or 0.30 <= depth <= 0.50
    assert (depth > 0) == (units > 0 and days_left in (0, 1))


@given(
    position=st.integers(-50, 500),
    point=st.integers(0, 300),
    above=st.integers(0, 300),
    batch=st.integers(1, 80),
    room=st.integers(-50, 500),
    sells=st.floats(-50, 500),
)
def test_an_order_fits_and_is_made_at_or_below_the_reorder_point_only(
    position: int, point: int, above: int, batch: int, room: int, sells: float
) -> None:
    def order(**limits: object) -> int:
        each = [np.array([value]) for value in (position, point, point + above, batch)]
        return int(ordering.batches(*each, **limits)[0]) * batch

    limited, free = order(room=room, still_sells=sells), order()
    assert limited <= max(min(room, sells), 0)
    assert 0 <= limited <= free
    assert (free > 0) == (position <= point)
    if position <= point:
        assert position + free > point
        assert position + free <= max(point + above, point + batch)


@given(st.integers(0, 10_000))
def test_every_cutoff_is_covered_until_three_or_four_days_later(day: int) -> None:
    moment = datetime(2020, 1, 5, 12, tzinfo=UTC) + timedelta(days=day)
    if moment.weekday() in {6, 1, 3}:
        interval = ordering.interval(moment)
        assert interval.lead == pytest.approx(20 / 24)
        assert 2.8 < interval.protection < 3.9


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_shelf_is_never_empty_longer_than_the_hour(stock: int, wanted: int) -> None:
    minutes = float(availability.empty_minutes(np.array([stock]), np.array([wanted]), 60)[0])
    assert 0 <= minutes <= 60
    assert (minutes > 0) == (stock == 0 or wanted > stock)


ROWS = 1_142
_random = np.random.default_rng(1)
UNITS, RATES = _random.integers(1, 60, ROWS), _random.random(ROWS) * 10
LOTS = np.asfortranarray(_random.integers(0, 30, (ROWS, 8)))
SCOPES = Scopes.of([f"S{row}" for row in range(ROWS)], ["C"] * ROWS, ["D"] * ROWS)
RULES: dict[str, Callable[[], object]] = {
    "threshold": lambda: restock.threshold(UNITS, 30.0),
    "need": lambda: restock.need(UNITS, UNITS // 2, UNITS),
    "allocate": lambda: fefo.allocate(UNITS, LOTS),
    "near_expiry_window": lambda: fefo.near_expiry_window(5, UNITS),
    "reorder_point": lambda: ordering.reorder_point(RATES, RATES, 3.0, 2.0, 0.95, UNITS),
    "batches": lambda: ordering.batches(UNITS, UNITS, UNITS * 2, UNITS, room=UNITS, still_sells=RATES),
    "smooth": lambda: ordering.smooth(RATES, RATES, UNITS, UNITS > 3),
    "combine": lambda: pricing.combine(RATES / 20, RATES / 30),
    "markdown": lambda: pricing.markdown(UNITS % 3, UNITS, RATES),
    "empty_minutes": lambda: availability.empty_minutes(UNITS, UNITS // 2, 60),
    "policies": lambda: resolve([], SCOPES, "S01", SHELF_DEFAULTS),
}


@pytest.mark.parametrize("name", RULES)
def test_one_call_on_the_shelves_of_a_store_takes_less_than_0_3_ms(name: str) -> None:
    rule = RULES[name]
    taken = []
    for _ in range(50):
        begun = time.process_time_ns()
        rule()
        taken.append(time.process_time_ns() - begun)
    assert min(taken) < 300_000
