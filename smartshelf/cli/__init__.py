"""The ``smartshelf`` command: what there is, in one table; nothing is imported before it is called."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from smartshelf.errors import SmartShelfError

_STORE, _WORK = "The store", "Working with it"


@dataclass(frozen=True, slots=True)
class Entry:
    """A command or group: where it is (``module:attribute``, a Typer app or a function) and what --help says."""

    where: str
    help: str
    panel: str = _WORK


#: To plug in a command, add a line. An app with several commands is mounted as a group, unless one of its
#: commands has the entry's own name: then that one is meant.
COMMANDS: dict[str, Entry] = {
    "up": Entry("smartshelf.stack.cli:app", "Start the store without Docker; resumes where it stopped.", _STORE),
    "down": Entry("smartshelf.stack.cli:app", "Stop the store; nothing is lost.", _STORE),
    "status": Entry("smartshelf.stack.cli:app", "Show services, addresses, clock and lag.", _STORE),
    "reset": Entry("smartshelf.stack.cli:app", "Delete what the store has lived through.", _STORE),
    "start": Entry("smartshelf.stack.cli:app", "Start services of a running store.", _STORE),
    "stop": Entry("smartshelf.stack.cli:app", "Stop services; the others go on.", _STORE),
    "restart": Entry("smartshelf.stack.cli:app", "Stop services and start them again.", _STORE),
    "logs": Entry("smartshelf.stack.cli:app", "Print the last lines of the services' logs.", _STORE),
    "provision": Entry("smartshelf.stack.cli:app", "Fetch programs and jars without starting anything.", _STORE),
    "clock": Entry("simulated_time.cli:app", "Simulated time: status, speed, pause, fast-forward."),
    "data": Entry("smartshelf.cli.data:app", "Generate and check the store's data."),
    "replay": Entry("smartshelf.cli.replay:replay", "Add the stores of a file of real sales."),
    "ingest": Entry("smartshelf.ingest.cli:ingest", "Check and load a file of deliveries, sales, products, policies."),
    "alerts": Entry("smartshelf.cli.alerts:app", "List alerts; acknowledge, dismiss or assign one."),
    "command": Entry("smartshelf.cli.alerts:command", "Ask the store for something: a count, a cancellation."),
    "scenario": Entry("smartshelf.cli.scenario:app", "Break something on purpose: theft, faulty scales, ..."),
    "deadletters": Entry("bridge.cli:app", "What could not be processed: look, replay, drop."),
    "audit": Entry("smartshelf.audit.cli:audit", "Check that the books balance in every place of record."),
    "bench": Entry("smartshelf.bench.cli:bench", "Measure speed and memory; print a table."),
}


class _Lazy(TyperGroup):
    """Lists the table without importing it; imports the one command that is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the signature is Typer's
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        return TyperCommand(cmd_name, callback=None, help=entry.help, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name)), rest


def load(name: str) -> Any:
    """Import the command ``name``."""
    module, _, attribute = COMMANDS[name].where.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        wrapper = typer.Typer(add_completion=False)
        wrapper.command(name)(found)
        found = wrapper
    found._add_completion = False
    command = typer.main.get_command(found)
    return command.commands.get(name, command) if isinstance(command, TyperGroup) else command


app = typer.Typer(cls=_Lazy, no_args_is_help=True, epilog="Example: smartshelf up, then smartshelf clock status")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("smartshelf"))
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Smart Shelf: a supermarket whose shelves weigh themselves.

    Exit codes: 0 success, 1 something was found wrong, 2 the command could not be carried out.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (default: the process's arguments) and exit with its code."""
    try:
        typer.main.get_command(app)(args=arguments, prog_name="smartshelf")
    except SmartShelfError as problem:
        typer.echo(f"smartshelf: {problem}", err=True)
        sys.exit(problem.exit_code)
    except Exception:
        logging.getLogger("smartshelf").exception("unexpected error: this is a bug")
        sys.exit(2)
