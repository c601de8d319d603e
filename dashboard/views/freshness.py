"""How old what is shown is, and which source does not answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Any, Literal

from dashboard.last_known import Reading
from dashboard.queries import Profiles, StoreState
from dashboard.views.text import duration, moment, number
from simulated_time.store import Status
from smartshelf.domain.calendar import Calendar

Tone = Literal["good", "waiting", "down"]

#: Real time without a change while an open store's clock runs, from which on it is worth a word.
QUIET_AFTER = timedelta(seconds=20)


@dataclass(frozen=True)
class Source:
    """One source with its state in a few words and in a sentence."""

    name: str
    tone: Tone
    text: str
    #: The figure to show large where there is room for one.
    figure: str = ""


def shelves(
    reading: Reading[StoreState],
    clock: Status | None,
    changed_at: datetime | None,
    wall: datetime,
    *,
    expect_changes: bool,
) -> Source:
    """The live rows: how far they are behind the store's time, and when they last changed here."""
    name = "Shelf states"
    if reading.problem:
        return Source(name, "down", f"{reading.problem}. {_kept(reading, wall)}")
    state = reading.value
    if state is None or state.newest is None:
        return Source(name, "waiting", "no rows yet")
    behind = duration(clock.now - state.newest) if clock else None
    age = f"newest change {behind} ago" if behind else f"newest change {moment(state.newest)}"
    seen = duration(wall - changed_at) if changed_at else "?"
    if expect_changes and changed_at and wall - changed_at > QUIET_AFTER:
        return Source(name, "waiting", f"nothing has changed for {seen}; {age} (store time)", seen)
    return Source(name, "good", f"{age} (store time), seen {seen} ago", seen)


def clock(reading: Reading[Status], wall: datetime) -> Source:
    """The clock: what it does, or since when nothing is heard of it."""
    if reading.problem:
        return Source("Clock", "down", f"{reading.problem}. {_kept(reading, wall)}")
    if reading.value is None:
        return Source("Clock", "waiting", "not read yet")
    status = reading.value
    return Source("Clock", "good" if status.alive else "down", status.text, f"{status.now:%H:%M}")


def profiles(reading: Reading[Profiles], store_id: str, wall: datetime) -> Source:
    """The products: from Postgres, or the catalogue's."""
    found = reading.value.by_store.get(store_id, {}) if reading.value else {}
    if reading.problem:
        return Source("Products", "down", f"{reading.problem}. {_kept(reading, wall) if found else 'Catalogue shown'}")
    if not found:
        return Source("Products", "waiting", "no profiles yet; catalogue shown")
    return Source(
        "Products", "good", f"{number(len(found))} profiles, read {_age(reading, wall)} ago", number(len(found))
    )


def problem(reading: Reading[Any], wall: datetime) -> str | None:
    """What is wrong with a source and how old its last values are; None while it answers."""
    if not reading.problem:
        return None
    return " ".join(filter(None, (f"{reading.problem}. {_kept(reading, wall)}.", reading.remedy)))


def expects_changes(clock: Status | None, calendar: Calendar) -> bool:
    """Whether stock should be moving: time passes and the store is open."""
    return clock is not None and clock.state in ("running", "auto", "advancing") and calendar.is_open(clock.now)


def _kept(reading: Reading[Any], wall: datetime) -> str:
    return f"Last known values, {_age(reading, wall)} old" if reading.read_at else "Nothing known yet"


def _age(reading: Reading[Any], wall: datetime) -> str:
    return duration(wall - reading.read_at) if reading.read_at else "?"


MARKS: dict[Tone, tuple[str, str]] = {"good": ("●", "working"), "waiting": ("◐", "waiting"), "down": ("▲", "down")}


def sources_html(sources: list[Source], read_at: datetime | None = None) -> str:
    """One line of all sources, with marks that do not depend on colour alone; ``read_at`` tells readings apart."""
    read = f' data-read="{read_at.isoformat()}"' if read_at else ""
    return f'<div class="shelf-sources"{read}>{"".join(map(_line, sources))}</div>'


def _line(source: Source) -> str:
    mark, word = MARKS[source.tone]
    return (
        f'<span class="source {source.tone}"><i role="img" aria-label="{word}">{mark}</i>'
        f"<b>{escape(source.name)}</b> {escape(source.text)}</span>"
    )


def cards_html(sources: list[Source]) -> str:
    """One card per source with its figure."""
    return f'<div class="shelf-cards">{"".join(map(_card, sources))}</div>'


def _card(source: Source) -> str:
    mark, word = MARKS[source.tone]
    head = f"<i>{mark}</i><b>{escape(source.name)}</b><em>{word}</em>"
    return (
        f'<div class="card {source.tone}"><div class="head">{head}</div>'
        f'<div class="figure">{escape(source.figure) or "–"}</div><div class="text">{escape(source.text)}</div></div>'
    )


def setting_up(state: StoreState | None, shelves: int) -> str | None:
    """What to wait for while the store is not complete; None when it is."""
    there = len(state.rows) if state else 0
    if there >= shelves:
        return None
    if there == 0:
        return (
            "The store is being set up: its shelves are drawn, their stock is not known yet. "
            "This page fills by itself as soon as the first rows arrive, usually within a minute after `up`."
        )
    return f"The stock of {number(there)} of {number(shelves)} shelves has arrived; the others follow."
