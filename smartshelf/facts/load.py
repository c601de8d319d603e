"""A folder of ``smartshelf data facts`` into empty Delta tables or Postgres tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

from smartshelf.contracts.render import arrow
from smartshelf.contracts.tables import TABLES, Table
from smartshelf.facts.process import PARTITION
from smartshelf.io import delta, postgres
from spark_apps import tables

#: Records read at once.
BATCH = 10_000


def into_delta(folder: Path, root: Path) -> dict[str, int]:
    """Append the facts to ``raw`` and write the states to ``cleansed`` under ``root``; rows by table.

    The tables are made when they are missing; what they hold stays, so load into empty ones.
    """
    written: dict[str, int] = {}
    for topic in tables.RAW:
        schema = tables.raw_schema(topic)
        for rows in _batches(folder / f"{topic.name}.parquet"):
            places = [pa.array([value] * len(rows)) for value in (topic.name, PARTITION)]
            offsets = pa.array([row["offset"] for row in rows])
            where = [column.cast(field.type) for column, field in zip([*places, offsets], delta.POSITION, strict=True)]
            events = arrow.events_table(topic, [row["value"].encode() for row in rows])
            _append(tables.raw_path(root, topic), pa.table([*where, *events.columns], schema=schema))
            written[topic.name] = written.get(topic.name, 0) + len(rows)
    for table in tables.MIRRORED:
        if (path := folder / f"{table.name}.parquet").is_file():
            written[table.name] = _append(tables.mirror_path(root, table), _states(table, path))
    return written


def into_postgres(folder: Path, connection: Connection) -> dict[str, int]:
    """COPY what Connect's sinks would have written into their empty tables; rows by table.

    Runs in the caller's transaction. Plans of the past are those that the run's compacted topics still have.
    """
    written: dict[str, int] = {}
    for table in (table for table in TABLES.values() if table.direction == "sink"):
        path = folder / f"{table.topic.name}.parquet"
        if path.is_file():
            written[table.full_name] = postgres.copy_rows(connection, table.full_name, *_columns(table, path))
    return written


def _columns(table: Table, path: Path) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
    """The columns of a table, and its rows from a file of the topic's records or of its latest rows."""
    names = table.row.__struct_fields__
    if table.topic.compacted:
        rows = iter(pq.read_table(path, columns=list(names)).to_pylist())
    else:
        values = (msgspec.json.decode(row["value"]) for rows in _batches(path) for row in rows)
        # Every change stands in the file; the table keeps the latest of each key.
        rows = iter({tuple(value.get(name) for name in table.row.primary_key): value for value in values}.values())
    return names, (tuple(row.get(name) for name in names) for row in rows)


def _states(table: Table, path: Path) -> pa.Table:
    if table.topic.compacted:
        return pq.read_table(path).cast(arrow.row_schema(table.row))
    # Every change stands in the file; the table keeps the latest of each key.
    latest = {row["key"]: row["value"] for rows in _batches(path) for row in rows}
    return arrow.rows_table(table.row, [value.encode() for value in latest.values()])


def _append(path: Path, rows: pa.Table) -> int:
    delta.ensure_table(path, rows.schema)
    write_deltalake(str(path), rows, mode="append")
    return int(rows.num_rows)


def _batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    if path.is_file():
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH):
                yield batch.to_pylist()
