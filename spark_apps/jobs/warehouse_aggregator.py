"""The warehouse aggregator: backroom stock, what is reserved and on order, for every product (``wh_state``)."""

from __future__ import annotations

from typing import ClassVar

from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import WhState
from smartshelf.domain.shelf import ShelfBook, moment
from spark_apps.runtime import writing
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.rows import changed
from spark_apps.runtime.stage import Output, Scope, Stateless, View

TOPIC = "wh_state"


class WarehouseAggregator(Stateless):
    """Shows the backroom of the books; decides nothing.

    Plans and orders reach the books as facts (``reserve``, ``ordered``), one step after they were decided.
    """

    name: ClassVar = "warehouse_aggregator"
    books: ClassVar = True

    def rows(self, before: View[None] | None, after: View[None], config: StoreConfig, scope: Scope) -> list[Output]:
        book = after.books.shelves
        rows = changed(book.wh_version, before.books.shelves.wh_version if before else None)
        return [_row(book, row, config, scope) for row in rows]


def _row(book: ShelfBook, row: int, config: StoreConfig, scope: Scope) -> Output:
    shelf_id = book.shelf_ids[row]
    profile = config.profiles.get(shelf_id)
    if profile is None:
        return writing.gone(TOPIC, WhState, {"store_id": scope.store_id, "shelf_id": shelf_id})
    state = scope.row(
        WhState,
        int(book.wh_version[row]),
        shelf_id=shelf_id,
        category=profile.category,
        subcategory=profile.subcategory,
        wh_current_stock=int(book.balances[row, Place.BACKROOM]),
        wh_capacity=profile.warehouse_capacity,
        reserved_qty=int(book.reserved[row]),
        on_order_qty=int(book.on_order[row]),
        last_update_ts=moment(int(book.wh_updated[row])),
    )
    return writing.row(TOPIC, state)
