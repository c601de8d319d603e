"""``smartshelf data facts``: some days of the store in one process, without servers."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from smartshelf.settings import Settings, opens_at, settings


def facts(
    days: Annotated[int | None, typer.Option(min=1, help="Days to live from the store's opening.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Or a moment: 2026-01-01T09:00:00Z.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to. Default: facts in SMARTSHELF_DATA.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Make every fact of some days, as a live store of the same settings and data makes them.

    World and stages run in this process, with the steps, cuts and gate of a live run; `hash` is what `smartshelf
    audit` prints for a live store at the same step, given no edits, commands or scenarios. Missing data are built.

    Example: smartshelf data facts --days 30 --out /tmp/january
    """
    from data.build import MANIFEST, Order, build, parse_start
    from smartshelf.facts.files import Folder
    from smartshelf.facts.process import Process, steps_until

    config, begun = settings(), time.monotonic()
    if not (config.data_dir / MANIFEST).is_file():
        order = Order(
            config.stores, config.scale, config.seed, opens_at(config), near_expiry_days=config.near_expiry_days
        )
        build(config.data_dir, order)
    start = opens_at(config)
    last = steps_until(config, start, days=days, until=parse_start(until) if until else None)
    folder = Folder(out or config.data_dir / "facts")
    process = Process(config, folder.keep)
    a_day = 86_400 // config.step_seconds
    for k in [*range(a_day, last, a_day), last]:
        process.live(k)
        typer.echo(f"{time.monotonic() - begun:6.1f} s  {process.now:%Y-%m-%d %H:%M}  {_made(process)}", err=True)
    folder.states(process.rows)
    folder.close()
    report = _report(config, process, folder.folder, time.monotonic() - begun)
    typer.echo(json.dumps(report, indent=2) if as_json else _text(report))


def _made(process: Any) -> str:
    from smartshelf.contracts.topics import FACTS

    return f"{sum(process.counts[topic.name] for topic in FACTS):,} facts"


def _report(config: Settings, process: Any, folder: Path, seconds: float) -> dict[str, Any]:
    from smartshelf.contracts.topics import FACTS

    shelves = [shelf for world in process.worlds.worlds.values() for shelf in world.shelves]
    baskets = [item.quantity for world in process.worlds.worlds.values() for item in world.baskets()]
    return {
        "stores": list(config.stores),
        "seed": config.seed,
        "step": process.worlds.position.step,
        "as_of": process.now.isoformat().replace("+00:00", "Z"),
        "facts": {topic.name: process.counts[topic.name] for topic in FACTS},
        "totals": {
            "received": sum(shelf.received for shelf in shelves),
            "shelf": sum(shelf.stock for shelf in shelves),
            "backroom": sum(shelf.in_backroom for shelf in shelves),
            "basket": sum(baskets),
            "sold": sum(shelf.sold for shelf in shelves),
            "wasted": sum(shelf.wasted for shelf in shelves),
        },
        "folder": str(folder),
        "seconds": round(seconds, 1),
        "hash": process.hash,
    }


def _text(report: dict[str, Any]) -> str:
    lines = [f"{count:>12,}  {topic}" for topic, count in report["facts"].items()]
    figures = "  ".join(f"{place} {units:,}" for place, units in report["totals"].items())
    return "\n".join(
        [
            f"As of {report['as_of']} (step {report['step']}), {report['seconds']} s:",
            *lines,
            f"Units: {figures}",
            f"Written to {report['folder']}",
            f"hash {report['hash']}",
        ]
    )
