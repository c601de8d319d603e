"""Rows of states, plans and configuration: compacted topics and Postgres tables alike.

The key of a compacted topic is the compact JSON object of ``primary_key``; a tombstone deletes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec
from msgspec import Struct

from smartshelf.contracts.types import (
    Balance,
    CalendarDate,
    Counter,
    Grams,
    Id,
    Json,
    Moment,
    Money,
    Percent,
    Share,
    Stock,
    Text,
    Units,
    Uuid,
    WallMoment,
    Weight,
)


class Row(Struct, kw_only=True):
    """A row of a table; ``primary_key`` names its key columns in order."""

    primary_key: ClassVar[tuple[str, ...]] = ()


class MirrorRow(Row, kw_only=True):
    """A row that a stage owns. An older (epoch, version) never overwrites a newer row.

    ``version`` counts the inputs of any kind that changed the row; ``as_of_step`` is the last step
    folded when it was written.
    """

    epoch: Counter
    version: Counter
    as_of_step: int


class ShelfState(MirrorRow, kw_only=True):
    """What the business knows of one shelf: all facts received, folded."""

    primary_key: ClassVar = ("store_id", "shelf_id")

    store_id: Id
    shelf_id: Id
    category: str
    subcategory: str
    current_stock: Balance
    max_stock: Stock
    shelf_weight: Grams
    in_baskets: Balance
    on_the_way: Balance
    last_update_ts: Moment


class WhState(MirrorRow, kw_only=True):
    """What the business knows of one product's backroom stock."""

    primary_key: ClassVar = ("store_id", "shelf_id")

    store_id: Id
    shelf_id: Id
    category: str
    subcategory: str
    wh_current_stock: Balance
    wh_capacity: Stock
    #: Units of open restock plans that are still in the backroom.
    reserved_qty: Balance
    #: Units ordered from suppliers and not yet received.
    on_order_qty: Balance
    last_update_ts: Moment


class ShelfBatchState(MirrorRow, kw_only=True):
    """Units of one lot in the store (on the shelf or in baskets: sensors do not tell lots apart)."""

    primary_key: ClassVar = ("store_id", "shelf_id", "batch_code")

    store_id: Id
    shelf_id: Id
    batch_code: Id
    category: str
    subcategory: str
    received_date: CalendarDate | None = None
    expiry_date: CalendarDate | None = None
    batch_quantity_store: Balance
    last_update_ts: Moment


class WhBatchState(MirrorRow, kw_only=True):
    """Units of one lot in the backroom, on the way and in the store."""

    primary_key: ClassVar = ("store_id", "shelf_id", "batch_code")

    store_id: Id
    shelf_id: Id
    batch_code: Id
    category: str
    subcategory: str
    received_date: CalendarDate | None = None
    expiry_date: CalendarDate | None = None
    batch_quantity_warehouse: Balance
    batch_quantity_store: Balance
    in_transit_qty: Balance
    last_update_ts: Moment


class ProductTotal(MirrorRow, kw_only=True):
    """All units of one product in the store's care; from its shelf's and its backroom's row.

    ``version`` is the sum of theirs, ``as_of_step`` the later one.
    """

    primary_key: ClassVar = ("store_id", "shelf_id")

    store_id: Id
    shelf_id: Id
    category: str
    subcategory: str
    on_shelf: Balance
    in_baskets: Balance
    on_the_way: Balance
    in_backroom: Balance
    total: Balance
    on_order: Balance
    last_update_ts: Moment


class DailyDiscount(MirrorRow, kw_only=True):
    """What the tills take off on one day; ``batch_code`` ``*`` = the whole shelf."""

    primary_key: ClassVar = ("store_id", "shelf_id", "batch_code", "discount_date", "reason")

    store_id: Id
    shelf_id: Id
    batch_code: Id
    discount_date: CalendarDate
    reason: Literal["weekly", "near_expiry"]
    discount: Share
    created_at: Moment


PlanStatus = Literal["pending", "issued", "completed", "canceled"]


class RestockPlan(MirrorRow, kw_only=True):
    """One shelf's open or past need for goods from the backroom."""

    primary_key: ClassVar = ("store_id", "plan_id")

    store_id: Id
    plan_id: Id
    shelf_id: Id
    suggested_qty: Stock
    picked_qty: Stock
    status: PlanStatus
    why: Text
    created_at: Moment
    updated_at: Moment


class RefillPending(MirrorRow, kw_only=True):
    """A refill task that was given out and is not carried out yet; its row goes with its last unit.

    Past ``due_at`` staff were late, or found less than they were sent for. By lot, ``quantity`` adds up to
    ``in_transit_qty`` of its ``wh_batch_state``.
    """

    primary_key: ClassVar = ("store_id", "task_id")

    store_id: Id
    task_id: Id
    shelf_id: Id
    batch_code: Id
    plan_id: Id
    #: Units on the way from the backroom to the shelf.
    quantity: Units
    picked_at: Moment
    due_at: Moment


