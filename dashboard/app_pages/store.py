"""The store now: its time, the key figures, the map, and one shelf in detail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import streamlit as st

from dashboard import components
from dashboard.controls import choose_store, clock_bar, live, say_if_stale
from dashboard.queries import Feed, Profile, StoreState, feed
from dashboard.views import figures, fill, floor, freshness

#: Lines of the list of the emptiest shelves.
MOST_URGENT = 10


def show() -> None:
    """Draw the page; its live parts refresh themselves every DASH_REFRESH_MS."""
    shared = feed()
    left, right = st.columns([3, 1], vertical_alignment="center")
    with left:
        live(clock_bar, shared)
    with right:
        store_id = choose_store(shared)
        products = shared.products(store_id)
        _search(products)
    st.session_state.setdefault("shelf", floor.picked_shelf(st.query_params.get("shelf"), products))
    live(_live, shared, store_id)


def _search(products: Mapping[str, Profile]) -> None:
    st.selectbox(
        "Find a shelf or product",
        list(products),
        index=None,
        key="search",
        format_func=lambda shelf_id: f"{products[shelf_id].item_name} · {shelf_id}",
        placeholder="Find a shelf or product",
        label_visibility="collapsed",
        on_change=_found,
    )


def _found() -> None:
    _open(st.session_state["search"])
    st.session_state["search"] = None


def _open(shelf_id: object) -> None:
    st.session_state["shelf"] = shelf_id


def _live(shared: Feed, store_id: str) -> None:
    products = shared.products(store_id)
    watched = shared.store(store_id)
    reading = watched.get()
    state = reading.value
    wall, clock = datetime.now(UTC), shared.clock.get()
    say_if_stale(reading)
    if notice := freshness.setting_up(state, len(products)):
        st.info(notice, icon=":material/hourglass_top:")
    st.html(figures.figures_html(figures.key_figures(state, len(products), list(watched.trend))))
    shelf = floor.picked_shelf(st.session_state.get("shelf"), products)
    plan, panel = st.columns([2.4, 1])
    with plan:
        drawn = floor.floor(products)
        components.store_map(
            drawing=drawn.drawing,
            live=floor.live_values(drawn, state),
            selected=shelf,
            label=floor.summary(state, len(products)),
            key="map",
            on_pick=lambda: _open(st.session_state["map"].picked),
        )
        expect = freshness.expects_changes(clock.value, shared.config.calendar)
        st.html(
            freshness.sources_html(
                [
                    freshness.shelves(reading, clock.value, watched.changed_at, wall, expect_changes=expect),
                    freshness.clock(clock, wall),
                ],
                reading.read_at,
            )
        )
    with panel:
        if shelf is None:
            _urgent(state, products)
        else:
            _detail(products[shelf], state)


def _detail(profile: Profile, state: StoreState | None) -> None:
    with st.container(border=True, key="detail"):
        st.html(figures.shelf_html(profile, state.rows.get(profile.shelf_id) if state else None))
        st.button("Close", key="close", icon=":material/close:", width="stretch", on_click=_open, args=(None,))


def _urgent(state: StoreState | None, products: Mapping[str, Profile]) -> None:
    with st.container(border=True, key="urgent", gap="small"):
        st.markdown("**Emptiest shelves**")
        components.shelf_list(
            shelves=[
                {
                    "id": profile.shelf_id,
                    "name": profile.item_name,
                    "place": f"Aisle {profile.aisle} · {profile.category.capitalize()}",
                    "stock": row.current_stock,
                    "max": row.max_stock,
                    "share": fill.share(row),
                    "band": fill.band(row),
                }
                for profile, row in figures.most_urgent(state, list(products.values()), MOST_URGENT)
            ],
            none="No stock known yet.",
            key="urgent_list",
            on_pick=lambda: _open(st.session_state["urgent_list"].picked),
        )
        st.caption("Select a shelf here or on the map to see its details.")


show()
