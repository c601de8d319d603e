"""Rows of states, plans and configuration: compacted topics and Postgres tables alike.

The key of a compacted topic is the compact JSON object of ``primary_key``; a tombstone deletes.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec
from msgspec import Struct

from smartshelf.contracts.types import (
    Balance,
    Counter,
    Grams,
    Id,
    Moment,
    Money,
    Percent,
    Share,
    Stock,
    Text,
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
    #: Last output offset by topic and partition.
    offsets: dict[str, dict[str, int]]
    written_at: WallMoment


def key_json(row_type: type[Row], values: Any) -> bytes:
    """The message key of a row: its primary key as compact JSON, from a mapping or a Row."""
    get = values.__getitem__ if isinstance(values, dict) else lambda name: getattr(values, name)
    return msgspec.json.encode({name: get(name) for name in row_type.primary_key})
