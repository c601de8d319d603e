"""How long shelves were empty."""

from __future__ import annotations

import numpy as np
import pytest

from smartshelf.domain import availability


def test_a_shelf_is_empty_from_when_its_stock_has_run_out() -> None:
    minutes = availability.empty_minutes(np.array([5, 0, 3, 9]), np.array([5, 0, 12, 2]), 60)
    assert minutes.tolist() == [0, 60, 45, 0]


def test_availability_is_the_share_of_open_time_with_stock() -> None:
    assert availability.on_shelf(np.array([90.0, 0.0]), np.array([900.0, 0.0])).tolist() == pytest.approx([0.9, 1.0])


def test_minutes_add_up_by_aisle() -> None:
    assert availability.by_group(np.array([5.0, 7.0, 1.0]), np.array([1, 0, 1]), 3).tolist() == [7, 6, 0]
