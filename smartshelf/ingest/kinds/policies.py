"""Policies: a row is the rule for a scope, of the shelves or of the backroom; the latest file counts.

A scope is a shelf, a category with or without subcategory, or (all empty) everything; an empty ``store_id`` means
every store. An empty figure means that the rule's default counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

from smartshelf.contracts.rows import ShelfPolicy, WhPolicy
from smartshelf.ingest.gates import Check, Column, column, known, ordered, where
from smartshelf.ingest.kinds.base import MOST_DAYS, MOST_MINUTES, Kind, Row, Table
from smartshelf.io import postgres

_SCOPE = ("store_id", "shelf_id", "item_category", "item_subcategory")
_SHELF = ("threshold_pct", "min_qty", "target_pct", "cooldown_minutes")
_BACKROOM = ("reorder_point_qty", "order_up_to_qty", "safety_days", "service_level")
_BOTH = ("near_expiry_days", "notes")
_TABLES = {
    "shelf": ("config.shelf_policies", (*_SCOPE, *_SHELF, *_BOTH)),
    "backroom": ("config.wh_policies", (*_SCOPE, *_BACKROOM, *_BOTH)),
}


#: Where the contracts have none.
_BOUNDS: dict[str, dict[str, Any]] = {
    "cooldown_minutes": {"high": MOST_MINUTES},
    "near_expiry_days": {"high": MOST_DAYS},
    "safety_days": {"low": 0, "high": MOST_DAYS},
}


def _column(contract: type[WhPolicy | ShelfPolicy], name: str) -> Column:
    return replace(column(contract, name), **_BOUNDS.get(name, {}))


def _upsert(connection: Connection, rows: Iterable[Row]) -> int:
    """The active policy of the scope gets the row's figures; there is one at most."""
    by_table: dict[str, list[list[object]]] = {name: [] for name in _TABLES}
    for row in rows:
        by_table[row["applies_to"]].append([row[name] for name in _TABLES[row["applies_to"]][1]])
    scope = [f"coalesce({name}, '')" for name in _SCOPE]
    return sum(
        postgres.upsert(connection, table, columns, scope, by_table[name], among="active")
        for name, (table, columns) in _TABLES.items()
    )


def _filled(names: tuple[str, ...], applies_to: str) -> Check:
    """Figures of the one side say nothing to the other."""

    def strange(rows: pa.Table) -> pa.ChunkedArray:
        any_filled = pc.is_valid(rows[names[0]])
        for name in names[1:]:
            any_filled = pc.or_(any_filled, pc.is_valid(rows[name]))
        return pc.and_(any_filled, pc.equal(rows["applies_to"], applies_to))

    must = f"'{applies_to}' does not go with {', '.join(names)}"
    return Check("range", "applies_to", must, where(strange), "Leave them empty, or make two rows of it.")


_SCOPES_DISAGREE = where(lambda rows: pc.and_(pc.is_valid(rows["shelf_id"]), pc.is_valid(rows["item_category"])))
_NO_CATEGORY = where(lambda rows: pc.and_(pc.is_valid(rows["item_subcategory"]), pc.is_null(rows["item_category"])))

POLICIES = Kind(
    name="policies",
    about="Rules of shelves and backroom (config.shelf_policies, config.wh_policies)",
    columns=(
        Column("applies_to", "text", choices=tuple(_TABLES)),
        *(_column(ShelfPolicy, name) for name in (*_SCOPE, *_SHELF)),
        *(_column(WhPolicy, name) for name in _BACKROOM),
        *(_column(ShelfPolicy, name) for name in _BOTH),
    ),
    key=("applies_to", *_SCOPE),
    checks=(
        _filled(_SHELF, "backroom"),
        _filled(_BACKROOM, "shelf"),
        Check("range", "item_category", "must be empty where shelf_id is given", _SCOPES_DISAGREE),
        Check("range", "item_subcategory", "needs its item_category", _NO_CATEGORY),
        ordered("threshold_pct", "target_pct", strictly=True),
        ordered("reorder_point_qty", "order_up_to_qty", strictly=True),
        known(("store_id",), lambda reference: reference.stores, "a store that there is", "Correct it in the file."),
        known(
            ("store_id", "shelf_id"),
            lambda reference: reference.shelves,
            "a shelf of its store",
            "Correct it in the file.",
        ),
        known(("item_category",), lambda reference: reference.categories, "a category of a shelf", "Correct its name."),
        known(
            ("item_category", "item_subcategory"),
            lambda reference: reference.subcategories,
            "a subcategory of its category",
            "Correct its name.",
        ),
    ),
    door=Table(_upsert),
)
