"""Opens a store: what lies on every shelf and in the backroom becomes the first facts, ended by mark 0."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import redis

from data.catalogue import load_catalogue
from producers import body as bodies
from producers.body import ZoneBody
from producers.shelf import Lot, put
from producers.world import World
from smartshelf.contracts import events as e
from smartshelf.contracts import redis_keys as keys
from smartshelf.contracts.control import Mark
from smartshelf.contracts.events import SCHEMA_VERSION, Evidence, Location
from smartshelf.contracts.ids import fact_id
from smartshelf.contracts.rows import ShelfProfile
from smartshelf.contracts.types import encode
from smartshelf.errors import BadInput, SmartShelfError
from smartshelf.io.offers import read_weekly
from smartshelf.io.step_save import UNBORN, Fact, read_position, save
from smartshelf.settings import Settings, opens_at

#: Facts in one save; a killed init goes on with the save it was at.
FACTS_PER_SAVE = 2_000
STREAM = "shelf_events"
REASON = "opening"


class OpeningLot(NamedTuple):
    """Units of one batch in one place on the first morning."""

    store_id: str
    shelf_id: str
    location: Location
    lot: Lot


def publish_opening(config: Settings, client: redis.Redis, rows: Mapping[str, Mapping[str, int]]) -> int:
    """Write the opening facts, the stores' physical state and mark 0; returns the number of facts now written.

    ``rows``: configuration rows by store and topic that the bridge must have seen before decisions begin. Reads
    the generated files in ``config.data_dir``. Repeatable: 0 when the store is open, and a killed run goes on
    without repeating a fact. Raises BadInput for unusable files, SmartShelfError when somebody else is opening.
    """
    position = read_position(client)
    if position.step > UNBORN:
        return 0
    start = opens_at(config) if position.t_ms is None else datetime.fromtimestamp(position.t_ms / 1000, UTC)
    folder = config.data_dir / "db_csv"
    profiles = [profile for profile in read_profiles(folder) if profile.store_id in config.stores]
    lots = [lot for lot in read_lots(folder) if lot.store_id in config.stores]
    facts = opening_facts(profiles, lots, start)
    chunks = [facts[at : at + FACTS_PER_SAVE] for at in range(0, len(facts), FACTS_PER_SAVE)] or [[]]
    client.set(keys.EPOCH, config.epoch)
    client.sadd(keys.STORES, *config.stores)
    # The number of saves tells how much of the opening is there: an opening is the first thing ever saved.
    for number, chunk in enumerate(chunks[position.number :], position.number):
        last = number == len(chunks) - 1
        outcome = save(
            client,
            epoch=config.epoch,
            step=UNBORN,
            number=number,
            facts=chunk,
            changes=_first_state(config, profiles, lots, start) if last else {},
            until_ms=_ms(start),
            mark=_mark_zero(config, rows, start) if last else None,
        )
        if outcome != "saved":
            raise SmartShelfError("Another init is opening this store", value=outcome, remedy="Wait for it to end.")
    return sum(len(chunk) for chunk in chunks[position.number :])


def read_profiles(folder: Path) -> list[ShelfProfile]:
    """The profiles of ``shelf_profiles.csv``, in the file's order."""
    return [_convert(row, ShelfProfile, folder / "shelf_profiles.csv") for row in _rows(folder / "shelf_profiles.csv")]


def read_lots(folder: Path) -> list[OpeningLot]:
    """The lots of the two batch snapshots: first all shelves, then all backrooms."""
    places: tuple[Location, Location] = ("store", "warehouse")
    return [
        OpeningLot(
            row["store_id"],
            row["shelf_id"],
            place,
            Lot(row["batch_code"], row["received_date"], row["expiry_date"], int(row[f"batch_quantity_{place}"])),
        )
        for place in places
        for row in _rows(folder / f"{place}_batches_snapshot.csv")
    ]


