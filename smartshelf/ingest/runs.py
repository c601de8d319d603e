"""The record of what was ingested, ``ops.ingest_runs``: the one place that says what counts.

A file's run is one row. It appears with its verdict: until then nothing of the file counts, whatever the layers hold.
``sending`` promises that exactly the rows in ``processed`` become facts, under the numbers that the row reserves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal

from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

from smartshelf.errors import Unavailable
from smartshelf.ingest.gates import Reference
from smartshelf.io import postgres
from smartshelf.settings import Settings

#: Any number; two ingests at once would write the same tables.
_LOCK = 7_402_774
_JSON = ("anomalies", "numbers")


@dataclass(frozen=True)
class Run:
    """One file under one kind. Rows add up: ``accepted`` + ``known`` + ``quarantined`` = ``rows``."""

    file_hash: str
    kind: str
    file_name: str
    verdict: Literal["accepted", "refused"]
    #: ``sending`` until Kafka has every fact.
    status: Literal["sending", "done"]
    why: str
    rows: int
    accepted: int
    #: Rows that came before, in another file.
    known: int
    quarantined: int
    #: Rows that break a gate themselves.
    anomalous: int
    #: gate -> anomalies
    anomalies: dict[str, int]
    #: stream -> [first number, how many]
    numbers: dict[str, list[int]]
    #: Simulated time as of which the rows were judged.
    as_of: datetime
    #: Wall clock.
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished: datetime | None = None

    def done(self) -> Run:
        return replace(self, status="done", finished=datetime.now(UTC))


_COLUMNS = tuple(each.name for each in fields(Run))


class Runs:
    """The table, under the lock that lets one ingest work at a time."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def find(self, file_hash: str, kind: str) -> Run | None:
        """What is on record of a file."""
        return next((run for run in self.all() if (run.file_hash, run.kind) == (file_hash, kind)), None)

    def unfinished(self) -> list[Run]:
        """Accepted runs whose facts may not all have been sent, oldest first."""
        return [run for run in self.all() if run.status == "sending"]

    def entered(self, kind: str) -> list[str]:
        """Hashes of the files of a kind that have entered."""
        return [run.file_hash for run in self.all() if run.kind == kind and run.verdict == "accepted"]

    def reserve(self, kind: str, counts: Mapping[str, int]) -> dict[str, list[int]]:
        """The next free numbers of a kind's source: stream -> [first, how many]."""
        taken: dict[str, int] = {}
        for run in (each for each in self.all() if each.kind == kind):
            for stream, (first, count) in run.numbers.items():
                taken[stream] = max(taken.get(stream, 0), first + count - 1)
        return {stream: [taken.get(stream, 0) + 1, count] for stream, count in counts.items()}

    def record(self, run: Run) -> None:
        """Write a run's row (in the transaction that is open)."""
        values = {name: getattr(run, name) for name in _COLUMNS}
        values |= {name: json.dumps(values[name]) for name in _JSON}
        postgres.upsert(self.connection, "ops.ingest_runs", _COLUMNS, ("file_hash", "kind"), [list(values.values())])

    def commit(self) -> None:
        self.connection.commit()

    def all(self) -> list[Run]:
        """Every run, oldest first."""
        columns = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
        with self.connection.cursor() as cursor:
            cursor.execute(sql.SQL("select {} from ops.ingest_runs order by started").format(columns))
            found = [Run(*row) for row in cursor.fetchall()]
        self.connection.commit()
        return found


@contextmanager
def opened(config: Settings) -> Iterator[Runs]:
    """The record, for the only ingest at work; Unavailable when another one is."""
    with postgres.connect(config, "owner", "ingest") as connection:
        with connection.cursor() as cursor:
            cursor.execute("select pg_try_advisory_lock(%s)", (_LOCK,))
            (mine,) = cursor.fetchone() or (False,)
        # A lock of the session: it lasts until the connection ends, also when this process is killed.
        connection.commit()
        if not mine:
            raise Unavailable("Another ingest is at work", remedy="Try again when it has ended.")
        yield Runs(connection)


def reference(connection: Connection, now: datetime) -> Reference:
    """What the store has, as people's tables say."""
    with connection.cursor() as cursor:
        cursor.execute("select store_id, shelf_id, item_weight, category, subcategory from config.shelf_profiles")
        shelves = cursor.fetchall()
        cursor.execute("select supplier_id from config.suppliers")
        suppliers: list[Any] = cursor.fetchall()
    connection.commit()
    return Reference(
        now=now,
        stores=frozenset(row[0] for row in shelves),
        shelves={(row[0], row[1]): row[2] for row in shelves},
        suppliers=frozenset(row[0] for row in suppliers),
        categories=frozenset(row[3] for row in shelves),
        subcategories=frozenset((row[3], row[4]) for row in shelves),
    )
