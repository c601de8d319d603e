"""A real store's sales become a world: read and check the file, make shelves of its products, take the store in.

A replayed store has no simulated shoppers. Each hour's sales become customers who take and pay within that hour;
what does not lie on the shelf is lost demand, as anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as papq
import redis
from pydantic import Field

from data import yaml_source
from data.yaml_source import Strict
from producers import body as bodies
from producers.body import Body, ShelfBody
from producers.sales import SalesTable, packed
from producers.shoppers import DAY, HOUR, MINUTE
from producers.truth import fields
from producers.worlds import JOINING, decode
from smartshelf.contracts import redis_keys as keys
from smartshelf.contracts.rows import ShelfProfile
from smartshelf.contracts.types import ABSURD_QUANTITY
from smartshelf.errors import BadInput

#: A shelf of a replayed product holds this much more than its best day sold, and no less than so many units.
ROOM, SMALLEST_SHELF = 1.2, 12
#: Share of the price that is cost, where the file does not know.
COST_SHARE = 0.7

Name = Annotated[str, Field(min_length=1)]


class Columns(Strict):
    """Which column is what. Sales are ``hours`` (wide: one column per hour) or ``sales`` beside ``hour`` (long)."""

    store: Name | None = "store_id"
    product: Name = "product_id"
    date: Name = "date"
    hours: Name = "h{hour:02d}"
    hour: Name | None = None
    sales: Name | None = None
    price: Name | None = None
    weight: Name | None = None
    name: Name | None = None
    category: Name | None = None


class Reading(Strict):
    """How to read a file of sales. Money in EUR, weights in grams; ``opens`` is a time of day, HH:MM."""

    columns: Columns = Columns()
    store_default: Name = "1"
    store_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,8}$")] = "R"
    quantity_scale: Annotated[float, Field(gt=0)] = 1.0
    price_default: Annotated[float, Field(gt=0, le=10_000)] = 1.0
    weight_default: Annotated[float, Field(gt=0, le=1_000_000)] = 500.0
    shelf_life_days: Annotated[int, Field(ge=1)] = 30
    start: Literal["now"] | date = "now"
    stock: Name = "assumed"
    opens: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "07:00"

    @property
    def opens_ms(self) -> int:
        hours, minutes = self.opens.split(":")
        return int(hours) * HOUR + int(minutes) * MINUTE


@dataclass(frozen=True)
class Feed:
    """The checked content of a file."""

    mapping: Reading
    first_day: date
    days: int
    stores: dict[str, StoreFeed]


@dataclass(frozen=True)
class StoreFeed:
    """One store: its shelves, and rows of whole units as SalesTable wants them."""

    profiles: tuple[ShelfProfile, ...]
    sold: np.ndarray
    stock: np.ndarray


def read_mapping(path: Path | None) -> Reading:
    """The mapping, or the defaults. Raises BadInput listing every problem with its line."""
    if path is None:
        return Reading()
    if not path.is_file():
        raise BadInput("There is no such mapping", value=str(path), remedy="An example: conf/replay/freshretail.yaml.")
    return yaml_source.load(path, Reading)


def read_feed(path: Path, mapping: Reading) -> Feed:
    """The file, checked whole. Raises BadInput with one message that lists every problem with its rows."""
    table = _table(path)
    missing = [name for name in _wanted(mapping) if name not in table.columns]
    # What is there is checked all the same, beside stand-ins: one message for everything.
    harmless = {name: "2000-01-01" if name == mapping.columns.date else "1" for name in missing}
    clean, problems = _clean(table.assign(**harmless), mapping, keys_known=not missing)
    if missing:
        problems.insert(
            0, f"missing columns: {', '.join(missing)} (the file has: {', '.join(map(str, table.columns))})"
        )
    if not len(table):
        problems.append("there are no rows")
    if problems:
        raise BadInput(f"{path} cannot be replayed", remedy="Nothing was done. Correct these:", problems=problems)
    return _feed(clean, mapping)


# --- reading and checking ------------------------------------------------------------------------


def _table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".csv":
            # As text: what is no number is named with its row instead of turning the column into text.
            names = pacsv.open_csv(path).schema.names
            options = pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
            return pacsv.read_csv(path, convert_options=options).to_pandas()
        if path.suffix.lower() in (".parquet", ".pq"):
            return papq.read_table(path).to_pandas()
    except FileNotFoundError:
        raise BadInput("There is no such file", value=str(path)) from None
    except (pa.ArrowInvalid, OSError) as broken:
        raise BadInput(f"{path} cannot be read: {broken}") from None
    raise BadInput("A feed is a .csv or .parquet file", value=str(path))


def _sales_columns(mapping: Reading) -> dict[str, int | None]:
    """Column of sales -> its hour; None: the hour is a column of its own."""
    columns = mapping.columns
    if columns.sales:
        return {columns.sales: None}
    return {columns.hours.format(hour=hour): hour for hour in range(24)}


def _wanted(mapping: Reading) -> list[str]:
    columns = mapping.columns
    wanted = [columns.store, columns.product, columns.date, columns.hour if columns.sales else None]
    wanted += [*_sales_columns(mapping), columns.price, columns.weight, columns.name, columns.category]
    wanted.append(None if mapping.stock == "assumed" else mapping.stock)
    return [name for name in wanted if name]


def _clean(table: pd.DataFrame, mapping: Reading, keys_known: bool) -> tuple[pd.DataFrame, list[str]]:
    """(one row per store, product and instant of the file in our own terms, problems)."""
    columns = mapping.columns
    clean = pd.DataFrame(index=table.index)
    problems: list[str] = []

    def bad(what: str, rows: pd.Series, seen: pd.Series | None = None) -> None:
        if rows.any():
            example = "" if seen is None else f", for example {seen[rows].iloc[0]!r}"
            problems.append(f"{what} in {_rows(np.flatnonzero(rows) + 1)}{example}")

    store = table[columns.store].astype("string") if columns.store else pd.Series(mapping.store_default, table.index)
    clean["store"] = mapping.store_prefix + store
    bad(f"no store or one with other signs than letters, digits, - and _ ({columns.store})", _unusable(clean["store"]))
    clean["product"] = table[columns.product].astype("string")
    bad(f"no product or one with unusual signs ({columns.product})", _unusable(clean["product"]))

    instants = pd.to_datetime(
        table[columns.date], errors="coerce", format=None if _are_dates(table[columns.date]) else "ISO8601"
    )
    bad(f"bad date ({columns.date})", instants.isna(), table[columns.date])
    clean["day"] = instants.dt.tz_localize(None).dt.normalize()
    hour_known = columns.sales is not None
    if hour_known:
        clean["hour"] = _number(table[columns.hour]) if columns.hour else instants.dt.hour
        wrong = clean["hour"].notna() & ~clean["hour"].isin(range(24)) | clean["hour"].isna() & instants.notna()
        bad(f"an hour is a whole number from 0 to 23 ({columns.hour or columns.date})", wrong)

    for name in _sales_columns(mapping):
        clean[name] = _number(table[name])
        bad(f"no number ({name})", clean[name].isna(), table[name])
        bad(f"negative sales ({name})", clean[name] < 0, table[name])
        absurd = clean[name] * mapping.quantity_scale > ABSURD_QUANTITY
        bad(f"more than {ABSURD_QUANTITY} units in an hour ({name})", absurd, table[name])
    for kind, column in (("price", columns.price), ("weight", columns.weight)):
        if column:
            clean[kind] = _number(table[column])
            bad(f"a {kind} is a number above 0 ({column})", ~(clean[kind] > 0), table[column])
    if mapping.stock != "assumed":
        clean["stock"] = _number(table[mapping.stock])
        bad(f"a stock is a number from 0 on ({mapping.stock})", ~(clean["stock"] >= 0), table[mapping.stock])
    for kind, column in (("name", columns.name), ("category", columns.category)):
        if column:
            clean[kind] = table[column].astype("string")
    key = ["store", "product", "day", *(["hour"] if hour_known else [])]
    if keys_known:
        bad(f"the same {', '.join(key)} twice", clean.duplicated(key, keep="first") & instants.notna())
    return clean, problems


def _unusable(text: pd.Series) -> pd.Series:
    return ~text.str.fullmatch(r"[A-Za-z0-9_-]{1,32}").fillna(False).astype(bool)


def _are_dates(values: pd.Series) -> bool:
    return not (pd.api.types.is_string_dtype(values) or values.dtype == object)


def _number(values: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    return numbers.where(np.isfinite(numbers.astype(float)))


def _rows(numbers: np.ndarray) -> str:
    """Row numbers (the first row of data is 1) with runs drawn together: "rows 3, 7-9"."""
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    text = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"row{'s' if len(numbers) > 1 else ''} {text}"


# --- a store from its sales ----------------------------------------------------------------------


def _feed(clean: pd.DataFrame, mapping: Reading) -> Feed:
    first, last = clean["day"].min(), clean["day"].max()
    day = ((clean["day"] - first).dt.days).to_numpy()
    stores = {}
    for store, rows in clean.groupby("store", sort=True):
        products = np.sort(rows["product"].unique())
        shelf = np.searchsorted(products, rows["product"].to_numpy())
        sold = _sold(rows, day[rows.index], shelf, mapping)
        stores[str(store)] = StoreFeed(
            tuple(_profiles(str(store), rows, products, sold, mapping)),
            sold,
            _stock(rows, day[rows.index], shelf, mapping),
        )
    return Feed(mapping, first.date(), (last - first).days + 1, stores)


def _sold(rows: pd.DataFrame, day: np.ndarray, shelf: np.ndarray, mapping: Reading) -> np.ndarray:
    """Rows of (day, hour, shelf, units > 0), sorted."""
    columns = _sales_columns(mapping)
    if mapping.columns.sales:
        hours, amount = rows["hour"].to_numpy().astype(int), rows[mapping.columns.sales].to_numpy(float)
    else:
        hours = np.tile(np.arange(24), len(rows))
        amount = rows[list(columns)].to_numpy(float).ravel()
        day, shelf = np.repeat(day, 24), np.repeat(shelf, 24)
    order = np.lexsort((hours, day, shelf))
    units = _whole(amount[order] * mapping.quantity_scale, shelf[order] * (day.max() + 1) + day[order])
    table = np.stack([day[order], hours[order], shelf[order], units], axis=1).astype(np.int64)
    table = table[table[:, 3] > 0]
    return table[np.lexsort((table[:, 2], table[:, 1], table[:, 0]))]


def _whole(amount: np.ndarray, series: np.ndarray) -> np.ndarray:
    """Whole units: fractions are carried through a product's day, so that the day's sum is kept."""
    total = np.cumsum(amount)
    starts = np.flatnonzero(np.diff(series, prepend=series[0] - 1))
    before = np.repeat(np.concatenate([[0.0], total[:-1]])[starts], np.diff(np.append(starts, len(amount))))
    running = np.floor(total - before + 0.5 + 1e-6)
    previous = np.concatenate([[0.0], running[:-1]])
    previous[starts] = 0.0
    return running - previous


def _stock(rows: pd.DataFrame, day: np.ndarray, shelf: np.ndarray, mapping: Reading) -> np.ndarray:
    """Rows of (day, shelf, units at opening): the first the file has for that day; empty when assumed."""
    if mapping.stock == "assumed":
        return np.empty((0, 3), dtype=np.int64)
    units = np.rint(rows["stock"].to_numpy(float) * mapping.quantity_scale)
    table = np.stack([day, shelf, units], axis=1).astype(np.int64)
    if mapping.columns.sales:
        table = table[np.argsort(rows["hour"].to_numpy(), kind="stable")]
    _, first = np.unique(table[:, :2], axis=0, return_index=True)
    return table[first]


def _profiles(
    store: str, rows: pd.DataFrame, products: np.ndarray, sold: np.ndarray, mapping: Reading
) -> Iterator[ShelfProfile]:
    known = rows.groupby("product", sort=True).first()
    best = np.zeros(len(products), dtype=np.int64)
    if len(sold):
        a_day = np.bincount(sold[:, 0] * len(products) + sold[:, 2], weights=sold[:, 3])
        a_day = np.pad(a_day, (0, -len(a_day) % len(products))).reshape(-1, len(products))
        best = a_day.max(axis=0).astype(np.int64)
    categories = sorted(known["category"].dropna().unique()) if "category" in known else []
    for index, product in enumerate(products.tolist()):
        found = known.loc[product]
        price = round(float(found.get("price", mapping.price_default)), 2)
        category = str(found["category"]) if categories and pd.notna(found["category"]) else "REPLAYED"
        yield ShelfProfile(
            store_id=store,
            shelf_id=f"SH-{product}",
            product_id=f"P-{product}",
            item_name=str(found["name"]) if "name" in known and pd.notna(found["name"]) else f"Product {product}",
            category=category,
            subcategory=category,
            aisle=categories.index(category) + 1 if category in categories else 1,
            storage_zone="ambient",
            zone_id="Z-AMBIENT",
            item_weight=float(found.get("weight", mapping.weight_default)),
            item_price=price,
            item_cost=round(price * COST_SHARE, 2),
            supplier_id="REPLAYED",
            maximum_stock=max(math.ceil(best[index] * ROOM), SMALLEST_SHELF),
            warehouse_capacity=0,
            standard_batch_size=1,
            shelf_life_days=mapping.shelf_life_days,
            item_visibility=0.1,
        )


def make_bodies(feed: Feed, now_ms: int, seed: int, rows: Mapping[str, Mapping[str, int]]) -> dict[str, Body]:
    """The worlds of the feed's stores. ``rows``: configuration rows the bridge must have seen before they begin."""
    start = feed.mapping.start
    first = (
        now_ms // DAY * DAY if start == "now" else int(datetime(*start.timetuple()[:3], tzinfo=UTC).timestamp() * 1000)
    )
    return {
        store: Body(
            store_id=store,
            kind="replayed",
            seed=seed,
            shelves=tuple(
                ShelfBody(p.shelf_id, p.item_weight, p.item_price, p.maximum_stock, 1.0, p.shelf_life_days)
                for p in of_store.profiles
            ),
            rows=dict(rows.get(store, {})),
            sales=msgspec.msgpack.encode(
                SalesTable(
                    first_day=first,
                    days=feed.days,
                    opens=feed.mapping.opens_ms,
                    sold=packed(of_store.sold),
                    stock=packed(of_store.stock),
                )
            ),
        )
        for store, of_store in feed.stores.items()
    }


# --- taking the stores in ------------------------------------------------------------------------


def check_free(client: redis.Redis, stores: Iterable[str]) -> None:
    """Raises BadInput when the store on the other side cannot take these stores in."""
    shared = fields(client, keys.WORLD)
    if "stores" not in shared:
        raise BadInput("There is no open store to replay into", remedy="Start one: `smartshelf up`.")
    if there := sorted(set(stores) & set(decode(shared["stores"]))):
        raise BadInput(
            "The store has these stores already",
            value=", ".join(there),
            remedy="Choose another `store_prefix` in the mapping, or `smartshelf reset`.",
        )


def ask_to_join(client: redis.Redis, newcomers: Mapping[str, Body]) -> None:
    """The world takes them in, all together, at the next boundary of two steps."""
    client.hset(JOINING, mapping={store: bodies.pack(body) for store, body in newcomers.items()})


def have_joined(client: redis.Redis, stores: Iterable[str]) -> bool:
    return set(stores) <= set(decode(fields(client, keys.WORLD)["stores"]))
