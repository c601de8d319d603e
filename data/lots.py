"""Lots in one place, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.catalogue import Profiles

Integers = NDArray[np.int64]
Days = NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Lots:
    """Columns over lots in one place, by shelf and then oldest first.

    ``row`` is the shelf's index in the profiles; dates are whole days; quantity in units, at least 1.
    """

    row: Integers
    batch_code: NDArray[np.str_]
    received_date: Days
    expiry_date: Days
    quantity: Integers

    def __len__(self) -> int:
        return len(self.row)

    def stock(self, shelves: int) -> Integers:
        """Units by shelf: the sum of its lots."""
        return np.bincount(self.row, weights=self.quantity, minlength=shelves).astype(np.int64)


def make_lots(profiles: Profiles, received: Days, row: Integers, quantity: Integers) -> Lots:
    """Lots of one place; code and expiry follow from the shelf and the day they came."""
    shelf, day = profiles.shelf_id[row].tolist(), np.datetime_as_string(received).tolist()
    return Lots(
        row=row,
        batch_code=np.array([f"{s}-{d[2:4]}{d[5:7]}{d[8:10]}" for s, d in zip(shelf, day, strict=True)]),
        received_date=received,
        expiry_date=received + profiles.shelf_life_days[row].astype("timedelta64[D]"),
        quantity=quantity,
    )
