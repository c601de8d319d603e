"""How prices are reduced."""

from __future__ import annotations

import numpy as np
import pytest

from smartshelf.domain import pricing


def test_discounts_combine_by_multiplication() -> None:
    assert float(pricing.combine(0.2, 0.5)) == pytest.approx(0.6)
    assert pricing.combine(np.array([0.0, 0.35]), 0.3).tolist() == pytest.approx([0.3, 0.545])


def test_no_price_falls_by_more_than_95_percent() -> None:
    assert float(pricing.combine(0.9, 0.9)) == 0.95


def test_only_lots_that_expire_today_or_tomorrow_are_marked_down() -> None:
    assert (pricing.markdown(np.array([-1, 0, 1, 2]), np.full(4, 10), 5) > 0).tolist() == [False, True, True, False]


def test_an_empty_lot_is_not_marked_down() -> None:
    assert pricing.markdown(np.array([0]), np.array([0]), 5).tolist() == [0]


def test_a_markdown_runs_from_30_percent_where_sales_clear_the_lot_to_50_where_nothing_would_go() -> None:
    units = np.array([4, 20, 40, 40])
    assert pricing.markdown(np.ones(4), units, np.array([10, 5, 5, 0])).tolist() == [0.30, 0.40, 0.45, 0.50]


def test_the_last_day_counts_one_step_more_and_50_percent_is_the_end() -> None:
    assert pricing.markdown(np.zeros(2), np.array([4, 40]), np.array([10, 0])).tolist() == [0.35, 0.50]
