"""Delta tables by delta-rs: plain tables, one writer process each, every write repeatable.

A Spark commit on a small machine costs a second of CPU and stalls the hot path; these cost milliseconds.
On a cluster the same interface can be filled by Spark's own MERGE.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

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

_PROPERTIES = {
    "delta.checkpointInterval": "100",
    "delta.logRetentionDuration": "interval 1 hours",
    "delta.deletedFileRetentionDuration": "interval 1 hours",
}
#: Writers that find the same table changed beneath them take turns.
INSERT_ATTEMPTS = 10
#: Files that no version of the last hour uses go; readers take seconds.
KEEP_HOURS = 1


def ensure_table(path: Path, schema: pa.Schema) -> bool:
    """Create a plain table (reader 1, writer 2: every tool reads it) unless it exists; True when it was made."""
    if DeltaTable.is_deltatable(str(path)):
        return False
    path.mkdir(parents=True, exist_ok=True)
    try:
        DeltaTable.create(str(path), schema, mode="ignore", configuration=_PROPERTIES)
    except DeltaError:
        # Another process was faster.
        if not DeltaTable.is_deltatable(str(path)):
            raise
        return False
    return True


class DeltaSink:
    """The one writer of a table. Safe for several threads of the process (writes and maintenance take turns)."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        ensure_table(path, schema)
        self.path, self.schema = path, schema
        self._table = DeltaTable(str(path))
        self._turn = threading.Lock()

    def append(self, rows: pa.Table, *, app: str, version: int) -> bool:
        """Add rows unless ``app`` has written this or a later version; False when it had."""

        def write(commit: CommitProperties) -> None:
            write_deltalake(self._table, rows.cast(self.schema), mode="append", commit_properties=commit)

        return self._once(app, version, write)

    def merge(self, rows: pa.Table, *, key: Sequence[str], app: str, version: int) -> bool:
        """Upsert rows of a mirror by key, once per ``app`` and version.

        Rows have the table's columns and ``_deleted``. A row with an older or equal (epoch, version) changes nothing.
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

    def rows(self) -> pa.Table:
        """What the table holds now."""
        with self._turn:
            self._table.update_incremental()
            return self._table.to_pyarrow_table()

    def insert_new(self, rows: pa.Table, *, key: Sequence[str]) -> None:
        """Add the rows whose key the table does not have yet; other processes may do so at the same time."""
        for attempt in range(INSERT_ATTEMPTS):
            with self._turn:
                self._table.update_incremental()
                try:
                    self._merging(rows, key, CommitProperties()).when_not_matched_insert_all().execute()
                    return
                except CommitFailedError:
                    if attempt == INSERT_ATTEMPTS - 1:
                        raise

    def _merging(self, rows: pa.Table, key: Sequence[str], commit: CommitProperties) -> Any:
        same = " and ".join(f"t.{name} = s.{name}" for name in key)
        return self._table.merge(rows, same, source_alias="s", target_alias="t", commit_properties=commit)

    def _once(self, app: str, version: int, write: Callable[[CommitProperties], None]) -> bool:
        with self._turn:
            self._table.update_incremental()
            last = self._table.transaction_version(app)
            if last is not None and last >= version:
                return False
            write(CommitProperties(app_transactions=[Transaction(app, version)]))
            return True

    def maintain(self) -> None:
        """Join small files, delete what no recent version needs, shorten the log."""
        with self._turn:
            self._table.update_incremental()
            self._table.optimize.compact(min_commit_interval=timedelta(0))
            self._table.vacuum(retention_hours=KEEP_HOURS, enforce_retention_duration=False, dry_run=False)
            self._table.create_checkpoint()
            self._table.cleanup_metadata()


def max_offsets(path: Path) -> Offsets:
    """Highest offset in a raw table by topic and partition; {} when there is no table or no row."""
    try:
        rows = DeltaTable(str(path)).to_pyarrow_table(columns=["topic", "partition", "offset"])
    except TableNotFoundError:
        return {}
    reached: Offsets = {}
    for row in rows.group_by(["topic", "partition"]).aggregate([("offset", "max")]).to_pylist():
        reached.setdefault(row["topic"], {})[str(row["partition"])] = row["offset_max"]
    return reached


def read(path: Path, **matching: str) -> list[dict[str, Any]]:
    """The rows of a small table whose columns have these values; [] when there is no table."""
    try:
        rows = DeltaTable(str(path)).to_pyarrow_table(filters=[(c, "=", v) for c, v in matching.items()] or None)
    except TableNotFoundError:
        return []
    found: list[dict[str, Any]] = rows.to_pylist()
    return found