class OrderProposal(MirrorRow, kw_only=True):
    """What one proposer wants to order of a product at a cutoff; the latest per key counts."""

    primary_key: ClassVar = ("store_id", "shelf_id", "cutoff_ts", "source")

    store_id: Id
    shelf_id: Id
    cutoff_ts: Moment
    source: Literal["rule", "model", "person"]
    qty: Stock
    reason: Text
    #: JSON object of quantile -> units, from a model.
    quantiles: str | None = None
    model_version: str | None = None
    #: What the rule's reason says: on hand + on order - reserved, and the two levels it is compared with.
    inventory_position: Balance | None = None
    reorder_point_qty: Stock | None = None
    order_up_to_qty: Stock | None = None
    created_at: Moment


class SupplierPlan(MirrorRow, kw_only=True):
    """What will be ordered of a product at a cutoff; follows the position until then."""

    primary_key: ClassVar = ("store_id", "supplier_plan_id")

    store_id: Id
    supplier_plan_id: Id
    shelf_id: Id
    suggested_qty: Stock
    standard_batch_size: Stock
    status: PlanStatus
    source: Literal["rule", "model", "person"]
    cutoff_ts: Moment
    delivery_ts: Moment
    why: Text
    #: Of the proposal that the plan follows.
    inventory_position: Balance | None = None
    reorder_point_qty: Stock | None = None
    order_up_to_qty: Stock | None = None
    #: What has arrived of it.
    received_qty: Stock | None = None
    created_at: Moment
    updated_at: Moment


class SupplierOrder(MirrorRow, kw_only=True):
    """An order that went out at a cutoff."""

    primary_key: ClassVar = ("store_id", "order_id")

    store_id: Id
    order_id: Id
    supplier_id: Id
    supplier_plan_id: Id
    shelf_id: Id
    qty: Stock
    status: PlanStatus
    cutoff_ts: Moment
    expected_delivery_ts: Moment


class SupplierReceipt(MirrorRow, kw_only=True):
    """What a lorry really brought for an order; ``difference`` = received - ordered."""

    primary_key: ClassVar = ("store_id", "receipt_id")

    store_id: Id
    receipt_id: Id
    order_id: Id
    shelf_id: Id
    supplier_id: Id
    batch_code: Id
    qty: Stock
    difference: int
    received_date: CalendarDate
    expiry_date: CalendarDate
    standard_batch_size: Stock
    received_ts: Moment


class Alert(MirrorRow, kw_only=True):
    """Something that needs attention, with its whole life; each rule owns its ``event_type``.

    ``why`` is one sentence; every figure in it equals a field of the row.
    """

    primary_key: ClassVar = ("store_id", "alert_id")

    store_id: Id
    alert_id: Id
    event_id: Id
    event_type: Literal[
        "refill_request",
        "near_expiry",
        "supplier_request",
        "expired_removal",
        "phantom_stock",
        "unpaid",
        "negative_balance",
        "job_failed",
    ]
    schema_version: int
    timestamp: Moment
    source: Id
    seq: int
    step: int
    shelf_id: Id
    batch_code: Id | None = None
    #: Of the lot, where the alert is about one.
    expiry_date: CalendarDate | None = None
    location: Literal["store", "warehouse"]
    current_stock: Balance
    max_stock: Stock | None = None
    target_pct: Percent | None = None
    suggested_qty: Stock | None = None
    #: Of a supplier_request: on hand + on order - reserved, and what it is compared with.
    inventory_position: Balance | None = None
    reorder_point_qty: Stock | None = None
    severity: Literal["info", "warning", "critical"]
    #: Of a difference between shelf, scale and till.
    likely_cause: Literal["theft", "mis_scan", "unseen_loss", "scale_drift", "scale_silent"] | None = None
    why: Text
    status: Literal["open", "ack", "resolved", "dismissed"]
    assigned_to: str | None = None
    acknowledged_by: str | None = None
    acknowledged_at: Moment | None = None
    created_at: Moment
    updated_at: Moment


class Availability(MirrorRow, kw_only=True):
    """On-shelf availability of an aisle in one hour: minutes open and minutes out, summed over its shelves."""

    primary_key: ClassVar = ("store_id", "aisle", "hour_ts")

    store_id: Id
    aisle: int
    hour_ts: Moment
    open_minutes: Counter
    out_minutes: Counter


