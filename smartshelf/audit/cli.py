"""``smartshelf audit``: prove the books on a running store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from smartshelf.audit import quiet, run
from smartshelf.audit.cut import read_cut
from smartshelf.settings import load
from smartshelf.stack import launcher

#: So many differences are printed; --json has them all.
SHOWN = 20


def audit(
    timeout: Annotated[float, typer.Option(help="Real seconds to wait until the store is at rest.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Hold the clock, wait until every event has arrived, compare all books unit by unit, release.

    A stopped store is audited as it is: only Redis, the broker and Postgres are started for it.

    Exit code 0: everything balances; 1: there are differences; 2: the store did not come to rest.

    Example: smartshelf audit --json
    """
    with _servers() as running:
        config = load()
        if running:
            report = run.audit_running(config, timeout)
        else:
            report = run.audit(config, quiet.connect(config), read_cut(config.kafka_bootstrap))
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _print(report)
    raise typer.Exit(0 if report.balanced else 1)


@contextmanager
def _servers() -> Iterator[bool]:
    """True for a running store. The servers of this checkout's stopped store are started for it, and stopped."""
    if not launcher.is_stopped():
        yield True
        return
    launcher.up(only=("redis", "kafka", "postgres"))
    try:
        yield False
    finally:
        launcher.down()


def _print(report: run.Report) -> None:
    decided = f", {report.decided} more decided in it" if report.decided else ""
    typer.echo(f"As of {report.as_of:%Y-%m-%d %H:%M} (step {report.step}), {report.facts} facts{decided}:")
    for source, totals in report.totals.items():
        figures = "  ".join(f"{place} {units}" for place, units in totals.items() if units)
        typer.echo(f"  {source:<8} {figures}")
    for hop, amount in report.in_the_pipe.items():
        typer.echo(f"  in the pipe: {hop}: {amount}")
    if report.told_from_outside:
        outside = "shelves are told of from outside (ingest, foreign feeds) and not compared with the simulated world"
        typer.echo(f"  {report.told_from_outside} {outside}")
    if report.balanced:
        typer.echo("The books balance, per shelf and lot, in every place of record.")
    else:
        typer.echo(f"{len(report.differences)} differences. The first: {report.differences[0]}")
        for difference in report.differences[1:SHOWN]:
            typer.echo(f"  {difference}")
    typer.echo(f"hash {report.hash}")
