"""The key figures of a store and their HTML."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from itertools import pairwise

from dashboard.queries import Profile, ShelfRow, StoreState, Trend
from dashboard.views import fill
from dashboard.views.text import grams, number, percent, units

#: A line of the trend is drawn from this many readings on.
SHORTEST_TREND = 4
#: Real seconds that are told as a minute.
NEARLY_A_MINUTE = 55


@dataclass(frozen=True)
class Figure:
    """A number with its name, what it is measured against, and its recent past."""

    key: str
    label: str
    value: str
    note: str = ""
    trend: tuple[float, ...] = ()


def key_figures(state: StoreState | None, shelves: int, trend: Sequence[Trend] = ()) -> list[Figure]:
    """What an operator looks at first. ``shelves``: how many there should be. A dash where nothing is known."""
    rows = list(state.rows.values()) if state else []
    if not rows:
        names = (
            ("available", "On-shelf availability"),
            ("empty", "Empty shelves"),
            ("low", "Low shelves"),
            ("on_shelves", "Units on shelves"),
            ("in_baskets", "Units in baskets"),
            ("changes", "Stock changes"),
        )
        return [Figure(key, label, "–") for key, label in names]
    bands = [fill.band(row) for row in rows]
    stock = sum(row.current_stock for row in rows)
    room = sum(row.max_stock for row in rows)
    available = sum(row.current_stock > 0 for row in rows)
    return [
        Figure(
            "available",
            "On-shelf availability",
            percent(available / len(rows), 1),
            f"{number(available)} of {number(shelves)} shelves",
            tuple(point.available for point in trend),
        ),
        Figure("empty", "Empty shelves", number(bands.count("empty")), "nothing to buy"),
        Figure("low", "Low shelves", number(bands.count("low")), "under 30\u202f% of maximum"),
        Figure(
            "on_shelves",
            "Units on shelves",
            number(stock),
            f"{percent(stock / room)} of capacity" if room else "",
            tuple(point.on_shelves for point in trend),
        ),
        Figure(
            "in_baskets",
            "Units in baskets",
            number(sum(row.in_baskets for row in rows)),
            "taken, not paid yet",
            tuple(point.in_baskets for point in trend),
        ),
        changes_figure(trend),
    ]


def changes_figure(trend: Sequence[Trend]) -> Figure:
    """Inputs folded into the shelf states in the last real minute, from the rows' versions."""
    label, note = "Stock changes", "in the last minute"
    if len(trend) < 2:
        return Figure("changes", label, "–", note)
    since = trend[-1].at - timedelta(minutes=1)
    first = next(point for point in trend if point.at >= since)
    seconds = (trend[-1].at - first.at).total_seconds()
    if seconds < NEARLY_A_MINUTE:
        note = f"in the last {max(1, int(seconds))} s"
    return Figure(
        "changes",
        label,
        number(trend[-1].changes - first.changes),
        note,
        tuple(later.changes - earlier.changes for earlier, later in pairwise(trend)),
    )


def figures_html(figures: Sequence[Figure]) -> str:
    """The row of key figures."""
    return f'<div class="shelf-figures" role="group" aria-label="Key figures">{"".join(map(_tile, figures))}</div>'


def _tile(figure: Figure) -> str:
    return (
        f'<div class="tile" data-figure="{figure.key}"><div class="name">{escape(figure.label)}</div>'
        f'<div class="value">{escape(figure.value)}</div>'
        f'<div class="note">{escape(figure.note) or "&nbsp;"}</div>{sparkline(figure.trend)}</div>'
    )


def sparkline(values: Sequence[float]) -> str:
    """A small line of recent values; empty while there is too little to draw.

    An image, because Streamlit takes SVG elements out of a page's HTML.
    """
    if len(values) < SHORTEST_TREND:
        return ""
    low, span = min(values), max(values) - min(values)
    step = 100 / (len(values) - 1)
    points = " ".join(
        f"{index * step:.1f},{23 - 20 * ((value - low) / span if span else 0.5):.1f}"
        for index, value in enumerate(values)
    )
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 26" preserveAspectRatio="none"><polyline '
        f'points="{points}" fill="none" stroke="#2b93a8" stroke-width="1.6" vector-effect="non-scaling-stroke"/></svg>'
    )
    return f'<img class="trend" alt="" src="data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}">'


@dataclass(frozen=True)
class SensorCheck:
    """Weight measured against stock x weight of an item, in grams; ``agrees`` within half an item."""

    measured: float
    expected: float
    item_weight: float

    @property
    def agrees(self) -> bool:
        return abs(self.measured - self.expected) <= self.item_weight / 2

    @property
    def sentence(self) -> str:
        if self.agrees:
            return f"Scale agrees: {grams(self.measured)}"
        units = (self.measured - self.expected) / self.item_weight
        return f"Scale differs: {grams(self.measured)} measured, {grams(self.expected)} expected ({units:+.1f} units)"


def sensor_check(row: ShelfRow, profile: Profile) -> SensorCheck:
    """What the shelf weighs against what should lie on it."""
    return SensorCheck(row.shelf_weight, row.current_stock * profile.item_weight, profile.item_weight)


def most_urgent(state: StoreState | None, products: Sequence[Profile], count: int) -> list[tuple[Profile, ShelfRow]]:
    """The emptiest shelves, the larger shelf first among equals."""
    if state is None:
        return []
    known = [(profile, row) for profile in products if (row := state.rows.get(profile.shelf_id))]
    known.sort(key=lambda pair: (fill.share(pair[1]), -pair[1].max_stock, pair[0].shelf_id))
    return known[:count]


def shelf_html(profile: Profile, row: ShelfRow | None) -> str:
    """All that is known of one shelf."""
    head = (
        f'<div class="kind">Aisle {profile.aisle} · {escape(profile.category.capitalize())}</div>'
        f'<div class="product">{escape(profile.item_name)}</div>'
        f'<div class="kind">{escape(profile.shelf_id)} · {escape(profile.subcategory)}</div>'
    )
    return f'<div class="shelf-card">{head}{_stock(row)}<dl>{_facts(profile, row)}</dl></div>'


def _stock(row: ShelfRow | None) -> str:
    if row is None:
        return '<div class="stock unknown">No stock known yet</div>'
    filled = fill.share(row)
    return (
        f'<div class="stock" data-band="{fill.band(row)}"><b>{number(row.current_stock)}</b>'
        f"<span>of {number(row.max_stock)} units · {percent(filled)}</span></div>"
        f'<div class="bar" data-band="{fill.band(row)}"><i style="width:{filled:.1%}"></i></div>'
    )


def _facts(profile: Profile, row: ShelfRow | None) -> str:
    facts: list[tuple[str, str]] = []
    if row is not None:
        facts += [
            ("In baskets", units(row.in_baskets)),
            ("On the way", units(row.on_the_way)),
            ("Last change", f"{row.last_update_ts:%d %b, %H:%M}"),
            ("Sensor", sensor_check(row, profile).sentence),
        ]
        if row.current_stock < 0:
            facts.append(("Books", "Stock is negative: more was taken than was known to be there"))
    facts += [
        ("Price", f"{profile.item_price:.2f} €"),
        ("Item weight", grams(profile.item_weight)),
        ("Storage", profile.storage_zone),
        ("Supplier", profile.supplier_id),
        ("Batch", units(profile.standard_batch_size)),
        ("Shelf life", f"{number(profile.shelf_life_days)} days"),
    ]
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
