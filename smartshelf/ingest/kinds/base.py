"""What a kind of file is: its columns, what identifies a document, its rules, and the door it enters by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

from smartshelf.contracts.events import Event, Evidence
from smartshelf.ingest.gates import Check, Column, Reference

#: A document with more rows than this is taken for two.
MOST_ROWS = 1_000
#: Days and minutes that no rule needs more of: a bound against mistyped figures.
MOST_DAYS, MOST_MINUTES = 36_500, 60 * 24 * 366

#: A row, typed, by our names.
Row = Mapping[str, Any]


class Fact(NamedTuple):
    """A fact without its number: stream, partition key, class and payload."""

    stream: str
    key: str
    event: type[Event]
    event_id: str
    payload: dict[str, Any]


class Yield(NamedTuple):
    """How many facts of a stream come of each row and of each document."""

    by_row: int
    by_document: int


def _as_it_is(rows: pa.Table, reference: Reference) -> pa.Table:
    del reference
    return rows


@dataclass(frozen=True)
class Facts:
    """The door of facts: the Redis streams, as for any sensor."""

    #: stream -> how many facts
    streams: Mapping[str, Yield]
    #: (document id, its rows) -> its facts, those of each stream in the order in which they are numbered
    make: Callable[[str, Sequence[Row]], Iterator[Fact]]


@dataclass(frozen=True)
class Table:
    """The door of people's rows: tables of ``config``, whose changes reach the stages by themselves."""

    #: Writes rows in the caller's transaction; returns how many were new or changed.
    upsert: Callable[[Connection, Iterable[Row]], int]


@dataclass(frozen=True)
class Kind:
    """One kind of file."""

    name: str
    about: str
    columns: tuple[Column, ...]
    #: Columns that identify a document: the same key again is the same document.
    key: tuple[str, ...]
    checks: tuple[Check, ...]
    door: Facts | Table
    #: Column that tells the rows of a document apart; None: a document is one row.
    line: str | None = None
    #: Adds what follows from other columns; called once for the rows that are typed.
    complete: Callable[[pa.Table, Reference], pa.Table] = field(default=_as_it_is)
    #: Columns that ``complete`` adds.
    added: tuple[pa.Field, ...] = ()

    @property
    def source(self) -> str:
        """Who its facts come from."""
        return Evidence.INGEST_PREFIX + self.name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)
