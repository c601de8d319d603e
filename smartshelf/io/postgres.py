"""Postgres: connections by role, and loading by COPY."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case
from psycopg2.extras import execute_values
from sqlalchemy import URL, Engine, create_engine

from smartshelf.contracts.render.connect import SLOT
from smartshelf.errors import BadInput, Unavailable
from smartshelf.settings import Settings

Role = Literal["owner", "sink", "debezium", "analyst", "app", "runner"]

#: Real seconds until an attempt to connect is given up.
CONNECT_TIMEOUT = 5


def url(config: Settings, role: Role = "analyst") -> URL:
    """SQLAlchemy's address of the store's database as one of its roles."""
    password = getattr(config, f"postgres_{role}_password").get_secret_value()
    return URL.create(
        "postgresql+psycopg2",
        username=f"smartshelf_{role}",
        password=password or None,
        host=config.postgres_host,
        port=config.postgres_port,
        database=config.postgres_db,
    )


def dsn(config: Settings, role: Role = "analyst") -> str:
    """The same address with its password as libpq, psql and psycopg2 read it: for people and probes."""
    return url(config, role).set(drivername="postgresql").render_as_string(hide_password=False)


def engine(config: Settings, role: Role = "analyst", application: str = "smartshelf", **options: Any) -> Engine:
    """A pooled SQLAlchemy engine in UTC; a connection that the server has closed meanwhile is replaced unnoticed."""
    arguments = {"connect_timeout": CONNECT_TIMEOUT, "application_name": application, "options": "-c timezone=UTC"}
    return create_engine(url(config, role), connect_args=arguments, pool_pre_ping=True, **options)


@contextmanager
def connect(config: Settings, role: Role = "owner", application: str = "smartshelf") -> Iterator[Connection]:
    """One psycopg2 connection and one transaction: committed at the end, rolled back by an exception, then closed.

    Raises Unavailable when the server does not answer or does not accept the role.
    """
    target = url(config, role)
    try:
        opened = psycopg2.connect(
            host=target.host,
            port=target.port,
            dbname=target.database,
            user=target.username,
            password=target.password,
            connect_timeout=CONNECT_TIMEOUT,
            application_name=application,
            options="-c timezone=UTC",
        )
    except psycopg2.OperationalError as failed:
        raise Unavailable(
            "Postgres does not answer",
            value=(str(failed).strip().splitlines() or [""])[0],
            remedy="Is the service postgres running, and are SMARTSHELF_POSTGRES_* those of this store?",
        ) from failed
    try:
        with opened:
            yield opened
    finally:
        opened.close()


def answers(config: Settings, role: Role = "owner") -> bool:
    """True when the server takes queries of this role; raises Unavailable otherwise."""
    with connect(config, role) as connection, connection.cursor() as cursor:
        cursor.execute("select 1")
        return True


def identifier(table: str) -> sql.Composable:
    """``schema.table``, quoted."""
    return sql.Identifier(*table.split("."))


def upsert(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    key: Sequence[str],
    rows: Iterable[Sequence[Any]],
    among: str = "true",
) -> int:
    """Insert rows, or update those with the same key; returns how many were new or changed: equal ones are left alone.

    ``key``: columns or expressions of a unique index, ``among``: the index's condition; both are code, never input.
    Raises BadInput with the reason when the table refuses a row; the caller's transaction is then lost.
    """
    names = list(map(sql.Identifier, columns))
    statement = sql.SQL(
        "insert into {table} as t ({names}) values %s on conflict ({key}) where {among} do update set {updates} "
        "where ({olds}) is distinct from ({news}) returning 1"
    ).format(
        table=identifier(table),
        names=sql.SQL(", ").join(names),
        key=sql.SQL(", ".join(key)),
        among=sql.SQL(among),
        updates=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(name) for name in names),
        olds=sql.SQL(", ").join(sql.SQL("t.{}").format(name) for name in names),
        news=sql.SQL(", ").join(sql.SQL("excluded.{}").format(name) for name in names),
    )
    try:
        with connection.cursor() as cursor:
            return len(execute_values(cursor, statement.as_string(connection), rows, page_size=1_000, fetch=True))
    except (psycopg2.DataError, psycopg2.IntegrityError) as refused:
        raise BadInput(f"The table {table} refuses a row", value=_reason(refused)) from refused


def copy_csv(connection: Connection, table: str, path: Path) -> int:
    """COPY a CSV file with a header into ``table`` and return the number of rows; an empty field is null.

    The header names the columns, in any order; columns that it leaves out get their defaults. Raises BadInput
    with Postgres' reason and line when the file does not fit the table; the caller's transaction is then lost.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header = next(csv.reader(file), None)
            if not header:
                raise BadInput(f"{path} is empty", remedy="Build the data again: `smartshelf data build`.")
            file.seek(0)
            return copy_file(connection, table, header, file)
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist", remedy="Build the data: `smartshelf data build`.") from None
    except (psycopg2.DataError, psycopg2.IntegrityError, psycopg2.ProgrammingError) as refused:
        raise BadInput(f"{path} does not fit the table {table}", value=_reason(refused)) from refused


def copy_rows(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """COPY rows into ``table`` and return their number; None is null."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
        file.seek(0)
        return copy_file(connection, table, columns, file)


def copy_file(connection: Connection, table: str, header: Sequence[str], file: Any) -> int:
    """COPY an open CSV file into the columns ``header`` of ``table``; returns its rows. Raises psycopg2.Error."""
    statement = sql.SQL("copy {} ({}) from stdin with (format csv, header)").format(
        identifier(table), sql.SQL(", ").join(map(sql.Identifier, header))
    )
    with connection.cursor() as cursor:
        cursor.copy_expert(statement.as_string(connection), file)
        return cursor.rowcount


def _reason(error: psycopg2.Error) -> str:
    parts = (error.diag.message_primary, error.diag.message_detail, error.diag.context)
    return "; ".join(part.strip() for part in parts if part)


@dataclass(frozen=True)
class Slot:
    """The replication slot of the source connector. ``retained`` and ``limit``: bytes of Postgres' log."""

    active: bool
    retained: int
    limit: int
    lost: bool

    @property
    def alarm(self) -> str:
        """What a person should look at, in a sentence; empty when all is well."""
        if self.lost:
            return "Postgres has given up its log for Kafka Connect; `smartshelf restart init` begins anew"
        if self.limit > 0 and self.retained > self.limit / 2:
            held, allowed = self.retained // 2**20, self.limit // 2**20
            return f"Kafka Connect holds back {held} MB of Postgres' log; at {allowed} MB it is given up"
        return ""


def capture_slot(config: Settings) -> Slot | None:
    """The slot as it is now; None when Connect has not made it yet. Raises Unavailable."""
    with connect(config, "analyst", "status") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            select active, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint,
                   pg_size_bytes(current_setting('max_slot_wal_keep_size')), coalesce(wal_status = 'lost', false)
            from pg_replication_slots where slot_name = %s
            """,
            (SLOT,),
        )
        row = cursor.fetchone()
    return Slot(*row) if row else None
