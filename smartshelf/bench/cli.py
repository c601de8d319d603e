"""``smartshelf bench``: measure the running store."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from smartshelf.bench.measures import MEASURES
from smartshelf.bench.table import Figure, markdown
from smartshelf.errors import BadInput
from smartshelf.settings import settings


def bench(
    names: Annotated[list[str] | None, typer.Argument(help=f"Any of: {', '.join(MEASURES)}. Default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the running store and print a table beside the goals; written to .smartshelf/bench.md too.

    Figures depend on the machine and its other load: compare ratios of one run.

    Example: smartshelf bench latency auto
    """
    if unknown := [name for name in names or () if name not in MEASURES]:
        raise BadInput("There is no such measurement", value=unknown[0], remedy=f"Measurements: {', '.join(MEASURES)}.")
    config = settings()
    figures: list[Figure] = []
    for name in names or MEASURES:
        typer.echo(f"measuring {name} ...", err=True)
        figures += MEASURES[name](config)
    table = markdown(figures)
    (config.home / "bench.md").write_text(table + "\n")
    typer.echo(json.dumps([figure.as_dict() for figure in figures], indent=1) if as_json else table)