def opening_facts(profiles: Iterable[ShelfProfile], lots: Iterable[OpeningLot], start: datetime) -> list[Fact]:
    """A count per lot, and per shelf the weight its scale shows; the same list for the same files."""
    facts: list[Fact] = []
    stock: dict[tuple[str, str], int] = {}

    def add(kind: type[e.Count | e.WeightChange], store_id: str, shelf_id: str, **payload: Any) -> None:
        seq = len(facts) + 1
        fact = kind(
            event_id=fact_id(Evidence.INIT, STREAM, seq),
            schema_version=SCHEMA_VERSION,
            store_id=store_id,
            timestamp=start,
            source=Evidence.INIT,
            seq=seq,
            step=0,
            shelf_id=shelf_id,
            **payload,
        )
        facts.append((STREAM, f"{store_id}|{shelf_id}", encode(fact)))

    for store_id, shelf_id, location, lot in lots:
        add(
            e.Count,
            store_id,
            shelf_id,
            batch_code=lot.batch_code,
            received_date=lot.received_date,
            expiry_date=lot.expiry_date,
            quantity=lot.quantity,
            adjustment=lot.quantity,
            reason=REASON,
            location=location,
        )
        if location == "store":
            stock[store_id, shelf_id] = stock.get((store_id, shelf_id), 0) + lot.quantity
    for profile in profiles:
        grams = stock.get((profile.store_id, profile.shelf_id), 0) * profile.item_weight
        add(e.WeightChange, profile.store_id, profile.shelf_id, delta_weight=grams, reason=REASON)
    return facts


def opened_worlds(
    config: Settings, profiles: list[ShelfProfile], lots: Iterable[OpeningLot], start: datetime
) -> dict[str, World]:
    """The stores' worlds with their opening stock, before step 1."""
    catalogue = load_catalogue()
    weekly = read_weekly(config.data_dir / "all_discounts.parquet", start)
    worlds = {}
    for store in config.stores:
        body = bodies.simulated(
            store,
            config.seed,
            [profile for profile in profiles if profile.store_id == store],
            popularity={category.category: category.popularity for category in catalogue.categories},
            zones=[ZoneBody(zone.zone_id, zone.target_c, zone.power_kw) for zone in catalogue.zones],
            weekly=weekly.get(store, {}),
            opens=start.date(),
        )
        worlds[store] = World(body, _ms(start), config.step_seconds * 1000)
    for store_id, shelf_id, location, lot in lots:
        shelf = worlds[store_id].shelf(shelf_id)
        put(shelf.lots if location == "store" else shelf.backroom, msgspec.structs.replace(lot))
        shelf.received += lot.quantity
    return worlds


def _first_state(
    config: Settings, profiles: list[ShelfProfile], lots: list[OpeningLot], start: datetime
) -> dict[str, dict[str, bytes | None]]:
    shared: dict[str, bytes | None] = {
        "start_ms": str(_ms(start)).encode(),
        "step_ms": str(config.step_seconds * 1000).encode(),
        "stores": encode(config.stores if config.world == "simulated" else ()),
    }
    if config.world == "feed":  # the truth is outside
        return {keys.WORLD: shared}
    worlds = opened_worlds(config, profiles, lots, start)
    return {keys.WORLD: shared} | {keys.world(store): world.everything() for store, world in worlds.items()}


def _mark_zero(config: Settings, rows: Mapping[str, Mapping[str, int]], start: datetime) -> Mark:
    return Mark(
        epoch=config.epoch,
        k_from=0,
        k=0,
        t=start,
        stores=tuple(sorted(config.stores)),
        streams={},
        rows={store: dict(counts) for store, counts in rows.items()},
    )


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)
    except FileNotFoundError:
        raise BadInput("A generated file is missing", value=str(path), remedy="Run `smartshelf data build`.") from None


def _convert(row: Mapping[str, str], kind: type[ShelfProfile], path: Path) -> ShelfProfile:
    try:
        return msgspec.convert(row, kind, strict=False)
    except msgspec.ValidationError as wrong:
        where = f"{row.get('store_id')}/{row.get('shelf_id')} in {path}"
        raise BadInput(
            f"A profile cannot be used: {wrong}", value=where, remedy="Run `smartshelf data build`."
        ) from wrong
