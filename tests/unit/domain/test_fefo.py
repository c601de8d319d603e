"""Lots go in the order of their dates."""

from __future__ import annotations

import numpy as np

from smartshelf.domain import fefo


def test_the_first_expiring_lot_goes_first_and_equal_dates_go_by_code() -> None:
    expiry = np.array(["2026-02-01", "2026-01-05", "2026-01-05"], dtype="datetime64[D]")
    assert fefo.order(expiry, np.array(["A", "C", "B"])).tolist() == [2, 1, 0]


def test_a_lot_is_used_up_before_the_next_is_opened() -> None:
    lots = np.array([[3, 5, 2], [3, 5, 2], [3, 5, 2]])
    assert fefo.allocate(np.array([2, 4, 10]), lots).tolist() == [[2, 0, 0], [3, 1, 0], [3, 5, 2]]


def test_what_no_lot_can_serve_is_not_taken() -> None:
    assert fefo.allocate(np.array([99]), np.array([[1, 0, 4]])).tolist() == [[1, 0, 4]]


def test_hands_that_reach_anywhere_take_in_proportion() -> None:
    assert fefo.spread(np.array([5, 0, 20]), np.array([[10, 10], [1, 1], [4, 6]])).tolist() == [[2, 3], [0, 0], [4, 6]]


def test_near_expiry_is_the_policys_days_but_at_most_a_quarter_of_the_life_and_at_least_a_day() -> None:
    assert fefo.near_expiry_window(5, np.array([400, 12, 5, 3])).tolist() == [5, 3, 1, 1]
    assert fefo.near_expiry_window(10, np.array([400])).tolist() == [10]


def test_only_lots_with_units_that_are_not_expired_yet_are_nearly_expired() -> None:
    left, units = np.array([-1, 0, 3, 4, 2]), np.array([5, 5, 5, 5, 0])
    assert fefo.is_near_expiry(left, 3, units).tolist() == [False, True, True, False, False]
