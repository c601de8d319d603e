"""Numbers, moments and ages as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta


def number(value: float) -> str:
    """A whole number with narrow spaces between thousands, at which no line breaks."""
    return f"{value:,.0f}".replace(",", "\u202f")


def units(count: int) -> str:
    """A number of units with its word."""
    return f"{number(count)} unit{'' if count == 1 else 's'}"


def euros(amount: float) -> str:
    """An amount of money without cents."""
    return f"{number(amount)}\u202f€"


def percent(share: float, digits: int = 0) -> str:
    """A ratio 0-1 in percent; never rounded up to 100 while something is missing."""
    shown = share * 100
    if shown < 100 and round(shown, digits) == 100:
        shown = 100 - 10**-digits
    return f"{shown:.{digits}f}\u202f%"


def moment(when: datetime) -> str:
    """Date and time of day of a simulated instant."""
    return f"{when:%a} {when.day} {when:%b %Y, %H:%M}"


def duration(span: timedelta) -> str:
    """A length of time in its largest one or two units; negative ones count as none."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"


def speed(multiplier: float) -> str:
    """A speed in simulated seconds per real second."""
    return f"{number(multiplier)}×" if multiplier >= 10 else f"{multiplier:.3g}×"


def grams(value: float) -> str:
    """A weight in g below one kilogram, in kg above."""
    return f"{value / 1000:,.1f} kg" if abs(value) >= 1000 else f"{value:,.0f} g"
