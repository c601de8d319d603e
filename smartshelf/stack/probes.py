"""Is a service well? Each probe asks it for real work, not only for an open port."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache

import confluent_kafka
import httpx
import psutil
import psycopg2
import redis
from confluent_kafka.admin import AdminClient

from smartshelf.errors import Unavailable
from smartshelf.io import connect, postgres
from smartshelf.service import is_healthy
from smartshelf.settings import Settings

#: What keeps a service from being well in a few words; None when it is well.
Probe = Callable[[], str | None]

#: For Kafka clients whose complaints are reported as problems instead.
SILENT = logging.getLogger("smartshelf.stack.probes.kafka")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


def probe_for(name: str, settings: Settings, connectors: Sequence[str]) -> Probe:
    """The probe of a service; ``connectors``: names of those that Connect must run."""
    special: dict[str, Probe] = {
        "redis": lambda: redis_problem(settings.redis_url),
        "kafka": lambda: kafka_problem(settings.kafka_bootstrap),
        "postgres": lambda: postgres_problem(settings),
        "connect": lambda: connect_problem(settings.connect_url, connectors),
        "dashboard": lambda: page_problem(settings.dashboard_url),
    }
    return special.get(name, lambda: None if is_healthy(settings, name) else "has not said that it is ready")


def listening_problem(pid: int, port: int) -> str | None:
    """None when process ``pid`` itself listens on ``port``, or may not be asked."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.AccessDenied:
        # Root in a container may not look into other users' processes, and Postgres runs as another user. No harm:
        # somebody else's Postgres would refuse this store's password.
        return None
    except psutil.Error:
        return "has ended"
    if any(entry.status == psutil.CONN_LISTEN and entry.laddr.port == port for entry in connections):
        return None
    return f"does not listen on {port} yet"


def redis_problem(url: str) -> str | None:
    """None when Redis answers a PING."""
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            client.ping()
    except redis.RedisError as failed:
        return _first_line(failed)
    return None


def kafka_problem(bootstrap: str) -> str | None:
    """None when the broker answers a metadata request."""
    options = {"bootstrap.servers": bootstrap, "socket.timeout.ms": 2000, "log_level": 0, "error_cb": lambda _: None}
    client = AdminClient(options, logger=SILENT)
    try:
        return None if client.list_topics(timeout=2).brokers else "no broker in the metadata"
    except confluent_kafka.KafkaException as failed:
        return str(failed.args[0].str())


def postgres_problem(settings: Settings) -> str | None:
    """None when Postgres answers a query of the owner."""
    try:
        postgres.answers(settings)
    except Unavailable as away:
        return _first_line(away.value)
    except psycopg2.Error as failed:
        return _first_line(failed)
    return None


def connect_problem(url: str, connectors: Sequence[str]) -> str | None:
    """None when all ``connectors`` and each of their tasks are RUNNING (/health is 200 with failed tasks)."""
    try:
        found = connect.problems(connect.states(url, _http(), timeout=3.0), connectors)
    except Unavailable as away:
        return str(away.value)
    return f"{found[0]} (and {len(found) - 1} more)" if len(found) > 1 else next(iter(found), None)


def page_problem(url: str) -> str | None:
    """None when the page's server answers."""
    try:
        _http().get(f"{url}/_stcore/health").raise_for_status()
    except httpx.HTTPError as failed:
        return _first_line(failed) or type(failed).__name__
    return None


@cache
def _http() -> httpx.Client:
    """One client for all probes: to make one takes 25 ms of CPU, and a start asks ten times a second."""
    return httpx.Client(timeout=3)


def _first_line(told: object) -> str:
    return (str(told).strip().splitlines() or [""])[0]
