"""The four state jobs and the flattener: what is shown follows from the facts, and what is used up goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from smartshelf.contracts import events as e
from smartshelf.contracts.control import Tick
from smartshelf.contracts.rows import key_json
from spark_apps.jobs.batch_state import BatchState
from spark_apps.jobs.pos_flattener import PosFlattener
from spark_apps.jobs.warehouse_aggregator import WarehouseAggregator
from spark_apps.jobs.wh_batch_state import WarehouseBatchState
from spark_apps.runtime.engine import StoreEngine
from spark_apps.runtime.records import Record
from tests.spark.log import profile

START = datetime(2026, 1, 1, 7, tzinfo=UTC)
STAGES = (BatchState(), WarehouseAggregator(), WarehouseBatchState(), PosFlattener())


class Store:
    """One store whose state is saved and loaded between steps, as Spark does it; a step lasts an hour."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.offsets: dict[str, int] = {}
        #: topic -> key -> last row, None for a tombstone
        self.rows: dict[str, dict[str, dict[str, Any] | None]] = {}
        self.step = -1
        self._numbers = 0
        shelf = profile("S01", "A")
        self.live(config=[Record("shelf_profiles", 0, 0, 0, key_json(type(shelf), shelf), msgspec.json.encode(shelf))])

    def live(self, *facts: tuple[str, e.Event], config: list[Record] | None = None, hours: int = 1) -> Store:
        k_from, self.step = self.step + 1, self.step + hours
        records = list(config or [])
        records += [self._record(topic, msgspec.json.encode(fact)) for topic, fact in facts]
        tick = Tick(
            store_id="S01", epoch=1, k_from=k_from, k=self.step, t=START + timedelta(hours=self.step),
            cut={t: {"0": n} for t, n in self.offsets.items() if t != "sim_ticks"}, config={"shelf_profiles": {"0": 0}},
        )  # fmt: skip
        engine = StoreEngine("S01", STAGES, epoch=1, step_seconds=3600, values=self.values)
        result = engine.process([*records, self._record("sim_ticks", msgspec.json.encode(tick))])
        self.values |= engine.dump()
        for _, (topic, key, value) in result.emitted:
            assert topic != "dead_letters"
            row = None if value is None else msgspec.json.decode(value)
            self.rows.setdefault(topic, {})["/".join(map(str, msgspec.json.decode(key or b"").values()))] = row
        return self

    def _record(self, topic: str, value: bytes) -> Record:
        self.offsets[topic] = self.offsets.get(topic, -1) + 1
        return Record(topic, 0, self.offsets[topic], 0, b"S01", value)

    def fact(self, kind: type[e.Event], **payload: Any) -> e.Event:
        self._numbers += 1
        at = START + timedelta(hours=self.step + 1)
        return kind(
            event_id=f"f{self._numbers}", schema_version=1, store_id="S01", timestamp=at, source="test", **payload
        )

    def opening(self, batch: str, units: int, location: str = "store") -> tuple[str, e.Event]:
        return "shelf_events", self.fact(
            e.Count, shelf_id="A", batch_code=batch, received_date="2025-12-30", expiry_date="2026-01-09",
            quantity=units, adjustment=units, reason="opening", location=location,
        )  # fmt: skip

    def sale(self, batch: str, units: int) -> tuple[str, e.Event]:
        line = e.ReceiptLine(
            line_no=1, shelf_id="A", batch_code=batch, quantity=units, unit_price=2.0, discount=0.25,
            total_price=1.5 * units, expiry_date="2026-01-09",
        )  # fmt: skip
        return "pos_transactions", self.fact(
            e.PosTransaction, transaction_id="R1", customer_id="C1", till_id="T1", items=(line,), total_items=units,
            total_amount=1.5 * units,
        )  # fmt: skip

    def row(self, topic: str, key: str) -> dict[str, Any]:
        found = self.rows[topic][key]
        assert found is not None
        return found


