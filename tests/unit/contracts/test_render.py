"""What each renderer makes of the contracts."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import ClassVar

import msgspec
import pyarrow as pa
import pytest
from pyspark.sql import types as t

from smartshelf.contracts import events as e
from smartshelf.contracts.render import arrow, connect, jsonschema, markdown, postgres, spark
from smartshelf.contracts.render.columns import Scalar, columns, merged
from smartshelf.contracts.render.postgres import TableColumn
from smartshelf.contracts.rows import JobProgress, Row, ShelfPolicy, ShelfProfile, ShelfState
from smartshelf.contracts.tables import TABLES, Table
from smartshelf.contracts.topics import FACTS, TOPICS
from smartshelf.contracts.types import CalendarDate

NOW = datetime(2026, 1, 1, 7, tzinfo=UTC)
RECEIPT = e.PosTransaction(
    event_id="r1",
    schema_version=1,
    store_id="S01",
    timestamp=NOW,
    source="world:S01",
    seq=1,
    transaction_id="t1",
    customer_id="c1",
    till_id="till-1",
    items=(
        e.ReceiptLine(line_no=1, shelf_id="A", quantity=2, unit_price=1.5, total_price=3.0, expiry_date="2026-02-03"),
        e.ReceiptLine(line_no=2, shelf_id="B", quantity=1, unit_price=2, discount=0.5, total_price=1),
    ),
    total_items=3,
    total_amount=4.0,
)
SHELF_STATE = TABLES["state.shelf_state"]


# --- Spark ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", FACTS, ids=lambda topic: topic.name)
def test_every_fact_topic_has_a_spark_schema_in_which_everything_may_be_null(topic) -> None:
    schema = spark.events_schema(topic)
    assert schema.fieldNames()[0] == "event_type"
    assert all(field.nullable for field in schema.fields)


def test_spark_types_of_a_receipt_reach_into_its_lines() -> None:
    schema = spark.events_schema(TOPICS["pos_transactions"])
    assert schema["timestamp"].dataType == t.TimestampType()
    line = schema["items"].dataType.elementType
    assert line["quantity"].dataType == t.LongType()
    assert line["expiry_date"].dataType == t.DateType()
    assert line["unit_price"].dataType == t.DoubleType()


def test_a_spark_row_is_nullable_only_where_the_contract_allows_null() -> None:
    assert not any(field.nullable for field in spark.row_schema(ShelfState).fields)
    policy = spark.row_schema(ShelfPolicy)
    assert policy["store_id"].nullable
    assert not policy["policy_id"].nullable
    progress = spark.row_schema(JobProgress)
    assert progress["offsets"].dataType.simpleString() == "map<string,map<string,bigint>>"


# --- Arrow ---------------------------------------------------------------------------------------


def test_arrow_rows_are_exactly_typed() -> None:
    schema = arrow.row_schema(ShelfState)
    assert schema.field("last_update_ts").type == pa.timestamp("us", tz="UTC")
    assert schema.field("current_stock").type == pa.int64()
    assert schema.field("shelf_weight").type == pa.float64()
    assert not any(field.nullable for field in schema)


def test_receipts_become_a_typed_table_with_their_lines() -> None:
    table = arrow.events_table(TOPICS["pos_transactions"], [msgspec.json.encode(RECEIPT)])
    assert table.schema == arrow.events_schema(TOPICS["pos_transactions"])
    (row,) = table.to_pylist()
    assert row["timestamp"] == NOW
    assert row["step"] is None
    assert [line["expiry_date"] for line in row["items"]] == [date(2026, 2, 3), None]
    assert [line["total_price"] for line in row["items"]] == [3.0, 1.0]


def test_no_messages_become_an_empty_table_of_the_same_schema() -> None:
    table = arrow.events_table(TOPICS["shelf_events"], [])
    assert table.num_rows == 0
    assert table.schema == arrow.events_schema(TOPICS["shelf_events"])


def test_a_row_with_maps_becomes_a_typed_table() -> None:
    progress = JobProgress(
        job="store", epoch=1, checkpoint="c", batch_id=2, steps={"S01": 3}, offsets={"a": {"0": 4}}, written_at=NOW
    )
    (row,) = arrow.rows_table(JobProgress, [msgspec.json.encode(progress)]).to_pylist()
    assert row["steps"] == [("S01", 3)]
    assert row["offsets"] == [("a", [("0", 4)])]


@pytest.mark.parametrize("time", ["tomorrow", "2026-01-01T07:00:00"])
def test_a_time_that_is_none_or_names_no_zone_is_refused(time: str) -> None:
    value = msgspec.json.encode(RECEIPT).replace(b"2026-01-01T07:00:00Z", time.encode())
    with pytest.raises(pa.ArrowInvalid):
        arrow.events_table(TOPICS["pos_transactions"], [value])


# --- Connect -------------------------------------------------------------------------------------


def test_the_key_schema_is_the_primary_key_in_order() -> None:
    fields = connect.key_schema(SHELF_STATE)["fields"]
    assert fields == [
        {"field": "store_id", "type": "string", "optional": False},
        {"field": "shelf_id", "type": "string", "optional": False},
    ]


def test_what_the_contract_requires_is_not_optional_for_connect() -> None:
    fields = {field["field"]: field for field in connect.value_schema(SHELF_STATE)["fields"]}
    assert not any(field["optional"] for field in fields.values())
    assert (fields["current_stock"]["type"], fields["shelf_weight"]["type"]) == ("int64", "double")
    assert fields["last_update_ts"]["type"] == "string"
    policy = connect.value_schema(Table("config", "shelf_policies", ShelfPolicy, "sink"))["fields"]
    assert {field["field"] for field in policy if not field["optional"]} == {"policy_id"}


def test_a_row_that_is_not_flat_is_refused_for_the_sink() -> None:
    with pytest.raises(TypeError, match=r"job_progress\.Value\.steps: the JDBC sink writes flat rows only"):
        connect.value_schema(Table("ops", "job_progress", JobProgress, "sink"))


def test_one_source_captures_all_source_tables_and_every_sink_table_has_a_connector() -> None:
    source, *sinks = connect.connectors()
    captured = source["config"]["table.include.list"].split(",")
    assert captured == [t.full_name for t in TABLES.values() if t.direction == "source"] + ["config.debezium_heartbeat"]
    assert [s["config"]["topics"] for s in sinks] == [t.topic.name for t in TABLES.values() if t.direction == "sink"]
    assert len({s["name"] for s in sinks}) == len(sinks)


def test_only_a_table_that_keeps_no_history_deletes_on_a_tombstone() -> None:
    kept = Table("ops", "shelf_state", ShelfState, "sink", deletes=False)
    assert connect.sink(kept)["config"]["delete.enabled"] == "false"
    assert connect.sink(SHELF_STATE)["config"]["delete.enabled"] == "true"


def test_a_fact_is_found_by_its_value_since_its_message_key_only_orders_it() -> None:
    config = connect.sink(TABLES["ops.cold_chain"])["config"]
    assert (config["primary.key.mode"], config["primary.key.fields"]) == ("record_value", "store_id,zone_id,timestamp")
    assert connect.sink(SHELF_STATE)["config"]["primary.key.mode"] == "record_key"


@pytest.mark.parametrize("name", [name for name, table in TABLES.items() if table.takes_facts])
def test_a_table_of_facts_has_every_field_of_the_events_it_keeps(name: str) -> None:
    table = TABLES[name]
    own = {column.name: column.type for column in columns(table.row)}
    kept = own["event_type"].allowed  # type: ignore[union-attr]
    told = merged(event for event in table.topic.events if event.__struct_config__.tag in kept)
    assert {column.name for column in told} == own.keys()
    assert {c.name: c.type.kind for c in told if isinstance(c.type, Scalar)} == {  # all of them are flat
        name: kind.kind for name, kind in own.items() if isinstance(kind, Scalar)
    }


def test_a_date_in_a_captured_table_is_made_an_iso_date_in_that_topic_alone() -> None:
    class Dated(Row, kw_only=True):
        primary_key: ClassVar = ("day",)
        day: CalendarDate

    config = connect.source([Table("config", "dated", Dated, "source")])["config"]
    assert config["transforms"].split(",") == ["unwrap", "route", "dated_day"]
    assert (config["transforms.dated_day.field"], config["transforms.dated_day.format"]) == ("day", "yyyy-MM-dd")
    assert config[f"predicates.{config['transforms.dated_day.predicate']}.pattern"] == "dated"


def test_connector_values_are_all_text_and_hold_no_secret() -> None:
    for connector in connect.connectors():
        config = connector["config"]
        assert all(isinstance(value, str) for value in config.values())
        for name, value in config.items():
            if name.endswith("password"):
                assert value.startswith("${env:SMARTSHELF_POSTGRES_")


# --- Postgres ------------------------------------------------------------------------------------


def test_postgres_types_carry_money_dates_and_ids() -> None:
    columns = {column.name: column for column in postgres.table_columns(ShelfProfile)}
    assert columns["item_price"] == TableColumn("item_price", "numeric(12,2)", nullable=False)
    assert columns["aisle"].type == "bigint"
    policy = {column.name: column for column in postgres.table_columns(ShelfPolicy)}
    assert policy["policy_id"].type == "uuid"
    assert policy["store_id"] == TableColumn("store_id", "text", nullable=True)
    assert policy["active"] == TableColumn("active", "boolean", nullable=False)
    assert {c.name: c.type for c in postgres.table_columns(JobProgress)}["steps"] == "jsonb"


def test_a_table_as_the_contract_says_has_no_differences() -> None:
    found = postgres.table_columns(ShelfState)
    assert postgres.differences(SHELF_STATE, reversed(found), ("store_id", "shelf_id")) == []


# --- JSON Schema and Markdown --------------------------------------------------------------------


def test_every_topic_of_ours_has_a_json_schema() -> None:
    without = {name for name, topic in TOPICS.items() if jsonschema.topic_schema(topic) is None}
    assert without == {"dead_letters_connect", "bridge.offsets", "debezium_heartbeat", "__debezium-heartbeat.pg"}


def test_a_json_schema_tells_events_apart_by_their_type() -> None:
    schema = jsonschema.topic_schema(TOPICS["wh_events"])
    assert schema is not None
    assert schema["discriminator"]["propertyName"] == "event_type"
    assert set(schema["discriminator"]["mapping"]) == {"wh_in", "wh_out", "wh_adjust"}
    assert json.dumps(schema)


def test_the_dictionary_names_every_topic_table_and_field() -> None:
    page = markdown.dictionary()
    assert all(f"`{name}`" in page for name in TOPICS)
    assert all(f"### {name} " in page for name in TABLES)
    assert "| items[].expiry_date? | date |" in page
    assert "| storage_zone | text | `ambient`, `chilled`, `frozen` |" in page
