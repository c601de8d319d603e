"""Kafka Connect: message schemas and one connector configuration per sink table, one for all sources.

Messages are plain JSON; their schema stands in the connector (``schema.content``, Kafka 4.2 and later).
The converter is silent about mismatches (text in a number becomes 0, a number in a text becomes null), so
nothing here is written by hand, and every field that the contract requires is declared as required:
then at least a missing one goes to the dead letters instead of becoming null.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from smartshelf.contracts.render.columns import Column, Scalar, columns
from smartshelf.contracts.tables import TABLES, Table

SOURCE = "config-source"
#: Replication slot and publication of the source connector.
SLOT = PUBLICATION = "smartshelf_config"
#: Prefix of what Debezium calls its topics before they are routed to ours.
PREFIX = "pg"
HEARTBEAT_TABLE = "config.debezium_heartbeat"
DEAD_LETTERS = "dead_letters_connect"

#: Times, dates, uuids and JSON go as text: with ``stringtype=unspecified`` Postgres itself parses and checks them.
_TYPES = {
    "text": "string",
    "uuid": "string",
    "integer": "int64",
    "float": "double",
    "money": "double",
    "boolean": "boolean",
    "moment": "string",
    "date": "string",
    "json": "string",
}
_JSON = "org.apache.kafka.connect.json.JsonConverter"
_POSTGRES = "${env:SMARTSHELF_POSTGRES_%s}"


def sink_name(table: Table) -> str:
    """Name of a sink's connector."""
    return f"sink-{table.name}"


def consumer_group(connector: str) -> str:
    """The consumer group in which Connect keeps a sink's position."""
    return f"connect-{connector}"


def key_schema(table: Table) -> dict[str, Any]:
    """Connect schema of the message key: the primary key's columns in order."""
    by_name = {column.name: column for column in columns(table.row)}
    return _struct(f"{table.name}.Key", (by_name[name] for name in table.row.primary_key))


def value_schema(table: Table) -> dict[str, Any]:
    """Connect schema of the message value. TypeError for a field that the JDBC sink cannot write."""
    return _struct(f"{table.name}.Value", columns(table.row))


def _struct(name: str, parts: Iterable[Column]) -> dict[str, Any]:
    return {"type": "struct", "name": name, "optional": False, "fields": [_field(name, part) for part in parts]}


def _field(where: str, part: Column) -> dict[str, Any]:
    if not isinstance(part.type, Scalar):
        raise TypeError(
            f"{where}.{part.name}: the JDBC sink writes flat rows only; make it a text field with JSON inside"
        )
    return {"field": part.name, "type": _TYPES[part.type.kind], "optional": not part.required}


def _key(table: Table) -> dict[str, str]:
    """Where a sink finds the primary key: a row's message key is it; a fact's is not, but its value has it."""
    if table.takes_facts:
        return {
            "primary.key.mode": "record_value",
            "primary.key.fields": ",".join(table.row.primary_key),
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        }
    return {
        "primary.key.mode": "record_key",
        "key.converter": _JSON,
        "key.converter.schemas.enable": "true",
        "key.converter.schema.content": _text(key_schema(table)),
    }


def sink(table: Table) -> dict[str, Any]:
    """Kafka -> Postgres: upsert by primary key; a tombstone deletes unless the table keeps history."""
    name = sink_name(table)
    address = f"jdbc:postgresql://{_POSTGRES % 'HOST'}:{_POSTGRES % 'PORT'}/{_POSTGRES % 'DB'}"
    return {
        "name": name,
        "config": {
            # Debezium's own sink stops for ever at the first row that Postgres refuses; ours (conf/java) sends
            # that row to the dead letters with Postgres' reason and waits out an outage.
            "connector.class": "smartshelf.connect.DlqJdbcSinkConnector",
            "tasks.max": "1",
            "topics": table.topic.name,
            "connection.url": f"{address}?stringtype=unspecified&reWriteBatchedInserts=true&ApplicationName={name}",
            "connection.username": "smartshelf_sink",
            "connection.password": _POSTGRES % "SINK_PASSWORD",
            "connection.pool.min_size": "1",
            "connection.pool.max_size": "2",
            "connection.pool.acquire_increment": "1",
            "connection.restart.on.errors": "true",
            "collection.name.format": table.full_name,
            "insert.mode": "upsert",
            "delete.enabled": "true" if table.deletes else "false",
            "schema.evolution": "none",
            "use.time.zone": "UTC",
            "use.reduction.buffer": "true",
            "batch.size": "500",
            "flush.max.retries": "2",
            "flush.retry.delay.ms": "1000",
            **_key(table),
            "value.converter": _JSON,
            "value.converter.schemas.enable": "true",
            "value.converter.schema.content": _text(value_schema(table)),
            "errors.tolerance": "all",
            "errors.log.enable": "true",
            "errors.deadletterqueue.topic.name": DEAD_LETTERS,
            "errors.deadletterqueue.topic.replication.factor": "1",
            "errors.deadletterqueue.context.headers.enable": "true",
            "consumer.override.isolation.level": "read_committed",
            "consumer.override.auto.offset.reset": "earliest",
            "consumer.override.max.poll.records": "500",
            # Static membership: without it a killed worker's dead member holds the partitions for 45 s.
            "consumer.override.group.instance.id": name,
        },
    }


