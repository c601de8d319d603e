"""The assortment: load and check ``catalogue.yaml``, expand it to shelf profiles.

A profile is one shelf with its one product, in the fields of ``smartshelf.contracts.rows.ShelfProfile``.
Profiles depend on the file and the scale only, never on a seed: the same shelf id is the same
product in every store, at every scale and in every run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from data.yaml_source import Problem, Strict, bad_file, load
from smartshelf.errors import BadInput

CATALOGUE_FILE = Path(__file__).with_name("catalogue.yaml")

#: A product must outlive the longest gap between deliveries (Friday to Monday).
SHORTEST_LIFE_DAYS = 4
LARGEST_SCALE = 100
#: Capacities of the shelves of a subcategory run from -SPREAD to +SPREAD around its mean.
CAPACITY_SPREAD = 0.25
LOWEST_VISIBILITY, HIGHEST_VISIBILITY = 0.05, 0.20
#: Multiples of the golden ratio spread points evenly over 0-1 however many there are.
GOLDEN = (math.sqrt(5) - 1) / 2
#: Pack sizes as shops have them.
SMALL_PACKS_G = (5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 80, 100, 125, 150, 180, 200, 250, 300, 350, 400, 450, 500)
LARGE_PACKS_G = (600, 700, 750, 800, 900, 1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000)
PACK_SIZES = {
    "g": np.array([*SMALL_PACKS_G, *LARGE_PACKS_G]),
    "ml": np.array([50, 75, 100, 150, 200, 250, 330, 500, 700, 750, 1000, 1500, 2000, 3000, 4000, 5000]),
}

Number = TypeVar("Number", int, float)


def _ordered(ends: tuple[Number, Number]) -> tuple[Number, Number]:
    if ends[0] > ends[1]:
        raise ValueError("must run from the smaller to the larger")
    return ends


UnitSize = Literal["ml", "g", "none"]
Name = Annotated[str, Field(min_length=1, max_length=128)]
Grams = Annotated[int, Field(gt=0)]
Euros = Annotated[float, Field(gt=0)]
Days = Annotated[int, Field(ge=SHORTEST_LIFE_DAYS)]


class Zone(Strict):
    """A zone with a temperature of its own; degrees Celsius, kW."""

    zone: Name
    zone_id: Name
    storage: Literal["ambient", "chilled", "frozen"]
    target_c: float
    limit_c: float
    power_kw: Annotated[float, Field(gt=0)]


class Supplier(Strict):
    """Who delivers; capacity in units a delivery at scale 1, costs in EUR, on_time_rate 0-1."""

    supplier_id: Name
    name: Name
    capacity_units: Annotated[int, Field(gt=0)]
    cost_per_order: Annotated[float, Field(ge=0)]
    cost_per_unit: Annotated[float, Field(ge=0)]
    lead_days: Annotated[int, Field(ge=1)]
    on_time_rate: Annotated[float, Field(gt=0, le=1)]


class Subcategory(Strict):
    """Shelves of one kind; means and ranges over its products."""

    name: Name
    prefix: Annotated[str, Field(pattern=r"^[A-Z]{6}$")]
    shelves: Annotated[int, Field(ge=1)]
    weight_g: Annotated[tuple[Grams, Grams], AfterValidator(_ordered)]
    price_eur: Annotated[tuple[Euros, Euros], AfterValidator(_ordered)]
    capacity: Annotated[int, Field(ge=1)]
    backroom: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)]
    life_days: Annotated[tuple[Days, Days], AfterValidator(_ordered)]
    items: Annotated[tuple[Name, ...], Field(min_length=1)]
    zone: Name | None = None
    size_unit: UnitSize | None = None


class Category(Strict):
    """A category is one aisle. ``popularity`` is its weight among all units sold."""

    category: Name
    aisle: Annotated[int, Field(ge=1)]
    zone: Name
    supplier: Name
    fresh: bool
    popularity: Annotated[float, Field(gt=0)]
    margin: Annotated[float, Field(gt=0, lt=1)]
    size_unit: UnitSize
    brands: Annotated[tuple[Name, ...], Field(min_length=1)]
    subcategories: Annotated[tuple[Subcategory, ...], Field(min_length=1)]


class Catalogue(Strict):
    """The whole file."""

    schema_version: Literal[1]
    zones: Annotated[tuple[Zone, ...], Field(min_length=1)]
    suppliers: Annotated[tuple[Supplier, ...], Field(min_length=1)]
    categories: Annotated[tuple[Category, ...], Field(min_length=1)]

    @property
    def fresh_categories(self) -> frozenset[str]:
        """Names of the categories that count as fresh food."""
        return frozenset(category.category for category in self.categories if category.fresh)


@dataclass(frozen=True, eq=False)
class Profiles:
    """Columns over shelves, in the order of the catalogue; a store's rows are these plus its id."""

    shelf_id: NDArray[np.str_]
    product_id: NDArray[np.str_]
    item_name: NDArray[np.str_]
    category: NDArray[np.str_]
    subcategory: NDArray[np.str_]
    aisle: NDArray[np.int64]
    storage_zone: NDArray[np.str_]
    zone_id: NDArray[np.str_]
    item_weight: NDArray[np.float64]
    item_price: NDArray[np.float64]
    item_cost: NDArray[np.float64]
    supplier_id: NDArray[np.str_]
    maximum_stock: NDArray[np.int64]
    warehouse_capacity: NDArray[np.int64]
    standard_batch_size: NDArray[np.int64]
    shelf_life_days: NDArray[np.int64]
    item_visibility: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.shelf_id)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Column by field name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def load_catalogue(path: Path = CATALOGUE_FILE) -> Catalogue:
    """The checked catalogue. Raises BadInput naming file, line, value and remedy of every problem."""
    return _load(path.resolve(), path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=4)
