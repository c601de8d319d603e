"""The two parts of the page that Streamlit has no command for: the store map and the list of shelves.

``st.plotly_chart`` makes the whole figure part of the chart's identity, so that each refresh builds it
anew and loses zoom and selection. Here the drawing stays and only what differs is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent


def _register(name: str) -> Callable[..., Any]:
    html, css, js = ((HERE / f"{name}.{kind}").read_text() for kind in ("html", "css", "js"))
    return st.components.v2.component(name, html=html, css=css, js=js)


_store_map = _register("store_map")
_shelf_list = _register("shelf_list")


def store_map(
    *, drawing: str, live: str, selected: str | None, label: str, key: str, on_pick: Callable[[], None]
) -> None:
    """The map; ``drawing`` and ``live`` come from views.floor.

    A click sets ``session_state[key].picked`` to the shelf's id and calls ``on_pick``.
    """
    data = {"floor": drawing, "live": live, "selected": selected, "label": label}
    _store_map(key=key, data=data, on_picked_change=on_pick)


def shelf_list(*, shelves: Sequence[Mapping[str, Any]], none: str, key: str, on_pick: Callable[[], None]) -> None:
    """A list of shelves (id, name, place, stock, max, share, band); ``none`` is said when it is empty."""
    _shelf_list(key=key, data={"shelves": list(shelves), "none": none}, on_picked_change=on_pick)
