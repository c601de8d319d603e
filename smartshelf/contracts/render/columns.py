"""What every renderer starts from: the fields of a contract class as plain columns.

The only place that looks into msgspec; a type that no renderer knows is refused here, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from msgspec import NODEFAULT, UNSET, Struct
from msgspec import inspect as mi

Kind = Literal["text", "uuid", "integer", "float", "money", "boolean", "moment", "date", "json"]


@dataclass(frozen=True)
class Scalar:
    """A single value. ``kind`` is what it means; each renderer has its own name for it."""

    kind: Kind
    #: The values allowed, for a Literal.
    allowed: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""


@dataclass(frozen=True)
class ListOf:
    """Any number of ``item``."""

    item: AnyType


@dataclass(frozen=True)
class MapOf:
    """Text keys to ``value``."""

    value: AnyType


@dataclass(frozen=True)
class Record:
    """Named parts."""

    columns: tuple[Column, ...]


AnyType = Scalar | ListOf | MapOf | Record


@dataclass(frozen=True)
class Column:
    """One field. ``nullable``: may be null or left out; ``default`` stands in when it is left out."""

    name: str
    type: AnyType
    nullable: bool
    default: Any = None

    @property
    def required(self) -> bool:
        """Whether every message must carry it."""
        return not self.nullable and self.default is None


@cache
def columns(shape: type[Struct]) -> tuple[Column, ...]:
    """The fields of a contract class in order; the tag (``event_type``) comes first where there is one.

    TypeError names the field whose type no renderer knows.
    """
    info = mi.type_info(shape)
    assert isinstance(info, mi.StructType)
    return tuple(_columns(info, shape.__name__))


def merged(shapes: Iterable[type[Struct]]) -> tuple[Column, ...]:
    """All fields of several event types as one wide, nullable row; what they share comes once.

    TypeError when two of them give one name different kinds.
    """
    wide: dict[str, Column] = {}
    for shape in shapes:
        for column in columns(shape):
            known = wide.setdefault(column.name, replace(column, nullable=True))
            if _kinds(known.type) != _kinds(column.type):
                raise TypeError(f"{shape.__name__}.{column.name} has another type than in its topic's other events")
    return tuple(wide.values())


def _columns(info: mi.StructType, where: str) -> Iterator[Column]:
    if info.tag_field is not None:
        yield Column(info.tag_field, Scalar("text", description="what happened"), nullable=False)
    for field in info.fields:
        inner, none_allowed = _without_none(field.type)
        default = None if field.default in (NODEFAULT, UNSET) else field.default
        # A field left UNSET is absent from the message: a null for everyone who reads columns.
        absent = not field.required and field.default is NODEFAULT and field.default_factory is NODEFAULT
        yield Column(field.encode_name, _type(inner, f"{where}.{field.name}"), none_allowed or absent, default)


def _without_none(kind: mi.Type) -> tuple[mi.Type, bool]:
    if not isinstance(kind, mi.UnionType):
        return kind, False
    rest = [part for part in kind.types if not isinstance(part, mi.NoneType)]
    return (rest[0] if len(rest) == 1 else kind), len(rest) < len(kind.types)


def _type(kind: mi.Type, where: str) -> AnyType:
    extra: dict[str, Any] = {}
    description = ""
    while isinstance(kind, mi.Metadata):
        extra |= kind.extra or {}
        description = (kind.extra_json_schema or {}).get("description", description)
        kind = kind.type
    match kind:
        case mi.StrType():
            return Scalar(extra.get("sql", "text"), description=description)
        case mi.LiteralType():
            return Scalar("text", allowed=kind.values, description=description)
        case mi.IntType():
            return Scalar("integer", minimum=_lower(kind), maximum=_upper(kind), description=description)
        case mi.FloatType():
            name: Kind = "money" if "decimal" in extra else "float"
            return Scalar(name, minimum=_lower(kind), maximum=_upper(kind), description=description)
        case mi.BoolType():
            return Scalar("boolean", description=description)
        case mi.DateTimeType():
            return Scalar("moment", description=description)
        case mi.VarTupleType() | mi.ListType():
            return ListOf(_type(kind.item_type, where))
        case mi.DictType():
            return MapOf(_type(kind.value_type, where))
        case mi.StructType():
            return Record(tuple(_columns(kind, where)))
    raise TypeError(f"{where}: no renderer knows {type(kind).__name__}")


def _lower(kind: mi.IntType | mi.FloatType) -> float | None:
    return kind.ge if kind.ge is not None else kind.gt


def _upper(kind: mi.IntType | mi.FloatType) -> float | None:
    return kind.le if kind.le is not None else kind.lt


def _kinds(of: AnyType) -> object:
    """The type without bounds and wording, which may differ between events."""
    match of:
        case Scalar():
            return of.kind
        case ListOf():
            return ("list", _kinds(of.item))
        case MapOf():
            return ("map", _kinds(of.value))
        case Record():
            return tuple((column.name, _kinds(column.type)) for column in of.columns)