def _load(path: Path, _changed: int) -> Catalogue:
    catalogue = load(path, Catalogue, explain=_explain)
    if problems := list(_contradictions(catalogue)):
        raise bad_file(path, problems)
    return catalogue


def _explain(error: dict[str, Any]) -> str | None:
    if error["type"] == "missing" and error["loc"][-1] == "aisle":
        found = error["input"].get("category", "?")
        return f"category without aisle: {found}; give it an `aisle` number of its own."
    if "life_days" in error["loc"] and error["type"] == "greater_than_equal":
        return (
            f"`life_days` is too short to survive from one delivery to the next. Found: {error['input']!r}. "
            f"Use at least {SHORTEST_LIFE_DAYS} days."
        )
    return None


def _contradictions(catalogue: Catalogue) -> Iterator[Problem]:
    zones = {zone.zone for zone in catalogue.zones}
    suppliers = {supplier.supplier_id for supplier in catalogue.suppliers}
    yield from _repeated("zones", "zone", [zone.zone for zone in catalogue.zones])
    yield from _repeated("suppliers", "supplier_id", [supplier.supplier_id for supplier in catalogue.suppliers])
    yield from _repeated("categories", "category", [category.category for category in catalogue.categories])
    yield from _repeated("categories", "aisle", [category.aisle for category in catalogue.categories])
    for c, category in enumerate(catalogue.categories):
        here: tuple[str | int, ...] = ("categories", c)
        if category.zone not in zones:
            yield Problem((*here, "zone"), f"no such zone: {category.zone}. Known: {', '.join(sorted(zones))}.")
        if category.supplier not in suppliers:
            known = ", ".join(sorted(suppliers))
            yield Problem((*here, "supplier"), f"no such supplier: {category.supplier}. Known: {known}.")
        yield from _shelf_contradictions(category, here, zones)


