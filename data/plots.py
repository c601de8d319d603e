"""The year as one picture: SVG written by hand, so that drawing needs no library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from data.measures import Year
from smartshelf.domain.demand import OPENS

Numbers = NDArray[np.float64]

WIDTH, HEIGHT, GAP = 400, 230, 30
LEFT, TOP, BOTTOM = 44, 44, 26
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("J", "F", "M", "A", "M", "J", "J", "A", "S", "O", "N", "D")
STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #57606a }
  .title { font-size: 13px; font-weight: 600; fill: #1f2328 }
  .grid { stroke: #d8dee4; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round }
  .c0 { stroke: #0969da } .c1 { stroke: #bf5b04 } .c2 { stroke: #1a7f37 }
  .f0 { fill: #0969da } .f1 { fill: #bf5b04 } .f2 { fill: #1a7f37 }
  .bar { fill: #0969da; fill-opacity: .75 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 } .title { fill: #f0f6fc } .grid { stroke: #3d444d }
    .c0 { stroke: #4493f8 } .c1 { stroke: #e3893a } .c2 { stroke: #3fb950 }
    .f0, .bar { fill: #4493f8 } .f1 { fill: #e3893a } .f2 { fill: #3fb950 }
  }
"""


@dataclass(frozen=True)
class Chart:
    """A small chart; ``lines`` by name, values over the same places as ``labels``. ``bars``: drawn from zero."""

    title: str
    labels: Sequence[str]
    lines: dict[str, Numbers]
    low: float
    high: float
    percent: bool = False
    bars: bool = False

    def draw(self, x: float, y: float) -> str:
        inner, depth = WIDTH - LEFT, HEIGHT - TOP - BOTTOM

        def up(value: float) -> float:
            return TOP + depth * (1 - (value - self.low) / (self.high - self.low))

        step = inner / len(self.labels)
        parts = [f'<g transform="translate({x:g},{y:g})">', f'<text class="title" y="14">{escape(self.title)}</text>']
        for value in np.linspace(self.low, self.high, 4):
            said = f"{100 * value:.0f} %" if self.percent else f"{value:.2f}"
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{up(value):.1f}" y2="{up(value):.1f}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{up(value) + 4:.1f}" text-anchor="end">{said}</text>')
        for place, label in enumerate(self.labels):
            middle = LEFT + (place + 0.5) * step
            parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(label)}</text>')
        for number, (name, values) in enumerate(self.lines.items()):
            if self.bars:
                parts += [
                    f'<rect class="bar" x="{LEFT + (place + 0.18) * step:.1f}" y="{up(value):.1f}" '
                    f'width="{0.64 * step:.1f}" height="{max(up(self.low) - up(value), 0):.1f}" rx="2"/>'
                    for place, value in enumerate(values.tolist())
                ]
                continue
            stretch = inner / len(values)
            points = " ".join(
                f"{LEFT + (place + 0.5) * stretch:.1f},{up(value):.1f}" for place, value in enumerate(values.tolist())
            )
            parts.append(f'<polyline class="line c{number}" points="{points}"/>')
            parts.append(f'<text class="f{number}" x="{LEFT + 8 + number * 105}" y="32">{escape(name)}</text>')
        return "\n".join([*parts, "</g>"])


def charts(year: Year) -> list[Chart]:
    """Weekday, hour, season and availability of a year."""
    workday, weekend = year.hour_shares(weekend=False), year.hour_shares(weekend=True)
    hours = [str(OPENS + hour) for hour in range(len(workday))]
    season = {
        "cold drinks, beer": year.monthly({"BEVERAGES", "BEERS"}),
        "hot drinks": year.monthly({"HOT BEVERAGES"}),
        "sweets": year.monthly({"SWEETS AND BREAKFAST"}),
    }
    units, available = _weekly(year)
    return [
        Chart("Visits by weekday, mean day = 1", WEEKDAYS, {"visits": year.weekday_visits}, 0, 1.2, bars=True),
        Chart(
            "Units by hour, share of the day", hours, {"Monday to Friday": workday, "weekend": weekend}, 0, 0.15, True
        ),
        Chart("Units by month, mean = 1", MONTHS, season, 0.6, 1.5),
        Chart("Week by week", MONTHS, {"units, mean = 1": units, "on-shelf availability": available}, 0.7, 1.3),
    ]


def svg(drawn: Sequence[Chart], columns: int = 2) -> str:
    """The charts in rows, as one picture that follows the reader's light or dark theme."""
    rows = -(-len(drawn) // columns)
    width, height = columns * (WIDTH + GAP) + GAP, rows * (HEIGHT + GAP) + GAP
    body = "\n".join(
        chart.draw(GAP + (place % columns) * (WIDTH + GAP), GAP + (place // columns) * (HEIGHT + GAP))
        for place, chart in enumerate(drawn)
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="A year">'
    return f"{head}\n<style>{STYLE}</style>\n{body}\n</svg>\n"


def _weekly(year: Year) -> tuple[Numbers, Numbers]:
    """By whole week of the year: units relative to the mean week, and shelf-days without a stock-out."""
    dates = year.panel["feature_date"].astype("datetime64[D]").astype(np.int64)
    week = (dates - dates.min()) // 7
    whole = int(week.max()) if (week == week.max()).sum() < (week == 0).sum() else int(week.max()) + 1
    units = np.bincount(week, year.panel["sales_qty"])[:whole]
    fine = np.bincount(week, year.panel["stockout_minutes"] == 0)[:whole] / np.bincount(week)[:whole]
    return units / units.mean(), fine
