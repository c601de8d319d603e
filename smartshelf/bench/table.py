"""One line of the bench table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple


class Figure(NamedTuple):
    """A measured figure beside its goal; ``value`` and ``goal`` in ``unit``."""

    name: str
    value: float
    unit: str
    goal: str
    note: str = ""

    def as_dict(self) -> dict[str, object]:
        return self._asdict()


def markdown(figures: Iterable[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| figure | measured | goal | how |", "|---|---|---|---|"]
    for figure in figures:
        lines.append(f"| {figure.name} | {_rounded(figure.value)} {figure.unit} | {figure.goal} | {figure.note} |")
    return "\n".join(lines)


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percentile(values: Iterable[float], share: float) -> float:
    """Nearest-rank percentile; ``share`` 0-1; ``values`` must not be empty."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
