"""On-shelf availability and waste as figures, tables and the heat map's rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from operator import itemgetter

import pandas as pd

from dashboard.business import AisleHour, ServiceLevel
from dashboard.queries import Profile
from dashboard.views.figures import Figure
from dashboard.views.text import euros, number, percent, units
from smartshelf.domain.availability import on_shelf


def aisle_names(products: Mapping[str, Profile]) -> dict[int, str]:
    """Aisle -> its number and categories, as on the map."""
    found = sorted({(profile.aisle, profile.category.capitalize()) for profile in products.values()})
    return {aisle: f"{aisle} {', '.join(name for _, name in names)}" for aisle, names in groupby(found, itemgetter(0))}


def key_figures(level: ServiceLevel | None, names: Mapping[int, str]) -> list[Figure]:
    """How well the store served in the period; a dash where nothing is known."""
    hours = level.hours if level else ()
    worst_aisle = _worst(hours, lambda row: row.aisle)
    worst_hour = _worst(hours, lambda row: row.hour)
    wasted = sum(row.units for row in level.waste) if level else 0
    sold = level.sold if level else 0
    return [
        Figure("availability", "On-shelf availability", _share(hours), "open shelf minutes with stock"),
        Figure("worst_aisle", "Worst aisle", worst_aisle[1], names.get(worst_aisle[0], "")),
        Figure("worst_hour", "Worst hour", worst_hour[1], _clock(worst_hour[0]) if hours else ""),
        Figure("sold", "Units sold", number(sold) if level else "–"),
        Figure(
            "wasted",
            "Units thrown away",
            number(wasted) if level else "–",
            f"{percent(wasted / sold, 1)} of units sold" if sold else "",
        ),
        Figure(
            "cost",
            "Cost of waste",
            euros(sum(row.cost for row in level.waste)) if level else "–",
            "at purchase price",
        ),
    ]


def _worst(hours: tuple[AisleHour, ...], key: Callable[[AisleHour], int]) -> tuple[int, str]:
    groups: dict[int, list[AisleHour]] = {}
    for row in hours:
        groups.setdefault(key(row), []).append(row)
    shares = {name: _ratio(rows) for name, rows in groups.items()}
    worst = min(shares, key=lambda name: (shares[name], name), default=-1)
    return worst, percent(shares[worst], 1) if shares else "–"


def _ratio(rows: tuple[AisleHour, ...] | list[AisleHour]) -> float:
    return float(on_shelf(sum(row.out_minutes for row in rows), sum(row.open_minutes for row in rows)))


def _share(rows: tuple[AisleHour, ...]) -> str:
    return percent(_ratio(rows), 1) if rows else "–"


def _clock(hour: int) -> str:
    return f"{hour:02d}:00-{hour + 1:02d}:00"


def heat_frame(level: ServiceLevel, names: Mapping[int, str]) -> pd.DataFrame:
    """One row per aisle and hour of the day: ``aisle``, ``name``, ``hour``, ``availability`` 0-1, ``empty`` minutes."""
    return pd.DataFrame(
        {
            "aisle": [row.aisle for row in level.hours],
            "name": [names.get(row.aisle, str(row.aisle)) for row in level.hours],
            "hour": [_clock(row.hour)[:5] for row in level.hours],
            "availability": [_ratio([row]) for row in level.hours],
            "empty": [row.out_minutes for row in level.hours],
        }
    )


def aisle_frame(level: ServiceLevel, names: Mapping[int, str]) -> pd.DataFrame:
    """One row per aisle, the worst first, for those who cannot see the heat map."""
    rows = []
    for aisle, lines in groupby(level.hours, lambda row: row.aisle):
        hours = tuple(lines)
        worst, share = _worst(hours, lambda row: row.hour)
        empty_hours = sum(row.out_minutes for row in hours) / 60
        rows.append((names.get(aisle, str(aisle)), 100 * _ratio(hours), empty_hours, f"{_clock(worst)} ({share})"))
    frame = pd.DataFrame(rows, columns=["Aisle", "Availability", "Empty shelf hours", "Worst hour"])
    return frame.sort_values(["Availability", "Aisle"], ignore_index=True)


def waste_frame(level: ServiceLevel) -> pd.DataFrame:
    """What was thrown away, the most expensive first."""
    return pd.DataFrame(
        {
            "Category": [row.category.capitalize() for row in level.waste],
            "Why": [row.reason.replace("_", " ").capitalize() for row in level.waste],
            "Where": ["Backroom" if row.location == "warehouse" else "Shelf" for row in level.waste],
            "Units": [row.units for row in level.waste],
            "Cost": [row.cost for row in level.waste],
        }
    )


def summary(level: ServiceLevel) -> str:
    """The heat map in one sentence."""
    below = sum(_ratio([row]) < GOOD for row in level.hours)
    wasted = units(sum(row.units for row in level.waste))
    return (
        f"On-shelf availability by aisle and hour: {number(below)} of {number(len(level.hours))} cells are below "
        f"{percent(GOOD)}. {wasted} were thrown away."
    )


#: Where shopkeepers begin to worry: the lower end of what the store aims at.
GOOD = 0.92
