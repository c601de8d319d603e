"""The JDBC sink by itself: a connector like those of the contracts on a topic and a table made for it, then removed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import msgspec
from confluent_kafka.admin import AdminClient

from smartshelf.bench.table import Figure, percentile
from smartshelf.contracts.render import connect as render
from smartshelf.contracts.rows import PosLine, key_json
from smartshelf.contracts.tables import TABLES
from smartshelf.contracts.topics import Topic
from smartshelf.errors import SmartShelfError
from smartshelf.io import kafka, postgres
from smartshelf.settings import Settings

NAME = "bench_rows"
LIKE = TABLES["ops.pos_transaction_items"]
ROWS, PROBES, IN_ONE_TRANSACTION = 100_000, 200, 5_000
#: Real seconds until it is given up.
PATIENCE = 180.0


def sink(config: Settings) -> Iterator[Figure]:
    """Rows per second out of a backlog, and the wait of single rows, from Kafka to Postgres; receipt lines."""
    with _table(config), _topic(config):
        writer = kafka.TransactionalWriter(config.kafka_bootstrap, "bench-sink")
        try:
            for first in range(0, ROWS, IN_ONE_TRANSACTION):
                _send(writer, range(first, first + IN_ONE_TRANSACTION))
            with _connector(config):
                _wait_for(config, 1)
                began, there = time.monotonic(), _count(config)
                _wait_for(config, ROWS)
                took = time.monotonic() - began
                yield Figure("Kafka -> Postgres, backlog", (ROWS - there) / took, "rows/s", "> 5,000", "receipt lines")
                waits = []
                for number in range(ROWS, ROWS + PROBES):
                    began = time.monotonic()
                    _send(writer, range(number, number + 1))
                    _wait_for(config, number + 1)
                    waits.append(time.monotonic() - began)
                yield Figure("row in Kafka -> row in Postgres p95", percentile(waits, 0.95), "s", "< 1 s", "one by one")
        finally:
            writer.close()


def _send(writer: kafka.TransactionalWriter, numbers: range) -> None:
    def fill(transaction: kafka.TransactionalWriter) -> None:
        for number in numbers:
            line = PosLine(
                epoch=1, version=1, as_of_step=number, store_id="S01", transaction_id=f"R-S01-{number // 8}",
                line_no=number % 8, shelf_id="BEVCOL0001", batch_code="BEVCOL0001-260101", quantity=2,
                unit_price=1.29, discount=0.05, total_price=2.45, expiry_date="2026-06-30",
            )  # fmt: skip
            transaction.produce(NAME, msgspec.json.encode(line), key_json(PosLine, line))

    writer.transaction(fill)


def _count(config: Settings) -> int:
    with postgres.connect(config, "owner", "bench") as connection, connection.cursor() as cursor:
        cursor.execute(f"select count(*) from analytics.{NAME}")
        return int((cursor.fetchone() or (0,))[0])


def _wait_for(config: Settings, rows: int) -> None:
    deadline = time.monotonic() + PATIENCE
    with postgres.connect(config, "owner", "bench") as connection, connection.cursor() as cursor:
        while True:
            cursor.execute(f"select count(*) from analytics.{NAME}")
            found = int((cursor.fetchone() or (0,))[0])
            if found >= rows:
                return
            if time.monotonic() > deadline:
                raise SmartShelfError(f"{found} of {rows} rows arrived in Postgres", remedy="See the log of connect.")
            # Counting costs the server too: seldom while much is missing.
            time.sleep(0.005 if rows - found < 10 else 0.5)


@contextmanager
def _table(config: Settings) -> Iterator[None]:
    _execute(config, f"drop table if exists analytics.{NAME}")
    _execute(config, f"create table analytics.{NAME} (like {LIKE.full_name} including all)")
    try:
        yield
    finally:
        _execute(config, f"drop table analytics.{NAME}")


def _execute(config: Settings, statement: str) -> None:
    with postgres.connect(config, "owner", "bench") as connection, connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def _topic(config: Settings) -> Iterator[None]:
    topic = Topic(NAME, "internal", "primary key", "bench", "measuring", row=PosLine)
    kafka.ensure_topics(config.kafka_bootstrap, 1, [topic])
    try:
        yield
    finally:
        admin = AdminClient({"bootstrap.servers": config.kafka_bootstrap, **kafka.QUIET})
        for done in admin.delete_topics([NAME]).values():
            done.result(30)


@contextmanager
def _connector(config: Settings) -> Iterator[None]:
    made = render.sink(LIKE)
    name = f"sink-{NAME}"
    own = {"topics": NAME, "collection.name.format": f"analytics.{NAME}", "consumer.override.group.instance.id": name}
    body = {"name": name, "config": made["config"] | own}
    httpx.post(f"{config.connect_url}/connectors", json=body, timeout=30).raise_for_status()
    try:
        yield
    finally:
        httpx.delete(f"{config.connect_url}/connectors/{name}", timeout=30).raise_for_status()
        admin = AdminClient({"bootstrap.servers": config.kafka_bootstrap, **kafka.QUIET})
        admin.delete_consumer_groups([render.consumer_group(name)])
