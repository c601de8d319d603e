"""Which scheduled runs are due: each due time once, in order, after what it depends on, again after a failure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from smartshelf.domain.calendar import EVERY_DAY, Timetable
from smartshelf.runner.plan import RETRY_SECONDS, Outcome, Run, Schedule, Skip, due, failures_until

OPENED = datetime(2026, 1, 1, 7, tzinfo=UTC)  # a Thursday
CLOCK = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAILY = Schedule("daily", Timetable(EVERY_DAY, time(4)), attempts=3)
WEEKLY = Schedule("weekly", Timetable(frozenset({0}), time(5)), after=("daily",))
DONE = Outcome("succeeded", 1, CLOCK)


def at(day: int, hour: int = 4) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def days(*numbers: int) -> dict[datetime, Outcome]:
    return {at(number): DONE for number in numbers}


def test_nothing_is_due_before_the_first_due_time_after_the_opening() -> None:
    assert due([DAILY], {}, OPENED, OPENED + timedelta(hours=20), CLOCK) == []
    assert due([DAILY], {}, OPENED, at(2), CLOCK) == [Run("daily", at(2), 1)]


def test_what_is_done_once_is_due_when_the_store_has_opened_and_never_again() -> None:
    once = Schedule("once", None, attempts=2)
    assert due([once], {}, OPENED, OPENED, CLOCK) == [Run("once", OPENED, 1)]
    assert due([once], {"once": {OPENED: Outcome("running", 1)}}, OPENED, at(9), CLOCK) == [Run("once", OPENED, 2)]
    assert due([once], {"once": {OPENED: DONE}}, OPENED, at(9), CLOCK) == []
    assert due([once], {"once": {OPENED: Outcome("failed", 2, CLOCK)}}, OPENED, at(9), CLOCK) == []
    after = Schedule("after", DAILY.when, after=("once",))
    assert due([after, once], {"once": {OPENED: DONE}}, OPENED, at(2), CLOCK) == [Run("after", at(2), 1)]


def test_a_run_that_is_done_is_not_due_again() -> None:
    assert due([DAILY], {"daily": days(2)}, OPENED, at(2, 23), CLOCK) == []


def test_after_a_stop_every_missed_run_is_made_up_in_order() -> None:
    past = {"daily": days(2)}
    for number in (3, 4, 5):
        assert due([DAILY], past, OPENED, at(5, 9), CLOCK) == [Run("daily", at(number), 1)]
        past["daily"][at(number)] = DONE
    assert due([DAILY], past, OPENED, at(5, 9), CLOCK) == []


def test_where_the_newest_run_does_the_work_of_all_the_missed_ones_are_skipped_and_say_so() -> None:
    newest = Schedule("daily", DAILY.when, newest_only=True)
    past = {"daily": days(2)}
    for number in (3, 4):
        assert due([newest], past, OPENED, at(5), CLOCK) == [
            Skip("daily", at(number), "the run of 2026-01-05 04:00 does its work")
        ]
        past["daily"][at(number)] = Outcome("skipped")
    assert due([newest], past, OPENED, at(5), CLOCK) == [Run("daily", at(5), 1)]


def test_a_run_that_was_killed_is_run_again_as_its_next_attempt() -> None:
    past = {"daily": {at(2): Outcome("running", 1)}}
    assert due([DAILY], past, OPENED, at(2), CLOCK) == [Run("daily", at(2), 2)]


@pytest.mark.parametrize(("attempts", "pause"), [(1, RETRY_SECONDS), (2, 2 * RETRY_SECONDS)])
def test_a_failed_run_is_tried_again_after_a_pause_in_real_time_that_doubles(attempts: int, pause: float) -> None:
    past = {"daily": {at(2): Outcome("failed", attempts, CLOCK)}}
    early, later = CLOCK + timedelta(seconds=pause - 0.1), CLOCK + timedelta(seconds=pause)
    assert due([DAILY], past, OPENED, at(9), early) == []
    assert due([DAILY], past, OPENED, at(9), later) == [Run("daily", at(2), attempts + 1)]


def test_a_run_that_failed_for_good_does_not_hold_up_the_next_one() -> None:
    past = {"daily": {at(2): Outcome("failed", 3, CLOCK)}}
    assert due([DAILY], past, OPENED, at(3), CLOCK) == [Run("daily", at(3), 1)]


def test_a_run_waits_for_the_last_run_of_what_it_depends_on() -> None:
    past = {"daily": days(2, 3, 4)}
    assert due([DAILY, WEEKLY], past, OPENED, at(5, 5), CLOCK) == [Run("daily", at(5), 1)]
    past["daily"][at(5)] = DONE
    assert due([DAILY, WEEKLY], past, OPENED, at(5, 5), CLOCK) == [Run("weekly", at(5, 5), 1)]


def test_a_run_whose_dependency_failed_for_good_is_skipped_and_says_why() -> None:
    past = {"daily": days(2, 3, 4) | {at(5): Outcome("failed", 3, CLOCK)}}
    assert due([DAILY, WEEKLY], past, OPENED, at(5, 5), CLOCK) == [Skip("weekly", at(5, 5), "daily failed")]


def test_a_dependency_that_was_never_due_yet_holds_up_nothing() -> None:
    late = Schedule("daily", Timetable(EVERY_DAY, time(6)))
    first = Schedule("weekly", Timetable(EVERY_DAY, time(5)), after=("daily",))
    assert due([late, first], {}, OPENED, at(2, 5), CLOCK) == [Run("weekly", at(2, 5), 1)]


def test_what_was_due_earlier_comes_first_and_the_order_of_the_list_breaks_ties() -> None:
    same = Schedule("same", DAILY.when)
    past = {"daily": days(2)}
    assert [step.job for step in due([DAILY, same], past, OPENED, at(3), CLOCK)] == ["same", "daily"]
    assert [step.job for step in due([DAILY, same], {}, OPENED, at(2), CLOCK)] == ["daily", "same"]


def test_failures_in_a_row_are_counted_from_the_last_success() -> None:
    bad = Outcome("failed", 3, CLOCK)
    runs = {at(2): bad, at(3): DONE, at(4): bad, at(5): Outcome("skipped"), at(6): bad, at(7): DONE}
    assert failures_until(DAILY, runs, at(2)) == [at(2)]
    assert failures_until(DAILY, runs, at(6)) == [at(4), at(6)]
    assert failures_until(DAILY, runs, at(7)) == [at(4), at(6)]
    assert failures_until(DAILY, {at(2): Outcome("failed", 1, CLOCK)}, at(2)) == []
