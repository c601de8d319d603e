"""Every Kafka topic: what it carries, its key, who writes it, and how it is kept.

To add a topic: one ``Topic`` here. Partitions of facts: by store (see io.kafka.partition_for_store).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import msgspec
from msgspec import Struct

from smartshelf.contracts import events as e
from smartshelf.contracts import rows as r
from smartshelf.contracts.control import Done, Task, Tick

DAY_MS = 86_400_000
#: ``config``: what decisions read of people's tables; ticks name its offsets. ``reference``: what only people read.
Kind = Literal["fact", "state", "config", "reference", "control", "internal"]


@dataclass(frozen=True)
class Topic:
    """One topic. ``stream`` is the Redis stream it is fed from (None: written to Kafka directly)."""

    name: str
    kind: Kind
    key: str
    owner: str
    about: str
    events: tuple[type[e.Event], ...] = ()
    row: type[r.Row] | None = None
    messages: tuple[type[Struct], ...] = ()
    stream: str | None = None
    compacted: bool = False
    #: Simulation truth: no decision job may subscribe (a test proves it).
    truth: bool = False
    #: Kept for ever in delta/raw by the raw sinks.
    raw: bool = False
    by_store: bool = False

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """Checks and decodes one message value; raises msgspec.DecodeError/ValidationError with the reason."""
        shapes = self.events or self.messages or ((self.row,) if self.row else ())
        union: Any = shapes[0]
        for shape in shapes[1:]:
            union = union | shape
        # Debezium renders decimals as text; rows are decoded leniently, facts strictly.
        return msgspec.json.Decoder(union, strict=self.row is None)

    def config(self) -> dict[str, str]:
        """Broker settings of the topic."""
        shared = {"message.timestamp.type": "LogAppendTime", "segment.ms": "600000"}
        if not self.compacted:
            # Facts are deleted by offset at the simulated month end, never by wall-clock age.
            return shared | {"cleanup.policy": "delete", "retention.ms": "-1"}
        lag = {"min.compaction.lag.ms": str(7 * DAY_MS)} if self.kind == "config" else {}
        return (
            shared
            | lag
            | {
                "cleanup.policy": "compact",
                "min.cleanable.dirty.ratio": "0.1",
                "delete.retention.ms": str(7 * DAY_MS),
            }
        )


def fact(
    name: str, key: str, owner: str, about: str, *kinds: type[e.Event], stream: str | None = None, **flags: Any
) -> Topic:
    """A topic of events, fed from the Redis stream of the same name unless ``stream`` names another."""
    return Topic(name, "fact", key, owner, about, events=kinds, stream=stream or name, by_store=True, **flags)


def state(name: str, owner: str, about: str, row: type[r.Row]) -> Topic:
    """A compacted topic: the latest row of every key."""
    return Topic(name, "state", "primary key", owner, about, row=row, compacted=True, by_store=True)


def log(name: str, owner: str, about: str, row: type[r.Row]) -> Topic:
    """An append-only topic of rows: every change stays; tables keep the latest of each key."""
    return Topic(name, "state", "primary key", owner, about, row=row, by_store=True)


TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        fact(
            "shelf_events",
            "store+shelf",
            "world",
            "What happens at the shelves",
            e.Pickup,
            e.Putback,
            e.WeightChange,
            e.Refill,
            e.Removal,
            e.Count,
            e.Unpaid,
            raw=True,
        ),
        fact("pos_transactions", "store+till", "world", "Receipts of the tills", e.PosTransaction, raw=True),
        fact("foot_traffic", "customer", "world", "Visits, told when they end", e.FootTraffic, raw=True),
        fact(
            "foot_traffic_realistic",
            "door",
            "world",
            "What the door sensors see",
            e.Entry,
            e.Exit,
            stream="foot_traffic:realistic",
        ),
        fact(
            "wh_events",
            "store+shelf",
            "world and restock manager",
            "Movements of the backroom",
            e.WhIn,
            e.WhOut,
            e.WhAdjust,
            raw=True,
        ),
        fact("cold_chain", "store+zone", "world", "Telemetry of the cold zones", e.Reading, raw=True),
        fact("lost_demand", "store+shelf", "world", "What shoppers wanted and did not find", e.LostDemand, truth=True),
        fact("world_truth", "store+shelf", "world", "What scenarios really did", e.WorldTruth, truth=True),
        state("shelf_state", "shelf_aggregator", "Stock of every shelf", r.ShelfState),
        Topic(
            "proposals",
            "fact",
            "store",
            "alert engines, expired removal, restock and supplier manager",
            "What should be restocked, written off or ordered, and what is reserved and on order",
            events=(e.Restock, e.WriteOff, e.OrderRequest, e.Reserve, e.Ordered),
            by_store=True,
        ),
        state("wh_state", "warehouse_aggregator", "Stock of the backroom", r.WhState),
        state("shelf_batch_state", "batch_state", "Lots in the store", r.ShelfBatchState),
        state("wh_batch_state", "wh_batch_state", "Lots in backroom, on the way and in the store", r.WhBatchState),
        state("daily_discounts", "daily_discounts", "What the tills take off, by day", r.DailyDiscount),
        state("shelf_restock_plan", "restock_manager", "Plans from backroom to shelf", r.RestockPlan),
        state("shelf_refill_pending", "refill_bridge", "Units on the way from backroom to shelf", r.RefillPending),
        state("order_proposals", "warehouse_alerts", "What each proposer wants to order", r.OrderProposal),
        state("wh_supplier_plan", "supplier_manager", "What will be ordered at a cutoff", r.SupplierPlan),
        state("wh_supplier_orders", "supplier_manager", "What was ordered", r.SupplierOrder),
        state("wh_supplier_receipts", "supplier_manager", "What was received", r.SupplierReceipt),
        state("shelf_daily_features", "daily_features", "A closed day of every shelf", r.ShelfDailyFeature),
        state("availability_hourly", "daily_features", "On-shelf availability by aisle and hour", r.Availability),
        state("command_outcomes", "the stage that a command is for", "What came of each command", r.CommandOutcome),
        log("alerts", "alert rules", "What needs attention, with its whole life", r.Alert),
        log("pos_headers", "pos_flattener", "Receipts", r.PosHeader),
        log("pos_lines", "pos_flattener", "Lines of receipts", r.PosLine),
        Topic(
            "shelf_profiles",
            "config",
            "primary key",
            "people (config.shelf_profiles)",
            "Shelves and their products",
            row=r.ShelfProfile,
            compacted=True,
        ),
        Topic(
            "shelf_policies",
            "config",
            "primary key",
            "people (config.shelf_policies)",
            "Refill and expiry rules",
            row=r.ShelfPolicy,
            compacted=True,
        ),
        Topic(
            "wh_policies",
            "config",
            "primary key",
            "people (config.wh_policies)",
            "Reorder rules",
            row=r.WhPolicy,
            compacted=True,
        ),
        Topic(
            "commands",
            "config",
            "primary key",
            "people (ops.commands)",
            "What people ask of the store",
            row=r.Command,
        ),
        Topic(
            "batch_catalog",
            "reference",
            "primary key",
            "people and receipts (config.batch_catalog)",
            "Lots and their dates",
            row=r.BatchCatalog,
            compacted=True,
        ),
        Topic(
            "sim_ticks",
            "control",
            "store",
            "bridge",
            "Consistent cuts, one per store and step",
            messages=(Tick,),
            by_store=True,
        ),
        Topic(
            "world_tasks",
            "control",
            "store",
            "stages",
            "Tasks for the world, and done marks",
            messages=(Task, Done),
            by_store=True,
        ),
        Topic(
            "job_progress",
            "control",
            "job",
            "each job",
            "How far each job has sent its effects",
            row=r.JobProgress,
            compacted=True,
        ),
        Topic(
            "dead_letters",
            "internal",
            "origin",
            "bridge and stages",
            "What could not be processed, with its reason",
            messages=(e.DeadLetter,),
        ),
        Topic(
            "dead_letters_connect",
            "internal",
            "primary key",
            "Kafka Connect",
            "Rows that Postgres refused, reason in the headers",
        ),
        Topic("bridge.offsets", "internal", "stream", "bridge", "How far the bridge has forwarded", compacted=True),
        Topic(
            "debezium_heartbeat", "internal", "id", "Kafka Connect", "Keeps the replication slot moving", compacted=True
        ),
        Topic(
            "__debezium-heartbeat.pg",
            "internal",
            "server",
            "Kafka Connect",
            "Keeps the replication slot moving",
            compacted=True,
        ),
    )
}

FACTS: tuple[Topic, ...] = tuple(t for t in TOPICS.values() if t.kind == "fact")
CONFIG: tuple[Topic, ...] = tuple(t for t in TOPICS.values() if t.kind == "config")
#: Redis stream -> topic
STREAMS: dict[str, Topic] = {t.stream: t for t in FACTS if t.stream}
