"""Products: a row is a shelf with its product, as in ``config.shelf_profiles``; the latest file counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

from smartshelf.contracts.rows import ShelfProfile
from smartshelf.ingest.gates import column, known
from smartshelf.ingest.kinds.base import MOST_DAYS, Kind, Row, Table
from smartshelf.io import postgres

_COLUMNS = ShelfProfile.__struct_fields__
#: Where the contract has none.
_BOUNDS: dict[str, dict[str, Any]] = {"aisle": {"low": 1, "high": 10_000}, "shelf_life_days": {"high": MOST_DAYS}}
_NEW_STORE = "A store begins with `smartshelf up` or `smartshelf replay`, not with a file of products."


def _upsert(connection: Connection, rows: Iterable[Row]) -> int:
    values = ([row[name] for name in _COLUMNS] for row in rows)
    return postgres.upsert(connection, "config.shelf_profiles", _COLUMNS, ShelfProfile.primary_key, values)


PRODUCTS = Kind(
    name="products",
    about="Shelves and the products on them (config.shelf_profiles)",
    columns=tuple(replace(column(ShelfProfile, name), **_BOUNDS.get(name, {})) for name in _COLUMNS),
    key=("store_id", "shelf_id"),
    checks=(
        known(("store_id",), lambda reference: reference.stores, "a store that there is", _NEW_STORE),
        known(
            ("supplier_id",),
            lambda reference: reference.suppliers,
            "a supplier that there is",
            "Add it to config.suppliers.",
        ),
    ),
    door=Table(_upsert),
)
