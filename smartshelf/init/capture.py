"""When Postgres has given up the log that Kafka Connect's source needs (it stood still for too long): begin anew.

Connect then reads all rows again by itself (``snapshot.mode=when_needed``). What it cannot see any more are rows that
were deleted meanwhile, so their tombstones are written here, before the old slot is dropped.
"""

from __future__ import annotations

import msgspec
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

from smartshelf.contracts.render.connect import SLOT
from smartshelf.contracts.tables import TABLES, Table
from smartshelf.io import kafka, postgres


def restart_lost(connection: Connection, bootstrap: str) -> int | None:
    """Drop the slot if it is lost and unused; the number of tombstones written, None when all was well.

    Killed half-way it does the same again. Raises Unavailable when Kafka does not answer.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "select 1 from pg_replication_slots where slot_name = %s and wal_status = 'lost' and not active", (SLOT,)
        )
        if cursor.fetchone() is None:
            return None
        gone = {
            table.topic.name: _deleted(connection, bootstrap, table)
            for table in TABLES.values()
            if table.direction == "source" and table.topic.compacted
        }
        if any(gone.values()):
            _bury(bootstrap, gone)
        cursor.execute("select pg_drop_replication_slot(%s)", (SLOT,))
    return sum(map(len, gone.values()))


def _deleted(connection: Connection, bootstrap: str, table: Table) -> list[bytes]:
    """Keys that the topic has and the table has no longer."""
    names = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in table.row.primary_key)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("select {} from {}").format(names, postgres.identifier(table.full_name)))
        there = set(cursor.fetchall())
    keys = kafka.read_latest(bootstrap, table.topic.name)
    return [key for key in keys if tuple(map(str, msgspec.json.decode(key).values())) not in there]


def _bury(bootstrap: str, gone: dict[str, list[bytes]]) -> None:
    writer = kafka.TransactionalWriter(bootstrap, "init-capture")

    def fill(transaction: kafka.TransactionalWriter) -> None:
        for topic, keys in gone.items():
            for key in keys:
                transaction.produce(topic, None, key)

    try:
        writer.transaction(fill)
    finally:
        writer.close()
