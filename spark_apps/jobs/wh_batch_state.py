"""The warehouse batch-state updater: every lot in backroom, on the way and in the store (``wh_batch_state``)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from smartshelf.contracts.rows import WhBatchState, key_json
from smartshelf.domain.lots import LotBook, LotPlace, Shows
from smartshelf.domain.shelf import moment
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.rows import changed_lots, lot_key
from spark_apps.runtime.stage import Output, Scope, Stateless, View

TOPIC = "wh_batch_state"


class WarehouseBatchState(Stateless):
    """Shows all lots of the books; decides nothing."""

    name: ClassVar = "wh_batch_state"
    books: ClassVar = True

    def rows(self, before: View[None] | None, after: View[None], config: StoreConfig, scope: Scope) -> list[Output]:
        lots = after.books.lots
        rows, gone = changed_lots(lots, before.books.lots if before else None, Shows.EVERYWHERE)
        tombstones = [Output(TOPIC, key_json(WhBatchState, lot_key(scope, lot)), None) for lot in gone]
        return tombstones + [_row(lots, row, config, scope) for row in rows]


def _row(lots: LotBook, row: int, config: StoreConfig, scope: Scope) -> Output:
    lot = lots.lot(row, LotPlace.BACKROOM)
    identity = lot_key(scope, (lots.shelf_ids[row], lot.batch_code))
    key = key_json(WhBatchState, identity)
    profile = config.profiles.get(lots.shelf_ids[row])
    if profile is None:
        return Output(TOPIC, key, None)
    state = WhBatchState(
        epoch=scope.epoch,
        version=int(lots.version[row, Shows.EVERYWHERE]),
        as_of_step=scope.as_of_step,
        **identity,
        category=profile.category,
        subcategory=profile.subcategory,
        received_date=lot.received_date.isoformat() if lot.received_date else None,
        expiry_date=lot.expiry_date.isoformat() if lot.expiry_date else None,
        batch_quantity_warehouse=lot.quantity,
        batch_quantity_store=int(lots.units[row, LotPlace.STORE]),
        in_transit_qty=int(lots.units[row, LotPlace.ON_THE_WAY]),
        last_update_ts=moment(int(lots.updated[row, Shows.EVERYWHERE])),
    )
    return Output(TOPIC, key, msgspec.json.encode(state))
