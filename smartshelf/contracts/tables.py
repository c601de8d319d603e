"""Every Postgres table that Kafka Connect keeps in step, and the direction.

The tables themselves are made by the migrations in postgresql/; a check compares them with these rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smartshelf.contracts import rows as r
from smartshelf.contracts.topics import TOPICS, Topic

#: Schema -> folder of Delta.
FOLDERS = {"state": "cleansed", "ops": "ops", "analytics": "analytics", "staging": "staging"}


@dataclass(frozen=True)
class Table:
    """``sink``: Kafka -> Postgres by upsert; ``source``: Postgres -> Kafka by log-based capture; ``delta``: neither."""

    schema: str
    name: str
    row: type[r.Row]
    direction: Literal["sink", "source", "delta"]
    #: Whether a tombstone deletes the row; history tables keep it.
    deletes: bool = True
    #: Of a table that keeps history: when a row came to be, where its key does not say.
    dated: str = ""
    #: Where the table's name is not the topic's.
    topic_name: str = ""
    #: Where the mirror below the Delta root is not the schema's folder and the table's name.
    delta_path: str = ""

    @property
    def topic(self) -> Topic:
        return TOPICS[self.topic_name or self.name]

    @property
    def takes_facts(self) -> bool:
        """Whether the topic carries events, one row each, rather than rows: their key says where they go."""
        return self.topic.kind == "fact"

    @property
    def delta(self) -> str | None:
        """Path of its mirror below the Delta root; None: facts and receipts stand in the archive as they came."""
        if self.direction == "source" or self.takes_facts or self.topic.name.startswith("pos_"):
            return None
        return self.delta_path or f"{FOLDERS[self.schema]}/{self.name}"

    @property
    def merge_key(self) -> tuple[str, ...]:
        """What never changes in a row's life. Its times tell a mirror which files cannot have the row."""
        return (*self.row.primary_key, *([self.dated] if self.dated else []))

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"


TABLES: dict[str, Table] = {
    table.full_name: table
    for table in (
        Table("state", "shelf_state", r.ShelfState, "sink"),
        Table("state", "wh_state", r.WhState, "sink"),
        Table("state", "shelf_batch_state", r.ShelfBatchState, "sink"),
        Table("state", "wh_batch_state", r.WhBatchState, "sink"),
        Table("analytics", "daily_discounts", r.DailyDiscount, "sink", deletes=False),
        Table(
            "analytics",
            "shelf_daily_features",
            r.ShelfDailyFeature,
            "sink",
            deletes=False,
            delta_path="curated/features_store",
        ),
        Table("analytics", "availability_hourly", r.Availability, "sink", deletes=False),
        Table("ops", "shelf_restock_plan", r.RestockPlan, "sink", deletes=False, dated="created_at"),
        Table("ops", "order_proposals", r.OrderProposal, "sink", deletes=False),
        Table("ops", "wh_supplier_plan", r.SupplierPlan, "sink", deletes=False, dated="created_at"),
        Table("ops", "wh_supplier_orders", r.SupplierOrder, "sink", deletes=False, dated="cutoff_ts"),
        Table("ops", "wh_supplier_receipts", r.SupplierReceipt, "sink", deletes=False, dated="received_ts"),
        Table("ops", "alerts", r.Alert, "sink", deletes=False, dated="created_at"),
        Table("ops", "command_outcomes", r.CommandOutcome, "sink", deletes=False, dated="at"),
        Table("ops", "pos_transactions", r.PosHeader, "sink", deletes=False, topic_name="pos_headers"),
        Table("ops", "pos_transaction_items", r.PosLine, "sink", deletes=False, topic_name="pos_lines"),
        Table("ops", "wh_events", r.WhEvent, "sink", deletes=False),
        Table("ops", "shelf_movements", r.ShelfMovement, "sink", deletes=False, topic_name="shelf_events"),
        Table("ops", "cold_chain", r.ColdChain, "sink", deletes=False),
        Table("config", "shelf_profiles", r.ShelfProfile, "source"),
        Table("config", "shelf_policies", r.ShelfPolicy, "source"),
        Table("config", "wh_policies", r.WhPolicy, "source"),
        Table("config", "batch_catalog", r.BatchCatalog, "source"),
        Table("ops", "commands", r.Command, "source"),
    )
}

#: Topics whose rows Delta alone mirrors.
DELTA_ONLY: tuple[Table, ...] = (Table("staging", "shelf_refill_pending", r.RefillPending, "delta"),)
