"""Write the generated files of a store, atomically and byte for byte the same for the same order."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as papq

from data import panel, tables
from data.catalogue import CATALOGUE_FILE, check_scale, expand, load_catalogue
from data.discounts import weekly_discounts
from data.history import DAYS, History, live_until
from smartshelf.contracts import rows as contract
from smartshelf.domain import policy
from smartshelf.errors import BadInput
from smartshelf.io import closing, offers

#: Raised when the files' form changes; code and catalogue are recognised by their hash.
MANIFEST_VERSION = 2
MANIFEST = "manifest.json"
CSV_FOLDER = "db_csv"
PANEL_FOLDER = "sim_out"
PANEL = f"{PANEL_FOLDER}/synthetic_1y_panel.parquet"
HOURS = f"{PANEL_FOLDER}/synthetic_1y_hours.parquet"
BOOKS = f"{PANEL_FOLDER}/synthetic_1y_books.parquet"
#: Days lived by a store whose history is not written, so that it opens as one that has lived.
SETTLING_DAYS = 21
MOST_STORES = 1_000
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 1, 1)
#: Opening time: what the first moment of a day named without a time is.
OPENING = time(7, tzinfo=UTC)


@dataclass(frozen=True)
class Order:
    """What to build. ``start`` is simulated UTC; ``history``: which stores get their year written.

    ``near_expiry_days``: what the stores' default policy says of lots in the store.
    """

    stores: tuple[str, ...]
    scale: float
    seed: int
    start: datetime
    history: Literal["first", "all"] = "first"
    near_expiry_days: int = int(policy.SHELF_DEFAULTS["near_expiry_days"])


@dataclass(frozen=True)
class Built:
    """What a build left in ``folder``: rows by file name; ``skipped`` when it was there already."""

    folder: Path
    rows: dict[str, int]
    skipped: bool


def store_names(count: int) -> tuple[str, ...]:
    """S01, S02, ... Raises BadInput outside 1 to 1,000."""
    if not 1 <= count <= MOST_STORES:
        raise BadInput(f"There can be 1 to {MOST_STORES} stores", value=count, remedy="For example --stores 2.")
    return tuple(f"S{number:02d}" for number in range(1, count + 1))


def parse_start(text: str) -> datetime:
    """A day (07:00 is meant) or a moment with its zone, as UTC. Raises BadInput."""
    remedy = "Write a day, 2026-01-01, or a moment, 2026-01-01T07:00:00Z."
    try:
        if len(text) == len("2026-01-01"):
            moment = datetime.combine(date.fromisoformat(text), OPENING)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput("The start is not a date", value=text, remedy=remedy) from None
    if moment.tzinfo is None:
        raise BadInput("The start does not name its zone", value=text, remedy=remedy)
    return moment.astimezone(UTC)


def build(folder: Path, order: Order) -> Built:
    """Generate every file into ``folder``, or nothing when the very same is there.

    A build that is interrupted leaves no manifest and is repeated; each file is complete or absent.
    Raises BadInput for an order that makes no sense or a folder that cannot be written.
    """
    _check(order)
    wanted = {"version": MANIFEST_VERSION, **_as_json(order), "inputs": _source_hash()}
    if (rows := _already_there(folder, wanted)) is not None:
        return Built(folder, rows, skipped=True)
    try:
        return Built(folder, _write(folder, order, wanted), skipped=False)
    except OSError as failed:
        what = f"{folder} cannot be written: {failed.strerror}"
        raise BadInput(what, remedy="Name another folder with --out.") from None


def _check(order: Order) -> None:
    check_scale(order.scale)
    if not order.stores or len(set(order.stores)) != len(order.stores):
        names = ", ".join(order.stores)
        raise BadInput("Each store needs a name of its own", value=names, remedy="For example S01, S02.")
    if order.seed < 0:
        raise BadInput("The seed must not be negative", value=order.seed, remedy="Use 0 or any whole number above.")
    if not EARLIEST <= order.start.date() <= LATEST:
        raise BadInput(
            "The start is too far away", value=order.start.date().isoformat(), remedy=f"Use {EARLIEST} to {LATEST}."
        )


def _as_json(order: Order) -> dict[str, Any]:
    return {**asdict(order), "stores": list(order.stores), "start": order.start.isoformat().replace("+00:00", "Z")}


@lru_cache(maxsize=1)
def _source_hash() -> str:
    """The generators, their rules and the catalogue they read: a change of any calls for a new build."""
    sources = ("build", "catalogue", "discounts", "history", "lots", "opening", "panel", "tables")
    rules = Path(policy.__file__).parent.glob("*.py")
    forms = [Path(str(module.__file__)) for module in (contract, closing)]
    files = [CATALOGUE_FILE, *(CATALOGUE_FILE.with_name(f"{name}.py") for name in sources), *sorted(rules), *forms]
    return _hash(file.read_bytes() for file in files)


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _already_there(folder: Path, wanted: dict[str, Any]) -> dict[str, int] | None:
    """Rows by file of a complete build of just this order, else None."""
    try:
        found = json.loads((folder / MANIFEST).read_text())
        files = found.pop("files")
        complete = all((folder / name).stat().st_size == file["bytes"] for name, file in files.items())
        rows = {name: int(file["rows"]) for name, file in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # a manifest that cannot be trusted is no manifest
    return rows if complete and found == wanted else None


def _write(folder: Path, order: Order, wanted: dict[str, Any]) -> dict[str, int]:
    folder.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=".build-", dir=folder))
    try:
        for sub in (CSV_FOLDER, PANEL_FOLDER):
            (stage / sub).mkdir()
        files: dict[str, dict[str, Any]] = {}
        for name, content in _files(order):
            path = stage / name
            rows = _write_file(content, path)
            with path.open("rb") as written:
                digest = hashlib.file_digest(written, "sha256").hexdigest()
            files[name] = {"rows": rows, "bytes": path.stat().st_size, "sha256": digest}
        (stage / MANIFEST).write_text(json.dumps({**wanted, "files": files}, indent=2) + "\n")
        for sub in (CSV_FOLDER, PANEL_FOLDER):
            (folder / sub).mkdir(exist_ok=True)
        # The manifest goes first and comes last: half a set of new files is never taken for a build.
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in (*files, MANIFEST):
            (stage / name).replace(folder / name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return {name: file["rows"] for name, file in files.items()}


def _files(order: Order) -> Iterator[tuple[str, pa.Table | Iterator[pa.Table]]]:
    catalogue = load_catalogue()
    profiles = expand(catalogue, order.scale)
    popularity = {category.category: category.popularity for category in catalogue.categories}
    day, start = order.start.date(), order.start
    stores: list[tables.Store] = []
    closings: list[pa.Table] = []
    lived: dict[str, History] = {}
    for store_id in order.stores:
        weekly = weekly_discounts(len(profiles), day, order.seed, scale=order.scale, store_id=store_id)
        written = order.history == "all" or not stores
        days = DAYS if written else SETTLING_DAYS
        past = live_until(day, profiles, popularity, weekly, seed=order.seed, store_id=store_id, days=days)
        stores.append(tables.Store(store_id, profiles, past.store_lots, past.warehouse_lots, weekly))
        closings.append(closing.closing_table(store_id, panel.closing(profiles, past)))
        if written:
            lived[store_id] = past

    yield PANEL, (part for store_id, past in lived.items() for part in panel.rows(store_id, profiles, past))
    yield HOURS, pa.concat_tables(panel.hours(*each) for each in lived.items())
    yield BOOKS, pa.concat_tables(panel.books(store_id, profiles, past) for store_id, past in lived.items())

    def together(table: Callable[..., pa.Table], *values: Any, **named: Any) -> pa.Table:
        return pa.concat_tables(table(store, *values, **named) for store in stores).combine_chunks()

    store_stock = together(tables.inventory, start, warehouse=False)
    warehouse_stock = together(tables.inventory, start, warehouse=True)
    store_batches = together(tables.batches, start, order.near_expiry_days, warehouse=False)
    warehouse_batches = together(tables.batches, start, tables.WAREHOUSE_DEFAULTS["near_expiry_days"], warehouse=True)
    columns = list(tables.BATCH_COLUMNS)

    yield f"{CSV_FOLDER}/shelf_profiles.csv", together(tables.shelf_profiles)
    yield f"{CSV_FOLDER}/shelf_policies.csv", tables.shelf_policies(order.stores, start, order.near_expiry_days)
    yield f"{CSV_FOLDER}/wh_policies.csv", tables.wh_policies(order.stores, start)
    yield f"{CSV_FOLDER}/suppliers.csv", tables.suppliers(catalogue, order.scale)
    yield f"{CSV_FOLDER}/lanes.csv", tables.lanes(order.stores)
    yield f"{CSV_FOLDER}/store_inventory_snapshot.csv", store_stock
    yield f"{CSV_FOLDER}/warehouse_inventory_snapshot.csv", warehouse_stock
    yield f"{CSV_FOLDER}/store_batches_snapshot.csv", store_batches.select(columns)
    yield f"{CSV_FOLDER}/warehouse_batches_snapshot.csv", warehouse_batches.select(columns)
    yield f"{CSV_FOLDER}/batch_catalog.csv", together(tables.batch_catalog)
    yield "store_inventory_final.parquet", store_stock
    yield "warehouse_inventory_final.parquet", warehouse_stock
    yield "store_batches.parquet", store_batches
    yield "warehouse_batches.parquet", warehouse_batches
    yield offers.FILE, together(tables.all_discounts)
    yield closing.FILE, pa.concat_tables(closings)


def _write_file(content: pa.Table | Iterator[pa.Table], path: Path) -> int:
    """Write a table, or one that comes in parts; returns its rows."""
    if not isinstance(content, pa.Table):
        return _write_parts(content, path)
    (_write_csv if path.suffix == ".csv" else _write_parquet)(content, path)
    return int(content.num_rows)


def _write_parts(parts: Iterator[pa.Table], path: Path) -> int:
    rows = 0
    with papq.ParquetWriter(
        path, panel.SCHEMA, compression="zstd", store_schema=False, use_dictionary=panel.REPEATED
    ) as writer:
        for part in parts:
            writer.write_table(part, row_group_size=part.num_rows)
            rows += part.num_rows
    return rows


def _write_csv(table: pa.Table, path: Path) -> None:
    """Comma separated with a header, as COPY reads it: nothing between two commas is null."""
    columns = [_text(column) if pa.types.is_timestamp(column.type) else column for column in table.columns]
    pacsv.write_csv(pa.table(columns, names=table.column_names), path)


def _text(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.strftime(moments.cast(pa.timestamp("s", tz="UTC")), format="%Y-%m-%dT%H:%M:%SZ")


def _write_parquet(table: pa.Table, path: Path) -> None:
    papq.write_table(table, path, compression="zstd", store_schema=False)
