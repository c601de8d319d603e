"""``smartshelf scenario``: what a presenter may break on purpose, live."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import redis
import typer

from producers.scenarios import SCENARIOS
from producers.truth import fields
from smartshelf.contracts import redis_keys as keys
from smartshelf.errors import BadInput, SmartShelfError
from smartshelf.io import redis_stream
from smartshelf.settings import settings

app = typer.Typer(help="Break something on purpose.", no_args_is_help=True)

#: Real seconds to wait for the world to take a switch in.
PATIENCE = 5.0


@app.callback()
def _group() -> None:
    """Break something on purpose, and mend it again. What really happens is told on the topic world_truth."""


@app.command("list", epilog="Example: smartshelf scenario list")
def list_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Every scenario, what it does, and since which step it is on."""
    client = _client()
    asked, since = fields(client, keys.SCENARIOS), _since(client)
    rows = [
        {"name": name, "on": name in asked, "since_step": since.get(name), "about": kind.about}
        for name, kind in SCENARIOS.items()
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    width = max(map(len, SCENARIOS))
    for row in rows:
        typer.echo(f"{'on ' if row['on'] else 'off'}  {row['name']:<{width}}  {row['about']}{_said(row)}")


@app.command("on", epilog="Example: smartshelf scenario on theft")
def on_command(name: Annotated[str, typer.Argument(help="See `smartshelf scenario list`.")]) -> None:
    """Turn a scenario on, in every store, from the next step."""
    client = _client()
    client.hset(keys.SCENARIOS, _known(name), datetime.now(UTC).isoformat())
    _tell(client, name, on=True)


@app.command("off", epilog="Example: smartshelf scenario off theft")
def off_command(name: Annotated[str, typer.Argument(help="See `smartshelf scenario list`.")]) -> None:
    """Turn a scenario off from the next step; what it has done stays done."""
    client = _client()
    client.hdel(keys.SCENARIOS, _known(name))
    _tell(client, name, on=False)


def _known(name: str) -> str:
    if name not in SCENARIOS:
        raise BadInput("There is no such scenario", value=name, remedy=f"There are: {', '.join(SCENARIOS)}.")
    return name


def _client() -> redis.Redis:
    config = settings()
    if config.world == "feed":
        raise SmartShelfError("This store runs on a real feed: there is no world to break anything in")
    client = redis_stream.connect(config.redis_url)
    redis_stream.ping(client)
    return client


def _since(client: redis.Redis) -> dict[str, int]:
    """Scenario -> step since which it is on in the first store; those that are on."""
    stores: Any = client.hget(keys.WORLD, "stores")
    for store in sorted(msgspec.json.decode(stores)) if stores else []:
        past: Any = client.hget(keys.world(store), "switches")
        spans = msgspec.json.decode(past) if past else {}
        return {name: steps[-1][0] for name, steps in spans.items() if steps[-1][1] is None}
    return {}


def _tell(client: redis.Redis, name: str, *, on: bool) -> None:
    deadline = time.monotonic() + PATIENCE
    word = "on" if on else "off"
    while time.monotonic() < deadline:
        since = _since(client)
        if (name in since) is on:
            typer.echo(f"{name} is {word}" + (f" since step {since[name]}" if on else ""))
            return
        time.sleep(0.1)
    typer.echo(f"{name} will be {word} at the next step that the world lives")


def _said(row: dict[str, Any]) -> str:
    if row["since_step"] is not None:
        return f" (since step {row['since_step']})" if row["on"] else " (going off)"
    return " (going on)" if row["on"] else ""
