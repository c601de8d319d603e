"""Kafka Connect: what its tasks do, how far its sinks are, and a second chance for failed tasks.

Its own ``/health`` says 200 while tasks are FAILED, and a task can say RUNNING while it waits for a database with
a wrong password: only task states and lag together tell whether data flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from confluent_kafka import KafkaException, TopicPartition

from smartshelf.contracts.render.connect import connectors, consumer_group
from smartshelf.errors import Unavailable
from smartshelf.io import kafka

#: Real seconds for one answer of the REST interface; a worker that is starting tasks is slow to answer.
TIMEOUT = 10.0

RUNNING, FAILED = "RUNNING", "FAILED"


@dataclass(frozen=True)
class ConnectorState:
    """One connector with its tasks; a ``reason`` is the first line of what made it fail."""

    name: str
    state: str
    tasks: tuple[str, ...]
    reason: str = ""

    @property
    def running(self) -> bool:
        """Whether the connector and at least one task run, and none does not."""
        return bool(self.tasks) and all(state == RUNNING for state in (self.state, *self.tasks))

    @property
    def failed(self) -> bool:
        """Whether the connector or a task has given up; it stays so until it is restarted."""
        return FAILED in (self.state, *self.tasks)


def expected() -> list[str]:
    """Names of the connectors that the contracts ask for."""
    return [connector["name"] for connector in connectors()]


def states(url: str) -> dict[str, ConnectorState]:
    """Every connector that the worker knows, by name. Raises Unavailable when it does not answer."""
    answer = _request("GET", f"{url}/connectors", params={"expand": "status"}).json()
    return {name: _state(name, entry["status"]) for name, entry in sorted(answer.items())}


def problems(found: Mapping[str, ConnectorState], wanted: Iterable[str]) -> list[str]:
    """What keeps the wanted connectors from working, one line each; [] when all run."""
    wrong = []
    for name in wanted:
        state = found.get(name)
        if state is None:
            wrong.append(f"connector {name} is not there")
        elif not state.tasks:
            wrong.append(f"connector {name} has no task yet")
        elif not state.running:
            told = f": {state.reason}" if state.reason else ""
            wrong.append(f"connector {name} is {state.state}, its task {', '.join(state.tasks)}{told}")
    return wrong


def restart_failed(url: str) -> list[str]:
    """Restart what has FAILED, leaving the rest alone; returns the names. Raises Unavailable."""
    failed = [name for name, state in states(url).items() if state.failed]
    for name in failed:
        options = {"includeTasks": "true", "onlyFailed": "true"}
        _request("POST", f"{url}/connectors/{name}/restart", params=options)
    return failed


def positions(bootstrap: str, connector: str, topic: str) -> dict[int, int]:
    """The next offset that a sink will read, by partition: everything before it is in Postgres.

    Asks Kafka, so Connect need not run. Connect saves positions every ``offset.flush.interval.ms``; -1 means none yet.
    Raises Unavailable when Kafka does not answer.
    """
    reader = kafka.consumer(bootstrap, consumer_group(connector))
    try:
        return _positions(reader, topic)
    except KafkaException as failed:
        raise Unavailable("Kafka does not answer", value=str(failed)) from failed
    finally:
        reader.close()


def lag(bootstrap: str, connector: str, topic: str) -> int:
    """Offsets between a sink's saved position and the end of its topic.

    An upper bound of the records on their way: the commit mark of every transaction takes an offset too, so a sink
    that has everything shows one or two. Raises Unavailable when Kafka does not answer.
    """
    reader = kafka.consumer(bootstrap, consumer_group(connector))
    try:
        behind = 0
        for partition, position in _positions(reader, topic).items():
            low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT)
            behind += high - max(position, low)
        return behind
    except KafkaException as failed:
        raise Unavailable("Kafka does not answer", value=str(failed)) from failed
    finally:
        reader.close()


def _positions(reader: Any, topic: str) -> dict[int, int]:
    count = kafka.partition_counts(reader).get(topic, 0)
    saved = reader.committed([TopicPartition(topic, number) for number in range(count)], timeout=TIMEOUT)
    return {entry.partition: max(entry.offset, -1) for entry in saved}


def _state(name: str, status: dict[str, Any]) -> ConnectorState:
    tasks = status["tasks"]
    traces = [part["trace"] for part in (status["connector"], *tasks) if part.get("trace")]
    reason = traces[0].splitlines()[0] if traces else ""
    return ConnectorState(name, status["connector"]["state"], tuple(task["state"] for task in tasks), reason)


def _request(method: str, url: str, **options: Any) -> httpx.Response:
    try:
        return httpx.request(method, url, timeout=TIMEOUT, **options).raise_for_status()
    except httpx.HTTPError as failed:
        raise Unavailable(
            "Kafka Connect does not answer",
            value=str(failed).splitlines()[0] if str(failed) else type(failed).__name__,
            remedy="Is the service connect running?",
        ) from failed
