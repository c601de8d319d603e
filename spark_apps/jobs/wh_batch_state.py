"""The warehouse batch-state updater: every lot in backroom, on the way and in the store (``wh_batch_state``)."""

from __future__ import annotations

from typing import ClassVar

from smartshelf.contracts.rows import WhBatchState
from smartshelf.domain.lots import LotPlace, Shows
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.rows import lot_rows
from spark_apps.runtime.stage import Output, Scope, Stateless, View

TOPIC = "wh_batch_state"
QUANTITIES = {
    "batch_quantity_warehouse": LotPlace.BACKROOM,
    "batch_quantity_store": LotPlace.STORE,
    "in_transit_qty": LotPlace.ON_THE_WAY,
}


class WarehouseBatchState(Stateless):
    """Shows all lots of the books; decides nothing."""

    name: ClassVar = "wh_batch_state"
    books: ClassVar = True

    def rows(self, before: View[None] | None, after: View[None], config: StoreConfig, scope: Scope) -> list[Output]:
        return lot_rows(TOPIC, WhBatchState, Shows.EVERYWHERE, QUANTITIES, before, after, config, scope)
