"""When a shelf has recovered, what is said of baskets, and when a scale knows more than the books."""

from __future__ import annotations

import numpy as np
import pytest

from smartshelf.domain import alerts, shrink


def units(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_a_shelf_recovers_a_tenth_of_its_maximum_above_the_threshold_and_never_above_what_a_refill_brings() -> None:
    low, goal, maximum = units(18, 2, 9), units(48, 4, 10), units(60, 5, 10)
    assert alerts.recovered(low, goal, maximum).tolist() == [24, 3, 10]


@pytest.mark.parametrize(("low", "goal", "maximum"), [(0, 0, 0), (5, 5, 5), (3, 4, 100)])
def test_what_a_full_refill_brings_is_always_well(low: int, goal: int, maximum: int) -> None:
    assert alerts.recovered(units(low), units(goal), units(maximum))[0] <= goal


def test_an_empty_shelf_is_critical() -> None:
    assert (alerts.severity(0), alerts.severity(1)) == ("critical", "warning")


def test_baskets_below_zero_are_no_theft() -> None:
    assert "more was paid for" in alerts.unpaid(-2, None)
    assert "left the shelf" in alerts.unpaid(2, None)


def test_the_scales_error_grows_with_the_root_of_its_readings_and_weighs_less_on_heavy_goods() -> None:
    assert shrink.tolerance(100, 1000.0) == pytest.approx(0.54)
    assert shrink.tolerance(400, 20.0) == pytest.approx(4.5)


def test_units_that_the_scale_does_not_feel_are_missing_and_what_it_may_be_wrong_by_is_not() -> None:
    stock = units(10, 10, 10, 10)
    grams = np.array([8_000.0, 9_700.0, 12_000.0, 10_000.0])
    assert shrink.missing(stock, grams, 1000.0, 100).tolist() == [2, 0, -2, 0]


def test_a_scale_drifts_when_it_is_off_by_more_than_its_error_and_by_no_whole_unit() -> None:
    stock = units(10, 10, 10, 10)
    grams = np.array([9_950.0, 9_935.0, 8_000.0, 8_070.0])
    assert shrink.drifts(stock, grams, 1000.0, 100).tolist() == [False, True, False, True]


def test_a_scale_is_silent_after_three_movements() -> None:
    assert shrink.is_silent(units(0, 2, 3)).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("unpaid", "has_paid", "cause"),
    [([1], True, "mis_scan"), ([1], False, "theft"), ([2], True, "theft"), ([1, 1], True, "theft")],
)
def test_a_scanner_misses_one_unit_and_who_hides_goods_hides_more(
    unpaid: list[int], has_paid: bool, cause: str
) -> None:
    assert shrink.cause_of_unpaid(unpaid, has_paid=has_paid) == cause
