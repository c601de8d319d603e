"""Bad input, from the entry in Redis to the books: each kind has a defined end, is told, and no unit goes astray.

The way is the real one, without servers: the bridge's planning, the engine with all stages, the audit's own fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from bridge.batch import Settled, Sorter, apply
from bridge.inbox import MarkEntry, Segment
from bridge.position import Position
from smartshelf.audit import books, run, sources
from smartshelf.audit.books import Balances, Difference, Rows
from smartshelf.audit.cut import Cut
from smartshelf.contracts.control import Mark, Tick
from smartshelf.contracts.events import DeadLetter
from smartshelf.contracts.rows import Alert, ShelfState, key_json
from smartshelf.contracts.tables import TABLES
from smartshelf.contracts.topics import TOPICS
from spark_apps.jobs import STAGES
from spark_apps.runtime.engine import StoreEngine
from spark_apps.runtime.records import Record
from tests import worlds as small

START = datetime(2026, 1, 1, 7, tzinfo=UTC)
STORE = "S01"
SHELF, OTHER = "TESTEN0000", "TESTEN0001"
STATES = ("state.shelf_state", "state.wh_state", "state.shelf_batch_state", "state.wh_batch_state")


@dataclass
class Shop:
    """Two shelves with 40 units each of lot A and 30 of lot B in the backroom; outside systems write what they like."""

    k: int = -1
    position: Position = field(default_factory=lambda: Position(epoch=1))
    #: topic -> records as they stand in Kafka
    log: dict[str, list[Record]] = field(default_factory=dict)
    rows: dict[str, dict[bytes, bytes | None]] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    alerts: dict[str, Alert] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    tick: Tick | None = None

    def __post_init__(self) -> None:
        self.engine = StoreEngine(STORE, STAGES, epoch=1, step_seconds=60)
        self._waiting: dict[str, list[tuple[bytes, dict[bytes, bytes]]]] = {}
        self._entries = 0
        for number in range(2):
            profile = small.profile(number, STORE)
            key = key_json(type(profile), profile)
            self._record("shelf_profiles", key, msgspec.json.encode(profile))
            for location, lot, units in (("store", "A", 40), ("warehouse", "B", 30)):
                self.tell(
                    "count", shelf_id=profile.shelf_id, batch_code=lot, expiry_date="2026-01-05",
                    received_date="2025-12-30", quantity=units, adjustment=units, reason="opening", location=location,
                )  # fmt: skip
            self.tell("weight_change", shelf_id=profile.shelf_id, delta_weight=40 * profile.item_weight)
        self.end()

    def at(self, k: int) -> datetime:
        return START + timedelta(minutes=k)

    def tell(self, event_type: str, stream: str = "shelf_events", **payload: Any) -> None:
        """An event of an outside source, in the step that runs."""
        self._entries += 1
        event = {
            "event_type": event_type,
            "event_id": f"outside-{self._entries}",
            "schema_version": 1,
            "store_id": STORE,
            "timestamp": self.at(self.k + 1),
            "source": "vendor",
        }
        entry = {b"key": b"key", b"data": msgspec.json.encode(event | payload)}
        self._waiting.setdefault(stream, []).append((f"{self._entries}-0".encode(), entry))

    def sell(self, *lines: Mapping[str, Any], **envelope: Any) -> None:
        items = [{"line_no": n, "unit_price": 1.0, "total_price": 1.0} | dict(line) for n, line in enumerate(lines, 1)]
        self.tell(
            "pos_transaction", "pos_transactions", transaction_id=f"T{self._entries}", customer_id="C", till_id="1",
            items=items, total_items=len(items), total_amount=1.0, **envelope,
        )  # fmt: skip

    def take(self, quantity: int, shelf_id: str = SHELF, **envelope: Any) -> None:
        self.tell("pickup", customer_id="C", shelf_id=shelf_id, quantity=quantity, item_weight=100.0, **envelope)

    def end(self, k: int | None = None, k_from: int | None = None) -> None:
        """End steps ``k_from``..``k`` (default: the next)."""
        k = self.k + 1 if k is None else k
        mark = Mark(
            epoch=1, k_from=self.k + 1 if k_from is None else k_from, k=k, t=self.at(k), stores=(STORE,), streams={}
        )
        sorter = Sorter(self.position, lambda topic, store: 0, lambda: START)
        config = {STORE: {"shelf_profiles": {"0": len(self.log["shelf_profiles"]) - 1}}}
        batch = sorter.batch([Segment(dict(self._waiting), MarkEntry(f"{self._entries}-1", mark))], config)
        offsets = {}
        new = [self._record(topic, key, value) for topic, value, key, _ in batch.facts]
        offsets = {index: new[index].offset for index in batch.flagged}
        settled = batch.settle(offsets, lambda store: 0)
        apply(batch, settled)
        self._waiting, self.remarks = {}, self.remarks + [said for _, said in batch.remarks]
        self.letters += batch.letters
        self._decide(new, settled)
        self.k = max(self.k, k)

    def _record(self, topic: str, key: bytes, value: bytes | None) -> Record:
        log = self.log.setdefault(topic, [])
        log.append(Record(topic, 0, len(log), 0, key, value))
        return log[-1]

    def _decide(self, facts: list[Record], settled: Settled) -> None:
        records = [*self.log["shelf_profiles"], *facts]
        for tick in settled.ticks:
            self.tick = tick
            records.append(self._record("sim_ticks", b"", msgspec.json.encode(tick)))
        for _, output in self.engine.process(records).emitted:
            topic = TOPICS[output.topic]
            if output.topic == "dead_letters":
                self.letters.append(topic.decoder.decode(output.value or b""))
            elif output.topic == "alerts":
                alert = topic.decoder.decode(output.value or b"")
                self.alerts[alert.alert_id] = alert
            elif topic.compacted:
                self.rows.setdefault(output.topic, {})[output.key or b""] = output.value
            elif topic.kind == "fact":
                self._record(output.topic, output.key or b"", output.value)

    # --- looking ---------------------------------------------------------------------------------

    def shelf(self, shelf_id: str = SHELF) -> ShelfState:
        rows = [TOPICS["shelf_state"].decoder.decode(row) for row in self.rows["shelf_state"].values() if row]
        found: ShelfState = next(row for row in rows if row.shelf_id == shelf_id)
        return found

    def lots(self, shelf_id: str = SHELF) -> dict[str, tuple[int, int, int]]:
        """Lot -> units in the backroom, on the way, in the store."""
        rows = [TOPICS["wh_batch_state"].decoder.decode(row) for row in self.rows["wh_batch_state"].values() if row]
        return {
            row.batch_code: (row.batch_quantity_warehouse, row.in_transit_qty, row.batch_quantity_store)
            for row in rows
            if row.shelf_id == shelf_id
        }

    def open_alerts(self, rule: str) -> list[Alert]:
        return [alert for alert in self.alerts.values() if alert.event_type == rule and alert.status == "open"]

    def audit(self) -> list[Difference]:
        """The audit's fold of all facts against the states' rows."""
        assert self.tick is not None
        cut = Cut({STORE: self.tick}, frozenset(letter.origin for letter in self.letters))
        facts = sources.Facts(Balances("facts"))
        for topic in sources.BOOKED:
            for record in self.log.get(topic, ()):
                facts.take_in(TOPICS[topic].decoder.decode(record.value or b""), cut, topic, 0, record.offset)
        tables: dict[str, Rows] = {}
        for name in STATES:
            values = self.rows.get(TABLES[name].topic.name, {}).values()
            tables[name] = books.keyed(TABLES[name], [msgspec.json.decode(value) for value in values if value])
        assert facts.beyond == 0
        return [
            *books.unbalanced(facts.balances),
            *run.states_against(facts, sources.as_balances("states", tables), tables),
        ]


@pytest.fixture
def shop() -> Shop:
    opened = Shop()
    assert opened.audit() == []
    return opened


def test_an_event_of_yesterday_counts_when_it_comes_under_its_old_time(shop: Shop) -> None:
    shop.end(2 * 1440)
    before = shop.shelf().last_update_ts
    shop.take(3, timestamp=shop.at(1440))
    shop.end()
    assert (shop.shelf().current_stock, shop.shelf().in_baskets) == (37, 3)
    assert shop.shelf().last_update_ts == max(before, shop.at(1440)), "it does not make the row older"
    assert shop.letters == []
    assert shop.audit() == []


def test_an_event_from_before_a_count_leaves_what_was_counted_alone(shop: Shop) -> None:
    shop.tell("count", shelf_id=SHELF, quantity=35, adjustment=-5, reason="cycle")
    shop.end()
    shop.take(3, timestamp=START - timedelta(days=1))
    shop.end()
    assert (shop.shelf().current_stock, shop.shelf().in_baskets) == (35, 3)
    assert shop.audit() == []


def test_what_an_outside_source_says_twice_counts_once(shop: Shop) -> None:
    for _ in range(2):
        shop.take(3, event_id="again")
    shop.end()
    shop.take(3, event_id="again")
    shop.take(2, event_id="again", source="another")
    shop.end()
    assert shop.shelf().current_stock == 40 - 3 - 2
    assert shop.position.streams["shelf_events"].counts.repeated == 2
    assert shop.remarks == ["shelf_events: 1 repeated events dropped"] * 2
    assert shop.audit() == []


def test_events_of_a_shelf_without_profile_are_dead_letters_and_move_nothing(shop: Shop) -> None:
    shop.take(3, shelf_id="NOSUCH0001")
    shop.tell("wh_in", "wh_events", shelf_id="NOSUCH0001", batch_code="L", qty=5, received_date="2026-01-01",
              expiry_date="2026-01-09")  # fmt: skip
    # One strange line spoils the receipt: nobody could say what the rest was worth.
    shop.sell({"shelf_id": SHELF, "quantity": 1}, {"shelf_id": "NOSUCH0001", "quantity": 1})
    shop.end()
    assert sorted(letter.origin.partition("/")[0] for letter in shop.letters) == [
        "pos_transactions", "shelf_events", "wh_events",
    ]  # fmt: skip
    assert {letter.reason for letter in shop.letters} == {
        "unknown shelf NOSUCH0001: it has no profile up to the step's cut"
    }
    assert shop.shelf().in_baskets == 0
    assert shop.audit() == []


def test_more_out_of_the_backroom_than_there_was_is_told_and_stays_in_the_books(shop: Shop) -> None:
    shop.tell("wh_out", "wh_events", shelf_id=SHELF, batch_code="B", qty=50, plan_id="P", due_ts=shop.at(9))
    shop.end()
    assert shop.lots()["B"] == (-20, 50, 0)
    told = {(alert.batch_code, alert.location, alert.current_stock) for alert in shop.open_alerts("negative_balance")}
    assert told == {(None, "warehouse", -20), ("B", "warehouse", -20)}
    assert shop.audit() == []
    shop.tell("wh_in", "wh_events", shelf_id=SHELF, batch_code="B", qty=25, received_date="2026-01-01",
              expiry_date="2026-01-05")  # fmt: skip
    shop.end()
    assert shop.open_alerts("negative_balance") == []
    assert shop.audit() == []


def test_a_lot_nobody_knows_gets_a_row_of_its_own_and_is_told(shop: Shop) -> None:
    shop.tell("removal", shelf_id=SHELF, batch_code="GHOST", quantity=2, reason="expired")
    shop.tell("wh_adjust", "wh_events", shelf_id=OTHER, batch_code="GHOST", qty=-1, reason="count")
    shop.end()
    assert (shop.lots()["GHOST"], shop.lots(OTHER)["GHOST"]) == ((0, 0, -2), (-1, 0, 0))
    assert shop.shelf().current_stock == 38, "the units are gone, whatever the lot was"
    told = {(alert.shelf_id, alert.batch_code, alert.current_stock) for alert in shop.open_alerts("negative_balance")}
    assert told == {(SHELF, "GHOST", -2), (OTHER, "GHOST", -1)}
    assert all("of lot GHOST" in alert.why for alert in shop.open_alerts("negative_balance"))
    assert shop.audit() == []


def test_a_sale_of_a_lot_that_is_not_in_the_store_is_told_until_the_lot_comes(shop: Shop) -> None:
    shop.take(1)
    shop.sell({"shelf_id": SHELF, "quantity": 1, "batch_code": "B"})
    shop.end()
    assert shop.lots()["B"] == (30, 0, -1)
    assert (shop.shelf().current_stock, shop.shelf().in_baskets) == (39, 0)
    (alert,) = shop.open_alerts("negative_balance")
    assert (alert.batch_code, alert.location, alert.severity) == ("B", "store", "critical")
    assert shop.audit() == []
    shop.tell("wh_out", "wh_events", shelf_id=SHELF, batch_code="B", qty=5, plan_id="P", due_ts=shop.at(9))
    shop.tell("refill", shelf_id=SHELF, batch_code="B", quantity=5)
    shop.end()
    assert shop.open_alerts("negative_balance") == []
    assert shop.audit() == []


def test_a_sale_of_what_was_never_taken_from_the_shelf_is_told(shop: Shop) -> None:
    shop.sell({"shelf_id": SHELF, "quantity": 2, "batch_code": "A"})
    shop.end()
    (alert,) = shop.open_alerts("negative_balance")
    assert (alert.batch_code, alert.current_stock, alert.location) == (None, -2, "store")
    assert shop.audit() == []


def test_a_clock_that_jumps_a_week_decides_each_step_of_it_as_one_that_does_not(shop: Shop) -> None:
    week, walking = 7 * 1440, Shop()
    for each in (shop, walking):
        each.take(30)
        each.end()
    shop.end(week)
    while walking.k < week:
        walking.end(min(walking.k + 480, week))
    assert shop.audit() == walking.audit() == []
    assert shop.alerts == walking.alerts
    assert {alert.event_type for alert in shop.alerts.values()} >= {"unpaid", "near_expiry", "refill_request"}
    assert shop.rows["shelf_restock_plan"] == walking.rows["shelf_restock_plan"]
    assert shop.log["wh_events"] == walking.log["wh_events"]


def test_a_clock_that_is_set_back_changes_nothing(shop: Shop) -> None:
    for _ in range(20):
        shop.end()
    before = dict(shop.rows["shelf_state"])
    shop.end(k=5, k_from=5)
    assert shop.remarks == ["step 5 (n=0) has had its tick: mark passed over"]
    assert shop.rows["shelf_state"] == before
    shop.take(1)
    shop.end()
    assert shop.shelf().current_stock == 39
    assert shop.audit() == []
