"""Kafka -> Postgres: every row arrives as it is, an older one never overwrites, a bad one stops nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import httpx
import msgspec
import pytest
from msgspec import Meta

from smartshelf.contracts.render import connect as render
from smartshelf.contracts.render.postgres import table_columns
from smartshelf.contracts.rows import Row, ShelfState, key_json
from smartshelf.contracts.tables import Table
from smartshelf.contracts.topics import TOPICS, Topic
from smartshelf.contracts.types import CalendarDate, Id, Moment, Money, Text, Uuid
from smartshelf.io import connect, kafka, postgres
from tests.integration.conftest import wait_for_connectors
from tests.integration.servers import Servers, eventually

pytestmark = [pytest.mark.servers]

T0 = datetime(2026, 1, 1, 7, tzinfo=UTC)
LARGEST, SMALLEST = 2**63 - 1, -(2**63)


@pytest.fixture(scope="module")
def writer(connected: Servers) -> Iterator[kafka.TransactionalWriter]:
    writer = kafka.TransactionalWriter(connected.config.kafka_bootstrap, "test-sink")
    yield writer
    writer.close()


def state(shelf_id: str, **changes: Any) -> ShelfState:
    values: dict[str, Any] = {
        "epoch": 1,
        "version": 1,
        "as_of_step": 1,
        "store_id": "T",
        "shelf_id": shelf_id,
        "category": "BEVERAGES",
        "subcategory": "Cola Soft Drinks",
        "current_stock": 10,
        "max_stock": 40,
        "shelf_weight": 5000.0,
        "in_baskets": 0,
        "on_the_way": 0,
        "last_update_ts": T0,
    }
    return ShelfState(**values | changes)


def send(writer: kafka.TransactionalWriter, *rows: ShelfState) -> None:
    send_raw(writer, "shelf_state", *((key_json(ShelfState, row), msgspec.json.encode(row)) for row in rows))


def send_raw(writer: kafka.TransactionalWriter, topic: str, *records: tuple[bytes, bytes | None]) -> None:
    def fill(transaction: kafka.TransactionalWriter) -> None:
        for key, value in records:
            transaction.produce(topic, value, key)

    writer.transaction(fill)


def query(servers: Servers, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with postgres.connect(servers.config, "analyst") as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def in_postgres(servers: Servers, shelf_id: str) -> dict[str, Any] | None:
    names = list(ShelfState.__struct_fields__)
    rows = query(servers, f"select {', '.join(names)} from state.shelf_state where shelf_id = %s", shelf_id)
    return dict(zip(names, rows[0], strict=True)) if rows else None


def dead_letters(servers: Servers, key: bytes) -> list[str]:
    """Reasons for which records of this key were refused."""
    found = []
    for message in kafka.read_all(servers.config.kafka_bootstrap, "dead_letters_connect"):
        if message.key() == key:
            headers = dict(message.headers() or [])
            found.append(headers["__connect.errors.exception.message"].decode())
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"current_stock": -7, "in_baskets": -1, "shelf_weight": -0.5},
        {"current_stock": LARGEST, "max_stock": 10_000_000, "in_baskets": SMALLEST},
        {"shelf_weight": 1.7976931348623157e308},
        {"shelf_weight": 5e-324},
        {"category": "FRÜCHTE & GEMÜSE", "subcategory": "Äpfel 'n' \"Birnen\" \\ 苹果 🍏"},
        {"category": "", "subcategory": " "},
        {"last_update_ts": T0 + timedelta(microseconds=1)},
        {"as_of_step": -1},
    ],
)
def test_a_state_row_arrives_as_it_was_sent(
    connected: Servers, writer: kafka.TransactionalWriter, changes: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    row = state(f"SHAPE-{request.node.callspec.indices['changes']}", **changes)
    send(writer, row)
    found = eventually(lambda: in_postgres(connected, row.shelf_id), "the row")
    assert found == msgspec.structs.asdict(row)


def test_a_tombstone_deletes_the_row_of_its_whole_key_only(
    connected: Servers, writer: kafka.TransactionalWriter
) -> None:
    send(writer, state("GONE"), state("GONE", store_id="T2"), state("STAYS"))
    eventually(lambda: in_postgres(connected, "STAYS"), "the rows")
    send_raw(writer, "shelf_state", (key_json(ShelfState, {"store_id": "T", "shelf_id": "GONE"}), None))
    eventually(
        lambda: (
            query(connected, "select store_id from state.shelf_state where shelf_id in ('GONE', 'STAYS') order by 1")
            == [("T",), ("T2",)]
        ),
        "the deletion",
    )
    assert in_postgres(connected, "STAYS")


def test_an_older_row_never_overwrites_a_newer_one(connected: Servers, writer: kafka.TransactionalWriter) -> None:
    def stock_after(*rows: ShelfState) -> int:
        # Each in a transaction of its own; the last row of another shelf tells that all have been written.
        for row in rows:
            send(writer, row)
        mark = f"MARK-{time.monotonic_ns()}"
        send(writer, state(mark))
        eventually(lambda: in_postgres(connected, mark), "the rows")
        found = in_postgres(connected, "GUARDED")
        assert found
        return int(found["current_stock"])

    assert stock_after(state("GUARDED", version=5, current_stock=50)) == 50
    assert stock_after(state("GUARDED", version=4, current_stock=40)) == 50
    assert stock_after(state("GUARDED", version=6, current_stock=60)) == 60
    assert stock_after(state("GUARDED", epoch=2, version=1, current_stock=21)) == 21
    assert stock_after(state("GUARDED", epoch=1, version=99, current_stock=99)) == 21
    # The live view repeats a version with a newer step.
    assert stock_after(state("GUARDED", epoch=2, version=1, current_stock=21, as_of_step=7)) == 21
    assert in_postgres(connected, "GUARDED")["as_of_step"] == 7  # type: ignore[index]


def without(row: ShelfState, name: str) -> bytes:
    values = msgspec.to_builtins(row)
    del values[name]
    return msgspec.json.encode(values)


@pytest.mark.parametrize(
    ("shelf_id", "value", "reason"),
    [
        ("NO-JSON", b"{nonsense", "serialization error"),
        ("NO-OBJECT", b"[1, 2]", "Structs should be encoded as JSON objects"),
        ("NO-FIELD", without(state("NO-FIELD"), "category"), "Invalid null value for required STRING field"),
        (
            "NO-TIME",
            msgspec.json.encode(state("NO-TIME")).replace(b"2026-01-01T07:00:00Z", b"soon"),
            "invalid input syntax",
        ),
        ("NUL", msgspec.json.encode(state("NUL", category="a\0b")), "invalid byte sequence"),
    ],
)
def test_a_row_that_cannot_be_written_goes_to_the_dead_letters_with_its_reason_and_the_next_goes_on(
    connected: Servers, writer: kafka.TransactionalWriter, shelf_id: str, value: bytes, reason: str
) -> None:
    key = key_json(ShelfState, {"store_id": "T", "shelf_id": shelf_id})
    before, after = state(f"BEFORE-{shelf_id}"), state(f"AFTER-{shelf_id}")
    send_raw(
        writer,
        "shelf_state",
        (key_json(ShelfState, before), msgspec.json.encode(before)),
        (key, value),
        (key_json(ShelfState, after), msgspec.json.encode(after)),
    )
    eventually(lambda: in_postgres(connected, after.shelf_id), "the row after the bad one")
    assert in_postgres(connected, before.shelf_id)
    assert in_postgres(connected, shelf_id) is None
    reasons = eventually(lambda: dead_letters(connected, key), "the dead letter")
    assert reason in reasons[0]
    assert connect.states(connected.config.connect_url)["sink-shelf_state"].running


class Everything(Row, kw_only=True):
    """A row with every type that a contract can have."""

    primary_key: ClassVar = ("store_id", "policy_id")

    store_id: Id
    policy_id: Uuid
    note: Text | None = None
    kind: Literal["a", "b"] | None = None
    amount: Money | None = None
    units: int | None = None
    ratio: float | None = None
    active: bool | None = None
    day: CalendarDate | None = None
    at: Moment | None = None
    limited: Annotated[int, Meta(le=10)] = 5


FULL = Everything(
    store_id="T",
    policy_id="43ba8c61-4627-5610-b3ed-b26beb3af5c4",
    note="ß",
    kind="b",
    amount=9_999_999_999.99 / 1000,
    units=-1,
    ratio=0.1,
    active=False,
    day="2026-02-28",
    at=T0,
    limited=10,
)
EMPTY = Everything(store_id="T", policy_id="00000000-0000-0000-0000-000000000000")


@pytest.fixture(params=[True, False], ids=["tombstones delete", "history stays"])
def everything(connected: Servers, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Table]:
    """A table of the row above with a connector of its own, rendered like every other."""
    name = f"everything_{request.param_index}"
    topic = Topic(name, "state", "primary key", "test", "test", row=Everything, compacted=True)
    monkeypatch.setitem(TOPICS, name, topic)
    table = Table("analytics", name, Everything, "sink", deletes=request.param)
    kafka.ensure_topics(connected.config.kafka_bootstrap, 1, [topic])
    columns = ", ".join(f"{c.name} {c.type}{'' if c.nullable else ' not null'}" for c in table_columns(Everything))
    with postgres.connect(connected.config, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            f"create table {table.full_name} ({columns}, primary key (store_id, policy_id), check (limited <= 10))"
        )
    url = connected.config.connect_url
    httpx.post(f"{url}/connectors", json=render.sink(table), timeout=30).raise_for_status()
    eventually(lambda: (s := connect.states(url).get(render.sink_name(table))) and s.running, "the connector")
    yield table
    httpx.delete(f"{url}/connectors/{render.sink_name(table)}", timeout=30).raise_for_status()


def test_every_type_and_every_null_survives_and_a_check_of_postgres_is_told(
    connected: Servers, writer: kafka.TransactionalWriter, everything: Table
) -> None:
    def rows() -> list[tuple[Any, ...]]:
        return query(connected, f"select * from {everything.full_name} order by policy_id")

    writer.partitions[everything.name] = 1
    refused = Everything(store_id="T", policy_id="ffffffff-0000-0000-0000-000000000000", limited=11)
    send_raw(
        writer,
        everything.name,
        *((key_json(Everything, row), msgspec.json.encode(row)) for row in (FULL, refused, EMPTY)),
    )
    assert eventually(lambda: len(found := rows()) == 2 and found, "both good rows") == [
        ("T", EMPTY.policy_id, None, None, None, None, None, None, None, None, 5),
        ("T", FULL.policy_id, "ß", "b", Decimal("10000000.00"), -1, 0.1, False, date(2026, 2, 28), T0, 10),
    ]
    reasons = eventually(lambda: dead_letters(connected, key_json(Everything, refused)), "the dead letter")
    assert "violates check constraint" in reasons[0]

    send_raw(writer, everything.name, (key_json(Everything, FULL), None), (key_json(Everything, EMPTY), None))
    newest = Everything(store_id="T", policy_id="11111111-0000-0000-0000-000000000000")
    send_raw(writer, everything.name, (key_json(Everything, newest), msgspec.json.encode(newest)))
    eventually(lambda: newest.policy_id in [row[1] for row in rows()], "the row after the tombstones")
    assert len(rows()) == (1 if everything.deletes else 3)
    assert connect.states(connected.config.connect_url)[render.sink_name(everything)].running


def test_the_saved_position_of_a_sink_reaches_the_end(connected: Servers, writer: kafka.TransactionalWriter) -> None:
    bootstrap = connected.config.kafka_bootstrap
    send(writer, state("POSITION"))
    last = max(message.offset() for message in kafka.read_all(bootstrap, "shelf_state"))
    eventually(
        lambda: connect.positions(bootstrap, "sink-shelf_state", "shelf_state") == {0: last + 1}, "the saved position"
    )
    # The offset after the last record is that of its commit mark: nothing that waits.
    assert connect.lags(bootstrap, {"sink-shelf_state": "shelf_state"}) == {"sink-shelf_state": 0}


@pytest.mark.parametrize("server", ["connect", "postgres"])
def test_nothing_is_lost_when_a_server_is_killed_while_rows_flow(
    connected: Servers, writer: kafka.TransactionalWriter, server: str
) -> None:
    shelves = [f"{server}-{number:03d}" for number in range(100)]
    for version in range(1, 11):
        if version == 4:
            connected.kill(server)
        send(writer, *(state(shelf, version=version, current_stock=100 + version) for shelf in shelves))
    with_final = (
        "select count(*) from state.shelf_state where shelf_id = any(%s) and version = 10 and current_stock = 110"
    )

    def all_there() -> bool:
        try:
            return query(connected, with_final, shelves) == [(len(shelves),)]
        except postgres.Unavailable:
            return False

    eventually(all_there, "the last version of every row", timeout=60)
    wait_for_connectors(connected)

    # The way back works again as well.
    with postgres.connect(connected.config, "app") as connection, connection.cursor() as cursor:
        cursor.execute("update config.shelf_policies set notes = %s", (server,))
    eventually(
        lambda: all(
            f'"notes":"{server}"'.encode() in value
            for value in kafka.read_latest(connected.config.kafka_bootstrap, "shelf_policies").values()
        ),
        "the edit made after the kill",
    )
