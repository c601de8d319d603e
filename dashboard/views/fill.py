"""How full a shelf is, as a band and as a colour."""

from __future__ import annotations

from typing import Literal

from dashboard.queries import ShelfRow

Band = Literal["unknown", "empty", "low", "medium", "full"]

#: Bands in the order of urgency, with the words people see.
BANDS: dict[Band, str] = {
    "empty": "Empty",
    "low": "Low (under 30 %)",
    "medium": "Medium (30-70 %)",
    "full": "Well filled (over 70 %)",
    "unknown": "No data yet",
}
LOW_BELOW, FULL_ABOVE = 0.30, 0.70

#: Colours from empty to full. Lightness changes in one direction only and the hues run from
#: vermilion to blue, which all common kinds of colour vision tell apart; full shelves recede.
RAMP_LIGHT = ("#8c1d2f", "#b1432c", "#cf6f35", "#dc9c4d", "#ddbf86", "#b9cfd0", "#bdd8e0", "#cfe3ea")
RAMP_DARK = ("#ffb4a2", "#ff9d76", "#ea8f4a", "#c48a3e", "#92794a", "#4f7480", "#3a6373", "#2c4e5f")


def share(row: ShelfRow) -> float:
    """Part of the maximum that lies on the shelf, 0-1; a negative or overfull stock counts as 0 or 1."""
    if row.max_stock <= 0:
        return 1.0 if row.current_stock > 0 else 0.0
    return min(1.0, max(0.0, row.current_stock / row.max_stock))


def band(row: ShelfRow | None) -> Band:
    """The band of a shelf; ``unknown`` while it has no row."""
    if row is None:
        return "unknown"
    if row.current_stock <= 0:
        return "empty"
    filled = share(row)
    return "low" if filled < LOW_BELOW else "full" if filled > FULL_ABOVE else "medium"
