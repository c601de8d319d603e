"""What a generated year looks like, measured from its files alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as papq
from numpy.typing import NDArray

from data.build import BOOKS, CSV_FOLDER, HOURS, MANIFEST, PANEL
from data.catalogue import load_catalogue
from smartshelf.errors import BadInput

Numbers = NDArray[np.float64]
Column = NDArray[Any]


@dataclass(frozen=True)
class Year:
    """A folder that ``smartshelf data build`` has written. Raises BadInput when it has not."""

    folder: Path
    manifest: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        try:
            manifest = json.loads((self.folder / MANIFEST).read_text())
        except (OSError, ValueError):
            raise BadInput(
                f"There is no generated data in {self.folder}", remedy="Run `smartshelf data build` first."
            ) from None
        object.__setattr__(self, "manifest", manifest)

    @property
    def scale(self) -> float:
        return float(self.manifest["scale"])

    def read(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A generated Parquet file."""
        try:
            return papq.read_table(self.folder / name, columns=columns)
        except (OSError, pa.ArrowInvalid) as broken:
            raise _unreadable(self.folder / name) from broken

    def csv(self, name: str) -> pa.Table:
        """A generated table of ``db_csv/``."""
        try:
            return pacsv.read_csv(self.folder / CSV_FOLDER / f"{name}.csv")
        except (OSError, pa.ArrowInvalid) as broken:
            raise _unreadable(self.folder / CSV_FOLDER / f"{name}.csv") from broken

    @cached_property
    def panel(self) -> dict[str, Column]:
        """The columns of the panel that are measured, as NumPy columns; categories as codes into ``categories``."""
        wanted = ["feature_date", "day_of_week", "people_count", "sales_qty", "stockout_minutes", "is_discounted"]
        table = self.read(PANEL, [*wanted, "expired_qty_shelf", "expired_qty_wh", "item_category"])
        coded = table.column("item_category").dictionary_encode().unify_dictionaries().combine_chunks()
        columns = {name: table.column(name).to_numpy() for name in table.column_names if name != "item_category"}
        return columns | {"category": coded.indices.to_numpy(), "categories": np.array(coded.dictionary.to_pylist())}

    @cached_property
    def fresh(self) -> NDArray[np.bool_]:
        """Rows of the panel that are of fresh food."""
        names = load_catalogue().fresh_categories
        return np.isin(self.panel["categories"], list(names))[self.panel["category"]]

    @property
    def units(self) -> int:
        return int(self.panel["sales_qty"].sum())

    @property
    def availability(self) -> float:
        """Share of shelf-days without a stock-out."""
        return float((self.panel["stockout_minutes"] == 0).mean())

    @property
    def fresh_share(self) -> float:
        return float(self.panel["sales_qty"][self.fresh].sum() / max(self.units, 1))

    @property
    def fresh_waste(self) -> float:
        """Fresh units expired on shelf and in the backroom, per fresh unit sold."""
        wasted = self.panel["expired_qty_shelf"] + self.panel["expired_qty_wh"]
        return float(wasted[self.fresh].sum() / max(self.panel["sales_qty"][self.fresh].sum(), 1))

    @property
    def promotion_uplift(self) -> float:
        """Units sold a day on offer per unit sold otherwise, mean over categories weighted by days on offer."""
        on, category, sold = self.panel["is_discounted"], self.panel["category"], self.panel["sales_qty"]
        days = [np.bincount(category[rows], minlength=len(self.panel["categories"])) for rows in (on, ~on)]
        units = [np.bincount(category[rows], sold[rows], len(self.panel["categories"])) for rows in (on, ~on)]
        known = (days[0] > 0) & (units[1] > 0)
        ratio = units[0][known] / days[0][known] / (units[1][known] / days[1][known])
        return float(np.average(ratio, weights=days[0][known])) if known.any() else 1.0

    @cached_property
    def weekday_visits(self) -> Numbers:
        """Visits by weekday from Monday, relative to the mean day."""
        days = np.unique(np.stack([self.panel["feature_date"].astype(np.int64), self.panel["people_count"]]), axis=1)
        weekday = (days[0] + 3) % 7
        mean = np.bincount(weekday, days[1], 7) / np.bincount(weekday, minlength=7)
        return np.asarray(mean / mean.mean())

    def hour_shares(self, *, weekend: bool) -> Numbers:
        """Share of a day's units by open hour."""
        table = self.read(HOURS)
        late = np.isin(
            (table.column("feature_date").to_numpy().astype("datetime64[D]").astype(np.int64) + 3) % 7, [5, 6]
        )
        rows = late if weekend else ~late
        hour, sold = table.column("hour").to_numpy()[rows], table.column("sales_qty").to_numpy()[rows]
        units = np.bincount(hour, sold)[hour.min() :]
        return np.asarray(units / units.sum())

    def monthly(self, categories: set[str]) -> Numbers:
        """Units a day by calendar month of some categories, relative to their mean day."""
        rows = np.isin(self.panel["categories"], list(categories))[self.panel["category"]]
        month = self.panel["feature_date"][rows].astype("datetime64[M]").astype(np.int64) % 12
        dates = np.unique(self.panel["feature_date"])
        days = np.bincount(dates.astype("datetime64[M]").astype(np.int64) % 12, minlength=12)
        daily = np.bincount(month, self.panel["sales_qty"][rows], 12) / np.maximum(days, 1)
        return np.asarray(daily / max(daily.mean(), 1e-9))

    def unaccounted(self) -> int:
        """Units that the books of the year cannot explain, or that the panel or the opening files contradict."""
        books = self.read(BOOKS)
        column = {name: books.column(name).to_numpy() for name in books.column_names if not name.endswith("_id")}
        difference = column["opening"] + column["delivered"]
        for place in ("on_shelf", "backroom", "sold", "wasted"):
            difference = difference - column[place]
        wasted = self.panel["expired_qty_shelf"].sum() + self.panel["expired_qty_wh"].sum()
        off = abs(int(column["sold"].sum()) - self.units) + abs(int(column["wasted"].sum() - wasted))
        for place, name in (("on_shelf", "store"), ("backroom", "warehouse")):
            off += self._opens_otherwise(books, place, name)
        return int(np.abs(difference).sum()) + off

    def _opens_otherwise(self, books: pa.Table, place: str, name: str) -> int:
        """Units by which a store opens with another stock than its year left."""
        stock = self.csv(f"{name}_inventory_snapshot").select(["store_id", "shelf_id", "current_stock"])
        both = books.select(["store_id", "shelf_id", place]).join(
            stock, ["store_id", "shelf_id"], join_type="left outer"
        )
        there = pc.fill_null(both.column("current_stock"), 0).to_numpy()
        return int(np.abs(both.column(place).to_numpy() - there).sum())


def _unreadable(path: Path) -> BadInput:
    return BadInput(f"{path} cannot be read", remedy="Build it again: delete it and run `smartshelf data build`.")
