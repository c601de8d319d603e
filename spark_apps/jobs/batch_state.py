"""The batch-state updater: units of every lot in the store (topic ``shelf_batch_state``)."""

from __future__ import annotations

from typing import ClassVar

from smartshelf.contracts.rows import ShelfBatchState
from smartshelf.domain.lots import LotPlace, Shows
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.rows import lot_rows
from spark_apps.runtime.stage import Output, Scope, Stateless, View

TOPIC = "shelf_batch_state"
QUANTITIES = {"batch_quantity_store": LotPlace.STORE}


class BatchState(Stateless):
    """Shows the lots of the books that are or were in the store; decides nothing."""

    name: ClassVar = "batch_state"
    books: ClassVar = True

    def rows(self, before: View[None] | None, after: View[None], config: StoreConfig, scope: Scope) -> list[Output]:
        return lot_rows(TOPIC, ShelfBatchState, Shows.IN_STORE, QUANTITIES, before, after, config, scope)
