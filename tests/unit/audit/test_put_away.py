"""The books are the same whether Kafka still has all facts or the archive alone has the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from smartshelf.audit import sources
from smartshelf.audit.cut import Cut
from smartshelf.contracts import events as e
from smartshelf.contracts.control import Tick
from smartshelf.contracts.ledger import EXPIRED
from smartshelf.contracts.render import arrow
from smartshelf.contracts.topics import FACTS, TOPICS
from smartshelf.io import kafka
from smartshelf.settings import Settings
from spark_apps import tables
from spark_apps.sinks import RawSinks

AT = datetime(2026, 1, 1, 8, tzinfo=UTC)
WORLD, MANAGER = "world:S01", "job:restock_manager"


def envelope(minute: int, source: str, seq: int, step: int | None = None) -> dict[str, Any]:
    return {
        "event_id": f"{source}-{seq}-{minute}", "schema_version": 1, "store_id": "S01", "source": source, "seq": seq,
        "timestamp": AT + timedelta(minutes=minute), "step": step,
    }  # fmt: skip


LINE = e.ReceiptLine(line_no=1, shelf_id="A", batch_code="L1", quantity=2, unit_price=1.0, total_price=2.0)
#: By topic, in the order of their offsets.
LOG: dict[str, list[e.Event]] = {
    "shelf_events": [
        e.Count(**envelope(5, "init", 1), shelf_id="A", batch_code="L1", quantity=9, adjustment=9, reason="opening"),
        e.Pickup(**envelope(6, WORLD, 1), customer_id="C", shelf_id="A", quantity=3, item_weight=1.0),
        e.Pickup(**envelope(1, WORLD, 2), customer_id="C", shelf_id="A", quantity=1, item_weight=1.0),  # late
        e.Removal(**envelope(9, WORLD, 3), shelf_id="A", batch_code="L1", quantity=2, reason=EXPIRED,
                  location="warehouse"),
        e.Pickup(**envelope(2, WORLD, 4), customer_id="C", shelf_id="A", quantity=1, item_weight=1.0),  # late too
    ],
    "pos_transactions": [
        e.PosTransaction(**envelope(7, WORLD, 1), transaction_id="T", customer_id="C", till_id="1", items=(LINE,),
                         total_items=2, total_amount=2.0),
    ],
    "wh_events": [
        e.WhIn(**envelope(1, WORLD, 1), shelf_id="A", batch_code="L1", qty=30, received_date="2026-01-01",
               expiry_date="2026-01-09"),
        e.WhOut(**envelope(2, MANAGER, 1, 2), shelf_id="A", batch_code="L1", qty=5, plan_id="P",
                due_ts=AT + timedelta(minutes=10)),
        e.WhAdjust(**envelope(3, MANAGER, 2, 3), shelf_id="A", batch_code="L1", qty=-3, reason=EXPIRED),
    ],
    "lost_demand": [e.LostDemand(**envelope(n, WORLD, n), customer_id="C", shelf_id="A", quantity=1)
                    for n in (1, 2, 3)],
}  # fmt: skip


class Message:
    def __init__(self, offset: int, value: bytes) -> None:
        self.offset, self.value, self.partition = (lambda: offset), (lambda: value), (lambda: 0)


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    """A store whose archive holds everything."""
    sinks = RawSinks(tmp_path, lambda: "checkpoint")
    for name in ("shelf_events", "pos_transactions", "wh_events"):
        values = [msgspec.json.encode(fact) for fact in LOG[name]]
        count = len(values)
        where = [pa.array([name] * count), pa.array([0] * count, pa.int32()), pa.array(range(count), pa.int64())]
        columns = [*where, *arrow.events_table(TOPICS[name], values).columns]
        sinks.sinks[name].append(pa.table(columns, schema=tables.raw_schema(TOPICS[name])), app="a", version=0)
    return Settings(SMARTSHELF_DELTA=tmp_path)


def folded(config: Settings, monkeypatch: pytest.MonkeyPatch, gone: dict[str, int]) -> sources.Facts:
    """The audit's fold when Kafka has lost the first so many records of each topic."""

    def read_all(bootstrap: str, topic: str) -> Iterator[Message]:
        for offset, fact in enumerate(LOG.get(topic, [])):
            if offset >= gone.get(topic, 0):
                yield Message(offset, msgspec.json.encode(fact))

    starts = {topic.name: {"0": gone.get(topic.name, 0)} for topic in FACTS}
    monkeypatch.setattr(kafka, "read_all", read_all)
    monkeypatch.setattr(kafka, "start_offsets", lambda *_: starts)
    ends = {name: {"0": len(facts) - 1} for name, facts in LOG.items()}
    tick = Tick(store_id="S01", epoch=1, k_from=9, k=9, t=AT + timedelta(minutes=9), cut=ends, config={})
    cut = Cut({"S01": tick}, frozenset())
    before = sources.facts_put_away(config, cut)
    facts = sources.facts_in_kafka(config, cut, before)
    assert sources.facts_in_delta(config, cut, before).by_lot == facts.balances.by_lot
    return facts


@pytest.mark.parametrize("cut_off", [0, 1, 3, 5])
def test_the_books_do_not_depend_on_what_kafka_has_still(
    config: Settings, monkeypatch: pytest.MonkeyPatch, cut_off: int
) -> None:
    whole = folded(config, monkeypatch, {})
    gone = {name: min(cut_off, len(facts)) for name, facts in LOG.items()}
    part = folded(config, monkeypatch, gone)
    assert part.balances.by_shelf == whole.balances.by_shelf
    assert part.balances.by_lot == whole.balances.by_lot
    assert (part.taken, part.leaving, part.counted) == (whole.taken, whole.leaving, whole.counted)
    assert part.sequences.differences() == whole.sequences.differences() == []


def test_a_number_that_is_missing_after_what_was_put_away_is_found(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = LOG["lost_demand"]
    monkeypatch.setitem(LOG, "lost_demand", [*lost[:2], msgspec.structs.replace(lost[2], seq=4)])
    (found,) = folded(config, monkeypatch, {"lost_demand": 1}).sequences.differences()
    assert (found.expected, found.found) == (3, "missing")