class ShelfDailyFeature(MirrorRow, kw_only=True):
    """A closed day of one shelf, as a forecast sees it: nothing that was known only later is in it.

    Rows of the generated year and of the live store alike; what each column is: ``smartshelf.domain.features``.
    Null: not known, or known only for generated days (``lost_demand_qty``) or to learn from (``batches_to_order``,
    ``label_next_day_stockout``; ``analytics.v_ml_train`` fills both when the next day and the next cutoff have closed).
    """

    primary_key: ClassVar = ("store_id", "shelf_id", "feature_date")

    store_id: Id
    shelf_id: Id
    feature_date: CalendarDate
    item_category: str
    item_subcategory: str
    day_of_week: Counter
    is_weekend: bool
    warehouse_inbound_day: bool
    refill_day: bool
    item_price: Money
    discount: Share
    is_discounted: bool
    is_discounted_next_7d: bool
    people_count: Counter
    sales_qty: Counter
    sales_last_1d: Counter | None = None
    sales_last_7d: Counter | None = None
    sales_last_14d: Counter | None = None
    stockout_events: Counter
    stockout_minutes: float
    lost_demand_qty: Counter | None = None
    shelf_capacity: Stock
    current_stock_shelf: Balance
    shelf_fill_ratio: float
    shelf_threshold_qty: Stock
    expired_qty_shelf: Counter
    alerts_last_30d_shelf: Counter | None = None
    is_shelf_alert: bool
    warehouse_capacity: Stock
    current_stock_warehouse: Balance
    warehouse_fill_ratio: float
    wh_reorder_point_qty: Counter | None = None
    pending_supplier_qty: Balance
    expired_qty_wh: Counter
    alerts_last_30d_wh: Counter | None = None
    is_warehouse_alert: bool
    moved_wh_to_shelf: Counter
    standard_batch_size: Stock
    min_expiration_days: int | None = None
    avg_expiration_days: float | None = None
    qty_expiring_next_7d: Counter
    batches_to_order: Counter | None = None
    label_next_day_stockout: bool | None = None
    snapshot_ts: Moment


class PosHeader(MirrorRow, kw_only=True):
    """A receipt without its lines."""

    primary_key: ClassVar = ("store_id", "transaction_id")

    store_id: Id
    transaction_id: Id
    customer_id: Id
    till_id: Id
    timestamp: Moment
    total_items: Counter
    total_amount: Money


class PosLine(MirrorRow, kw_only=True):
    """A line of a receipt."""

    primary_key: ClassVar = ("store_id", "transaction_id", "line_no")

    store_id: Id
    transaction_id: Id
    line_no: int
    shelf_id: Id
    batch_code: Id | None = None
    quantity: Counter
    unit_price: Money
    discount: Share
    total_price: Money
    expiry_date: CalendarDate | None = None


class FactRow(Row, kw_only=True):
    """A fact as a row: the envelope, then what the event types of its table have, null where one has it not.

    A fact never changes, so a sink that repeats itself writes the same row again. A test holds the columns against
    the events.
    """

    event_id: Id
    schema_version: int
    store_id: Id
    timestamp: Moment
    source: Id
    seq: int | None = None
    step: int | None = None
    produced_at: WallMoment | None = None


class WhEvent(FactRow, kw_only=True):
    """A movement of the backroom; ``qty`` is signed for a ``wh_adjust`` only."""

    primary_key: ClassVar = ("store_id", "event_id")

    event_type: Literal["wh_in", "wh_out", "wh_adjust"]
    shelf_id: Id
    batch_code: Id
    qty: int
    order_id: str | None = None
    plan_id: str | None = None
    due_ts: Moment | None = None
    reason: str | None = None
    received_date: CalendarDate | None = None
    expiry_date: CalendarDate | None = None
    transport_temperature_c: float | None = None
    transport_kwh: float | None = None


class ShelfMovement(FactRow, kw_only=True):
    """What staff did at a shelf, and what left it unpaid; the table skips what customers and scales did.

    ``quantity`` is signed for ``unpaid`` only; of a ``count`` only ``adjustment`` moves units.
    """

    primary_key: ClassVar = ("store_id", "event_id")

    event_type: Literal["refill", "removal", "count", "unpaid"]
    shelf_id: Id
    batch_code: str | None = None
    quantity: int | None = None
    adjustment: int | None = None
    location: Literal["store", "warehouse"] | None = None
    reason: str | None = None
    plan_id: str | None = None
    received_date: CalendarDate | None = None
    expiry_date: CalendarDate | None = None


class ColdChain(FactRow, kw_only=True):
    """A reading of one cold zone."""

    primary_key: ClassVar = ("store_id", "zone_id", "timestamp")

    event_type: Literal["reading"]
    zone_id: Id
    temperature_c: float
    kwh: float


