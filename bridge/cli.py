"""``smartshelf deadletters``: what could not be processed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import typer

from bridge.dead_letter import DeadLetters, Letter, parse_edit
from smartshelf.errors import BadInput
from smartshelf.io import redis_stream
from smartshelf.settings import settings

app = typer.Typer(help="What could not be processed, and why: look, send again, drop.", no_args_is_help=True)

Origin = Annotated[str, typer.Argument(metavar="ORIGIN", help="As `list` shows it, for example shelf_events/1737-0.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_SHOWN = 4_000


@app.command("list", epilog="Example: smartshelf deadletters list --json")
def list_letters(
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Also those replayed or dropped.")] = False,
) -> None:
    """List the open dead letters, oldest first. Exit code 1 when there are any."""
    store = _store()
    letters = list(store.all().values()) if every else store.open()
    if as_json:
        typer.echo(json.dumps([_document(letter) for letter in letters], indent=2))
    else:
        for letter in letters:
            state = f" [{letter.resolution.resolution}]" if letter.resolution else ""
            typer.echo(f"{letter.letter.origin}{state}  {letter.letter.reason}")
        typer.echo(f"{sum(letter.resolution is None for letter in letters)} open")
    raise typer.Exit(int(any(letter.resolution is None for letter in letters)))


@app.command(epilog="Example: smartshelf deadletters show shelf_events/1737000000000-0")
def show(origin: Origin, as_json: AsJson = False) -> None:
    """Show one dead letter: why, from whom, and the entry as it came."""
    letter = _store().get(origin)
    document = _document(letter)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    for name, value in document.items():
        if value is not None:
            typer.echo(f"{name:<14} {value}")


@app.command(epilog="Example: smartshelf deadletters replay shelf_events/1737000000000-0 --edit quantity=3")
def replay(
    origin: Annotated[str, typer.Argument(metavar="[ORIGIN]", help="As `list` shows it.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Every open dead letter that can be replayed.")] = False,
    edit: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=VALUE", help="Correct a field first; may be repeated.")
    ] = None,
) -> None:
    """Send an event to its stream again: same event_id, source `deadletters`. It is checked before it is sent."""
    store, edits = _store(), dict(parse_edit(text) for text in edit or ())
    if bool(origin) == every:
        raise BadInput("Name one ORIGIN, or --all", remedy="See `smartshelf deadletters list`.")
    if origin:
        letter = store.get(origin)
        typer.echo(f"{origin} replayed as {letter.stream}/{store.replay(letter, edits)}")
        return
    refused = 0
    for letter in store.open():
        try:
            typer.echo(f"{letter.letter.origin} replayed as {store.replay(letter, edits)}")
        except BadInput as problem:
            refused += 1
            typer.echo(f"{letter.letter.origin} stays: {problem}", err=True)
    raise typer.Exit(int(refused > 0))


@app.command(epilog="Example: smartshelf deadletters drop shelf_events/1737000000000-0 --reason 'test of the scale'")
def drop(origin: Origin, reason: Annotated[str, typer.Option(help="Why it can be given up.")]) -> None:
    """Give up a dead letter. It stays on record with your reason."""
    store = _store()
    store.drop(store.get(origin), reason)
    typer.echo(f"{origin} dropped")


def _store() -> DeadLetters:
    config = settings()
    client = redis_stream.connect(config.redis_url)
    redis_stream.ping(client)
    return DeadLetters(client, config.kafka_bootstrap)


def _document(letter: Letter) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(letter.letter)
    text = letter.raw.decode("utf-8", "backslashreplace")
    document["raw"] = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
    resolution = letter.resolution
    document["resolution"] = f"{resolution.resolution}: {resolution.reason}" if resolution else None
    return document
