"""Orders: what is to come from backroom and suppliers, why, and what came last; plans can be canceled."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import pandas as pd
import streamlit as st

from dashboard import asking
from dashboard.business import Supply
from dashboard.controls import choose_store, clock_bar, live, say_if_stale
from dashboard.queries import Feed, feed
from dashboard.views import figures, supply
from dashboard.views.text import moment

#: A table with more rows scrolls within this height, pixels.
FEW_ROWS, TABLE_HEIGHT = 12, 420
TABS = ("Restock plans", "Next supplier order", "On the way", "Receipts")
MONEY = st.column_config.NumberColumn(format="%.2f €")
COLUMNS = {
    "Cost": MONEY,
    "Expected": st.column_config.DatetimeColumn(format="ddd D MMM, HH:mm", timezone="UTC"),
    "Received": st.column_config.DatetimeColumn(format="ddd D MMM, HH:mm", timezone="UTC"),
    "Expires": st.column_config.DateColumn(format="D MMM YYYY"),
    "Difference": st.column_config.NumberColumn(format="%+d", help="Received minus ordered"),
    "Position": st.column_config.NumberColumn(help="On hand and on order, less what is reserved"),
    "Reorder at": st.column_config.NumberColumn(help="A position at or below it is ordered for"),
    "Why": st.column_config.TextColumn(width="large"),
}


def show() -> None:
    """Draw the page; clock and tables refresh themselves every DASH_REFRESH_MS."""
    shared = feed()
    left, right = st.columns([3, 1], vertical_alignment="center")
    with left:
        live(clock_bar, shared)
    with right:
        store_id = choose_store(shared)
        asking.name_box()
    live(_live, shared, store_id)


def _live(shared: Feed, store_id: str) -> None:
    asking.outcomes(shared)
    reading, clock = shared.supply(store_id).get(), shared.clock.get().value
    now, calendar = clock.now if clock else None, shared.config.calendar
    say_if_stale(reading)
    st.html(figures.figures_html(supply.key_figures(reading.value, now, calendar)))
    if reading.value is None:
        return
    restock, planned, ordered, received = st.tabs(TABS)
    with restock:
        _restock(shared, store_id, reading.value, now)
    with planned:
        _planned(shared, store_id, reading.value, moment(calendar.next("cutoff", now)) if now else None)
    with ordered:
        _table(
            supply.order_frame(reading.value.orders, now),
            "Nothing is on the way from suppliers. What is planned goes out as orders at the next cutoff.",
            "Orders on the way with product, supplier, units and expected delivery",
        )
    with received:
        _table(
            supply.receipt_frame(reading.value.receipts),
            "No lorry has brought anything yet.",
            "Receipts with product, lot, units ordered and received",
        )


def _restock(shared: Feed, store_id: str, known: Supply, now: datetime | None) -> None:
    _table(
        supply.restock_frame(known.restock, now),
        "No shelf waits for goods from the backroom.",
        "Open restock plans with product, units wanted and picked, and why",
    )
    _cancel(shared, store_id, supply.cancelable_restock(known.restock), "cancel_plan", "plan_id", "Restock plan")


def _planned(shared: Feed, store_id: str, known: Supply, cutoff: str | None) -> None:
    if cutoff:
        st.caption(f"Goes out as orders on {cutoff}. Until then each plan follows what its shelf needs.")
    _table(
        supply.plan_frame(known.plans),
        "Nothing is to be ordered: every product has enough on hand and on the way.",
        "Plans for the next supplier order with product, units, cost and why",
    )
    choices = supply.cancelable_plans(known.plans)
    _cancel(shared, store_id, choices, "cancel_supplier_plan", "supplier_plan_id", "Supplier plan")


def _table(frame: pd.DataFrame, nothing: str, description: str) -> None:
    if frame.empty:
        st.info(nothing, icon=":material/check_circle:")
        return
    height: int | Literal["content"] = "content" if len(frame) <= FEW_ROWS else TABLE_HEIGHT
    st.dataframe(frame, hide_index=True, height=height, alt=description, column_config=COLUMNS)


def _cancel(shared: Feed, store_id: str, plans: Mapping[str, str], kind: str, field: str, name: str) -> None:
    if not plans:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            f"{name} to cancel",
            list(plans),
            index=None,
            key=f"{kind}-choice",
            format_func=lambda plan_id: plans.get(plan_id, plan_id),
            placeholder="Choose a plan",
        )
        asking.button(shared, store_id, "Cancel plan", "cancel", kind, {field: chosen}, chosen)


show()
