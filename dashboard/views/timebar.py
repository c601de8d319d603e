"""The store's time and what its clock does, as HTML."""

from __future__ import annotations

from html import escape

from dashboard.views.text import moment, speed
from simulated_time.store import Status
from smartshelf.domain.calendar import Calendar

STATES = {
    "running": "Running",
    "auto": "Auto",
    "advancing": "Fast-forward",
    "paused": "Paused",
    "held": "Held",
    "ended": "Ended",
    "stopped": "Clock stopped",
}


def time_html(status: Status | None, calendar: Calendar) -> str:
    """Time of day, date, whether the store is open, and the clock's state."""
    if status is None:
        waiting = "The clock has not started yet"
        return f'<div class="shelf-time"><div class="hour">--:--</div><div class="day">{waiting}</div></div>'
    now, open_ = status.now, calendar.is_open(status.now)
    return (
        '<div class="shelf-time">'
        f'<div class="hour" data-figure="time">{now:%H:%M}</div>'
        f'<div class="day"><span>{now:%A} {now.day} {now:%B %Y}</span>'
        f'<span><em class="state {status.state}" data-figure="state">{STATES[status.state]}</em>'
        f'<span class="door">{"Store open" if open_ else "Store closed"}</span>'
        f'<span class="pace">{escape(pace(status))}</span></span></div></div>'
    )


def pace(status: Status) -> str:
    """The speed in a few words: what was asked for, and what is achieved where that differs."""
    if status.state in ("paused", "held", "stopped", "ended"):
        return "" if status.state == "paused" else status.text
    achieved = status.achieved
    if status.state == "advancing":
        goal = f"to {moment(status.goal)}" if status.goal else ""
        return f"{goal} · {speed(achieved)}" if achieved else goal
    if status.state == "auto":
        return speed(achieved) if achieved else ""
    asked = speed(status.speed)
    if achieved is not None and abs(achieved - status.speed) > 0.25 * status.speed:
        return f"{speed(achieved)} of {asked}" if achieved else f"{asked}, waiting for the pipeline"
    return asked
