"""When a shelf is refilled, and how far."""

from __future__ import annotations

import numpy as np

from smartshelf.domain import restock

MAXIMUM = np.array([10, 48, 5])


def test_a_shelf_is_low_below_30_percent_of_its_maximum() -> None:
    low = restock.threshold(MAXIMUM, 30)
    assert low.tolist() == [3, 15, 2]
    assert restock.is_low(np.array([3, 14, 2]), low).tolist() == [False, True, False]


def test_the_larger_of_percentage_and_smallest_quantity_counts_but_never_more_than_fits() -> None:
    assert restock.threshold(MAXIMUM, 30, min_qty=6).tolist() == [6, 15, 5]


def test_a_refill_brings_the_shelf_back_to_80_percent() -> None:
    low = restock.threshold(MAXIMUM, 30)
    goal = restock.target(MAXIMUM, 80, low)
    assert goal.tolist() == [8, 39, 4]
    assert restock.need(np.array([2, 0, 3]), low, goal).tolist() == [6, 39, 0]


def test_a_target_below_the_threshold_would_ask_for_ever_so_the_threshold_counts() -> None:
    assert restock.target(MAXIMUM, 20, restock.threshold(MAXIMUM, 50)).tolist() == [5, 24, 3]


def test_a_shelf_with_an_open_plan_gets_no_second_one() -> None:
    low, goal = np.array([3, 3]), np.array([8, 8])
    assert restock.need(np.array([0, 0]), low, goal, coming=np.array([0, 1])).tolist() == [8, 0]


def test_a_negative_balance_does_not_ask_for_more_than_the_target() -> None:
    assert restock.need(np.array([-4]), np.array([3]), np.array([8])).tolist() == [8]


def test_the_next_alert_waits_for_the_cooldown() -> None:
    assert restock.may_open(100, np.array([40, 41]), 60).tolist() == [True, False]