def source(tables: Iterable[Table]) -> dict[str, Any]:
    """Postgres -> Kafka: all source tables by one replication slot, one message per changed row."""
    captured = list(tables)
    dates = _date_texts(captured)
    schemas = sorted({table.schema for table in captured} | {HEARTBEAT_TABLE.split(".")[0]})
    return {
        "name": SOURCE,
        "config": {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "tasks.max": "1",
            "database.hostname": _POSTGRES % "HOST",
            "database.port": _POSTGRES % "PORT",
            "database.user": "smartshelf_debezium",
            "database.password": _POSTGRES % "DEBEZIUM_PASSWORD",
            "database.dbname": _POSTGRES % "DB",
            "topic.prefix": PREFIX,
            "plugin.name": "pgoutput",
            "slot.name": SLOT,
            "publication.name": PUBLICATION,
            "publication.autocreate.mode": "disabled",
            "table.include.list": ",".join([*(table.full_name for table in captured), HEARTBEAT_TABLE]),
            # "initial" would stay FAILED when the offset file is older than the database.
            "snapshot.mode": "when_needed",
            "decimal.handling.mode": "string",
            "tombstones.on.delete": "true",
            "poll.interval.ms": "100",
            "heartbeat.interval.ms": "10000",
            # Without traffic on the captured tables the slot would hold back all of Postgres' log.
            "heartbeat.action.query": (
                f"insert into {HEARTBEAT_TABLE} (id, ts) values (1, now()) "
                "on conflict (id) do update set ts = excluded.ts"
            ),
            "errors.max.retries": "-1",
            "retriable.restart.connector.wait.ms": "2000",
            "status.update.interval.ms": "5000",
            "key.converter": _JSON,
            "key.converter.schemas.enable": "false",
            "value.converter": _JSON,
            "value.converter.schemas.enable": "false",
            # Dates as Connect's own kind, which _date_texts' transforms understand.
            "time.precision.mode": "connect",
            "transforms": ",".join(["unwrap", "route", *dates.names]),
            "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
            # "tombstone" writes the four bytes `null`, which compaction would keep for ever.
            "transforms.unwrap.delete.tombstone.handling.mode": "delete-to-tombstone",
            "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
            "transforms.route.regex": rf"{PREFIX}\.(?:{'|'.join(schemas)})\.(.*)",
            "transforms.route.replacement": "$1",
            **dates.settings,
            "producer.override.linger.ms": "0",
            "producer.override.compression.type": "none",
        },
    }


class _Transforms(NamedTuple):
    names: list[str]
    settings: dict[str, str]


def _date_texts(tables: Iterable[Table]) -> _Transforms:
    """Transforms that make ISO dates of date columns: Debezium itself writes days since 1970, or ``2026-01-31Z``."""
    names: list[str] = []
    settings: dict[str, str] = {}
    predicates: list[str] = []
    for table in tables:
        dates = [part.name for part in columns(table.row) if isinstance(part.type, Scalar) and part.type.kind == "date"]
        predicate = f"is_{table.name}"
        if dates:
            predicates.append(predicate)
            settings[f"predicates.{predicate}.type"] = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"
            settings[f"predicates.{predicate}.pattern"] = table.name
        for column in dates:
            name = f"{table.name}_{column}"
            names.append(name)
            settings |= {
                f"transforms.{name}.type": "org.apache.kafka.connect.transforms.TimestampConverter$Value",
                f"transforms.{name}.predicate": predicate,
                f"transforms.{name}.field": column,
                f"transforms.{name}.target.type": "string",
                f"transforms.{name}.format": "yyyy-MM-dd",
            }
    return _Transforms(names, {"predicates": ",".join(predicates)} | settings if predicates else {})


def connectors() -> list[dict[str, Any]]:
    """Every connector of the store, in the order in which their files are named."""
    sinks = [sink(table) for table in TABLES.values() if table.direction == "sink"]
    return [source(table for table in TABLES.values() if table.direction == "source"), *sinks]


def _text(schema: dict[str, Any]) -> str:
    return msgspec.json.encode(schema).decode()
