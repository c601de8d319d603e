"""Delta tables by delta-rs: plain tables, one writer process each, every write repeatable.

A Spark commit on a small machine costs a second of CPU and stalls the hot path; these cost milliseconds.
On a cluster the same interface can be filled by Spark's own MERGE.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Field, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from pyarrow.dataset import dataset

from smartshelf.contracts.control import Offsets

log = logging.getLogger(__name__)

#: Where a row of the raw archive stood in Kafka.
POSITION = pa.schema(
    [
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
    ]
)
#: Column of a merge's source that says 'delete this key'.
DELETED = "_deleted"

#: What no version of the last minutes uses goes: a mirror gets a version every two seconds, and readers take seconds.
_PROPERTIES = {
    "delta.checkpointInterval": "100",
    "delta.logRetentionDuration": "interval 3 minutes",
    "delta.deletedFileRetentionDuration": "interval 3 minutes",
}
#: Writers that find the same table changed beneath them take turns.
ATTEMPTS = 10
#: Offsets that are read at once.
PIECE = 100_000
#: Files are joined to this size (bytes), when so many are below half of it: what is joined is written once more.
#: A merge writes whole files anew, so where rows change they stay smaller.
SMALL, SMALL_MERGED, MANY = 16_000_000, 1_000_000, 8


def ensure_table(path: Path, schema: pa.Schema, partition_by: Sequence[str] = ()) -> bool:
    """Create a plain table (reader 1, writer 2: every tool reads it) unless it exists; True when it was made."""
    if DeltaTable.is_deltatable(str(path)):
        return False
    path.mkdir(parents=True, exist_ok=True)
    properties: dict[str, Any] = {"mode": "ignore", "configuration": _PROPERTIES}
    try:
        DeltaTable.create(str(path), schema, partition_by=list(partition_by) or None, **properties)
    except DeltaError:
        # Another process was faster.
        if not DeltaTable.is_deltatable(str(path)):
            raise
        return False
    return True


class DeltaSink:
    """The one writer of a table. Safe for several threads of the process (writes and maintenance take turns)."""

    def __init__(self, path: Path, schema: pa.Schema, small: int = SMALL) -> None:
        """``small``: files are joined to this size (bytes)."""
        ensure_table(path, schema)
        self.path, self.schema, self._small = path, schema, small
        self._table = DeltaTable(str(path))
        there = set(self._table.schema().to_arrow().names)
        # A field that came with newer code; rows from before do not have it.
        if new := [Field.from_arrow(field) for field in schema if field.name not in there]:
            self._table.alter.add_columns(new)
        if _PROPERTIES.items() - self._table.metadata().configuration.items():
            self._table.alter.set_table_properties(_PROPERTIES)
        self._turn = threading.Lock()

    def append(self, rows: pa.Table, *, app: str, version: int) -> bool:
        """Add rows unless ``app`` has written this or a later version; False when it had."""

        def write(commit: CommitProperties) -> None:
            write_deltalake(self._table, rows.cast(self.schema), mode="append", commit_properties=commit)

        return self._once(app, version, write)

    def merge(self, rows: pa.Table, *, key: Sequence[str], app: str, version: int) -> bool:
        """Upsert rows of a mirror by key, once per ``app`` and version.

        Rows have the table's columns and ``_deleted``. A row with an older or equal (epoch, version) changes nothing.
        Files are read only where the least and greatest values of each key column let them hold a row of ``rows``.
        """
        values = {name: f"s.{name}" for name in self.schema.names}
        newer = "s.epoch > t.epoch or (s.epoch = t.epoch and s.version > t.version)"

        def write(commit: CommitProperties) -> None:
            (
                self._merging(rows, key, commit)
                .when_matched_delete(predicate=f"s.{DELETED}")
                .when_matched_update(updates=values, predicate=f"not s.{DELETED} and ({newer})")
                .when_not_matched_insert(updates=values, predicate=f"not s.{DELETED}")
                .execute()
            )

        return self._once(app, version, write)

    def rows(self, columns: Sequence[str] | None = None) -> pa.Table:
        """What the table holds now, of these columns or all."""
        with self._turn:
            self._table.update_incremental()
            return self._table.to_pyarrow_table(columns=None if columns is None else list(columns))

    def delete(self, where: str) -> None:
        """Delete the rows for which an SQL condition holds; other processes may write at the same time."""
        self._in_turns(lambda: self._table.delete(where))

    def insert_new(self, rows: pa.Table, *, key: Sequence[str]) -> None:
        """Add the rows whose key the table does not have yet; other processes may do so at the same time."""
        self._in_turns(lambda: self._merging(rows, key, CommitProperties()).when_not_matched_insert_all().execute())

    def _in_turns(self, write: Callable[[], object]) -> None:
        for attempt in range(ATTEMPTS):
            with self._turn:
                self._table.update_incremental()
                try:
                    write()
                    return
                except CommitFailedError:
                    if attempt == ATTEMPTS - 1:
                        raise

    def _merging(self, rows: pa.Table, key: Sequence[str], commit: CommitProperties) -> Any:
        same = " and ".join(f"t.{name} = s.{name}" for name in key)
        # A source that is streamed tells no bounds: every file would be read, more of them every day.
        return self._table.merge(
            rows, same, source_alias="s", target_alias="t", streamed_exec=False, commit_properties=commit
        )

    def _once(self, app: str, version: int, write: Callable[[CommitProperties], None]) -> bool:
        with self._turn:
            self._table.update_incremental()
            last = self._table.transaction_version(app)
            if last is not None and last >= version:
                return False
            write(CommitProperties(app_transactions=[Transaction(app, version)]))
            return True

    def maintain(self) -> None:
        """See ``maintain``."""
        with self._turn:
            self._table.update_incremental()
            maintain(self._table, self._small)


def maintain(table: DeltaTable, small: int = SMALL) -> None:
    """Join small files, in order, delete what no recent version needs, shorten the log; for the writer of a table."""
    sizes = pa.table(table.get_add_actions())["size_bytes"].to_pylist()
    if sum(size < small / 2 for size in sizes) >= MANY:
        table.optimize.compact(target_size=small, min_commit_interval=timedelta(0))
    vacuum(table)
    table.create_checkpoint()
    table.cleanup_metadata()


def vacuum(table: DeltaTable) -> None:
    """Delete the files that no version of the last minutes needs; its writer may be at work."""
    table.vacuum(enforce_retention_duration=False, dry_run=False)


def max_offsets(path: Path) -> Offsets:
    """Highest offset in a raw table by topic and partition; {} when there is no table or no row.

    The statistics of a file say it where all its rows are of one partition; only other files are read.
    """
    try:
        table = DeltaTable(str(path))
    except TableNotFoundError:
        return {}
    reached: Offsets = {}

    def note(topic: str, partition: int, offset: int) -> None:
        known = reached.setdefault(topic, {})
        known[str(partition)] = max(offset, known.get(str(partition), -1))

    several = []
    for file in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        least, most = ([file.get(f"{end}.{name}") for name in ("topic", "partition")] for end in ("min", "max"))
        if least == most and None not in least:
            note(most[0], most[1], file["max.offset"])
        else:
            several.append(f"{path}/{file['path']}")
    if several:
        rows = dataset(several, format="parquet").to_table(columns=list(POSITION.names))
        for row in rows.group_by(["topic", "partition"]).aggregate([("offset", "max")]).to_pylist():
            note(row["topic"], row["partition"], row["offset_max"])
    return reached


def in_order(path: Path, columns: Sequence[str], start: Offsets, end: Offsets) -> Iterator[dict[str, Any]]:
    """Rows of a raw table by partition and offset: from ``start`` (or the first) to before ``end`` (or the last).

    Both by topic and partition. The table is read in pieces: it may be far larger than memory.
    """
    if not (reached := max_offsets(path)):
        return
    table = DeltaTable(str(path)).to_pyarrow_dataset()
    wanted = [*POSITION.names, *(name for name in columns if name not in POSITION.names)]
    for topic, partitions in sorted(reached.items()):
        for part, last in sorted(partitions.items(), key=lambda item: int(item[0])):
            stop = min(last + 1, end.get(topic, {}).get(part, last + 1))
            for low in range(start.get(topic, {}).get(part, 0), stop, PIECE):
                inside = (
                    (pc.field("partition") == int(part))
                    & (pc.field("offset") >= low)
                    & (pc.field("offset") < min(low + PIECE, stop))
                )
                yield from table.to_table(columns=wanted, filter=inside).sort_by("offset").to_pylist()


def read(path: Path, **matching: str) -> list[dict[str, Any]]:
    """The rows of a small table whose columns have these values; [] when there is no table."""
    try:
        rows = DeltaTable(str(path)).to_pyarrow_table(filters=[(c, "=", v) for c, v in matching.items()] or None)
    except TableNotFoundError:
        return []
    found: list[dict[str, Any]] = rows.to_pylist()
    return found
