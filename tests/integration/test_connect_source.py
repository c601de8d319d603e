"""Postgres -> Kafka: what people edit reaches the jobs, deletes included."""

from __future__ import annotations

import json
import uuid
from typing import Any

import msgspec
import pytest

from smartshelf.contracts import commands
from smartshelf.contracts.rows import BatchCatalog, Command, ShelfPolicy, ShelfProfile, key_json
from smartshelf.contracts.tables import TABLES
from smartshelf.contracts.topics import TOPICS
from smartshelf.io import kafka, postgres
from tests.integration.servers import Servers, eventually

pytestmark = [pytest.mark.servers]

#: What people own and the first load fills.
LOADED = [table.name for table in TABLES.values() if table.direction == "source" and table.schema == "config"]


def latest(servers: Servers, topic: str) -> dict[bytes, Any]:
    values = kafka.read_latest(servers.config.kafka_bootstrap, topic)
    return {key: TOPICS[topic].decoder.decode(value) for key, value in values.items()}


def execute(servers: Servers, statement: str, *values: Any, role: postgres.Role = "app") -> None:
    with postgres.connect(servers.config, role) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)


def policy_key(policy_id: str) -> bytes:
    return msgspec.json.encode({"policy_id": policy_id})


@pytest.mark.parametrize("topic", LOADED)
def test_every_row_is_in_its_topic_under_the_json_object_of_its_primary_key(connected: Servers, topic: str) -> None:
    with postgres.connect(connected.config, "analyst") as connection, connection.cursor() as cursor:
        cursor.execute(f"select count(*) from config.{topic}")
        expected = cursor.fetchone()[0]
    assert expected > 0
    rows = eventually(
        lambda: found if len(found := latest(connected, topic)) >= expected else None, f"all rows of {topic}"
    )
    assert len(rows) == expected
    # Connect writes characters beyond the first 65,536 as escapes: compare what the keys say.
    assert all(json.loads(key) == json.loads(key_json(type(row), row)) for key, row in rows.items())


def test_a_profile_arrives_as_it_stands_in_postgres(connected: Servers) -> None:
    with postgres.connect(connected.config, "analyst") as connection, connection.cursor() as cursor:
        cursor.execute("select * from config.shelf_profiles order by store_id, shelf_id limit 1")
        names = [column.name for column in cursor.description]
        row = dict(zip(names, cursor.fetchone(), strict=True))
    row |= {name: float(row[name]) for name in ("item_price", "item_cost")}
    key = key_json(ShelfProfile, row)
    found = eventually(lambda: latest(connected, "shelf_profiles").get(key), "the profile")
    assert msgspec.structs.asdict(found) == row


def test_a_new_policy_for_any_store_arrives_then_its_change_then_its_tombstone(connected: Servers) -> None:
    policy_id = str(uuid.uuid4())
    execute(
        connected,
        "insert into config.shelf_policies (policy_id, item_category, threshold_pct, target_pct, notes) "
        "values (%s, %s, 40, 90, %s)",
        policy_id,
        "GETRÄNKE",
        "für alle – 全部 🛒",
    )
    found: ShelfPolicy = eventually(
        lambda: latest(connected, "shelf_policies").get(policy_key(policy_id)), "the new policy"
    )
    assert (found.store_id, found.shelf_id, found.min_qty) == (None, None, None)
    assert (found.item_category, found.notes, found.threshold_pct) == ("GETRÄNKE", "für alle – 全部 🛒", 40.0)
    assert found.active is True

    execute(
        connected,
        "update config.shelf_policies set threshold_pct = 45.5, active = false where policy_id = %s",
        policy_id,
    )
    changed = eventually(
        lambda: (p := latest(connected, "shelf_policies")[policy_key(policy_id)]).threshold_pct == 45.5 and p,
        "the changed policy",
    )
    assert changed.active is False
    assert changed.updated_at > found.updated_at

    execute(connected, "delete from config.shelf_policies where policy_id = %s", policy_id)
    eventually(lambda: policy_key(policy_id) not in latest(connected, "shelf_policies"), "the policy's tombstone")


def test_the_heartbeat_reaches_its_own_topics_and_no_other(connected: Servers) -> None:
    bootstrap = connected.config.kafka_bootstrap
    for topic in ("debezium_heartbeat", "__debezium-heartbeat.pg"):
        eventually(lambda topic=topic: list(kafka.read_all(bootstrap, topic)), f"a record of {topic}")


def test_lots_arrive_with_iso_dates_and_a_delivered_one_follows_its_receipt(connected: Servers) -> None:
    execute(
        connected,
        "insert into ops.wh_supplier_receipts values (1, 1, 1, 'S01', 'R-cat', 'O', 'A', 'SUP', 'LOT-é', 5, 0, "
        "'2026-01-05', '2028-02-29', 5, now())",
        role="sink",
    )
    key = msgspec.json.encode({"store_id": "S01", "batch_code": "LOT-é"})
    lot: BatchCatalog = eventually(lambda: latest(connected, "batch_catalog").get(key), "the delivered lot")
    assert (lot.received_date, lot.expiry_date, lot.shelf_id) == ("2026-01-05", "2028-02-29", "A")
    execute(connected, "delete from config.batch_catalog where batch_code = 'LOT-é'", role="owner")
    eventually(lambda: key not in latest(connected, "batch_catalog"), "the lot's tombstone")


def test_a_command_arrives_whole_and_nothing_of_it_is_lost_on_the_way(connected: Servers) -> None:
    what = {"kind": "assign_alert", "alert_id": "shelf_alerts-1", "assigned_to": "Zoë 🛒", "note": None}
    command_id = str(uuid.uuid4())
    execute(
        connected,
        "insert into ops.commands (command_id, who, what) values (%s, %s, %s)",
        command_id,
        "Jürgen",
        msgspec.json.encode(what).decode(),
    )
    key = msgspec.json.encode({"store_id": "S01", "command_id": command_id})
    command: Command = eventually(lambda: latest(connected, "commands").get(key), "the command")
    assert (command.store_id, command.command_id, command.who) == ("S01", command_id, "Jürgen")
    assert msgspec.json.decode(command.what) == what
    asked = commands.read(command)
    assert (asked.stage, asked.what.assigned_to, asked.problem) == ("shelf_alerts", "Zoë 🛒", "")
