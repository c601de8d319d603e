"""``smartshelf data``: generate what a store starts with."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from data.build import Built, Order, build, parse_start, store_names
from smartshelf.errors import BadInput
from smartshelf.settings import settings

app = typer.Typer(help="Generate the data a store starts with.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Generate the data a store starts with."""


@app.command("build")
def build_command(
    stores: Annotated[int | None, typer.Option(help="Number of stores. Default: those of the setting STORES.")] = None,
    scale: Annotated[float | None, typer.Option(help="Multiplies the shelves. Default: the setting SCALE.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same bytes. Default: the setting SEED.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to. Default: the setting SMARTSHELF_DATA.")] = None,
    history: Annotated[str, typer.Option(help="Stores whose year is written: first or all.")] = "first",
    start: Annotated[str | None, typer.Option(help="First simulated day. Default: the setting SIM_START.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Write profiles, policies, suppliers, a year of history, opening stock, lots and weekly discounts.

    Example: smartshelf data build --stores 2 --scale 0.5 --seed 7 --out /tmp/two-small-stores
    """
    now = settings()
    order = Order(
        stores=now.stores if stores is None else store_names(stores),
        scale=now.scale if scale is None else scale,
        seed=now.seed if seed is None else seed,
        start=_first_moment() if start is None else parse_start(start),
        history=_which(history),
        near_expiry_days=now.near_expiry_days,
    )
    built = build(out or now.data_dir, order)
    typer.echo(_as_json(built) if as_json else _as_text(built))


@app.command("check")
def check_command(
    out: Annotated[Path | None, typer.Option(help="Folder to look at. Default: the setting SMARTSHELF_DATA.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Measure the generated data and compare with its targets; exit code 1 when one is missed.

    Example: smartshelf data check --out /tmp/two-small-stores
    """
    from data.check import checks
    from data.measures import Year

    found = list(checks(Year(out or settings().data_dir)))
    if as_json:
        rows = [{"name": c.name, "low": c.low, "high": c.high, "value": c.value, "ok": c.ok} for c in found]
        typer.echo(json.dumps({"ok": all(c.ok for c in found), "checks": rows}))
    else:
        width = max(len(c.name) for c in found)
        for c in found:
            typer.echo(f"{'ok    ' if c.ok else 'MISSED'}  {c.name:<{width}}  {c.show(c.value):>11}  ({c.target})")
    if not all(c.ok for c in found):
        raise typer.Exit(1)


@app.command("plots")
def plots_command(
    to: Annotated[Path, typer.Option("--out", help="Folder for the picture.")],
    data: Annotated[Path | None, typer.Option(help="Folder to look at. Default: the setting SMARTSHELF_DATA.")] = None,
) -> None:
    """Draw the year of history: weekdays, hours, seasons, availability (year.svg).

    Example: smartshelf data plots --out data/docs
    """
    from data.measures import Year
    from data.plots import charts, svg

    picture = svg(charts(Year(data or settings().data_dir)))
    try:
        to.mkdir(parents=True, exist_ok=True)
        (to / "year.svg").write_text(picture, encoding="utf-8")
    except OSError as failed:
        raise BadInput(f"{to} cannot be written: {failed.strerror}", remedy="Name another folder with --out.") from None
    typer.echo(f"Drawn: {to / 'year.svg'}")


def _which(history: str) -> Literal["first", "all"]:
    if history == "first":
        return "first"
    if history == "all":
        return "all"
    raise BadInput("No such choice of stores for --history", value=history, remedy="Use first or all.")


def _first_moment() -> datetime:
    """SIM_START, or today at the same time of day where time is real."""
    now = settings()
    if now.use_simulated_time:
        return now.sim_start
    return datetime.combine(datetime.now(UTC).date(), now.sim_start.timetz())


def _as_json(built: Built) -> str:
    return json.dumps({"folder": str(built.folder), "skipped": built.skipped, "rows": built.rows})


def _as_text(built: Built) -> str:
    if built.skipped:
        return f"{built.folder} already has just these files; nothing to do."
    return "\n".join([f"{rows:>9,}  {name}" for name, rows in built.rows.items()] + [f"Written to {built.folder}"])
