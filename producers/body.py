"""What of a store never changes while it lives: shelves, zones, tills, promotions. Kept beside the state in Redis.

A world goes on from what it was opened with; it asks no file and no database once it lives.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from statistics import NormalDist
from typing import Literal

import msgspec
from msgspec import Struct

from smartshelf.contracts.rows import ShelfProfile

#: Spread of demand among the products of a category: sigma of a log-normal, the long tail of any assortment.
LONG_TAIL = 0.8
#: Visits a day of a store with ``REFERENCE_SHELVES`` shelves; a larger assortment draws more people.
VISITS_A_DAY, REFERENCE_SHELVES = 1_100.0, 1_142


class ShelfBody(Struct, frozen=True, array_like=True):
    """One shelf: grams and EUR per unit, units of room, share of demand (any scale), life in days."""

    shelf_id: str
    item_weight: float
    item_price: float
    maximum_stock: int
    demand: float
    life_days: int


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
) -> Body:
    """The body of a store with simulated shoppers. ``popularity``: share of units sold by category (any scale)."""
    crowd: dict[str, float] = {}
    for profile in profiles:
        crowd[profile.category] = crowd.get(profile.category, 0.0) + appeal(profile)
    usual = sum(popularity.values()) / len(popularity) if popularity else 1.0
    return Body(
        store_id=store_id,
        seed=seed,
        visits_a_day=VISITS_A_DAY * len(profiles) / REFERENCE_SHELVES,
        shelves=tuple(
            ShelfBody(
                profile.shelf_id,
                profile.item_weight,
                profile.item_price,
                profile.maximum_stock,
                popularity.get(profile.category, usual) * appeal(profile) / crowd[profile.category],
                profile.shelf_life_days,
            )
            for profile in profiles
        ),
        zones=tuple(zones),
        weekly=weekly,
    )


def appeal(profile: ShelfProfile) -> float:
    """How much a product is wanted among those of its category: visible, and by a long-tailed liking of its own.

    The liking depends on the product alone, so that it sells alike in every store and run.
    """
    digest = int.from_bytes(blake2b(profile.product_id.encode(), digest_size=8).digest(), "little")
    liking = NormalDist().inv_cdf((digest + 0.5) / 2**64)
    return max(profile.item_visibility, 0.01) * math.exp(LONG_TAIL * liking)
