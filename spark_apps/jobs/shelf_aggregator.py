"""The shelf aggregator: stock, weight, baskets and what is on its way, for every shelf (topic ``shelf_state``)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import ShelfState, key_json
from smartshelf.domain.shelf import MILLIGRAMS, ShelfBook, moment
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.rows import changed
from spark_apps.runtime.stage import Output, Scope, Stateless, View

TOPIC = "shelf_state"


class ShelfAggregator(Stateless):
    """Shows the shelves of the books; decides nothing."""

    name: ClassVar = "shelf_aggregator"
    books: ClassVar = True

    def rows(self, before: View[None] | None, after: View[None], config: StoreConfig, scope: Scope) -> list[Output]:
        book = after.books.shelves
        rows = changed(book.version, before.books.shelves.version if before else None)
        return [_row(book, row, config, scope) for row in rows]


def _row(book: ShelfBook, row: int, config: StoreConfig, scope: Scope) -> Output:
    shelf_id = book.shelf_ids[row]
    key = key_json(ShelfState, {"store_id": scope.store_id, "shelf_id": shelf_id})
    profile = config.profiles.get(shelf_id)
    if profile is None:
        return Output(TOPIC, key, None)
    balances = book.balances[row]
    state = ShelfState(
        epoch=scope.epoch,
        version=int(book.version[row]),
        as_of_step=scope.as_of_step,
        store_id=scope.store_id,
        shelf_id=shelf_id,
        category=profile.category,
        subcategory=profile.subcategory,
        current_stock=int(balances[Place.SHELF]),
        max_stock=profile.maximum_stock,
        shelf_weight=int(book.weight[row]) / MILLIGRAMS,
        in_baskets=int(balances[Place.BASKET]),
        on_the_way=int(balances[Place.ON_THE_WAY]),
        last_update_ts=moment(int(book.updated[row])),
    )
    return Output(TOPIC, key, msgspec.json.encode(state))
