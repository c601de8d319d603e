"""From a batch of Kafka records to Delta tables: the raw archive, and the mirrors of states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from smartshelf.contracts.render import arrow
from smartshelf.contracts.tables import Table
from smartshelf.contracts.topics import Topic
from smartshelf.io.delta import DELETED, POSITION, DeltaSink, max_offsets
from spark_apps import tables


class RawSinks:
    """foreachBatch of the archive: every fact once, with where it stood in Kafka.

    Twice safe: a batch id is written once per checkpoint, and an offset that the table holds is not added again
    (a new checkpoint, or one restored from a backup, may hand it out a second time).
    """

    def __init__(self, root: Path, checkpoint: Callable[[], str]) -> None:
        self._checkpoint = checkpoint
        self.sinks = {t.name: DeltaSink(tables.raw_path(root, t), tables.raw_schema(t)) for t in tables.RAW}
        self.reached = {
            topic.name: max_offsets(tables.raw_path(root, topic)).get(topic.name, {}) for topic in tables.RAW
        }

    def __call__(self, frame: Any, batch_id: int) -> None:
        records = frame.select("topic", "partition", "offset", "value").toArrow()
        for topic in tables.RAW:
            self._append(topic, records.filter(pc.equal(records["topic"], topic.name)), batch_id)

    def _append(self, topic: Topic, records: pa.Table, batch_id: int) -> None:
        reached = self.reached[topic.name]
        positions = zip(records["partition"].to_pylist(), records["offset"].to_pylist(), strict=True)
        new = [offset > reached.get(str(partition), -1) for partition, offset in positions]
        records = records.filter(pa.array(new, pa.bool_()))
        if not len(records):
            return
        events = arrow.events_table(topic, records["value"].to_pylist())
        columns = [records[name].cast(POSITION.field(name).type) for name in POSITION.names] + events.columns
        rows = pa.table(columns, schema=tables.raw_schema(topic))
        self.sinks[topic.name].append(rows, app=self._checkpoint(), version=batch_id)
        ends = records.group_by("partition").aggregate([("offset", "max")]).to_pylist()
        reached.update({str(end["partition"]): end["offset_max"] for end in ends})


class Mirrors:
    """foreachBatch of the mirrors: the latest row of every key; an older (epoch, version) never wins."""

    def __init__(self, root: Path, checkpoint: Callable[[], str]) -> None:
        self._checkpoint = checkpoint
        self.sinks = {
            table.name: DeltaSink(tables.mirror_path(root, table), arrow.row_schema(table.row))
            for table in tables.MIRRORED
        }

    def __call__(self, frame: Any, batch_id: int) -> None:
        records = frame.select("topic", "offset", "key", "value").toArrow()
        for table in tables.MIRRORED:
            mine = records.filter(pc.equal(records["topic"], table.name)).sort_by("offset")
            # A key stays in its partition, so the highest offset is its latest row.
            latest = dict(zip(mine["key"].to_pylist(), mine["value"].to_pylist(), strict=True))
            if latest:
                rows = mirror_rows(table, latest)
                key = table.row.primary_key
                self.sinks[table.name].merge(rows, key=key, app=self._checkpoint(), version=batch_id)


def mirror_rows(table: Table, latest: dict[bytes, bytes | None]) -> pa.Table:
    """Latest values by key as the source of a merge: a tombstone becomes its key with ``_deleted``."""
    schema = arrow.row_schema(table.row)
    present = arrow.rows_table(table.row, [value for value in latest.values() if value is not None])
    gone = [msgspec.json.decode(key) for key, value in latest.items() if value is None]
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    return pa.concat_tables(
        [
            present.cast(nullable).append_column(DELETED, pa.array([False] * len(present), pa.bool_())),
            pa.Table.from_pylist(gone, nullable).append_column(DELETED, pa.array([True] * len(gone), pa.bool_())),
        ]
    )
