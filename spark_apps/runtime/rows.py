"""Which rows of a live view are to be sent, and the rows of lots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from smartshelf.contracts.rows import ShelfBatchState, WhBatchState, key_json
from smartshelf.domain.lots import Key, LotBook, LotPlace, Shows
from smartshelf.domain.shelf import Column, moment
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Scope, View


def changed(after: Column, before: Column | None) -> list[int]:
    """Rows whose version is not as it was; all that have one when there is no before. New rows come at the end."""
    known = np.zeros(len(after), dtype=np.int64)
    if before is not None:
        known[: len(before)] = before
    rows: list[int] = np.flatnonzero(after != known).tolist()
    return rows


def changed_lots(after: LotBook, before: LotBook | None, shows: Shows) -> tuple[list[int], list[Key]]:
    """Rows of ``after`` whose version is not as it was, and the lots that have gone."""
    now = after.version[:, shows]
    if before is None:
        return changed(now, None), []
    was = before.version[:, shows]
    if before.index is after.index:
        return changed(now, was), []
    # Lots have come or gone: rows are others now.
    row_of = before.row_of
    then = np.array([row_of.get(key, len(was)) for key in after.row_of], dtype=np.int64)
    gone = [key for key, row in row_of.items() if key not in after.row_of and was[row]]
    return changed(now, np.append(was, 0)[then]), gone


def lot_rows(
    topic: str,
    row_type: type[ShelfBatchState] | type[WhBatchState],
    shows: Shows,
    quantities: Mapping[str, LotPlace],
    before: View[None] | None,
    after: View[None],
    config: StoreConfig,
    scope: Scope,
) -> list[Output]:
    """The changed lots of a view as rows of ``row_type``; ``quantities``: column -> the place whose units it shows."""
    lots = after.books.lots
    rows, gone = changed_lots(lots, before.books.lots if before else None, shows)

    def output(row: int) -> Output:
        lot = lots.lot(row, LotPlace.STORE)
        identity = _lot_key(scope, (lots.shelf_ids[row], lot.batch_code))
        key = key_json(row_type, identity)
        profile = config.profiles.get(lots.shelf_ids[row])
        if profile is None:
            return Output(topic, key, None)
        units: dict[str, Any] = {column: int(lots.units[row, place]) for column, place in quantities.items()}
        state = row_type(
            epoch=scope.epoch,
            version=int(lots.version[row, shows]),
            as_of_step=scope.as_of_step,
            **identity,
            category=profile.category,
            subcategory=profile.subcategory,
            received_date=lot.received_date.isoformat() if lot.received_date else None,
            expiry_date=lot.expiry_date.isoformat() if lot.expiry_date else None,
            **units,
            last_update_ts=moment(int(lots.updated[row, shows])),
        )
        return Output(topic, key, msgspec.json.encode(state))

    tombstones = [Output(topic, key_json(row_type, _lot_key(scope, lot)), None) for lot in gone]
    return tombstones + [output(row) for row in rows]


def _lot_key(scope: Scope, lot: Key) -> dict[str, Any]:
    """The primary key of a lot's row."""
    return {"store_id": scope.store_id, "shelf_id": lot[0], "batch_code": lot[1]}
