"""Postgres column types, and the comparison of real tables with their contracts.

The tables are made by the migrations in postgresql/, written by hand and never changed afterwards; this
says whether what they made still is what the contracts say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smartshelf.contracts.render.columns import AnyType, Scalar, columns
from smartshelf.contracts.rows import Row
from smartshelf.contracts.tables import Table

_TYPES = {
    "text": "text",
    "uuid": "uuid",
    "integer": "bigint",
    "float": "double precision",
    "money": "numeric(12,2)",
    "boolean": "boolean",
    "moment": "timestamp with time zone",
    "date": "date",
    "json": "jsonb",
}


@dataclass(frozen=True)
class TableColumn:
    """A column as Postgres describes it (``format_type``)."""

    name: str
    type: str
    nullable: bool


def table_columns(row: type[Row]) -> tuple[TableColumn, ...]:
    """The columns that the table of a row must have, in order."""
    return tuple(TableColumn(column.name, sql_type(column.type), column.nullable) for column in columns(row))


def sql_type(kind: AnyType) -> str:
    """Postgres' name of a type; what is not flat is kept as jsonb."""
    return _TYPES[kind.kind] if isinstance(kind, Scalar) else "jsonb"


def differences(table: Table, found: Iterable[TableColumn], primary_key: Sequence[str]) -> list[str]:
    """What is wrong with a real table, one sentence each; [] when it is as the contract says."""
    real = {column.name: column for column in found}
    if not real:
        return [f"{table.full_name} does not exist"]
    wanted = {column.name: column for column in table_columns(table.row)}
    wrong = [f"{table.full_name}.{name} is missing" for name in wanted if name not in real]
    wrong += [f"{table.full_name}.{name} is in no contract" for name in real if name not in wanted]
    for name, column in wanted.items():
        if name in real and real[name] != column:
            wrong.append(f"{table.full_name}.{name} is {_words(real[name])}, the contract says {_words(column)}")
    if tuple(primary_key) != table.row.primary_key:
        wrong.append(
            f"{table.full_name} has the primary key ({', '.join(primary_key)}), "
            f"the contract says ({', '.join(table.row.primary_key)})"
        )
    return wrong


def _words(column: TableColumn) -> str:
    return column.type if column.nullable else f"{column.type} not null"
