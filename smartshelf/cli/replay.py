"""``smartshelf replay``: a real store's sales through the running store."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

from producers import replay as feeds
from simulated_time.store import Clock
from smartshelf.contracts.rows import ShelfProfile
from smartshelf.errors import Unavailable
from smartshelf.init import reference
from smartshelf.io import postgres, redis_stream
from smartshelf.io.step_save import read_position
from smartshelf.service import wait_for
from smartshelf.settings import settings

#: Real seconds in which a running world takes new stores in.
PATIENCE = 60.0


def replay(
    file: Annotated[Path, typer.Argument(help="A .csv or .parquet file of sales by hour.")],
    mapping: Annotated[Path | None, typer.Option(help="YAML: which column is what; see conf/replay.")] = None,
    speed: Annotated[float | None, typer.Option(help="Simulated seconds per real second from then on.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Add the stores of a file of real sales to the running store.

    The file is checked whole first; if anything is wrong, everything wrong is listed and nothing is done.

    Example: smartshelf replay sales.parquet --mapping conf/replay/freshretail.yaml --speed 600
    """
    config = settings()
    begun = time.monotonic()

    def say(text: str) -> None:
        typer.echo(f"{time.monotonic() - begun:6.1f} s  {text}", err=as_json)

    feed = feeds.read_feed(file, feeds.read_mapping(mapping))
    stores = sorted(feed.stores)
    shelves = sum(len(store.profiles) for store in feed.stores.values())
    say(f"{file.name} is fine: {len(stores)} stores, {shelves} shelves, {feed.days} days from {feed.first_day}")
    client = redis_stream.connect(config.redis_url)
    redis_stream.ping(client)
    feeds.check_free(client, stores)
    with postgres.connect(config, "owner", "replay") as connection:
        register(connection, [profile for store in feed.stores.values() for profile in store.profiles])
        rows = reference.config_rows(connection, tuple(stores))
    with postgres.connect(config, "owner", "replay") as connection:
        tell_again(connection)
    say("profiles are in config.shelf_profiles")
    now_ms = read_position(client).t_ms or 0
    feeds.ask_to_join(client, feeds.make_bodies(feed, now_ms, config.seed, rows))
    try:
        wait_for("the world", lambda: feeds.have_joined(client, stores) or None, timeout=PATIENCE, say=say)
    except Unavailable as late:
        raise Unavailable(
            "The world has not taken the stores in yet", remedy="It will when it runs: see `smartshelf status`."
        ) from late
    if speed is not None:
        Clock(client).set_speed(speed)
    say(f"replaying {', '.join(stores)}")
    if as_json:
        typer.echo(json.dumps({"stores": stores, "shelves": shelves, "days": feed.days}))


def tell_again(connection: Connection) -> None:
    """Let capture repeat the policies for all stores: a new store has heard nothing of what was told before it came.

    Each topic then ends with a record for all stores (a deletion), so that new stores have seen as much as others.
    """
    with connection.cursor() as cursor:
        for table in ("config.shelf_policies", "config.wh_policies"):
            cursor.execute(f"update {table} set active = active where store_id is null")
            cursor.execute(f"insert into {table} (active) values (false) returning policy_id")
            cursor.execute(f"delete from {table} where policy_id = %s", cursor.fetchone())


def register(connection: Connection, profiles: Sequence[ShelfProfile]) -> None:
    """Write the profiles; an interrupted replay may have left some of them."""
    rows = map(msgspec.structs.astuple, profiles)
    postgres.upsert(connection, "config.shelf_profiles", ShelfProfile.__struct_fields__, ShelfProfile.primary_key, rows)
