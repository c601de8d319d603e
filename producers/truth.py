"""The physical truth, as the world saved it at the end of its last step: for audits, never for decisions."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, cast

import msgspec
import redis

from producers import body as bodies
from producers.shelf import Shelf
from producers.world import Shopper
from smartshelf.contracts import redis_keys as keys


class Truth(NamedTuple):
    """Units of one product, by where they really are or went."""

    on_shelf: int
    in_baskets: int
    #: Carried out past the till: for the books still in a basket, and lost after closing.
    unpaid: int
    in_backroom: int
    sold: int
    wasted: int
    #: batch -> units on the shelf and in baskets
    in_store: dict[str, int]
    #: batch -> units in the backroom
    behind: dict[str, int]


def shelves_of_the_world(client: redis.Redis, store_id: str) -> dict[str, Truth]:
    """Truth by shelf of one store; {} for a store that has no world (a real feed)."""
    saved = fields(client, keys.world(store_id))
    if "body" not in saved:
        return {}
    body = bodies.unpack(saved["body"])
    shelves = {
        name.removeprefix("shelf:"): msgspec.json.decode(value, type=Shelf)
        for name, value in saved.items()
        if name.startswith("shelf:")
    }
    baskets: dict[str, Counter[str]] = {shelf_id: Counter() for shelf_id in shelves}
    for name, value in saved.items():
        if name.startswith("shopper:"):
            for item in msgspec.json.decode(value, type=Shopper).basket:
                baskets[body.shelves[item.shelf].shelf_id][item.batch_code] += item.quantity
    return {shelf_id: _truth(shelf, baskets[shelf_id]) for shelf_id, shelf in shelves.items()}


def _truth(shelf: Shelf, basket: Counter[str]) -> Truth:
    in_store, behind = Counter(basket), Counter[str]()
    for lot in shelf.lots:
        in_store[lot.batch_code] += lot.quantity
    for lot in shelf.backroom:
        behind[lot.batch_code] += lot.quantity
    return Truth(
        shelf.stock,
        basket.total(),
        shelf.unpaid,
        shelf.in_backroom,
        shelf.sold,
        shelf.wasted,
        dict(in_store),
        dict(behind),
    )


def fields(client: redis.Redis, name: str) -> dict[str, bytes]:
    """All fields of a hash."""
    found = cast("dict[bytes, bytes]", client.hgetall(name))
    return {field.decode(): value for field, value in found.items()}
