"""The physical truth, as the world saved it at the end of its last step: for audits, never for decisions."""

from __future__ import annotations

from typing import NamedTuple, cast

import msgspec
import redis

from producers import body as bodies
from producers.shelf import Shelf
from producers.world import Shopper
from smartshelf.contracts import redis_keys as keys


class Truth(NamedTuple):
    """Units of one product, by where they are; what was carried out unpaid is still in a basket for the books."""

    on_shelf: int
    in_baskets: int


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
    baskets = {shelf_id: shelf.unpaid for shelf_id, shelf in shelves.items()}
    for name, value in saved.items():
        if name.startswith("shopper:"):
            for item in msgspec.json.decode(value, type=Shopper).basket:
                baskets[body.shelves[item.shelf].shelf_id] += item.quantity
    return {shelf_id: Truth(shelf.stock, baskets[shelf_id]) for shelf_id, shelf in shelves.items()}


def fields(client: redis.Redis, name: str) -> dict[str, bytes]:
    """All fields of a hash."""
    found = cast("dict[bytes, bytes]", client.hgetall(name))
    return {field.decode(): value for field, value in found.items()}
