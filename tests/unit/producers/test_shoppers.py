from __future__ import annotations

import pytest

from producers.randomness import store_key
from producers.shoppers import DAY, HOUR, MINUTE, PUT_BACK, Shoppers, flow
from smartshelf.domain.demand import VISITS_A_DAY
from tests.worlds import START, STEP, small_body

WEEK = [START - 7 * HOUR + day * DAY for day in range(7)]


def people() -> Shoppers:
    return Shoppers(small_body(visits=VISITS_A_DAY), store_key(1, "S01"))


def test_days_bring_1000_to_1200_visits_and_holidays_fewer() -> None:
    shoppers = people()
    for day in range(7, 14):  # 8 to 14 January, four weeks each
        visits = [shoppers.visits(WEEK[0] + (day + 7 * week) * DAY) for week in range(4)]
        assert 1_000 <= sum(visits) / 4 <= 1_200
    assert 800 <= shoppers.visits(WEEK[0]) <= 1_000, "New Year"


@pytest.mark.parametrize("midnight", WEEK)
def test_a_day_brings_the_visits_that_demand_says(midnight: int) -> None:
    visits = people().visits(midnight)
    assert sum(flow(midnight + minute * MINUTE, visits) * MINUTE for minute in range(DAY // MINUTE)) == pytest.approx(
        visits
    )


def test_nobody_comes_before_seven_or_after_half_past_nine() -> None:
    for midnight in WEEK:
        assert flow(midnight + 7 * HOUR - 1, 1_000) == 0
        assert flow(midnight + 7 * HOUR, 1_000) > 0
        assert flow(midnight + 21 * HOUR + 30 * MINUTE, 1_000) == 0


def test_a_plan_is_the_same_whenever_it_is_asked_for() -> None:
    body = small_body()
    one, other = (Shoppers(body, store_key(1, "S01")) for _ in range(2))
    other.plan(3, 1, START)
    assert one.plan(5, 2, START) == other.plan(5, 2, START)
    assert one.plan(5, 2, START) != one.plan(5, 3, START)
    assert one.arrivals(100, START, START + STEP) == other.arrivals(100, START, START + STEP)


def test_a_plan_lies_between_entry_and_till_and_puts_back_only_what_was_taken_before() -> None:
    shoppers = Shoppers(small_body(), store_key(1, "S01"))
    for number in range(300):
        plan = shoppers.plan(1, number, START)
        taken = set()
        for action in plan.actions:
            assert START < action.at < plan.to_till
            if action.kind == PUT_BACK:
                assert action.shelf in taken
            taken.add(action.shelf)
        assert 9 <= (plan.to_till - START) / MINUTE <= 74, "a minute is left for till and door"