def test_a_lot_is_shown_where_its_units_are() -> None:
    store = Store()
    store.live(store.opening("L1", 30, "warehouse"), store.opening("L2", 8))
    due = START + timedelta(hours=2)
    store.live(("wh_events", store.fact(e.WhOut, shelf_id="A", batch_code="L1", qty=12, plan_id="p", due_ts=due)))
    lot = store.row("wh_batch_state", "S01/A/L1")
    assert (lot["batch_quantity_warehouse"], lot["in_transit_qty"], lot["batch_quantity_store"]) == (18, 12, 0)
    assert "S01/A/L1" not in store.rows["shelf_batch_state"], "it has never been in the store"
    store.live(("shelf_events", store.fact(e.Refill, shelf_id="A", batch_code="L1", quantity=12, plan_id="p")))
    assert store.row("shelf_batch_state", "S01/A/L1")["batch_quantity_store"] == 12
    assert store.row("wh_batch_state", "S01/A/L1")["in_transit_qty"] == 0
    assert store.row("wh_state", "S01/A")["wh_current_stock"] == 18
    assert store.row("shelf_batch_state", "S01/A/L2")["expiry_date"] == "2026-01-09"


def test_reservations_and_orders_show_in_the_backrooms_row_until_they_are_served() -> None:
    store = Store()
    store.live(
        ("proposals", store.fact(e.Reserve, shelf_id="A", plan_id="p", qty=7)),
        ("proposals", store.fact(e.Ordered, shelf_id="A", order_id="o1", qty=24)),
        ("proposals", store.fact(e.Ordered, shelf_id="A", order_id="o2", qty=48)),
    )
    row = store.row("wh_state", "S01/A")
    assert (row["reserved_qty"], row["on_order_qty"]) == (7, 72)
    dates = {"received_date": "2026-01-02", "expiry_date": "2026-01-20"}
    store.live(
        ("wh_events", store.fact(e.WhIn, shelf_id="A", batch_code="D1", qty=20, order_id="o1", **dates)),
        ("proposals", store.fact(e.Reserve, shelf_id="A", plan_id="p", qty=0)),
    )
    row = store.row("wh_state", "S01/A")
    assert (row["reserved_qty"], row["on_order_qty"], row["wh_current_stock"]) == (0, 48, 20), "a short one closes too"
    store.live(("proposals", store.fact(e.Ordered, shelf_id="A", order_id="o2", qty=0)))
    assert store.row("wh_state", "S01/A")["on_order_qty"] == 0


def test_a_used_up_lot_leaves_both_topics_fourteen_days_later_and_its_neighbours_stay_as_they_are() -> None:
    store = Store()
    store.live(store.opening("L1", 2), store.opening("L2", 3), store.opening("L3", 4, "warehouse"))
    store.live(store.sale("L1", 2))
    store.live(hours=14 * 24)
    assert store.row("shelf_batch_state", "S01/A/L1")["batch_quantity_store"] == 0
    before = dict(store.rows["wh_batch_state"])
    store.live(hours=24)
    assert store.rows["shelf_batch_state"]["S01/A/L1"] is None
    assert store.rows["wh_batch_state"]["S01/A/L1"] is None
    assert {k: v for k, v in store.rows["wh_batch_state"].items() if v} == {
        k: v for k, v in before.items() if k != "S01/A/L1"
    }
    store.live(store.sale("L2", 1))
    assert store.row("shelf_batch_state", "S01/A/L2")["batch_quantity_store"] == 2


def test_a_receipt_becomes_a_header_and_its_lines() -> None:
    store = Store()
    store.live(store.sale("L1", 2))
    header, line = store.row("pos_headers", "S01/R1"), store.row("pos_lines", "S01/R1/1")
    assert (header["total_items"], header["total_amount"], header["till_id"]) == (2, 3.0, "T1")
    assert (line["quantity"], line["discount"], line["batch_code"], line["as_of_step"]) == (2, 0.25, "L1", store.step)
    assert len(store.rows["pos_headers"]) == 1
