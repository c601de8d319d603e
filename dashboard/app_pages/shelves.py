"""All shelves as a table, with filters."""

from __future__ import annotations

import streamlit as st

from dashboard.controls import choose_store, clock_bar, live, say_if_stale
from dashboard.queries import Feed, feed
from dashboard.views import fill, table
from dashboard.views.text import number


def show() -> None:
    """Draw the page; clock and table refresh themselves every DASH_REFRESH_MS."""
    shared = feed()
    live(clock_bar, shared)
    store_id = choose_store(shared)
    products = shared.products(store_id)
    search, category, filling = st.columns([1, 1, 1.7], vertical_alignment="bottom")
    words = search.text_input("Search", key="words", placeholder="Product, shelf, kind", icon=":material/search:")
    chosen = category.multiselect(
        "Category", table.categories(products), key="categories", placeholder="All", format_func=str.capitalize
    )
    bands = filling.pills(
        "Filling",
        list(fill.BANDS),
        selection_mode="multi",
        key="bands",
        format_func=lambda band: fill.BANDS[band],
        wrap=True,
    )
    wish = table.Filter(words or "", frozenset(chosen), frozenset(bands))
    live(_rows, shared, store_id, wish)


def _rows(shared: Feed, store_id: str, wish: table.Filter) -> None:
    products = shared.products(store_id)
    reading = shared.store(store_id).get()
    frame = table.frame(products, reading.value, wish)
    say_if_stale(reading)
    st.caption(f"{number(len(frame))} of {number(len(products))} shelves")
    st.dataframe(
        frame,
        key="table",
        hide_index=True,
        height=600,
        alt="Shelves with stock, filling, baskets and product",
        column_config={
            "Filled": st.column_config.ProgressColumn(format="%d %%", min_value=0, max_value=100),
            "Price": st.column_config.NumberColumn(format="%.2f €"),
            "Weight": st.column_config.NumberColumn(format="%.0f g", help="What the shelf's scale shows"),
            "Sensor off by": st.column_config.NumberColumn(
                format="%+.0f g", help="Weight measured minus stock × weight of an item"
            ),
            "Last change": st.column_config.DatetimeColumn(format="D MMM, HH:mm", timezone="UTC"),
        },
    )


show()
