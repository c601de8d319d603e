"""Customers of a replayed store: the sales of a file become people who take and pay, spread over the hour.

How they are spread is a function of (seed, store, hour). A replayed store has no doors and no put-backs: the file
knows what was sold, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from producers.body import Body
from producers.randomness import numbers
from producers.shelf import Lot
from producers.shoppers import DAY, HOUR, MINUTE, SCALE_ERROR, TAKE, Action, Plan, iso_date

#: Units in one basket, from and to.
BASKET = (1, 9)
#: A customer's way through the shop, from and to; the whole visit lies within the hour of the sale.
VISIT = (MINUTE, 4 * MINUTE)
#: The last moment of an hour to come in, so that the queue at the till fits in too.
LATEST = HOUR - 6 * MINUTE
#: Hours whose customers are kept at hand: people of the hour before may still be at the till.
KEPT_HOURS = 3


class SalesTable(Struct, frozen=True, kw_only=True):
    """What was sold; ``sold`` and ``stock`` are packed little-endian int32 columns, sorted by day (and hour)."""

    #: Midnight of day 0, simulated ms since 1970.
    first_day: int
    days: int
    #: When the shelves are filled or counted, ms after midnight.
    opens: int
    #: rows of (day, hour, shelf index, units > 0)
    sold: bytes
    #: rows of (day, shelf index, units at opening); empty: assumed full
    stock: bytes = b""


def packed(rows: NDArray[np.int64]) -> bytes:
    return rows.astype("<i4").tobytes()


class Sales:
    """The people of one replayed store (the counterpart of Shoppers)."""

    def __init__(self, body: Body, world: int) -> None:
        self._world, self._body = world, body
        self._table = msgspec.msgpack.decode(body.sales, type=SalesTable)
        self._sold = np.frombuffer(self._table.sold, "<i4").reshape(-1, 4)
        self._hour = self._sold[:, 0].astype(np.int64) * 24 + self._sold[:, 1]
        self._stock = np.frombuffer(self._table.stock, "<i4").reshape(-1, 3)
        self._customers: dict[int, dict[int, Plan]] = {}

    def arrivals(self, _step: int, since: int, until: int, _crowd: float = 1.0) -> list[int]:
        """Instants in (since, until] at which customers come in, in order."""
        first, last = ((at - self._table.first_day) // HOUR for at in (since, until))
        return [enters for hour in range(first, last + 1) for enters in self._of_hour(hour) if since < enters <= until]

    def plan(self, _step: int, _number: int, enters: int, _craved: int | None = None) -> Plan:
        """Customers of an hour come in at different instants, so the instant tells who it is."""
        return self._of_hour((enters - self._table.first_day) // HOUR)[enters]

    def opening(self, since: int, until: int, stocks: Sequence[int], first: bool) -> Iterator[tuple[int, Lot]]:
        """(shelf, lot with the signed difference) to bring the shelves to their stock at opening, when it is time."""
        day = (until - self._table.first_day) // DAY
        opens = self._table.first_day + day * DAY + self._table.opens
        if not first and not (0 <= day < self._table.days and since < opens <= until):
            return
        wanted = {index: shelf.maximum_stock for index, shelf in enumerate(self._body.shelves)}
        if self._table.stock:
            rows = self._stock[self._stock[:, 0] == day]
            wanted = dict(zip(rows[:, 1].tolist(), rows[:, 2].tolist(), strict=True))
        received = iso_date(until)
        for index, units in sorted(wanted.items()):
            if units != stocks[index]:
                shelf = self._body.shelves[index]
                code = f"{shelf.shelf_id}-A{received[2:4]}{received[5:7]}{received[8:10]}"
                expiry = iso_date(until + shelf.life_days * DAY)
                yield index, Lot(code, received, expiry, units - stocks[index])

    def _of_hour(self, hour: int) -> dict[int, Plan]:
        plans = self._customers.get(hour)
        if plans is None:
            for old in [old for old in self._customers if old < hour - KEPT_HOURS]:
                del self._customers[old]
            plans = self._customers[hour] = self._make(hour)
        return plans

    def _make(self, hour: int) -> dict[int, Plan]:
        low, high = np.searchsorted(self._hour, [hour, hour + 1])
        rows = self._sold[low:high]
        if hour < 0 or not len(rows):
            return {}
        random = numbers(self._world, hour, 0)
        units = random.permutation(np.repeat(rows[:, 2], rows[:, 3])).tolist()
        sizes = random.integers(BASKET[0], BASKET[1] + 1, len(units)).tolist()
        plans: dict[int, Plan] = {}
        begin = self._table.first_day + hour * HOUR
        while units:
            basket, units = units[: sizes[0]], units[sizes.pop(0) :]
            enters = begin + 1 + int(random.random() * LATEST)
            while enters in plans:
                enters += 1
            plans[enters] = self._visit(enters, basket, random)
        return dict(sorted(plans.items()))

    @staticmethod
    def _visit(enters: int, basket: list[int], random: np.random.Generator) -> Plan:
        shelves = sorted(set(basket))
        stay = int(random.uniform(*VISIT))
        instants = sorted((enters + 1 + random.random(len(shelves)) * (stay - 2)).astype(int).tolist())
        errors = (random.standard_normal(len(shelves)) * SCALE_ERROR).tolist()
        actions = []
        for at, shelf, error in zip(instants, shelves, errors, strict=True):
            quantity = basket.count(shelf)
            actions.append(Action(at, TAKE, shelf, quantity, tuple(random.random(quantity).tolist()), error))
        return Plan(enters, tuple(actions), enters + stay, 0)
