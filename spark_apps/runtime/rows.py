"""Which rows of a live view are to be sent."""

from __future__ import annotations

import numpy as np

from smartshelf.domain.lots import Key, LotBook, Shows
from smartshelf.domain.shelf import Column
from spark_apps.runtime.stage import Scope


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


def lot_key(scope: Scope, lot: Key) -> dict[str, str]:
    """The primary key of a lot's row."""
    return {"store_id": scope.store_id, "shelf_id": lot[0], "batch_code": lot[1]}
