"""Asking the store for something on a page: in whose name, the button, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from dashboard import actions
from dashboard.queries import Feed

#: Real time from which on a missing answer is worth a word; one takes about a second.
PATIENCE = timedelta(seconds=15)


def name_box() -> None:
    """Who asks; the store notes it beside what it did."""
    # Streamlit forgets a widget that a page does not show: the name is kept beside it.
    st.session_state.setdefault("who", st.session_state.get("name", ""))
    st.text_input(
        "Your name", key="who", placeholder="Noted with what you do", icon=":material/person:", on_change=_keep_name
    )


def button(
    feed: Feed, store_id: str, label: str, icon: str, kind: str, what: Mapping[str, Any], subject: str | None
) -> None:
    """Ask for ``what`` of a ``kind`` about an alert or a plan; off without subject and while its answer is awaited."""
    st.button(
        label,
        icon=f":material/{icon}:",
        key=f"{kind}-{subject}" if subject else kind,
        disabled=subject is None or any(subject == asked.subject for asked in _asked()),
        on_click=_ask,
        args=(feed, store_id, {"kind": kind, **what}, subject),
    )


def outcomes(feed: Feed) -> None:
    """Say what came of earlier commands, each once, and which have waited for long."""
    told: list[actions.Outcome] = [st.session_state.pop("refused")] if "refused" in st.session_state else []
    waiting = []
    for asked in _asked():
        outcome = actions.answer(feed, asked)
        told += [outcome] if outcome else []
        waiting += [] if outcome else [asked]
    st.session_state["asked"] = waiting
    for outcome in told:
        st.toast(outcome.sentence, icon=f":material/{'check' if outcome.done else 'error'}:")
    if any(datetime.now(UTC) - asked.at > PATIENCE for asked in waiting):
        st.info(
            "The store has not answered yet; what you asked for is kept until it does. `smartshelf status` shows what "
            "runs.",
            icon=":material/hourglass_top:",
        )


def _keep_name() -> None:
    st.session_state["name"] = st.session_state["who"]


def _asked() -> list[actions.AskedFor]:
    waiting: list[actions.AskedFor] = st.session_state.setdefault("asked", [])
    return waiting


def _ask(feed: Feed, store_id: str, what: dict[str, Any], subject: str) -> None:
    who = st.session_state.get("who") or "dashboard"
    asked = actions.ask(feed, store_id, who, what, subject, datetime.now(UTC))
    if isinstance(asked, actions.Outcome):
        st.session_state["refused"] = asked
    else:
        _asked().append(asked)
