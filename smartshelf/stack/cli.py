"""The commands that start, watch and stop the store without Docker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Annotated

import typer

from smartshelf import settings as settings_module
from smartshelf.errors import BadInput, SmartShelfError
from smartshelf.stack import graph, jars, java, launcher, provision, status
from smartshelf.stack.layout import Layout

app = typer.Typer(no_args_is_help=True, help="Start, watch and stop the store without Docker.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


@app.command(epilog="Example: smartshelf up --without producers")
def up(
    without: Annotated[str, typer.Option(metavar="A,B,...", help="Start all services but these.")] = "",
    only: Annotated[str, typer.Option(metavar="A,B,...", help="Start these services alone.")] = "",
    profile: Annotated[str, typer.Option(help="A settings profile: the NAME of conf/profiles/NAME.env.")] = "",
) -> None:
    """Start the store, or what is missing of it, and wait until every service is well."""
    if profile:
        os.environ["SMARTSHELF_PROFILE"] = profile
    store = launcher.up(only=_split(only), without=_split(without))
    typer.echo(status.after_up(store, status.collect()))


@app.command(epilog="Example: smartshelf down")
def down() -> None:
    """Stop the store; the next `up` goes on where it was."""
    typer.echo("The store has stopped." if launcher.down() else "The store was not running.")


@app.command(epilog="Example: smartshelf reset --yes")
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete everything the store has lived through: data, tables, clock. Programs and jars stay."""
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput("This deletes all events, states and tables of the store", remedy="Say so with --yes.")
        typer.confirm("Delete all events, states and tables of this store?", abort=True)
    typer.echo(f"The store is empty; the next `up` begins epoch {launcher.reset()}.")


@app.command("status", epilog="Example: smartshelf status --json")
def show_status(as_json: AsJson = False) -> None:
    """Every service with its state, memory and address. Exit code 1 when something is not well."""
    told = status.collect()
    typer.echo(json.dumps(told, indent=1) if as_json else status.as_text(told))
    raise typer.Exit(0 if told["healthy"] else 1)


@app.command(epilog="Example: smartshelf start producers")
def start(services: Annotated[list[str], typer.Argument(help="Service names.")]) -> None:
    """Start services of a running store and wait until they are well."""
    with launcher.opened() as store:
        launcher.start(store, graph.select(list(store.services), services))


@app.command(epilog="Example: smartshelf stop producers")
def stop(services: Annotated[list[str], typer.Argument(help="Service names.")]) -> None:
    """Stop services of a running store; the others go on."""
    with launcher.opened() as store:
        launcher.stop(store, graph.select(list(store.services), services))


@app.command(epilog="Example: smartshelf restart spark")
def restart(services: Annotated[list[str], typer.Argument(help="Service names.")]) -> None:
    """Stop services of a running store and start them again."""
    with launcher.opened() as store:
        names = graph.select(list(store.services), services)
        launcher.stop(store, names)
        launcher.start(store, names)


@app.command(epilog="Example: smartshelf logs bridge --follow")
def logs(
    service: Annotated[str, typer.Argument(help="A service; all of them when left out.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines of each log.")] = 40,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is written.")] = False,
) -> None:
    """The last lines of the logs."""
    layout = Layout.of(settings_module.load())
    there = {path.stem: path for path in sorted(layout.logs.glob("*.log"))}
    if not there:
        raise BadInput("There are no logs yet", value=str(layout.logs), remedy="Start the store: `smartshelf up`.")
    if service and service not in there:
        raise BadInput("There is no log of such a service", value=service, remedy=f"Logs: {', '.join(there)}.")
    chosen = [there[service]] if service else list(there.values())
    if follow:
        sys.exit(subprocess.call(["tail", "-n", str(lines), "-F", *map(str, chosen)]))
    for path in chosen:
        typer.echo(f"== {path}\n{launcher.tail(path, lines)}")


@app.command("provision", epilog="Example: smartshelf provision")
def fetch(
    relock: Annotated[
        bool, typer.Option("--relock", help="Write conf/jars.sha256 anew (ivy.xml has changed).")
    ] = False,
) -> None:
    """Fetch programs and jars without starting anything."""
    layout = Layout.of(settings_module.load())
    layout.create()
    if relock:
        jars.relock(layout, java.find(layout))
    found = provision.ensure(layout)
    typer.echo(f"Java {found.java.version} ({found.java.origin}), {found.redis_server}, {found.postgres.programs}")


def main() -> None:
    """Run the commands; a SmartShelfError becomes one message and its exit code."""
    try:
        app()
    except SmartShelfError as problem:
        typer.echo(f"{problem}", err=True)
        sys.exit(problem.exit_code)
