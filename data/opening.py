"""The lots with which the warm-up of a year of history begins, drawn at random.

A store does not open with these but with what its history leaves (``data.history``). Stock is never stated apart from
lots; it is their sum.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from data.catalogue import Profiles
from data.lots import Days, Integers, Lots, make_lots
from smartshelf.domain.calendar import Calendar
from smartshelf.errors import BadInput

#: Weekdays on which suppliers deliver (Monday is 0).
DELIVERY_WEEKDAYS = Calendar().delivery.weekdays
#: A shelf is drawn 62-100 % full: 39 units of a mean maximum of 48.
SHELF_FILL = (0.62, 1.0)
#: The backroom of fresh food holds less, or it would expire there.
BACKROOM_FILL_FRESH, BACKROOM_FILL = (0.25, 0.65), (0.35, 0.85)
#: Chances of 1, 2, 3, ... lots; together about 1,830 in store and 2,250 in the warehouse.
STORE_LOT_CHANCES = (0.46, 0.46, 0.08)
WAREHOUSE_LOT_CHANCES = (0.30, 0.42, 0.20, 0.08)
#: How often the newest lot on the shelf is also the oldest in the backroom.
SHARED_LOT_CHANCE = 0.35
#: Lots of goods that keep came within the last 24 deliveries (eight weeks).
DELIVERIES_BACK = 24
#: A shelf life up to this many days limits what a backroom should hold.
SHORT_LIFE_DAYS = 45


def drawn_lots(
    profiles: Profiles,
    start: date,
    seed: int,
    store_id: str = "S01",
    most: Integers | None = None,
    sells: Integers | None = None,
) -> tuple[Lots, Lots]:
    """Lots on the shelves and in the backroom on the morning of ``start``, before any delivery of that day.

    ``most``: units of each product that a backroom would be filled up to; ``sells``: units of it that sell before they
    expire. What is drawn beyond them is not there, but for one unit in either place.
    Every lot came on a delivery day before ``start`` and expires on ``start`` or later. The shelf has
    the first-expiring lots; the newest of them may lie partly in the backroom, under the same code.
    Newer backroom lots are whole batches. Raises BadInput when a product expires sooner than that.
    """
    random = np.random.default_rng([seed, *store_id.encode()])
    shelves = len(profiles)
    delivered = deliveries_before(start, DELIVERIES_BACK)
    life = profiles.shelf_life_days
    age = (np.datetime64(start, "D") - delivered).astype(np.int64)
    usable = (age <= life[:, None]).sum(axis=1)
    if not usable.all():
        short = profiles.shelf_id[usable == 0][0]
        raise BadInput(
            f"Every lot of shelf {short} would have expired before the start",
            value=int(life[usable == 0][0]),
            remedy=f"Give the product a shelf life of at least {age[0]} days.",
        )

    stock = _at_most(_filled(random, profiles.maximum_stock, *SHELF_FILL), sells)
    fresh = life <= SHORT_LIFE_DAYS
    backroom = np.where(
        fresh,
        _filled(random, profiles.warehouse_capacity, *BACKROOM_FILL_FRESH),
        _filled(random, profiles.warehouse_capacity, *BACKROOM_FILL),
    )
    backroom = _at_most(_at_most(backroom, most), None if sells is None else sells - stock)
    whole, rest = np.divmod(backroom, profiles.standard_batch_size)
    on_shelf = np.minimum(_how_many(random, STORE_LOT_CHANCES, shelves), np.minimum(stock, usable))
    in_backroom = np.minimum(_how_many(random, WAREHOUSE_LOT_CHANCES, shelves), whole + (rest > 0))
    in_backroom = np.minimum(in_backroom, usable - on_shelf + 1)
    shared = (random.random(shelves) < SHARED_LOT_CHANCE) | (on_shelf + in_backroom > usable)

    count = on_shelf + in_backroom - shared
    arrival = _arrivals(random, count, usable)
    store_row, store_place = _spread(on_shelf)
    back_row, back_place = _spread(in_backroom)
    store_units = _shares(random, stock, on_shelf)
    back_units = _batches(whole, rest, profiles.standard_batch_size, in_backroom)
    store_arrival = arrival[store_row, store_place]
    back_arrival = arrival[back_row, back_place + (on_shelf - shared)[back_row]]
    return (
        make_lots(profiles, delivered[store_arrival], store_row, store_units[store_row, store_place]),
        make_lots(profiles, delivered[back_arrival], back_row, back_units[back_row, back_place]),
    )


def deliveries_before(start: date, count: int) -> Days:
    """The last ``count`` delivery days before ``start``, newest first."""
    weeks = count // len(DELIVERY_WEEKDAYS) + 2
    days = (start - timedelta(days=back) for back in range(1, 7 * weeks + 1))
    return np.array([day for day in days if day.weekday() in DELIVERY_WEEKDAYS][:count], dtype="datetime64[D]")


def _filled(random: np.random.Generator, capacity: Integers, low: float, high: float) -> Integers:
    return np.maximum(np.rint(capacity * random.uniform(low, high, len(capacity))), 1).astype(np.int64)


def _at_most(units: Integers, most: Integers | None) -> Integers:
    return units if most is None else np.minimum(units, np.maximum(most, 1))


def _how_many(random: np.random.Generator, chances: tuple[float, ...], size: int) -> Integers:
    return np.searchsorted(np.cumsum(chances)[:-1], random.random(size), side="right") + 1


def _spread(counts: Integers) -> tuple[Integers, Integers]:
    """(shelf, place 0..count-1) of every lot."""
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)


def _arrivals(random: np.random.Generator, count: Integers, usable: Integers) -> Integers:
    """By shelf, the index of the delivery (0 = newest) that brought each of its lots, oldest lot first."""
    most = int(count.max())
    slack = (usable - count) // count
    steps = 1 + (random.random((len(count), most)) * (slack + 1)[:, None]).astype(np.int64)
    newest_first = np.cumsum(steps, axis=1) - 1
    place = np.arange(most)
    oldest_first = np.clip(count[:, None] - 1 - place, 0, None)
    return np.take_along_axis(newest_first, oldest_first, axis=1)


def _shares(random: np.random.Generator, stock: Integers, lots: Integers) -> Integers:
    """Units of each lot on a shelf: random parts of at least one unit that add up to the stock."""
    most = int(lots.max())
    exists = np.arange(most) < lots[:, None]
    weight = np.where(exists, random.uniform(0.2, 1.0, exists.shape), 0.0)
    spare = stock - lots
    extra = np.floor(spare[:, None] * weight / weight.sum(axis=1, keepdims=True)).astype(np.int64)
    units = np.where(exists, 1 + extra, 0)
    units[np.arange(len(lots)), lots - 1] += stock - units.sum(axis=1)
    return units


def _batches(whole: Integers, rest: Integers, batch: Integers, lots: Integers) -> Integers:
    """Units of each backroom lot, oldest first: whole batches, the opened one in the oldest lot."""
    most = int(lots.max())
    place = np.arange(most)
    each, left = np.divmod(whole, lots)
    newest = lots[:, None] - 1 - place
    units = (each[:, None] + ((newest < left[:, None]) & (newest >= 0))) * batch[:, None]
    units[:, 0] += rest
    return np.where(newest >= 0, units, 0)
