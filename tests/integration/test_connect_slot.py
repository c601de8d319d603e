"""The replication slot of a source that stands still: Postgres' log stays bounded, and no edit is lost."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg2
import pytest

from smartshelf.init.__main__ import ensure_database
from smartshelf.io import kafka, postgres
from smartshelf.io.postgres import dsn
from smartshelf.service import Service
from tests.integration.conftest import wait_for_connectors
from tests.integration.servers import Servers, eventually

pytestmark = [pytest.mark.servers]

LIMIT_MB = 32


@pytest.fixture
def bounded(connected: Servers) -> Iterator[Servers]:
    """The servers with a small bound on what a slot may hold back."""
    administer(connected, f"alter system set max_slot_wal_keep_size = '{LIMIT_MB}MB'")
    yield connected
    administer(connected, "alter system reset max_slot_wal_keep_size")


def administer(servers: Servers, *statements: str) -> None:
    admin = psycopg2.connect(dsn(servers.config, "owner"))
    admin.autocommit = True
    with admin.cursor() as cursor:
        for statement in (*statements, "select pg_reload_conf()"):
            cursor.execute(statement)
    admin.close()


def edit(servers: Servers, statement: str, *values: object) -> None:
    with postgres.connect(servers.config, "app") as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_a_source_that_stands_still_holds_back_no_more_log_than_allowed_and_makes_up_for_all_of_it(
    bounded: Servers,
) -> None:
    changed, deleted, born = (str(uuid.uuid4()) for _ in range(3))

    def in_topic() -> set[str]:
        rows = kafka.read_latest(bounded.config.kafka_bootstrap, "shelf_policies").values()
        return {
            part for part in (changed, deleted, born, "while it stood still") if any(part.encode() in r for r in rows)
        }

    for policy_id in (changed, deleted):
        edit(
            bounded,
            "insert into config.shelf_policies (policy_id, item_category) values (%s, %s)",
            policy_id,
            policy_id,
        )
    eventually(lambda: in_topic() == {changed, deleted}, "the policies")

    bounded.run("stop", "connect")
    edit(bounded, "update config.shelf_policies set notes = 'while it stood still' where policy_id = %s", changed)
    edit(bounded, "delete from config.shelf_policies where policy_id = %s", deleted)
    edit(bounded, "insert into config.shelf_policies (policy_id, item_category) values (%s, %s)", born, born)
    administer(bounded, "create table public.noise as select repeat('x', 1000) from generate_series(1, 120000)")
    administer(bounded, "checkpoint", "drop table public.noise", "checkpoint")
    held = eventually(lambda: (s := postgres.capture_slot(bounded.config)) and s.lost and s, "the slot to be given up")
    assert "restart init" in held.alarm

    ensure_database(Service("init", bounded.config))
    bounded.run("start", "connect")
    wait_for_connectors(bounded)
    eventually(lambda: in_topic() == {changed, born, "while it stood still"}, "every edit")
    assert not postgres.capture_slot(bounded.config).lost
