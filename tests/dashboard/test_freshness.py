"""What the page says about the age of its data."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dashboard.last_known import Reading
from dashboard.queries import StoreState
from dashboard.views import freshness, timebar
from simulated_time.store import Status
from tests.dashboard.twin import TwinStore

WALL = datetime(2026, 11, 21, 9, tzinfo=UTC)


def reading(problem: str | None = None, age: float = 1) -> tuple[Reading[StoreState], Status]:
    store = TwinStore()
    store.control.pass_time(300)
    return Reading(store.shelves("S01"), WALL - timedelta(seconds=age), problem), store.clock()


def test_fresh_rows_tell_their_age_in_store_time_and_in_real_time() -> None:
    rows, clock = reading()
    source = freshness.shelves(rows, clock, WALL - timedelta(seconds=3), WALL, expect_changes=True)
    assert source.tone == "good"
    assert "ago (store time), seen 3 s ago" in source.text


def test_postgres_down_tells_the_reason_and_the_age_of_what_is_shown() -> None:
    rows, clock = reading("Postgres does not answer", age=42)
    source = freshness.shelves(rows, clock, WALL, WALL, expect_changes=True)
    assert source.tone == "down"
    assert source.text == "Postgres does not answer. Last known values, 42 s old"


def test_a_page_with_old_values_says_how_old_they_are_and_what_to_do() -> None:
    rows, _ = reading("Postgres does not answer", age=42)
    told = freshness.problem(replace(rows, remedy="`smartshelf status` shows what runs."), WALL)
    assert told == "Postgres does not answer. Last known values, 42 s old. `smartshelf status` shows what runs."
    assert freshness.problem(reading()[0], WALL) is None


def test_a_running_open_store_in_which_nothing_changes_is_worth_a_word_a_closed_one_is_not() -> None:
    rows, clock = reading()
    long_ago = WALL - timedelta(minutes=2)
    assert freshness.shelves(rows, clock, long_ago, WALL, expect_changes=True).tone == "waiting"
    assert freshness.shelves(rows, clock, long_ago, WALL, expect_changes=False).tone == "good"


def test_a_store_being_set_up_says_what_to_wait_for() -> None:
    whole = TwinStore().shelves("S01")
    assert "being set up" in (freshness.setting_up(None, 1142) or "")
    part = StoreState("S01", dict(list(whole.rows.items())[:1000]))
    assert "1\u202f000 of 1\u202f142" in (freshness.setting_up(part, 1142) or "")
    assert freshness.setting_up(whole, 1142) is None


def test_the_state_of_a_source_is_told_without_colour() -> None:
    html = freshness.sources_html([freshness.Source("Clock", "down", "<silent>")])
    assert 'aria-label="down"' in html
    assert "&lt;silent&gt;" in html


def test_a_clock_that_waits_for_the_pipeline_says_so() -> None:
    status = TwinStore().clock()
    assert timebar.pace(status) == "60×"
    assert timebar.pace(replace(status, achieved=31.0)) == "31× of 60×"
    assert timebar.pace(replace(status, achieved=0.0)) == "60×, waiting for the pipeline"
    assert timebar.pace(replace(status, state="paused")) == ""
