"""The alert inbox: what needs attention, with what people do about it."""

from __future__ import annotations

import streamlit as st

from dashboard import asking
from dashboard.controls import choose_store, clock_bar, live, say_if_stale
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
    live(clock_bar, shared)
    store_id = choose_store(shared)
    everything = shared.alerts(store_id).get().value or []
    severity, rule, aisle, name = st.columns([1.2, 1.2, 1, 1], vertical_alignment="bottom")
    wish = inbox.Filter(
        frozenset(severity.pills("Severity", list(inbox.SEVERITIES), selection_mode="multi", key="severities")),
        frozenset(
            rule.multiselect(
                "Rule", inbox.rules(everything), key="rules", placeholder="All", format_func=inbox.rule_name
            )
        ),
        frozenset(aisle.multiselect("Aisle", inbox.aisles(everything), key="aisles", placeholder="All")),
    )
    with name:
        asking.name_box()
    live(_cards, shared, store_id, wish)


def _cards(shared: Feed, store_id: str, wish: inbox.Filter) -> None:
    asking.outcomes(shared)
    reading = shared.alerts(store_id).get()
    say_if_stale(reading)
    if reading.value is None:
        return
    found = [alert for alert in reading.value if wish.passes(alert)]
    more = f", the first {SHOWN} are shown" if len(found) > SHOWN else ""
    st.caption(f"{number(len(found))} of {number(len(reading.value))} alerts{more}")
    if not reading.value:
        st.success("Nothing needs attention.", icon=":material/check_circle:")
    elif not found:
        st.info("No alert passes these filters.", icon=":material/filter_alt:")
    for alert in found[:SHOWN]:
        _card(shared, alert)


def _card(shared: Feed, alert: OpenAlert) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"card-{alert.alert_id}"):
        with st.container(gap="xsmall"):
            st.badge(alert.severity, color=COLORS.get(alert.severity, "gray"))
            st.text(inbox.title(alert))
            st.caption(inbox.detail(alert))
        what = {"alert_id": alert.alert_id}
        with st.container(horizontal=True, width="content"):
            if alert.status == "open":
                asking.button(shared, alert.store_id, "Acknowledge", "done", "ack_alert", what, alert.alert_id)
            asking.button(shared, alert.store_id, "Dismiss", "close", "dismiss_alert", what, alert.alert_id)


show()
