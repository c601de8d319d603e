"""``smartshelf bench``: measure the running store."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from smartshelf.bench import shrink, soak
from smartshelf.bench.measures import MEASURES
from smartshelf.bench.table import Figure, markdown
from smartshelf.errors import BadInput
from smartshelf.settings import settings

#: Not of those that run by default: one takes a quarter of an hour or more, the other needs no running store.
SOAK, SHRINK = "soak", "shrink"


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help=f"Any of: {', '.join(MEASURES)}. Default: all. Alone: {SOAK}, {SHRINK}.")
    ] = None,
    days: Annotated[int, typer.Option(min=soak.SETTLING + 2, help="soak, shrink: simulated days to live.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the running store and print a table beside the goals; written to .smartshelf/bench.md too.

    Figures depend on the machine and its other load: compare ratios of one run. `soak` runs days at `auto` and exits
    with 1 when memory, files or the time to Postgres grow by more than 1, 5 or 2 % per simulated day. `shrink` lives
    days in this process, with theft and faulty scales, and scores the alerts against what really happened.

    Example: smartshelf bench latency auto
    """
    if names == [SOAK]:
        _soak(days, as_json)
    if names == [SHRINK]:
        _shrink(days, as_json)
        return
    if unknown := [name for name in names or () if name not in MEASURES]:
        what = "This runs alone" if unknown[0] in (SOAK, SHRINK) else "There is no such measurement"
        remedy = f"Together: {', '.join(MEASURES)}. Alone: {SOAK}, {SHRINK}."
        raise BadInput(what, value=unknown[0], remedy=remedy)
    config = settings()
    figures: list[Figure] = []
    for name in names or MEASURES:
        typer.echo(f"measuring {name} ...", err=True)
        figures += MEASURES[name](config)
    table = markdown(figures)
    (config.home / "bench.md").write_text(table + "\n")
    typer.echo(json.dumps([figure.as_dict() for figure in figures], indent=1) if as_json else table)


def _soak(days: int, as_json: bool) -> None:
    config = settings()
    looks: list[dict[str, object]] = []

    def tell(sample: soak.Sample) -> None:
        # After every day: a month that is cut short has shown something, too.
        looks.append(sample._asdict())
        (config.home / "soak.json").write_text(json.dumps(looks, indent=1))
        told = "  ".join(f"{name} {sample.figures[name]:.4g}" for name in soak.LIMITS)
        typer.echo(f"day {sample.day:5.2f}  {told}", err=True)

    found = soak.slopes(soak.soak(config, days, tell))
    typer.echo(json.dumps([slope._asdict() for slope in found], indent=1) if as_json else soak.table(found))
    raise typer.Exit(1 if any(slope.is_too_steep for slope in found) else 0)


def _shrink(days: int, as_json: bool) -> None:
    evidence = shrink.live(settings(), days)
    found, losses = shrink.scores(evidence.truth, evidence.alerts), shrink.false_losses(evidence.alerts)
    if as_json:
        told = [score._asdict() | {"precision": score.precision, "recall": score.recall} for score in found]
        typer.echo(json.dumps({"scores": told, "false_losses": losses}, indent=1))
    else:
        typer.echo(shrink.table(found, losses, days))
