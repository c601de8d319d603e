"""What every page has on top: the store's time with its controls, and the choice of the store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from dashboard import actions
from dashboard.actions import AUTO, SPEEDS
from dashboard.last_known import Reading
from dashboard.queries import Feed
from dashboard.views import freshness, text, timebar
from simulated_time.store import Status
from smartshelf.domain.calendar import Event

GOING = ("Pause", "pause", actions.pause)
PAUSED = ("Resume", "play_arrow", actions.resume)
EVENTS: dict[Event, str] = {
    "opening": "Next opening",
    "closing": "Next closing",
    "cutoff": "Next supplier cutoff",
    "delivery": "Next delivery",
}


def live(part: Callable[..., None], feed: Feed, *arguments: Any) -> None:
    """Draw ``part`` and let it refresh itself every DASH_REFRESH_MS, by itself."""
    st.fragment(part, run_every=feed.config.dash_refresh_ms / 1000)(feed, *arguments)


def clock_bar(feed: Feed) -> None:
    """Time, state, pause, speed and fast-forward."""
    status = feed.clock.get().value
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="clock"):
        st.html(timebar.time_html(status, feed.config.calendar), width="content")
        if status is not None:
            _controls(feed, status)
    # Streamlit refuses to show anything from within a callback of a fragment.
    outcome: actions.Outcome | None = st.session_state.pop("outcome", None)
    if outcome is not None:
        icon, duration = ("schedule", "short") if outcome.done else ("error", "long")
        st.toast(outcome.sentence, icon=f":material/{icon}:", duration=duration)


def choose_store(feed: Feed) -> str:
    """The store to show; a choice only where there are several."""
    stores = feed.stores()
    if len(stores) == 1:
        return stores[0]
    return st.selectbox("Store", stores, key="store", bind="query-params", label_visibility="collapsed") or stores[0]


def say_if_stale(reading: Reading[Any]) -> None:
    """A warning with the age of what is shown while its source does not answer."""
    if problem := freshness.problem(reading, datetime.now(UTC)):
        st.warning(problem, icon=":material/cloud_off:")


def _controls(feed: Feed, status: Status) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
        label, icon, order = PAUSED if status.paused else GOING
        st.button(
            label,
            icon=f":material/{icon}:",
            type="primary" if status.paused else "secondary",
            key="pause",
            on_click=_order,
            args=(feed, order),
        )
        _fast_forward(feed, status)
        _speeds(feed, status)


def _speeds(feed: Feed, status: Status) -> None:
    modes: dict[str, actions.Speed] = {"running": status.speed, "auto": AUTO}
    current = modes.get(status.mode)
    speeds: list[actions.Speed] = [*SPEEDS, AUTO]
    if current is not None and current not in speeds:
        speeds = [*sorted([*SPEEDS, float(current)]), AUTO]
    # The clock is the truth: somebody else may have changed the speed meanwhile.
    st.session_state["speed"] = current
    st.segmented_control(
        "Speed",
        speeds,
        key="speed",
        format_func=lambda speed: "Auto" if speed == AUTO else text.speed(float(speed)),
        label_visibility="collapsed",
        on_change=_new_speed,
        args=(feed,),
    )


def _fast_forward(feed: Feed, status: Status) -> None:
    with st.popover("Fast-forward", icon=":material/fast_forward:"):
        st.caption("Nothing is skipped: the store lives every minute up to there, then pauses.")
        for event, label in EVENTS.items():
            when = feed.config.calendar.next(event, status.now)
            st.button(
                f"{label} · {when:%a %H:%M}",
                key=f"next_{event}",
                width="stretch",
                on_click=_order,
                args=(feed, actions.advance_to(when)),
            )
        step = timedelta(minutes=15)
        first = _first_goal(status.now)
        st.datetime_input("To a moment (store time)", value=first, key="goal", step=step, on_change="ignore")
        st.button("Go", key="go", type="primary", width="stretch", on_click=_go, args=(feed,))


def _first_goal(now: datetime) -> datetime:
    """The moment to offer. It is kept, or it would overwrite what somebody is typing, until it has passed."""
    naive = now.replace(tzinfo=None)
    first: datetime | None = st.session_state.get("first_goal")
    if first is None or max(first, st.session_state.get("goal") or first) <= naive:
        first = naive.replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
        st.session_state["first_goal"] = first
        st.session_state.pop("goal", None)
    return first


def _go(feed: Feed) -> None:
    if (goal := st.session_state["goal"]) is not None:
        _order(feed, actions.advance_to(goal.replace(tzinfo=UTC)))


def _new_speed(feed: Feed) -> None:
    wish = st.session_state["speed"]
    if wish is not None:
        _order(feed, actions.run_at(wish))


def _order(feed: Feed, order: actions.Order) -> None:
    st.session_state["outcome"] = actions.perform(feed, order)
