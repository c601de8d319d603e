"""``smartshelf alerts`` and ``smartshelf command``: what needs attention, and asking the store for something."""

from __future__ import annotations

import dataclasses
import getpass
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from smartshelf.errors import BadInput, Unavailable
from smartshelf.io import people, postgres
from smartshelf.settings import settings

app = typer.Typer(help="What needs attention.", no_args_is_help=True)

#: Real seconds to wait for a command's outcome; it takes about one.
PATIENCE = 15.0

Store = Annotated[str | None, typer.Option(help="The store; default: the first of STORES.")]
Who = Annotated[str | None, typer.Option(help="Who asks; default: the user of this machine.")]
Note = Annotated[str | None, typer.Option(help="For other people to read.")]
AlertId = Annotated[str, typer.Argument(help="See `smartshelf alerts list`.")]


@app.callback()
def _group() -> None:
    """What needs attention, and what people do about it."""


@app.command("list", epilog="Example: smartshelf alerts list")
def list_command(
    store: Store = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Open and acknowledged alerts: the worst first, of these the oldest."""
    with _connection() as connection:
        alerts = people.open_alerts(connection, _store(store))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(alert) for alert in alerts], default=str))
        return
    for alert in alerts:
        seen = f" (seen by {alert.acknowledged_by})" if alert.acknowledged_by else ""
        typer.echo(f"{alert.severity:<8}  {alert.alert_id}  {alert.event_type}  {alert.shelf_id}  {alert.why}{seen}")
    if not alerts:
        typer.echo("Nothing needs attention.")


@app.command("ack", epilog="Example: smartshelf alerts ack shelf_alerts-1f0c... --who anna")
def ack_command(alert_id: AlertId, note: Note = None, who: Who = None, store: Store = None) -> None:
    """Acknowledge an alert: you have seen it and look after it."""
    _ask(store, who, {"kind": "ack_alert", "alert_id": alert_id, "note": note})


@app.command("dismiss", epilog="Example: smartshelf alerts dismiss shelf_alerts-1f0c...")
def dismiss_command(alert_id: AlertId, note: Note = None, who: Who = None, store: Store = None) -> None:
    """Dismiss an alert; it comes back only after its condition has cleared."""
    _ask(store, who, {"kind": "dismiss_alert", "alert_id": alert_id, "note": note})


@app.command("assign", epilog="Example: smartshelf alerts assign shelf_alerts-1f0c... ben")
def assign_command(
    alert_id: AlertId,
    to: Annotated[str, typer.Argument(help="Who looks after it.")],
    note: Note = None,
    who: Who = None,
    store: Store = None,
) -> None:
    """Assign an alert to somebody."""
    _ask(store, who, {"kind": "assign_alert", "alert_id": alert_id, "assigned_to": to, "note": note})


def command(
    what: Annotated[str, typer.Argument(help="A JSON object with a kind; see smartshelf/contracts/commands.py.")],
    who: Who = None,
    store: Store = None,
) -> None:
    """Ask the store for something and print what comes of it.

    Example: smartshelf command '{"kind": "count", "shelf_id": "BEVWAT0001", "quantity": 12}'
    """
    try:
        asked = json.loads(what)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        quoted = """'{"kind": "count", ...}'"""
        raise BadInput("The command is not a JSON object", value=what, remedy=f"Write it in single quotes: {quoted}.")
    _ask(store, who, asked)


def _ask(store: str | None, who: str | None, what: dict[str, Any]) -> None:
    with _connection() as connection:
        command_id = people.enter(connection, _store(store), who or getpass.getuser(), what)
        connection.commit()
        deadline = time.monotonic() + PATIENCE
        while (answer := people.answer(connection, _store(store), command_id)) is None:
            connection.rollback()
            if time.monotonic() > deadline:
                raise Unavailable(
                    "The store has not answered yet; it will when it runs",
                    value=command_id,
                    remedy="See `smartshelf status`, and ops.v_commands in Postgres.",
                )
            time.sleep(0.2)
    if answer.outcome == "refused":
        raise BadInput("Refused", value=answer.reason, remedy="Nothing was changed.")
    typer.echo(answer.reason)


def _store(wish: str | None) -> str:
    return wish or settings().stores[0]


@contextmanager
def _connection() -> Iterator[Connection]:
    engine = postgres.engine(settings(), "app", "people", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as away:
        reason = str(away.orig).strip().splitlines()[0]
        raise Unavailable("Postgres does not answer", value=reason, remedy="See `smartshelf status`.") from away
    except DBAPIError as refused:
        raise BadInput("Refused by Postgres", value=str(refused.orig).splitlines()[0]) from refused
