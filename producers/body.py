"""What of a store never changes while it lives: shelves, zones, tills, promotions. Kept beside the state in Redis.

A world goes on from what it was opened with; it asks no file and no database once it lives.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from smartshelf.contracts.rows import ShelfProfile
from smartshelf.domain.demand import REFERENCE_SHELVES, VISITS_A_DAY, Products, base_rates, fillable

#: The trend of demand counts from so long before the store opens: that year is its history.
HISTORY = timedelta(days=365)


class ShelfBody(Struct, frozen=True, array_like=True):
    """One shelf: grams and EUR per unit, units of room, units wanted on a mean day, life in days, kind of product.

    A product without ``subcategory`` has no neighbour that people would take instead.
    """

    shelf_id: str
    item_weight: float
    item_price: float
    maximum_stock: int
    demand: float
    life_days: int
    category: str = ""
    subcategory: str = ""


class ZoneBody(Struct, frozen=True, array_like=True):
    """A zone with a temperature of its own: degrees Celsius, kW."""

    zone_id: str
    target_c: float
    power_kw: float


class Body(Struct, frozen=True, kw_only=True):
    """One store as it was opened. ``joined``: first step whose done marks its world waits for."""

    store_id: str
    kind: Literal["simulated", "replayed"] = "simulated"
    seed: int
    joined: int = 0
    #: ISO date from which the trend of demand counts.
    since: str = "2025-01-01"
    visits_a_day: float = VISITS_A_DAY
    tills: int = 6
    doors: int = 2
    shelves: tuple[ShelfBody, ...]
    zones: tuple[ZoneBody, ...] = ()
    #: Monday (ISO date) -> shelf_id -> discount 0-1.
    weekly: dict[str, dict[str, float]] = {}
    #: Configuration rows by topic that the bridge must have seen before this store's first decision.
    rows: dict[str, int] | None = None
    #: A replayed store's sales (see sales.py).
    sales: bytes = b""


def pack(body: Body) -> bytes:
    """For a Redis field."""
    return zlib.compress(msgspec.msgpack.encode(body), 6)


def unpack(data: bytes) -> Body:
    return msgspec.msgpack.decode(zlib.decompress(data), type=Body)


def simulated(
    store_id: str,
    seed: int,
    profiles: Sequence[ShelfProfile],
    *,
    popularity: Mapping[str, float],
    zones: Iterable[ZoneBody],
    weekly: dict[str, dict[str, float]],
    opens: date,
) -> Body:
    """The body of a store with simulated shoppers, which opens on a day after a year of history.

    ``popularity``: share of units sold by category (any scale). Demand depends on the order of the profiles too.
    """
    rates = base_rates(_products(profiles), popularity).tolist()
    return Body(
        store_id=store_id,
        seed=seed,
        since=(opens - HISTORY).isoformat(),
        visits_a_day=VISITS_A_DAY * len(profiles) / REFERENCE_SHELVES,
        shelves=tuple(
            ShelfBody(
                profile.shelf_id,
                profile.item_weight,
                profile.item_price,
                profile.maximum_stock,
                rate,
                profile.shelf_life_days,
                profile.category,
                profile.subcategory,
            )
            for profile, rate in zip(profiles, rates, strict=True)
        ),
        zones=tuple(zones),
        weekly=weekly,
    )


def _products(profiles: Sequence[ShelfProfile]) -> Products:
    return Products(
        product_id=[profile.product_id for profile in profiles],
        category=[profile.category for profile in profiles],
        subcategory=[profile.subcategory for profile in profiles],
        price=np.array([profile.item_price for profile in profiles]),
        visibility=np.array([profile.item_visibility for profile in profiles]),
        room=fillable(
            np.array([profile.maximum_stock for profile in profiles]),
            np.array([profile.warehouse_capacity for profile in profiles]),
        ),
        batch=np.array([profile.standard_batch_size for profile in profiles]),
        shelf_life_days=np.array([profile.shelf_life_days for profile in profiles]),
    )
