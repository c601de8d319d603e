"""From a batch of Kafka records to Delta tables: the raw archive, and the mirrors of states."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from smartshelf.contracts.render import arrow
from smartshelf.contracts.rows import ProductTotal
from smartshelf.contracts.tables import Table
from smartshelf.contracts.topics import Topic
from smartshelf.io.delta import DELETED, POSITION, SMALL_MERGED, DeltaSink, max_offsets
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
    """foreachBatch of the mirrors: the latest row of every key; an older (epoch, version) never wins.

    History tables keep a row whose topic has dropped it. The totals follow from the two mirrors just written.
    """

    def __init__(self, root: Path, checkpoint: Callable[[], str]) -> None:
        self._checkpoint = checkpoint
        self.sinks = {
            table.name: DeltaSink(tables.mirror_path(root, table), arrow.row_schema(table.row), SMALL_MERGED)
            for table in tables.MIRRORED
        }
        self.totals = DeltaSink(tables.totals_path(root), arrow.row_schema(ProductTotal))

    def __call__(self, frame: Any, batch_id: int) -> None:
        records = frame.select("topic", "offset", "key", "value").toArrow()
        touched: set[bytes] = set()
        for table in tables.MIRRORED:
            latest = _latest(table, records)
            if not latest:
                continue
            self.sinks[table.name].merge(
                mirror_rows(table, latest), key=table.merge_key, app=self._checkpoint(), version=batch_id
            )
            if table.name in (_SHELVES, _BACKROOM):
                touched |= latest.keys()
        if touched:
            rows = total_rows(self.sinks[_SHELVES].rows(), self.sinks[_BACKROOM].rows(), touched)
            self.totals.merge(rows, key=ProductTotal.primary_key, app=self._checkpoint(), version=batch_id)


_SHELVES, _BACKROOM = "shelf_state", "wh_state"


def _latest(table: Table, records: pa.Table) -> dict[bytes, bytes | None]:
    """The last value of each key; a key stays in its partition, so that is the one with the highest offset."""
    mine = records.filter(pc.equal(records["topic"], table.topic.name))
    if not table.deletes:
        mine = mine.filter(pc.is_valid(mine["value"]))
    mine = mine.sort_by("offset")
    return dict(zip(mine["key"].to_pylist(), mine["value"].to_pylist(), strict=True))


def total_rows(shelves: pa.Table, backroom: pa.Table, keys: Collection[bytes]) -> pa.Table:
    """Totals of these products as the source of a merge; one without a row in either place is gone."""
    schema = arrow.row_schema(ProductTotal)
    wanted = [msgspec.json.decode(key) for key in sorted(keys)]
    of_shelf, of_backroom = ({_product(row): row for row in rows.to_pylist()} for rows in (shelves, backroom))
    made = []
    for key in wanted:
        shelf, room = of_shelf.get(_product(key)), of_backroom.get(_product(key))
        made.append(key | {DELETED: True} if shelf is None or room is None else _total(shelf, room))
    return pa.Table.from_pylist(made, pa.schema([*(f.with_nullable(True) for f in schema), (DELETED, pa.bool_())]))


def _product(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["store_id"], row["shelf_id"]


def _total(shelf: Mapping[str, Any], room: Mapping[str, Any]) -> dict[str, Any]:
    places = {
        "on_shelf": shelf["current_stock"],
        "in_baskets": shelf["in_baskets"],
        "on_the_way": shelf["on_the_way"],
        "in_backroom": room["wh_current_stock"],
    }
    return {
        **{name: shelf[name] for name in ("store_id", "shelf_id", "category", "subcategory")},
        **places,
        "epoch": max(shelf["epoch"], room["epoch"]),
        "version": shelf["version"] + room["version"],
        "as_of_step": max(shelf["as_of_step"], room["as_of_step"]),
        "total": sum(places.values()),
        "on_order": room["on_order_qty"],
        "last_update_ts": max(shelf["last_update_ts"], room["last_update_ts"]),
        DELETED: False,
    }


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
