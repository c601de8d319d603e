"""Mirrors keep the newest row of every key; history stays; totals follow from the two mirrors they sum up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from smartshelf.contracts.render.columns import Scalar, columns
from smartshelf.contracts.rows import DailyDiscount, MirrorRow, RefillPending, ShelfState, WhState, key_json
from smartshelf.contracts.tables import Table
from smartshelf.io import delta
from spark_apps.sinks import Mirrors
from spark_apps.tables import MIRRORED, mirror_path

AT = datetime(2026, 1, 1, 8, tzinfo=UTC)
SCHEMA = pa.schema([("topic", pa.string()), ("offset", pa.int64()), ("key", pa.binary()), ("value", pa.binary())])
COMMON: dict[str, Any] = {
    "epoch": 1, "as_of_step": 1, "store_id": "S01", "shelf_id": "A", "category": "FISH", "subcategory": "Salmon",
    "last_update_ts": AT,
}  # fmt: skip


class Frame:
    """What foreachBatch hands out, as far as the mirrors use it."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self._records = list(records)

    def select(self, *_: str) -> Frame:
        return self

    def toArrow(self) -> pa.Table:  # noqa: N802  # Spark's name
        return pa.Table.from_pylist(self._records, SCHEMA)


def record(topic: str, offset: int, row: MirrorRow, *, gone: bool = False) -> dict[str, Any]:
    value = None if gone else msgspec.json.encode(row)
    return {"topic": topic, "offset": offset, "key": key_json(type(row), row), "value": value}


def shelf(version: int, stock: int) -> ShelfState:
    return ShelfState(
        **COMMON, version=version, current_stock=stock, max_stock=40, shelf_weight=1.0, in_baskets=1, on_the_way=2
    )


def backroom(version: int, stock: int) -> WhState:
    return WhState(**COMMON, version=version, wh_current_stock=stock, wh_capacity=90, reserved_qty=3, on_order_qty=24)


@pytest.fixture
def mirrors(tmp_path: Path) -> Mirrors:
    return Mirrors(tmp_path, lambda: "checkpoint")


def test_the_total_of_a_product_is_everything_in_the_stores_care(mirrors: Mirrors) -> None:
    mirrors(Frame(record("shelf_state", 1, shelf(4, 5)), record("wh_state", 1, backroom(2, 7))), 0)
    (total,) = mirrors.totals.rows().to_pylist()
    assert (total["total"], total["on_shelf"], total["in_backroom"], total["on_order"]) == (15, 5, 7, 24)
    mirrors(Frame(record("shelf_state", 2, shelf(5, 4))), 1)
    (total,) = mirrors.totals.rows().to_pylist()
    assert (total["total"], total["version"]) == (14, 7)


def test_an_older_row_of_a_repeated_batch_changes_neither_mirror_nor_total(mirrors: Mirrors) -> None:
    mirrors(Frame(record("shelf_state", 2, shelf(5, 4)), record("wh_state", 1, backroom(2, 7))), 0)
    mirrors(Frame(record("shelf_state", 1, shelf(4, 5))), 1)
    assert mirrors.sinks["shelf_state"].rows()["current_stock"].to_pylist() == [4]
    assert mirrors.totals.rows()["total"].to_pylist() == [14]


def test_a_total_goes_with_its_product(mirrors: Mirrors) -> None:
    mirrors(Frame(record("shelf_state", 1, shelf(1, 5)), record("wh_state", 1, backroom(1, 7))), 0)
    mirrors(
        Frame(record("shelf_state", 2, shelf(1, 5), gone=True), record("wh_state", 2, backroom(1, 7), gone=True)), 1
    )
    assert mirrors.sinks["shelf_state"].rows().num_rows == mirrors.totals.rows().num_rows == 0


def test_history_keeps_the_last_row_of_what_its_topic_has_dropped(mirrors: Mirrors) -> None:
    discount = DailyDiscount(
        epoch=1, version=1, as_of_step=1, store_id="S01", shelf_id="A", batch_code="*", discount_date="2026-01-01",
        reason="weekly", discount=0.3, created_at=AT,
    )  # fmt: skip
    written, dropped = record("daily_discounts", 1, discount), record("daily_discounts", 2, discount, gone=True)
    mirrors(Frame(written, dropped), 0)
    mirrors(Frame(dropped), 1)
    assert mirrors.sinks["daily_discounts"].rows()["discount"].to_pylist() == [0.3]


HISTORY = [table for table in MIRRORED if not table.deletes]


def rows_of_history(name: str, at: datetime, version: int) -> list[dict[str, Any]]:
    """A record for each table of history, about something called ``name``; its times are ``at``."""
    values = {"text": name, "uuid": name, "integer": 1, "float": 0.5, "money": 1.0, "boolean": True}
    values |= {"moment": at, "date": at.date()}

    def value(table: Table) -> bytes:
        parts = [part for part in columns(table.row) if isinstance(part.type, Scalar)]
        return msgspec.json.encode({part.name: values[part.type.kind] for part in parts} | {"version": version})

    return [{"topic": t.topic.name, "offset": version, "key": name.encode(), "value": value(t)} for t in HISTORY]


def test_a_merge_into_history_reads_no_file_of_another_time_however_many_there_are(
    tmp_path: Path, mirrors: Mirrors
) -> None:
    mirrors(Frame(*rows_of_history("a", AT, 1), *rows_of_history("z", AT, 1)), 0)
    old = [file for table in HISTORY for file in mirror_path(tmp_path, table).glob("*.parquet")]
    for file in old:  # who reads one of them fails
        file.unlink()
    today = AT + timedelta(days=300)
    for version in (1, 2):
        mirrors(Frame(*rows_of_history("m", today, version)), version)
    for table in HISTORY:
        (kept,) = {Path(file) for file in DeltaTable(mirror_path(tmp_path, table)).file_uris()} - {*old}
        assert pq.read_table(kept)["version"].to_pylist() == [2]


def pending(task: str, version: int, quantity: int) -> RefillPending:
    return RefillPending(
        epoch=1, version=version, as_of_step=1, store_id="S01", task_id=task, shelf_id="A", batch_code="L",
        plan_id="P", quantity=quantity, picked_at=AT, due_at=AT,
    )  # fmt: skip


def test_what_is_pending_is_the_same_after_its_topic_was_read_in_pieces_and_once_more(tmp_path: Path) -> None:
    log = [
        record("shelf_refill_pending", 1, pending("t1", 1, 30)),
        record("shelf_refill_pending", 2, pending("t2", 1, 10)),
        record("shelf_refill_pending", 3, pending("t1", 2, 18)),
        record("shelf_refill_pending", 4, pending("t2", 1, 10), gone=True),
    ]
    table = tmp_path / "staging" / "shelf_refill_pending"
    for checkpoint, pieces in (("first", (log[3:0:-1], log[:1])), ("again", (log[:2], log[2:])), ("whole", (log,))):
        mirrors = Mirrors(tmp_path, lambda name=checkpoint: name)
        for batch, records in enumerate(pieces):
            mirrors(Frame(*records), batch)
            mirrors(Frame(*records), batch)
        assert [(row["task_id"], row["quantity"]) for row in delta.read(table)] == [("t1", 18)]
