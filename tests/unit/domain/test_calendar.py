from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartshelf.domain.calendar import EVENTS, EVERY_DAY, Calendar, Timetable

THURSDAY_7 = datetime(2026, 1, 1, 7, tzinfo=UTC)
MOMENTS = st.integers(0, 3 * 365 * 86_400).map(lambda s: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=s))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("cutoff", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("delivery", datetime(2026, 1, 2, 8, tzinfo=UTC)),
        ("opening", datetime(2026, 1, 2, 7, tzinfo=UTC)),
        ("closing", datetime(2026, 1, 1, 22, tzinfo=UTC)),
    ],
)
def test_the_week_begins_as_the_product_says(event, expected):
    assert Calendar().next(event, THURSDAY_7) == expected


def test_cutoffs_are_on_sunday_tuesday_and_thursday():
    fired = Calendar().cutoff.within(THURSDAY_7, THURSDAY_7 + timedelta(days=7))
    assert [f"{moment:%a %H:%M}" for moment in fired] == ["Thu 12:00", "Sun 12:00", "Tue 12:00"]


def test_an_event_at_this_very_moment_is_not_the_next_one():
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert Calendar().next("cutoff", noon) == datetime(2026, 1, 4, 12, tzinfo=UTC)
    assert Calendar().next("cutoff", noon - timedelta(milliseconds=1)) == noon


def test_a_step_that_ends_at_the_instant_fires_it_once():
    noon, minute = datetime(2026, 1, 1, 12, tzinfo=UTC), timedelta(minutes=1)
    assert Calendar().cutoff.within(noon - minute, noon) == [noon]
    assert Calendar().cutoff.within(noon, noon + minute) == []


@given(MOMENTS, st.sampled_from(EVENTS), st.lists(st.integers(1, 200_000), max_size=6))
def test_steps_of_any_length_fire_what_one_long_step_fires(start, event, lengths):
    timetable: Timetable = getattr(Calendar(), event)
    ends = [start]
    for seconds in lengths:
        ends.append(ends[-1] + timedelta(seconds=seconds))
    pieces = [moment for a, b in pairwise(ends) for moment in timetable.within(a, b)]
    assert pieces == timetable.within(start, ends[-1])


@given(MOMENTS, st.sets(st.integers(0, 6), min_size=1), st.times())
def test_the_next_occurrence_is_within_a_week_on_a_named_day(moment, weekdays, at):
    found = Timetable(frozenset(weekdays), at).after(moment)
    assert moment < found <= moment + timedelta(days=7)
    assert found.weekday() in weekdays
    assert found.time() == at


def test_the_shop_is_open_from_seven_until_ten_in_the_evening():
    day = datetime(2026, 1, 5, tzinfo=UTC)
    open_minutes = [m for m in range(1440) if Calendar().is_open(day + timedelta(minutes=m))]
    assert (open_minutes[0], open_minutes[-1]) == (7 * 60, 22 * 60 - 1)


@pytest.mark.parametrize("weekdays", [frozenset(), frozenset({7}), frozenset({-1, 2})])
def test_a_timetable_without_a_real_weekday_is_refused(weekdays):
    with pytest.raises(ValueError, match="weekday"):
        Timetable(weekdays, time(12))


def test_every_day_is_seven_days():
    assert len(EVERY_DAY) == 7
