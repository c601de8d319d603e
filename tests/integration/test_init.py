"""The one-shot step between servers and services, as a process."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from smartshelf.contracts import redis_keys
from smartshelf.contracts.topics import STREAMS, TOPICS
from smartshelf.init import reference, topics
from smartshelf.io import kafka, postgres, redis_stream
from tests.integration.servers import Servers

pytestmark = [pytest.mark.servers]


def everything(servers: Servers) -> dict[str, Any]:
    """All that init may touch."""
    config = servers.config
    with postgres.connect(config) as connection, connection.cursor() as cursor:
        cursor.execute("select rolname, rolpassword from pg_authid where rolname like 'smartshelf%' order by 1")
        roles = cursor.fetchall()
        cursor.execute("select version_num from alembic_version")
        version = cursor.fetchall()
        tables = {}
        for table in reference.FILES.values():
            # xmin is the transaction that wrote a row: it tells a rewritten row from an untouched one.
            cursor.execute(f"select count(*), min(xmin::text::bigint), max(xmin::text::bigint) from {table}")
            tables[table] = cursor.fetchall()
    redis = redis_stream.connect(config.redis_url)
    streams = {name: redis_stream.last_generated_id(redis, name) for name in (*STREAMS, redis_keys.MARKS)}
    files = {path: path.stat().st_mtime_ns for path in sorted(config.data_dir.rglob("*"))}
    return {"roles": roles, "version": version, "tables": tables, "streams": streams, "files": files}


def processor_seconds() -> float:
    """CPU time of all ended child processes: unlike wall time, the same on a busy machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_init_prepares_everything_and_its_repetition_changes_nothing_and_is_quick(servers: Servers) -> None:
    first = servers.python("smartshelf.init")
    assert first.returncode == 0, first.stderr
    prepared = everything(servers)
    assert {name: rows[0][0] > 0 for name, rows in prepared["tables"].items()} == dict.fromkeys(
        reference.FILES.values(), True
    )
    assert prepared["streams"]["shelf_events"] != "0-0"
    assert prepared["streams"][redis_keys.MARKS] != "0-0"
    bootstrap = servers.config.kafka_bootstrap
    reader = kafka.consumer(bootstrap, "test-init")
    assert set(TOPICS) <= set(kafka.partition_counts(reader))
    reader.close()
    assert topics.drift(bootstrap, servers.config.fact_partitions) == []

    before = processor_seconds()
    second = servers.python("smartshelf.init")
    seconds = processor_seconds() - before
    assert second.returncode == 0, second.stderr
    assert everything(servers) == prepared
    assert seconds < 3, "a start of a store with nothing to do must not wait for init"


def test_other_partitions_than_the_settings_say_are_told_and_left_alone(servers: Servers) -> None:
    kafka.ensure_topics(servers.config.kafka_bootstrap, servers.config.fact_partitions)
    more = servers.config.fact_partitions + 2
    assert kafka.ensure_topics(servers.config.kafka_bootstrap, more) == []
    told = topics.drift(servers.config.kafka_bootstrap, more)
    assert told == [
        f"topic {topic.name} has 1 partitions, the settings say {more}" for topic in TOPICS.values() if topic.by_store
    ]


def test_the_database_check_of_the_command_line_is_silent_when_all_is_well(servers: Servers) -> None:
    assert servers.python("smartshelf.init").returncode == 0
    checked = servers.python("smartshelf.init", "--check-database")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_without_servers_init_says_so_in_a_sentence(servers: Servers) -> None:
    servers.env |= {"SMARTSHELF_POSTGRES_PORT": "1"}
    try:
        failed = servers.python("smartshelf.init", "--check-database")
    finally:
        del servers.env["SMARTSHELF_POSTGRES_PORT"]
    assert failed.returncode == 2
    assert "Postgres does not answer" in failed.stderr
    assert "Traceback" not in failed.stderr
