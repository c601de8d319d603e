"""The alert inbox: what needs attention, with what people do about it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import actions
from dashboard.controls import choose_store, clock_bar
from dashboard.queries import Feed, feed
from dashboard.views import inbox
from dashboard.views.text import number
from smartshelf.io.people import OpenAlert

#: Cards on the page at once; the worst come first.
SHOWN = 30
COLORS = {"critical": "red", "warning": "orange", "info": "blue"}


def show() -> None:
    """Draw the page; clock and alerts refresh themselves every DASH_REFRESH_MS."""
    shared = feed()
    period = shared.config.dash_refresh_ms / 1000
    st.fragment(clock_bar, run_every=period)(shared)
    store_id = choose_store(shared)
    everything = shared.alerts(store_id).get().value or []
    severity, rule, aisle, name = st.columns([1.2, 1.2, 1, 1], vertical_alignment="bottom")
    wish = inbox.Filter(
        frozenset(severity.pills("Severity", list(inbox.SEVERITIES), selection_mode="multi", key="severities")),
        frozenset(rule.multiselect("Rule", inbox.rules(everything), key="rules", placeholder="All")),
        frozenset(aisle.multiselect("Aisle", inbox.aisles(everything), key="aisles", placeholder="All")),
    )
    name.text_input("Your name", key="who", placeholder="Who acknowledges", icon=":material/person:")
    st.fragment(_cards, run_every=period)(shared, store_id, wish)


def _cards(shared: Feed, store_id: str, wish: inbox.Filter) -> None:
    _answers(shared)
    reading = shared.alerts(store_id).get()
    found = [alert for alert in reading.value or [] if wish.passes(alert)]
    more = f", the first {SHOWN} are shown" if len(found) > SHOWN else ""
    note = f" · {reading.problem}: last known values" if reading.problem else ""
    st.caption(f"{number(len(found))} of {number(len(reading.value or []))} alerts{more}{note}")
    if reading.value is not None and not found:
        st.success("Nothing needs attention.", icon=":material/check_circle:")
    for alert in found[:SHOWN]:
        _card(shared, alert)


def _card(shared: Feed, alert: OpenAlert) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"card-{alert.alert_id}"):
        with st.container():
            st.badge(alert.severity, color=COLORS.get(alert.severity, "gray"))
            st.text(inbox.title(alert))
            st.caption(inbox.detail(alert))
        waits = any(alert.alert_id == asked.alert_id for asked in _asked())
        if alert.status == "open":
            _button(shared, alert, "Acknowledge", "done", "ack_alert", waits)
        _button(shared, alert, "Dismiss", "close", "dismiss_alert", waits)


def _button(shared: Feed, alert: OpenAlert, label: str, icon: str, kind: str, waits: bool) -> None:
    st.button(
        label,
        icon=f":material/{icon}:",
        key=f"{kind}-{alert.alert_id}",
        disabled=waits,
        on_click=_ask,
        args=(shared, alert, {"kind": kind, "alert_id": alert.alert_id}),
    )


def _asked() -> list[actions.AskedFor]:
    waiting: list[actions.AskedFor] = st.session_state.setdefault("asked", [])
    return waiting


def _ask(shared: Feed, alert: OpenAlert, what: dict[str, Any]) -> None:
    asked = actions.ask(shared, alert.store_id, st.session_state.get("who") or "dashboard", what)
    if isinstance(asked, actions.Outcome):
        st.session_state["refused"] = asked
    else:
        _asked().append(asked)


def _answers(shared: Feed) -> None:
    """Say what came of earlier commands, each once."""
    told: list[actions.Outcome] = [st.session_state.pop("refused")] if "refused" in st.session_state else []
    waiting = []
    for asked in _asked():
        outcome = actions.answer(shared, asked)
        told += [outcome] if outcome else []
        waiting += [] if outcome else [asked]
    st.session_state["asked"] = waiting
    for outcome in told:
        st.toast(outcome.sentence, icon=f":material/{'check' if outcome.done else 'error'}:")


show()