class ShelfProfile(Row, kw_only=True):
    """A shelf and the product on it; people own it (config.shelf_profiles)."""

    primary_key: ClassVar = ("store_id", "shelf_id")

    store_id: Id
    shelf_id: Id
    product_id: Id
    item_name: Text
    category: Id
    subcategory: Id
    aisle: int
    storage_zone: Literal["ambient", "chilled", "frozen"]
    zone_id: Id
    item_weight: Weight
    item_price: Money
    item_cost: Money
    supplier_id: Id
    maximum_stock: Stock
    warehouse_capacity: Stock
    standard_batch_size: Stock
    shelf_life_days: Counter
    item_visibility: Share


class ShelfPolicy(Row, kw_only=True):
    """When a shelf is refilled and when its lots count as nearly expired (config.shelf_policies)."""

    primary_key: ClassVar = ("policy_id",)

    policy_id: Uuid
    store_id: Id | None = None
    shelf_id: Id | None = None
    item_category: Id | None = None
    item_subcategory: Id | None = None
    threshold_pct: Percent | None = None
    min_qty: Stock | None = None
    target_pct: Percent | None = None
    cooldown_minutes: Counter | None = None
    near_expiry_days: Counter | None = None
    active: bool = True
    notes: Text | None = None
    created_at: WallMoment | None = None
    updated_at: WallMoment | None = None


class WhPolicy(Row, kw_only=True):
    """When the backroom reorders (config.wh_policies)."""

    primary_key: ClassVar = ("policy_id",)

    policy_id: Uuid
    store_id: Id | None = None
    shelf_id: Id | None = None
    item_category: Id | None = None
    item_subcategory: Id | None = None
    reorder_point_qty: Stock | None = None
    order_up_to_qty: Stock | None = None
    safety_days: float | None = None
    near_expiry_days: Counter | None = None
    service_level: Share | None = None
    active: bool = True
    notes: Text | None = None
    created_at: WallMoment | None = None
    updated_at: WallMoment | None = None


class BatchCatalog(Row, kw_only=True):
    """A lot and its dates, for people to look up; decisions take a lot's dates from deliveries and counts."""

    primary_key: ClassVar = ("store_id", "batch_code")

    store_id: Id
    batch_code: Id
    shelf_id: Id
    supplier_id: Id
    received_date: CalendarDate
    expiry_date: CalendarDate
    standard_batch_size: Stock


class Command(Row, kw_only=True):
    """What a person asked of the store (ops.commands). ``what``: an object of contracts/commands.py."""

    primary_key: ClassVar = ("store_id", "command_id")

    store_id: Id
    command_id: Uuid
    who: Id
    what: Json
    at: WallMoment


class CommandOutcome(MirrorRow, kw_only=True):
    """What came of a command; exactly one row for each."""

    primary_key: ClassVar = ("store_id", "command_id")

    store_id: Id
    command_id: Uuid
    outcome: Literal["done", "refused"]
    #: One sentence, for the person who asked.
    reason: Text
    at: Moment


class JobProgress(Row, kw_only=True):
    """How far a job has sent its effects; written in the same Kafka transaction as they."""

    primary_key: ClassVar = ("job",)

    job: Id
    epoch: Counter
    #: Spark's id of the checkpoint that ``batch_id`` counts in.
    checkpoint: Id
    batch_id: int
    #: Last complete step by store.
    steps: dict[str, int]
    #: Step as of which its states stand, by store: behind ``steps`` while a new epoch catches up.
    folded: dict[str, int] = {}
    #: Number of the last extra cut taken after that step, by store; none: 0.
    cuts: dict[str, int] = {}
    #: By store and stage: the last cut that was sent before this epoch. Until then the job only catches up.
    sent: Mapping[str, Mapping[str, tuple[int, ...]]] = {}
    #: By store: the cut up to which stages that are new to it say nothing.
    now: Mapping[str, tuple[int, ...]] = {}
    #: By store and stage: the cut up to which the store had lived without it, whenever that was.
    began: Mapping[str, Mapping[str, tuple[int, ...]]] = {}
    #: Its stages; of one that several jobs name, the job of the highest epoch is in charge.
    stages: tuple[str, ...] = ()
    #: Last output offset by topic and partition.
    offsets: dict[str, dict[str, int]]
    written_at: WallMoment


def key_json(row_type: type[Row], values: Any) -> bytes:
    """The message key of a row: its primary key as compact JSON, from a mapping or a Row."""
    get = values.__getitem__ if isinstance(values, dict) else lambda name: getattr(values, name)
    return msgspec.json.encode({name: get(name) for name in row_type.primary_key})
