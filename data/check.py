"""Does the generated data reach its targets?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data.build import PANEL
from data.discounts import SHELVES_A_WEEK, WEEKS
from data.history import DAYS
from data.measures import Year

SHELVES, CATEGORIES, PAIRS = 1_142, 29, 278
UNITS = 2_800_000
STORE_LOTS, WAREHOUSE_LOTS = 1_830, 2_250
MEAN_MAXIMUM, MEAN_STOCK, MEAN_CAPACITY = 48, 39, 306
SUMMER_GOODS, WINTER_GOODS = {"BEVERAGES", "BEERS"}, {"HOT BEVERAGES"}
JULY, JANUARY, DECEMBER = 6, 0, 11


@dataclass(frozen=True)
class Check:
    """One target: what, between which values, what was found."""

    name: str
    low: float
    high: float
    value: float
    unit: str = ""

    @property
    def ok(self) -> bool:
        return bool(self.low <= self.value <= self.high)

    @property
    def target(self) -> str:
        low, high = self.show(self.low), self.show(self.high)
        if low == high:
            return low
        return f"at least {low}" if self.high == np.inf else f"{low} to {high}"

    def show(self, value: float) -> str:
        """A value as people read it."""
        if self.unit == "%":
            return f"{100 * value:.1f} %"
        number = f"{value:,.0f}" if value == round(value) or abs(value) >= 1_000 else f"{value:,.2f}"
        return f"{number} {self.unit}".strip()


def checks(year: Year) -> Iterator[Check]:
    """Every target with the value reached. Counts scale with the store; ratios do not."""
    yield from _sizes(year)
    yield Check("units sold in the year", *_around(UNITS * year.scale * _histories(year), 0.05), year.units)
    yield Check("shelf-days without a stock-out", 0.92, 0.98, year.availability, "%")
    yield Check("fresh food of all units", 0.30, 0.40, year.fresh_share, "%")
    yield Check("fresh waste of fresh units sold", 0.01, 0.05, year.fresh_waste, "%")
    yield Check("units unaccounted for", 0, 0, year.unaccounted())
    yield from _patterns(year)


def _sizes(year: Year) -> Iterator[Check]:
    profiles = year.csv("shelf_profiles")
    stores = len(year.manifest["stores"])
    shelves = profiles.num_rows // stores
    if year.scale == 1:
        pairs = {*zip(*(profiles.column(name).to_pylist() for name in ("category", "subcategory")), strict=True)}
        yield _exactly("shelves", SHELVES, shelves)
        yield _exactly("categories", CATEGORIES, len({category for category, _ in pairs}))
        yield _exactly("category/subcategory pairs", PAIRS, len(pairs))
    rows = int(year.manifest["files"][PANEL]["rows"])
    yield _exactly("rows of history", shelves * DAYS * _histories(year), rows)
    for name, place, target in (
        ("lots in store", "store", STORE_LOTS),
        ("lots in the warehouse", "warehouse", WAREHOUSE_LOTS),
    ):
        lots = year.read(f"{place}_batches.parquet", ["shelf_id"]).num_rows
        yield Check(name, *_around(target * year.scale * stores, 0.10), lots)
    stock = year.csv("store_inventory_snapshot")
    room = year.csv("warehouse_inventory_snapshot")
    for name, target, table, column in (
        ("mean maximum stock of a shelf", MEAN_MAXIMUM, stock, "maximum_stock"),
        ("mean opening stock of a shelf", MEAN_STOCK, stock, "current_stock"),
        ("mean warehouse capacity of a product", MEAN_CAPACITY, room, "maximum_stock"),
    ):
        yield Check(name, *_around(target, 0.05), round(float(table.column(column).to_numpy().mean()), 1))
    offers = year.read("all_discounts.parquet", ["week_start", "discount_pct"])
    a_week = min(max(round(SHELVES_A_WEEK * year.scale), 1), shelves)
    yield _exactly("weekly discounts", a_week * WEEKS * stores, offers.num_rows)
    weekday = (offers.column("week_start").to_numpy().astype("datetime64[D]").astype(np.int64) + 3) % 7
    yield _exactly("of them not from a Monday", 0, int((weekday != 0).sum()))
    discount = offers.column("discount_pct").to_numpy()
    yield Check("smallest discount", 0.05, 0.35, float(discount.min()), "%")
    yield Check("largest discount", 0.05, 0.35, float(discount.max()), "%")


def _patterns(year: Year) -> Iterator[Check]:
    visits = year.weekday_visits
    yield Check("visits, busiest weekday to quietest", 1.08, 1.60, round(float(visits.max() / visits.min()), 2))
    workday, weekend = year.hour_shares(weekend=False), year.hour_shares(weekend=True)
    yield Check("units, busiest open hour to mean, workday", 1.2, 2.5, round(float(workday.max() * len(workday)), 2))
    shift = float(np.abs(workday - weekend).sum() / 2)
    yield Check("units sold at other hours on weekends", 0.05, 0.30, shift, "%")
    summer, winter = year.monthly(SUMMER_GOODS), year.monthly(WINTER_GOODS)
    if year.scale >= 1:
        yield Check("cold drinks, July to January", 1.2, 2.5, round(float(summer[JULY] / summer[JANUARY]), 2))
        yield Check("hot drinks, January to July", 1.2, 2.5, round(float(winter[JANUARY] / winter[JULY]), 2))
        sweets = year.monthly({"SWEETS AND BREAKFAST"})
        yield Check("sweets, December to mean month", 1.1, 2.0, round(float(sweets[DECEMBER]), 2))
    yield Check("sales on offer to sales at list price", 1.2, 2.5, round(year.promotion_uplift, 2))


def _histories(year: Year) -> int:
    return len(year.manifest["stores"]) if year.manifest.get("history") == "all" else 1


def _around(target: float, part: float) -> tuple[float, float]:
    return target * (1 - part), target * (1 + part)


def _exactly(name: str, target: float, value: float) -> Check:
    return Check(name, target, target, value)
