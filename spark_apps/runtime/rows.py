"""Which rows of a live view are to be sent."""

from __future__ import annotations

import numpy as np

from smartshelf.domain.shelf import Column


def changed(after: Column, before: Column | None) -> list[int]:
    """Rows whose version is not as it was; all that have one when there is no before. New rows come at the end."""
    known = np.zeros(len(after), dtype=np.int64)
    if before is not None:
        known[: len(before)] = before
    rows: list[int] = np.flatnonzero(after != known).tolist()
    return rows
