"""``smartshelf ingest``: a file of deliveries, sales, products or policies."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from smartshelf.ingest import mapping as mappings
from smartshelf.ingest.kinds import KINDS
from smartshelf.ingest.run import SHOWN, Report
from smartshelf.ingest.run import ingest as take_in
from smartshelf.settings import settings

KindName = StrEnum("KindName", {name: name for name in KINDS})  # type: ignore[misc]  # the kinds are one table


def ingest(
    file: Annotated[Path, typer.Argument(help="CSV, JSON array or JSON lines; .gz as well.")],
    kind: Annotated[KindName, typer.Option("--as", help="What its rows are.")],
    mapping: Annotated[Path | None, typer.Option(help="YAML: what the file calls our columns.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Such as latin-1; default: UTF-8.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of a CSV; default: the one that fits its header.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check a file by the gates and let what passes into the running store; the same file twice changes nothing.

    A file with more than 5 % anomalous rows is refused; fewer are quarantined, each with its reasons.

    Exit code 0: accepted, now or before; 1: refused; 2: it could not be read, or the store does not answer.

    Example: smartshelf ingest smartshelf/ingest/examples/deliveries.csv --as deliveries
    """
    begun = time.monotonic()

    def say(text: str) -> None:
        typer.echo(f"{time.monotonic() - begun:6.1f} s  {text}", err=as_json)

    told = {"encoding": encoding, "delimiter": delimiter}
    reading = mappings.read(mapping, {name: value for name, value in told.items() if value})
    report = take_in(settings(), file, KINDS[kind.value], reading, say)
    if as_json:
        typer.echo(json.dumps(_document(report), default=_plain))
    else:
        _print(report)
    raise typer.Exit(int(report.run.verdict == "refused"))


def _document(report: Report) -> dict[str, Any]:
    return asdict(report.run) | {
        "again": report.again,
        "effect": report.effect,
        "ignored": report.ignored,
        "examples": report.examples,
    }


def _plain(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat().replace("+00:00", "Z")


def _print(report: Report) -> None:
    run = report.run
    if report.again:
        finished = f" on {run.finished:%Y-%m-%d %H:%M}" if run.finished else ""
        typer.echo(f"{run.file_name} was already ingested as {run.kind}{finished}: nothing changes.")
        return
    typer.echo(f"{run.file_name} as {run.kind}: {run.verdict}. {run.why}.")
    typer.echo(f"  accepted {run.accepted}  known {run.known}  quarantined {run.quarantined}  of {run.rows} rows")
    if run.anomalies:
        typer.echo("  anomalies: " + "  ".join(f"{gate} {count}" for gate, count in run.anomalies.items()))
    for example in report.examples[:SHOWN]:
        typer.echo(f"    {example}")
    if run.quarantined:
        typer.echo(f"  with reasons in delta/quarantine/ingest/{run.kind}, file_hash {run.file_hash[:12]}...")
    if report.ignored:
        typer.echo(f"  ignored columns: {', '.join(report.ignored)}")
    if run.verdict == "accepted":
        what = "facts entered the streams" if run.numbers else "rows were new or changed"
        typer.echo(f"  {report.effect} {what}, judged as of {run.as_of:%Y-%m-%d %H:%M} (simulated)")
    else:
        typer.echo("  Nothing entered. Correct the rows (or the mapping) and ingest it again.")