def _shelf_contradictions(category: Category, here: tuple[str | int, ...], zones: set[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for s, subcategory in enumerate(category.subcategories):
        place = (*here, "subcategories", s)
        if subcategory.name in seen:
            yield Problem(
                (*place, "name"),
                f"duplicate shelf: subcategory {subcategory.name} is listed twice in {category.category}; "
                "keep one line and add up its `shelves`.",
            )
        seen.add(subcategory.name)
        for item in {item for item in subcategory.items if subcategory.items.count(item) > 1}:
            yield Problem((*place, "items"), f"duplicate shelf: item {item} is listed twice; keep it once.")
        if subcategory.backroom < subcategory.batch:
            yield Problem(
                (*place, "backroom"),
                f"`backroom` {subcategory.backroom} cannot hold one batch of {subcategory.batch}; make it larger.",
            )
        if subcategory.zone is not None and subcategory.zone not in zones:
            known = ", ".join(sorted(zones))
            yield Problem((*place, "zone"), f"no such zone: {subcategory.zone}. Known: {known}.")


def _repeated(part: str, name: str, values: list[Any]) -> Iterator[Problem]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield Problem((part, index, name), f"duplicate {name}: {value}; each {name} may appear once.")


def check_scale(scale: float) -> float:
    """``scale`` itself. Raises BadInput when shelves cannot be multiplied by it."""
    if not (math.isfinite(scale) and 0 < scale <= LARGEST_SCALE):
        raise BadInput(
            "The scale must be a number above 0 and at most 100",
            value=scale,
            remedy="1 is the store of the catalogue, 10 has ten times the shelves.",
        )
    return scale


def expand(catalogue: Catalogue, scale: float = 1.0) -> Profiles:
    """One profile per shelf; ``scale`` multiplies the shelves of every subcategory.

    A larger store keeps every shelf of the smaller one (same id, same product) and adds products;
    a part of a store is an even sample over the whole catalogue. Raises BadInput for a scale that
    is not in (0, 100] or leaves no shelf, and when a prefix runs out of its 9,999 numbers.
    """
    pairs = [(category, subcategory) for category in catalogue.categories for subcategory in category.subcategories]
    pair, within, copy = _shelves(np.array([subcategory.shelves for _, subcategory in pairs]), check_scale(scale))

    def per_pair(value: list[Any]) -> NDArray[Any]:
        return np.array(value)[pair]

    count = per_pair([sub.shelves for _, sub in pairs])
    # Products of a subcategory lie evenly between its cheapest and its dearest; copies in between.
    rank = np.where(count > 1, within / np.maximum(count - 1, 1), 0.5)
    spot = np.where(copy > 0, (rank + copy * GOLDEN) % 1.0, rank)
    counts = np.array([sub.shelves for _, sub in pairs])
    row_of_catalogue = (np.cumsum(counts) - counts)[pair] + within
    scatter = ((row_of_catalogue + copy * counts.sum()) * GOLDEN) % 1.0

    cheapest, dearest = (per_pair([sub.price_eur[end] for _, sub in pairs]) for end in (0, 1))
    price = _price(cheapest, dearest, spot)
    weight = _weight(pairs, pair, np.clip(spot + 0.5 * (scatter - 0.5), 0, 1))
    batch = per_pair([sub.batch for _, sub in pairs])
    # The cheaper product of a kind gets the wider shelf; rank is symmetric, so the mean is kept.
    room = 1 + CAPACITY_SPREAD * (1 - 2 * rank)
    life_low, life_high = (per_pair([sub.life_days[end] for _, sub in pairs]) for end in (0, 1))
    zones = {zone.zone: zone for zone in catalogue.zones}
    zone = [zones[sub.zone or category.zone] for category, sub in pairs]
    shelf_id = _shelf_ids(pairs, pair, within, copy)
    return Profiles(
        shelf_id=shelf_id,
        product_id=np.char.add("P-", shelf_id),
        item_name=_names(pairs, pair, within, copy, weight),
        category=per_pair([category.category for category, _ in pairs]),
        subcategory=per_pair([sub.name for _, sub in pairs]),
        aisle=per_pair([category.aisle for category, _ in pairs]),
        storage_zone=per_pair([z.storage for z in zone]),
        zone_id=per_pair([z.zone_id for z in zone]),
        item_weight=weight,
        item_price=price,
        item_cost=np.maximum(np.round(price * (1 - per_pair([category.margin for category, _ in pairs])), 2), 0.01),
        supplier_id=per_pair([category.supplier for category, _ in pairs]),
        maximum_stock=_at_least(1, per_pair([sub.capacity for _, sub in pairs]) * room),
        warehouse_capacity=_at_least(batch, per_pair([sub.backroom for _, sub in pairs]) * room),
        standard_batch_size=batch,
        shelf_life_days=np.rint(life_low + (life_high - life_low) * scatter).astype(np.int64),
        item_visibility=np.round(LOWEST_VISIBILITY + (HIGHEST_VISIBILITY - LOWEST_VISIBILITY) * scatter, 3),
    )


def _shelves(counts: NDArray[np.int64], scale: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(pair, place within the pair, which copy of the store) of every shelf, ordered by pair."""
    base = int(counts.sum())
    pair = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(base) - np.repeat(np.cumsum(counts) - counts, counts)
    whole = math.floor(scale)
    sampled = np.diff(np.floor(np.arange(base + 1) * (scale - whole) + 0.5)).astype(bool)
    chosen = [np.arange(base)] * whole + [np.flatnonzero(sampled)]
    row = np.concatenate(chosen)
    copy = np.repeat(np.arange(len(chosen)), [len(part) for part in chosen])
    if not len(row):
        raise BadInput("The scale leaves no shelf at all", value=scale, remedy=f"Use at least {1 / base:.4f}.")
    order = np.lexsort((within[row], copy, pair[row]))
    return pair[row][order], within[row][order], copy[order]


Pairs = list[tuple[Category, Subcategory]]
Places = NDArray[np.int64]


def _shelf_ids(pairs: Pairs, pair: Places, within: Places, copy: Places) -> NDArray[np.str_]:
    # A prefix may serve several subcategories: numbers run through all of them, then through the copies.
    first: list[int] = []
    total: dict[str, int] = {}
    for _, subcategory in pairs:
        first.append(total.get(subcategory.prefix, 0))
        total[subcategory.prefix] = first[-1] + subcategory.shelves
    prefixes = np.array([subcategory.prefix for _, subcategory in pairs])
    per_copy = np.array([total[subcategory.prefix] for _, subcategory in pairs])
    number = copy * per_copy[pair] + np.array(first)[pair] + within + 1
    if number.max() > 9_999:
        crowded = prefixes[pair][number.argmax()]
        raise BadInput("More than 9,999 shelves share an id prefix", value=crowded, remedy="Use a smaller scale.")
    return np.array([f"{prefix}{n:04d}" for prefix, n in zip(prefixes[pair], number, strict=True)])


def _names(pairs: Pairs, pair: Places, within: Places, copy: Places, weight: NDArray[np.float64]) -> NDArray[np.str_]:
    names = []
    for p, place, which, grams in zip(pair.tolist(), within.tolist(), copy.tolist(), weight.tolist(), strict=True):
        category, subcategory = pairs[p]
        turn, item = divmod(place + which * subcategory.shelves, len(subcategory.items))
        series, step = divmod(turn, len(category.brands))
        brand = category.brands[(p + item + step) % len(category.brands)]
        size = _size(grams, subcategory.size_unit or category.size_unit)
        names.append(f"{brand} {subcategory.items[item]}{size}" + (f" No. {series + 1}" if series else ""))
    return np.array(names)


def _size(amount: float, unit: UnitSize) -> str:
    if unit == "none":
        return ""
    if amount >= 1000:
        return f" {amount / 1000:g} {'l' if unit == 'ml' else 'kg'}"
    return f" {amount:g} {unit}"


def _at_least(floor: Any, units: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.maximum(np.rint(units), floor).astype(np.int64)


def _price(low: NDArray[np.float64], high: NDArray[np.float64], spot: NDArray[np.float64]) -> NDArray[np.float64]:
    """EUR with shop endings (1.49), within the range."""
    price: NDArray[np.float64] = np.floor((low + (high - low) * spot) * 10) / 10 + 0.09
    return np.clip(price, low, high).round(2)


def _weight(pairs: Pairs, pair: Places, spot: NDArray[np.float64]) -> NDArray[np.float64]:
    """Grams: a usual pack size within the range where the name states one, any gram otherwise."""
    weight = np.empty(len(pair))
    for p, (category, subcategory) in enumerate(pairs):
        rows = pair == p
        low, high = subcategory.weight_g
        wanted = low + (high - low) * spot[rows]
        unit = subcategory.size_unit or category.size_unit
        if unit == "none":
            weight[rows] = np.rint(wanted)
            continue
        sizes = PACK_SIZES[unit]
        usual = np.unique([low, high, *sizes[(low < sizes) & (high > sizes)]])
        weight[rows] = usual[np.abs(wanted[:, None] - usual).argmin(axis=1)]
    return weight
