"""A real Kafka for the Spark tests, and an empty store in it for each test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from smartshelf.io import kafka
from tests.integration.servers import Servers, eventually
from tests.spark.running import SparkStore

PARTITIONS = 2


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A Kafka of the tests' own."""
    servers = Servers(tmp_path_factory.mktemp("kafka for spark"))
    servers.run("up", "--only", "kafka")
    yield servers
    servers.run("down")
    servers.run("reset", "--yes")


@pytest.fixture
def spark_store(broker: Servers, tmp_path: Path) -> Iterator[SparkStore]:
    """Empty topics, empty tables, no process yet; whatever runs at the end is killed."""
    bootstrap = broker.config.kafka_bootstrap
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        if there := [
            name for name in admin.list_topics() if not name.startswith("__consumer") and name != "__transaction_state"
        ]:
            admin.delete_topics(there)
            eventually(lambda: not set(there) & set(admin.list_topics()), "the topics to go")
    finally:
        admin.close()
    eventually(lambda: _made(bootstrap), "the topics to be there")
    store = SparkStore(broker, tmp_path / "delta", PARTITIONS)
    yield store
    store.kill()


def _made(bootstrap: str) -> bool:
    kafka.ensure_topics(bootstrap, PARTITIONS)
    time.sleep(0.5)
    return not kafka.ensure_topics(bootstrap, PARTITIONS)
