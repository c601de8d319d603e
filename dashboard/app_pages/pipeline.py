"""How fresh each source is. New lines: a function from the feed to views.freshness.Source, named in CHECKS."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import streamlit as st

from dashboard.controls import choose_store, clock_bar, live
from dashboard.queries import Feed, feed
from dashboard.views import figures, freshness
from dashboard.views.freshness import Source
from dashboard.views.text import number


def show() -> None:
    """Draw the page; it refreshes itself every DASH_REFRESH_MS."""
    shared = feed()
    live(clock_bar, shared)
    store_id = choose_store(shared)
    live(_checks, shared, store_id)


def _shelves(shared: Feed, store_id: str) -> Source:
    watched, clock = shared.store(store_id), shared.clock.get().value
    expect = freshness.expects_changes(clock, shared.config.calendar)
    return freshness.shelves(watched.get(), clock, watched.changed_at, datetime.now(UTC), expect_changes=expect)


def _steps(shared: Feed, store_id: str) -> Source:
    reading, clock = shared.store(store_id).get(), shared.clock.get().value
    rows = reading.value.rows.values() if reading.value else ()
    folded = max((row.as_of_step for row in rows), default=None)
    if folded is None or clock is None:
        return Source("Step lag", "waiting", "not known yet")
    text = f"steps: the store is in {number(clock.step)}, the newest row counts {number(folded)}"
    return Source("Step lag", "good", text, number(max(0, clock.step - folded)))


def _changes(shared: Feed, store_id: str) -> Source:
    figure = figures.changes_figure(list(shared.store(store_id).trend))
    known = figure.value != "–"
    return Source("Stock changes", "good" if known else "waiting", f"folded into rows {figure.note}", figure.value)


def _clock(shared: Feed, _: str) -> Source:
    return freshness.clock(shared.clock.get(), datetime.now(UTC))


def _products(shared: Feed, store_id: str) -> Source:
    return freshness.profiles(shared.profiles.get(), store_id, datetime.now(UTC))


CHECKS: tuple[Callable[[Feed, str], Source], ...] = (_shelves, _steps, _changes, _products, _clock)


def _checks(shared: Feed, store_id: str) -> None:
    st.html(freshness.cards_html([check(shared, store_id) for check in CHECKS]))


show()
