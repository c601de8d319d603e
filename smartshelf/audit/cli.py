"""``smartshelf audit``: prove the books on a running store."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from simulated_time.store import Clock
from smartshelf.audit import quiet, run
from smartshelf.settings import settings

#: So many differences are printed; --json has them all.
SHOWN = 20


def audit(
    timeout: Annotated[float, typer.Option(help="Real seconds to wait until the store is at rest.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Hold the clock, wait until every event has arrived, compare all books to the unit, release.

    Exit code 0: everything balances; 1: there are differences; 2: the store did not come to rest.

    Example: smartshelf audit --json
    """
    config = settings()
    client = quiet.connect(config)
    with quiet.held(Clock(client), "the books are being audited"):
        report = run.audit(config, client, quiet.wait_until_quiet(config, client, timeout))
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _print(report)
    raise typer.Exit(0 if report.balanced else 1)


def _print(report: run.Report) -> None:
    typer.echo(f"As of {report.as_of:%Y-%m-%d %H:%M} (step {report.step}), {report.facts} facts:")
    for source, totals in report.totals.items():
        figures = "  ".join(f"{place} {units}" for place, units in totals.items() if units)
        typer.echo(f"  {source:<8} {figures}")
    if report.balanced:
        typer.echo("The books balance: opening = on shelves + in baskets + sold, per shelf, in every place of record.")
    else:
        typer.echo(f"{len(report.differences)} differences. The first: {report.differences[0]}")
        for difference in report.differences[1:SHOWN]:
            typer.echo(f"  {difference}")
    typer.echo(f"hash {report.hash}")
