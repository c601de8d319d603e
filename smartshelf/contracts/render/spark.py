"""Spark schemas of topics and rows."""

from __future__ import annotations

from msgspec import Struct
from pyspark.sql import types as t

from smartshelf.contracts.render.columns import AnyType, Column, ListOf, MapOf, Record, Scalar, columns, merged
from smartshelf.contracts.rows import Row
from smartshelf.contracts.topics import Topic

_SCALARS: dict[str, t.DataType] = {
    "text": t.StringType(),
    "uuid": t.StringType(),
    "integer": t.LongType(),
    "float": t.DoubleType(),
    "money": t.DoubleType(),
    "boolean": t.BooleanType(),
    "moment": t.TimestampType(),
    "date": t.DateType(),
    "json": t.StringType(),
}


def events_schema(topic: Topic) -> t.StructType:
    """All event types of a topic as one wide row for ``from_json``, every field nullable."""
    return _struct(merged(topic.events or topic.messages), all_nullable=True)


def row_schema(row: type[Row] | type[Struct]) -> t.StructType:
    """One row, nullable only where the contract allows null."""
    return _struct(columns(row), all_nullable=False)


def _struct(parts: tuple[Column, ...], *, all_nullable: bool) -> t.StructType:
    return t.StructType(
        [t.StructField(part.name, _type(part.type, all_nullable), part.nullable or all_nullable) for part in parts]
    )


def _type(kind: AnyType, all_nullable: bool) -> t.DataType:
    match kind:
        case Scalar():
            return _SCALARS[kind.kind]
        case ListOf():
            return t.ArrayType(_type(kind.item, all_nullable), containsNull=all_nullable)
        case MapOf():
            return t.MapType(t.StringType(), _type(kind.value, all_nullable), valueContainsNull=all_nullable)
        case Record():
            return _struct(kind.columns, all_nullable=all_nullable)
