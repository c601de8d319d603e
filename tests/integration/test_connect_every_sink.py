"""Kafka -> Postgres, every connector: rows of every shape arrive, poison stops nothing, an outage loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from smartshelf.audit.books import plain
from smartshelf.audit.sources import rows_in_postgres
from smartshelf.contracts.render.columns import Column, Scalar, columns
from smartshelf.contracts.render.connect import sink_name
from smartshelf.contracts.rows import key_json
from smartshelf.contracts.tables import TABLES, Table
from smartshelf.io import connect, kafka, postgres
from tests.integration.conftest import wait_for_connectors
from tests.integration.servers import Servers, eventually

pytestmark = [pytest.mark.servers]

SINKS = [table for table in TABLES.values() if table.direction == "sink"]
T0 = datetime(2026, 1, 1, 7, tzinfo=UTC)
STRANGE = "Ä 'ß' \"q\" \\ 苹果 🍏"
#: Optional in its topic, where some event types have none; its table refuses to be without.
NEEDED = ("quantity",)
#: Largest and smallest of each kind that a contract does not bound further.
EXTREMES: dict[str, tuple[Any, Any]] = {
    "text": (STRANGE, " "),
    "uuid": ("ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"),
    "integer": (2**63 - 1, -(2**63)),
    "float": (1.7976931348623157e308, -5e-324),
    "money": (9_999_999.99, 0.0),
    "boolean": (True, False),
    "moment": (T0 + timedelta(days=365_000, microseconds=1), T0 - timedelta(days=700_000)),
    "date": ("9999-12-31", "0001-01-01"),
}


@pytest.fixture(scope="module")
def writer(connected: Servers) -> Iterator[kafka.TransactionalWriter]:
    writer = kafka.TransactionalWriter(connected.config.kafka_bootstrap, "test-every-sink")
    yield writer
    writer.close()
    # Scheduled jobs of the modules to come reckon with what stands here: not with days of the year 9999.
    with postgres.connect(connected.config, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(f"truncate {', '.join(table.full_name for table in SINKS)}")


def value_of(column: Column, smallest: bool) -> Any:
    kind = column.type
    assert isinstance(kind, Scalar)
    if kind.allowed:
        return kind.allowed[-1 if smallest else 0]
    bound = kind.minimum if smallest else kind.maximum
    return EXTREMES[kind.kind][smallest] if bound is None else bound


def row(table: Table, name: str, *, smallest: bool = False) -> dict[str, Any]:
    """A message with everything in it, or with the smallest values and no optional field."""
    parts = [part for part in columns(table.row) if part.required or not smallest or part.name in NEEDED]
    values = {part.name: value_of(part, smallest) for part in parts}
    free = {p.name for p in parts if isinstance(p.type, Scalar) and p.type.kind == "text" and not p.type.allowed}
    # The audit's reader passes over rows of epoch 0: they came with the history, not by the stream.
    lived = {"epoch": 1} if "epoch" in values else {}
    return values | lived | {part: f"{name} {part}" for part in table.row.primary_key if part in free}


def without_optional(table: Table, name: str) -> dict[str, Any]:
    """Every optional field a null, as msgspec writes them."""
    return {part.name: None for part in columns(table.row) if part.nullable} | row(table, name, smallest=True)


def send(writer: kafka.TransactionalWriter, table: Table, *messages: tuple[dict[str, Any], bytes | None]) -> None:
    def fill(transaction: kafka.TransactionalWriter) -> None:
        for values, body in messages:
            transaction.produce(table.topic.name, body, key_json(table.row, values))

    writer.transaction(fill)


def whole(values: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    return values, msgspec.json.encode(values)


def key(table: Table, values: dict[str, Any]) -> tuple[Any, ...]:
    told = plain(table.row, values)
    return tuple(told[name] for name in table.row.primary_key)


def has(servers: Servers, table: Table, wanted: tuple[Any, ...]) -> bool:
    return wanted in rows_in_postgres(servers.config, table)


@pytest.mark.parametrize("table", SINKS, ids=lambda table: table.full_name)
def test_rows_of_every_shape_arrive_and_a_bad_one_is_told(
    connected: Servers, writer: kafka.TransactionalWriter, table: Table
) -> None:
    good = [row(table, "full"), row(table, "bare", smallest=True), without_optional(table, "nulls")]
    when = next(p.name for p in columns(table.row) if isinstance(p.type, Scalar) and p.type.kind in ("moment", "date"))
    bad = row(table, "bad") | {when: "soon"}
    last = row(table, "last")
    send(writer, table, *map(whole, good), whole(bad), whole(last), whole(last), (row(table, "never"), None))
    eventually(partial(has, connected, table, key(table, last)), "the last row")
    found = rows_in_postgres(connected.config, table)
    for values in (*good, last):
        assert found[key(table, values)] == plain(table.row, values)
    reasons = eventually(lambda: reasons_for(connected, key_json(table.row, bad)), "the dead letter")
    assert "invalid input syntax" in reasons[0]
    if table.deletes:
        send(writer, table, (last, None))
        eventually(lambda: not has(connected, table, key(table, last)), "the deletion")
    assert connect.states(connected.config.connect_url)[sink_name(table)].running


def reasons_for(servers: Servers, key: bytes) -> list[str]:
    """Why records of this key were refused."""
    letters = kafka.read_all(servers.config.kafka_bootstrap, "dead_letters_connect")
    return [
        dict(letter.headers() or [])["__connect.errors.exception.message"].decode()
        for letter in letters
        if letter.key() == key
    ]


def test_what_customers_and_scales_do_stays_out_of_staffs_table(
    connected: Servers, writer: kafka.TransactionalWriter
) -> None:
    table = TABLES["ops.shelf_movements"]
    last = row(table, "after")
    scale = {name: value for name, value in row(table, "scale").items() if name != "quantity"}
    send(
        writer,
        table,
        whole(row(table, "customer") | {"event_type": "pickup", "item_weight": 1.5}),
        whole(scale | {"event_type": "weight_change", "delta_weight": -3.0}),
        whole(last),
    )
    eventually(partial(has, connected, table, key(table, last)), "the last row")
    found = rows_in_postgres(connected.config, table)
    assert not [key for key in found if key[0].startswith(("customer", "scale"))]
    assert not reasons_for(connected, key_json(table.row, scale))


def test_what_is_written_while_postgres_is_down_arrives_when_it_is_back(
    connected: Servers, writer: kafka.TransactionalWriter
) -> None:
    connected.run("stop", "postgres")
    for table in SINKS:
        send(writer, table, whole(row(table, "outage")))
    connected.run("start", "postgres")
    for table in SINKS:
        wanted = key(table, row(table, "outage"))
        eventually(partial(has, connected, table, wanted), table.full_name, timeout=90)
    wait_for_connectors(connected)
