"""Arrow schemas of topics and rows, and a fast way from JSON messages to a typed table."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pyarrow as pa
from msgspec import Struct

from smartshelf.contracts.render.columns import AnyType, Column, ListOf, MapOf, Record, Scalar, columns, merged
from smartshelf.contracts.topics import Topic

_SCALARS: dict[str, pa.DataType] = {
    "text": pa.string(),
    "uuid": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "money": pa.float64(),
    "boolean": pa.bool_(),
    "moment": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "json": pa.string(),
}
#: What JSON has no type for travels as text.
_ON_THE_WIRE = _SCALARS | {"moment": pa.string(), "date": pa.string()}


def events_schema(topic: Topic) -> pa.Schema:
    """All event types of a topic as one wide, nullable row."""
    return _schema(merged(topic.events or topic.messages), _SCALARS, all_nullable=True)


def row_schema(row: type[Struct]) -> pa.Schema:
    """One row, exactly typed, nullable only where the contract allows null."""
    return _schema(columns(row), _SCALARS, all_nullable=False)


def events_table(topic: Topic, values: Iterable[bytes]) -> pa.Table:
    """A topic's messages as a typed table; times in UTC, fields that an event does not have are null.

    msgspec.DecodeError or pyarrow.ArrowInvalid when a value is not of the contract.
    """
    return _table(merged(topic.events or topic.messages), values, all_nullable=True)


def rows_table(row: type[Struct], values: Iterable[bytes]) -> pa.Table:
    """Messages of a compacted topic as a typed table; raises as ``events_table`` does."""
    return _table(columns(row), values, all_nullable=False)


def _table(parts: tuple[Column, ...], values: Iterable[bytes], *, all_nullable: bool) -> pa.Table:
    decode = msgspec.json.Decoder().decode
    wire = _schema(parts, _ON_THE_WIRE, all_nullable=all_nullable)
    return pa.Table.from_pylist([decode(value) for value in values], wire).cast(
        _schema(parts, _SCALARS, all_nullable=all_nullable)
    )


def _schema(parts: tuple[Column, ...], scalars: dict[str, pa.DataType], *, all_nullable: bool) -> pa.Schema:
    return pa.schema(_fields(parts, scalars, all_nullable))


def _fields(parts: tuple[Column, ...], scalars: dict[str, pa.DataType], all_nullable: bool) -> list[pa.Field]:
    return [
        pa.field(part.name, _type(part.type, scalars, all_nullable), part.nullable or all_nullable) for part in parts
    ]


def _type(kind: AnyType, scalars: dict[str, pa.DataType], all_nullable: bool) -> pa.DataType:
    match kind:
        case Scalar():
            return scalars[kind.kind]
        case ListOf():
            return pa.list_(_type(kind.item, scalars, all_nullable))
        case MapOf():
            return pa.map_(pa.string(), _type(kind.value, scalars, all_nullable))
        case Record():
            return pa.struct(_fields(kind.columns, scalars, all_nullable))
