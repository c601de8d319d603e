"""When a shelf is well again, and what is said of baskets that held less than nothing."""

from __future__ import annotations

import numpy as np

from smartshelf.domain import alerts


def units(*values: int) -> np.ndarray:
    return np.array(values)


def test_a_shelf_is_well_again_a_tenth_of_its_room_above_the_threshold_but_not_above_what_a_refill_brings() -> None:
    low, goal, room = units(18, 42, 1), units(48, 45, 1), units(60, 60, 4)
    assert alerts.recovered(low, goal, room).tolist() == [24, 45, 1]


def test_baskets_below_zero_are_no_theft() -> None:
    assert "more was paid" in alerts.unpaid(-2, None)
    assert "left the shelf" in alerts.unpaid(2, None)


def test_an_empty_shelf_is_critical_and_a_low_one_a_warning() -> None:
    assert [alerts.severity(stock) for stock in (-1, 0, 1)] == ["critical", "critical", "warning"]
