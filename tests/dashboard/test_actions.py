"""Orders to the clock and what the page says about them."""

from __future__ import annotations

from datetime import UTC, datetime

from dashboard import actions
from tests.dashboard.twin import TwinStore, twin_feed


def test_orders_reach_the_clock() -> None:
    store = TwinStore()
    feed = twin_feed(store)
    orders = [actions.pause, actions.resume, actions.run_at(300.0), actions.run_at(actions.AUTO)]
    assert all(actions.perform(feed, order).done for order in orders)
    assert store.control.orders == ["pause", "resume", "speed 300", "auto"]


def test_a_moment_without_zone_is_store_time() -> None:
    store = TwinStore()
    outcome = actions.perform(twin_feed(store), actions.advance_to(datetime(2026, 1, 1, 12, 30)))  # noqa: DTZ001
    assert store.control.time == datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    assert outcome.sentence == "Fast-forward to Thu 1 Jan 2026, 12:30, then pause"


def test_a_wish_that_cannot_be_granted_is_answered_with_reason_and_remedy() -> None:
    outcome = actions.perform(twin_feed(), actions.advance_to(datetime(2025, 1, 1, tzinfo=UTC)))
    assert outcome == (False, "The clock cannot be set back. Name a later time.")


def test_a_clock_that_does_not_answer_is_a_sentence() -> None:
    store = TwinStore()
    store.control.problem = "Redis does not answer"
    assert actions.perform(twin_feed(store), actions.pause) == (False, "Redis does not answer.")


def test_after_an_order_the_clock_is_read_anew() -> None:
    store = TwinStore()
    feed = twin_feed(store)
    assert feed.clock.get().value.paused is False  # type: ignore[union-attr]
    actions.perform(feed, actions.pause)
    assert feed.clock.get().value.paused is True  # type: ignore[union-attr]
