"""The generated files as Arrow tables, column by column as the data dictionary has them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.catalogue import Catalogue, Profiles
from data.discounts import WeeklyDiscounts
from data.lots import Lots
from smartshelf.contracts.rows import ShelfPolicy, ShelfProfile, WhPolicy
from smartshelf.domain import fefo, policy

#: Ids of the default rows are the same in every build: an edit by a person survives a second first start.
POLICY_NAMESPACE = uuid.UUID("5f0c5b0a-6a1e-5c54-9a53-0f9a9c6d3f10")

#: The default rows of a store say what the rules take where no row speaks; what has no fixed value stays null.
SHELF_DEFAULTS = {
    "threshold_pct": policy.SHELF_DEFAULTS["threshold_pct"],
    "target_pct": policy.SHELF_DEFAULTS["target_pct"],
    "cooldown_minutes": int(policy.SHELF_DEFAULTS["cooldown_minutes"]),
}
WAREHOUSE_DEFAULTS = {
    "safety_days": policy.WAREHOUSE_DEFAULTS["safety_days"],
    "near_expiry_days": int(policy.WAREHOUSE_DEFAULTS["near_expiry_days"]),
    "service_level": policy.WAREHOUSE_DEFAULTS["service_level"],
}

INVENTORY_COLUMNS = (
    "store_id",
    "snapshot_ts",
    "shelf_id",
    "aisle",
    "item_weight",
    "shelf_weight",
    "item_category",
    "item_subcategory",
    "item_visibility",
    "maximum_stock",
    "current_stock",
    "item_price",
)
BATCH_COLUMNS = (
    "store_id",
    "snapshot_ts",
    "shelf_id",
    "batch_code",
    "item_category",
    "item_subcategory",
    "standard_batch_size",
    "received_date",
    "expiry_date",
    "batch_quantity_total",
    "batch_quantity_store",
    "batch_quantity_warehouse",
    "location",
)
CATALOG_COLUMNS = (
    "store_id",
    "batch_code",
    "shelf_id",
    "supplier_id",
    "received_date",
    "expiry_date",
    "standard_batch_size",
)


@dataclass(frozen=True, eq=False)
class Store:
    """One store as it opens."""

    store_id: str
    profiles: Profiles
    store_lots: Lots
    warehouse_lots: Lots
    discounts: WeeklyDiscounts


def shelf_profiles(store: Store) -> pa.Table:
    """``config.shelf_profiles``."""
    columns = {"store_id": _constant(store.store_id, len(store.profiles)), **store.profiles.columns()}
    return pa.table({name: columns[name] for name in ShelfProfile.__struct_fields__})


def shelf_policies(store_ids: tuple[str, ...], start: datetime, near_expiry_days: int) -> pa.Table:
    """``config.shelf_policies``: the default of each store."""
    said = SHELF_DEFAULTS | {"near_expiry_days": near_expiry_days}
    return _policies("shelf_policies", ShelfPolicy.__struct_fields__, store_ids, start, said)


def wh_policies(store_ids: tuple[str, ...], start: datetime) -> pa.Table:
    """``config.wh_policies``: the default of each store."""
    return _policies("wh_policies", WhPolicy.__struct_fields__, store_ids, start, WAREHOUSE_DEFAULTS)


def suppliers(catalogue: Catalogue, scale: float) -> pa.Table:
    """``config.suppliers``; what a supplier can bring grows with the store."""
    rows = [supplier.model_dump() for supplier in catalogue.suppliers]
    for row in rows:
        row["capacity_units"] = max(round(row["capacity_units"] * scale), 1)
    return pa.Table.from_pylist(rows)


def lanes(store_ids: tuple[str, ...]) -> pa.Table:
    """``config.lanes``: every store can send to every other one, by the same van (EUR a unit, days)."""
    pairs = [(a, b) for a in store_ids for b in store_ids if a != b]
    return pa.table(
        {
            "from_store": pa.array([a for a, _ in pairs], pa.string()),
            "to_store": pa.array([b for _, b in pairs], pa.string()),
            "cost_per_unit": pa.array([0.08] * len(pairs), pa.float64()),
            "days": pa.array([1] * len(pairs), pa.int64()),
        }
    )


def inventory(store: Store, start: datetime, *, warehouse: bool) -> pa.Table:
    """``ref.store_inventory_snapshot`` or ``ref.warehouse_inventory_snapshot``; weights in g."""
    profiles = store.profiles
    lots = store.warehouse_lots if warehouse else store.store_lots
    stock = lots.stock(len(profiles))
    columns = {
        "store_id": _constant(store.store_id, len(profiles)),
        "snapshot_ts": _moment(start, len(profiles)),
        "shelf_id": profiles.shelf_id,
        "aisle": profiles.aisle,
        "item_weight": profiles.item_weight,
        "shelf_weight": profiles.item_weight * stock,
        "item_category": profiles.category,
        "item_subcategory": profiles.subcategory,
        "item_visibility": profiles.item_visibility,
        "maximum_stock": profiles.warehouse_capacity if warehouse else profiles.maximum_stock,
        "current_stock": stock,
        "item_price": profiles.item_price,
    }
    return pa.table({name: columns[name] for name in INVENTORY_COLUMNS})


def batches(store: Store, start: datetime, near_expiry_days: int, *, warehouse: bool) -> pa.Table:
    """``ref.store_batches_snapshot`` or ``ref.warehouse_batches_snapshot``, with two dates more.

    ``alert_date``: from when the lot counts as nearly expired, at most ``near_expiry_days`` ahead; ``removal_date``:
    when it leaves, the day after it expires.
    """
    profiles = store.profiles
    here, there = (store.warehouse_lots, store.store_lots) if warehouse else (store.store_lots, store.warehouse_lots)
    other = dict(zip(there.batch_code.tolist(), there.quantity.tolist(), strict=True))
    elsewhere = np.array([other.get(code, 0) for code in here.batch_code.tolist()], dtype=np.int64)
    notice = fefo.near_expiry_window(near_expiry_days, profiles.shelf_life_days[here.row])
    columns = {
        "store_id": _constant(store.store_id, len(here)),
        "snapshot_ts": _moment(start, len(here)),
        "shelf_id": profiles.shelf_id[here.row],
        "batch_code": here.batch_code,
        "item_category": profiles.category[here.row],
        "item_subcategory": profiles.subcategory[here.row],
        "standard_batch_size": profiles.standard_batch_size[here.row],
        "received_date": here.received_date,
        "expiry_date": here.expiry_date,
        "batch_quantity_total": here.quantity + elsewhere,
        "batch_quantity_store": elsewhere if warehouse else here.quantity,
        "batch_quantity_warehouse": here.quantity if warehouse else elsewhere,
        "location": _constant("warehouse" if warehouse else "store", len(here)),
    }
    table = {name: columns[name] for name in BATCH_COLUMNS}
    table["alert_date"] = here.expiry_date - notice.astype("timedelta64[D]")
    table["removal_date"] = here.expiry_date + np.timedelta64(fefo.REMOVAL_AFTER_DAYS, "D")
    return pa.table(table)


def batch_catalog(store: Store) -> pa.Table:
    """``config.batch_catalog``: every lot once, wherever it lies."""
    profiles = store.profiles
    lots = (store.store_lots, store.warehouse_lots)
    code, first = np.unique(np.concatenate([part.batch_code for part in lots]), return_index=True)
    row = np.concatenate([part.row for part in lots])[first]
    columns = {
        "store_id": _constant(store.store_id, len(code)),
        "batch_code": code,
        "shelf_id": profiles.shelf_id[row],
        "supplier_id": profiles.supplier_id[row],
        "received_date": np.concatenate([part.received_date for part in lots])[first],
        "expiry_date": np.concatenate([part.expiry_date for part in lots])[first],
        "standard_batch_size": profiles.standard_batch_size[row],
    }
    return pa.table({name: columns[name] for name in CATALOG_COLUMNS})


def all_discounts(store: Store) -> pa.Table:
    """The weekly promotions; ``discount_pct`` is a fraction."""
    offers = store.discounts
    return pa.table(
        {
            "store_id": _constant(store.store_id, len(offers)),
            "shelf_id": store.profiles.shelf_id[offers.row],
            "week_start": offers.week_start,
            "discount_pct": offers.discount,
        }
    )


def _constant(value: str, rows: int) -> NDArray[np.str_]:
    return np.full(rows, value)


def _moment(moment: datetime, rows: int) -> pa.Array:
    return pa.array([moment] * rows, pa.timestamp("us", tz="UTC"))


def _policies(
    kind: str, columns: tuple[str, ...], store_ids: tuple[str, ...], start: datetime, values: dict[str, Any]
) -> pa.Table:
    rows = [
        {
            "policy_id": str(uuid.uuid5(POLICY_NAMESPACE, f"{kind}/{store_id}")),
            "store_id": store_id,
            **values,
            "active": True,
            "notes": "store default",
            "created_at": start,
            "updated_at": start,
        }
        for store_id in store_ids
    ]
    return pa.table({name: pa.array([row.get(name) for row in rows]) for name in columns})
