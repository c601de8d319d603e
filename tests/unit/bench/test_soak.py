"""What grows per simulated day is told by the line through the days after the store has settled."""

from __future__ import annotations

import pytest

from smartshelf.bench import soak
from smartshelf.bench.soak import Sample
from smartshelf.errors import SmartShelfError


def days(**figures: list[float]) -> list[Sample]:
    length = len(next(iter(figures.values())))
    return [Sample(day, {name: values[day] for name, values in figures.items()}) for day in range(length)]


def test_a_slope_is_a_share_of_the_mean_per_day_and_the_first_days_do_not_count() -> None:
    (slope,) = soak.slopes(days(memory=[10, 5, 98, 100, 102]))
    assert slope.per_day == pytest.approx(0.02)
    assert slope.is_too_steep
    assert (slope.first, slope.last) == (98, 102)


def test_noise_around_a_level_is_no_growth() -> None:
    (slope,) = soak.slopes(days(p50=[1, 1, 0.60, 0.66, 0.58, 0.66, 0.60]))
    assert slope.error > 0
    assert not slope.is_too_steep


def test_figures_without_a_limit_only_inform() -> None:
    (slope,) = soak.slopes(days(**{"MB of kafka": [1, 1, 10, 20, 30]}))
    assert slope.limit is None
    assert not slope.is_too_steep


def test_too_few_days_are_told() -> None:
    with pytest.raises(SmartShelfError, match="no slope"):
        soak.slopes(days(memory=[1, 1, 1, 1]))
