from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from simulated_time.clock import Grid, Leases, Seen, Speedometer, from_ms, pace, to_ms

MINUTE = 60_000
START = to_ms(datetime(2026, 1, 1, 7, tzinfo=UTC))
GRID = Grid(START, MINUTE, START + 365 * 1440 * MINUTE)
AT_START = Seen(mode="running", speed=60.0, goal_ms=None, version=1, held=False, target_ms=START, world_ms=START)


def follow(seen, seconds, *, grid=GRID, every=0.05, keeps_up=True, anchor=None, now=100.0):
    """Let the clock turn for some real seconds; the world follows at once or stands."""
    for _ in range(round(seconds / every)):
        now += every
        anchor, target = pace(anchor, seen, grid, now=now, wall_ms=0)
        seen = replace(seen, target_ms=target, world_ms=target if keeps_up else seen.world_ms)
    return anchor, seen


@pytest.mark.parametrize(
    ("offset", "step", "end"), [(0, 0, 0), (1, 1, MINUTE), (MINUTE, 1, MINUTE), (MINUTE + 1, 2, 2 * MINUTE)]
)
def test_a_moment_belongs_to_the_step_that_ends_at_or_after_it(offset, step, end):
    assert GRID.step_at(START + offset) == step
    assert GRID.step_end(START + offset) == START + end


def test_milliseconds_and_moments_are_the_same_thing():
    moment = datetime(2027, 3, 4, 5, 6, 7, 891_000, tzinfo=UTC)
    assert from_ms(to_ms(moment)) == moment


@pytest.mark.parametrize("speed", [0.01, 1, 60, 6_000, 100_000])
def test_a_speed_is_kept_when_the_world_follows(speed):
    _, seen = follow(replace(AT_START, speed=float(speed)), 10.05)
    assert (seen.target_ms - START) / 1000 == pytest.approx(10 * speed, rel=0.02, abs=0.002)


@pytest.mark.parametrize(("speed", "lead"), [(1, 2 * MINUTE), (60, 2 * MINUTE), (600, 600_000)])
def test_a_world_that_stands_is_led_by_two_steps_or_a_real_second_only(speed, lead):
    _, seen = follow(replace(AT_START, speed=float(speed)), 300, keeps_up=False)
    assert seen.target_ms - START == lead


def test_what_a_slow_world_missed_is_not_caught_up():
    anchor, seen = follow(AT_START, 60, keeps_up=False)
    _, after = follow(replace(seen, world_ms=seen.target_ms), 1.0, anchor=anchor, now=160.0)
    assert after.target_ms - seen.target_ms <= 61_000


@pytest.mark.parametrize("gap", [1.5, 8 * 3600.0, -5.0])
def test_a_stall_of_the_service_is_dropped(gap):
    anchor, seen = follow(AT_START, 5)
    _, target = pace(anchor, seen, GRID, now=105.0 + gap, wall_ms=0)
    assert target == seen.target_ms


def test_auto_may_run_to_the_end_and_no_further():
    _, seen = follow(replace(AT_START, mode="auto"), 0.1)
    assert seen.target_ms == GRID.end_ms


def test_an_advance_may_run_to_its_goal_at_once():
    _, seen = follow(replace(AT_START, mode="advance", goal_ms=START + 90 * MINUTE), 0.1, keeps_up=False)
    assert seen.target_ms == START + 90 * MINUTE


def test_a_numeric_speed_stops_at_the_end():
    grid = replace(GRID, end_ms=START + 3 * MINUTE)
    _, seen = follow(AT_START, 10, grid=grid)
    assert seen.target_ms == grid.end_ms


def test_the_wall_clock_is_followed_also_after_a_night_off_but_never_backwards():
    seen = replace(AT_START, mode="wall")
    anchor, target = pace(None, seen, replace(GRID, end_ms=None), now=1.0, wall_ms=START + 8 * 60 * MINUTE)
    assert target == START + 8 * 60 * MINUTE
    _, back = pace(anchor, replace(seen, target_ms=target), GRID, now=1.05, wall_ms=START)
    assert back == target


def test_a_lease_ends_when_its_holder_is_silent_and_not_before():
    leases = Leases()
    assert leases.lapsed({"audit": (b"1", 30.0)}, 0.0) == []
    assert leases.lapsed({"audit": (b"2", 30.0)}, 29.0) == []
    assert leases.lapsed({"audit": (b"2", 30.0)}, 59.0) == []
    assert leases.lapsed({"audit": (b"2", 30.0)}, 59.1) == ["audit"]


def test_a_pause_has_no_lease_to_run_out():
    leases = Leases()
    assert leases.lapsed({"pause": (b"1", None)}, 0.0) == []
    assert leases.lapsed({"pause": (b"1", None)}, 1e9) == []


def test_a_new_hold_of_an_old_name_gets_its_full_lease():
    leases = Leases()
    leases.lapsed({"audit": (b"1", 30.0)}, 0.0)
    leases.lapsed({}, 31.0)
    assert leases.lapsed({"audit": (b"1", 30.0)}, 40.0) == []


def test_the_speed_achieved_is_that_of_the_last_seconds():
    meter = Speedometer()
    assert meter.speed() is None
    for tenth in range(100):
        meter.add(tenth / 10, START + (0 if tenth < 40 else (tenth - 40) * 6_000))
    assert meter.speed() == pytest.approx(60.0, rel=0.03)
