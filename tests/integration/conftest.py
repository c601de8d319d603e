"""One set of real servers for all integration tests that ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smartshelf.init.__main__ import ensure_database, ensure_topics, load_reference
from smartshelf.io import connect
from smartshelf.service import Service
from tests.integration.servers import Servers, eventually, running


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Redis, Kafka and Postgres, running and empty."""
    with running(tmp_path_factory.mktemp("real servers"), "redis", "kafka", "postgres") as servers:
        yield servers


@pytest.fixture(scope="session")
def connected(servers: Servers) -> Servers:
    """The servers with topics, tables and reference data, and with every connector running."""
    service = Service("init", servers.config)
    ensure_topics(service)
    ensure_database(service)
    load_reference(service)
    servers.run("up", "--only", "redis,kafka,postgres,connect")
    wait_for_connectors(servers)
    return servers


def wait_for_connectors(servers: Servers) -> None:
    """Wait until Connect answers and every connector of the contracts runs."""

    def all_run() -> bool:
        try:
            return not connect.problems(connect.states(servers.config.connect_url), connect.expected())
        except connect.Unavailable:
            return False

    eventually(all_run, "every connector to run", timeout=90)
