from __future__ import annotations

import pytest

from producers.body import VISITS_A_DAY
from producers.randomness import store_key
from producers.shoppers import DAY, HOUR, MINUTE, PUT_BACK, Shoppers, flow
from tests.worlds import START, STEP, small_body

WEEK = [START - 7 * HOUR + day * DAY for day in range(7)]


@pytest.mark.parametrize("midnight", WEEK)
def test_a_day_brings_1000_to_1200_visits(midnight: int) -> None:
    expected = sum(flow(midnight + minute * MINUTE, VISITS_A_DAY) * MINUTE for minute in range(DAY // MINUTE))
    assert 1_000 <= expected <= 1_200


def test_nobody_comes_before_seven_or_after_half_past_nine() -> None:
    for midnight in WEEK:
        assert flow(midnight + 7 * HOUR - 1, 1_000) == 0
        assert flow(midnight + 7 * HOUR, 1_000) > 0
        assert flow(midnight + 21 * HOUR + 30 * MINUTE, 1_000) == 0


def test_saturday_is_the_busiest_day_and_monday_and_tuesday_the_quietest() -> None:
    # 1 January 2026 is a Thursday.
    by_day = {
        day: flow(midnight + 12 * HOUR, 1.0)
        for day, midnight in zip(("Th", "Fr", "Sa", "Su", "Mo", "Tu", "We"), WEEK, strict=True)
    }
    assert max(by_day, key=by_day.__getitem__) == "Sa"
    workdays = {day: by_day[day] for day in ("Mo", "Tu", "We", "Th", "Fr")}
    assert sorted(workdays, key=workdays.__getitem__)[:2] == ["Mo", "Tu"]


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
