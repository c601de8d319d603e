"""The batch-state updater: units of every lot in the store (topic ``shelf_batch_state``)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from smartshelf.contracts.rows import ShelfBatchState, key_json
from smartshelf.domain.lots import LotBook, LotPlace, Shows
from smartshelf.domain.shelf import moment
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.rows import changed_lots, lot_key
from spark_apps.runtime.stage import Output, Scope, Stateless, View

TOPIC = "shelf_batch_state"


class BatchState(Stateless):
    """Shows the lots of the books that are or were in the store; decides nothing."""

    name: ClassVar = "batch_state"
    books: ClassVar = True

    def rows(self, before: View[None] | None, after: View[None], config: StoreConfig, scope: Scope) -> list[Output]:
        lots = after.books.lots
        rows, gone = changed_lots(lots, before.books.lots if before else None, Shows.IN_STORE)
        tombstones = [Output(TOPIC, key_json(ShelfBatchState, lot_key(scope, lot)), None) for lot in gone]
        return tombstones + [_row(lots, row, config, scope) for row in rows]


def _row(lots: LotBook, row: int, config: StoreConfig, scope: Scope) -> Output:
    lot = lots.lot(row, LotPlace.STORE)
    identity = lot_key(scope, (lots.shelf_ids[row], lot.batch_code))
    key = key_json(ShelfBatchState, identity)
    profile = config.profiles.get(lots.shelf_ids[row])
    if profile is None:
        return Output(TOPIC, key, None)
    state = ShelfBatchState(
        epoch=scope.epoch,
        version=int(lots.version[row, Shows.IN_STORE]),
        as_of_step=scope.as_of_step,
        **identity,
        category=profile.category,
        subcategory=profile.subcategory,
        received_date=lot.received_date.isoformat() if lot.received_date else None,
        expiry_date=lot.expiry_date.isoformat() if lot.expiry_date else None,
        batch_quantity_store=lot.quantity,
        last_update_ts=moment(int(lots.updated[row, Shows.IN_STORE])),
    )
    return Output(TOPIC, key, msgspec.json.encode(state))
