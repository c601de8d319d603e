"""Kafka Connect: what its tasks do, and how far its sinks are.

Its own ``/health`` says 200 while tasks are FAILED, and a task can say RUNNING while it waits for a database with
a wrong password: only task states and lag together tell whether data flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from confluent_kafka import KafkaException, TopicPartition

from smartshelf.contracts.render.connect import connectors, consumer_group
from smartshelf.errors import Unavailable
from smartshelf.io import kafka

#: Real seconds for one answer of the REST interface; a worker that is starting tasks is slow to answer.
TIMEOUT = 10.0

#: Offsets up to which what a sink has still to write is counted record by record.
NEAR = 1_000

RUNNING = "RUNNING"


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


def expected() -> list[str]:
    """Names of the connectors that the contracts ask for."""
    return [connector["name"] for connector in connectors()]


def states(url: str, client: Any = httpx, timeout: float = TIMEOUT) -> dict[str, ConnectorState]:
    """Every connector that the worker knows, by name. Raises Unavailable when it does not answer.

    ``client``: an httpx.Client for who asks often; to make one takes 25 ms of CPU.
    """
    try:
        answer = client.get(f"{url}/connectors", params={"expand": "status"}, timeout=timeout).raise_for_status()
    except httpx.HTTPError as failed:
        raise Unavailable(
            "Kafka Connect does not answer",
            value=str(failed).splitlines()[0] if str(failed) else type(failed).__name__,
            remedy="Is the service connect running?",
        ) from failed
    return {name: _state(name, entry["status"]) for name, entry in sorted(answer.json().items())}


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


def positions(bootstrap: str, connector: str, topic: str) -> dict[int, int]:
    """The next offset that a sink will read, by partition: everything before it is in Postgres.

    Asks Kafka, so Connect need not run. Connect saves positions every ``offset.flush.interval.ms``; -1 means none yet.
    Raises Unavailable when Kafka does not answer.
    """
    with _group(bootstrap, connector) as reader:
        return _positions(reader, topic)


def lags(bootstrap: str, sinks: Mapping[str, str]) -> dict[str, int]:
    """Records that each sink (connector -> its topic) has not saved as written; raises Unavailable.

    Counted where they are few. Far behind it is the number of offsets, a little more: commit marks take some too.
    """
    with ThreadPoolExecutor(max_workers=8) as pool:
        starts = list(pool.map(lambda sink: _starts(bootstrap, *sink), sinks.items()))
    behind = {connector: sum(offsets.values()) for connector, offsets in zip(sinks, starts, strict=True)}
    near = [part for offsets in starts if 0 < sum(offsets.values()) <= NEAR for part in offsets]
    if near:
        counted, topics = kafka.count_records(bootstrap, near), {part.topic for part in near}
        behind |= {connector: counted[topic] for connector, topic in sinks.items() if topic in topics}
    return behind


def _starts(bootstrap: str, connector: str, topic: str) -> dict[TopicPartition, int]:
    """Where a sink will read on, and how many offsets lie from there to the end."""
    starts = {}
    with _group(bootstrap, connector) as reader:
        for partition, position in _positions(reader, topic).items():
            low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT)
            at = max(position, low)
            starts[TopicPartition(topic, partition, at)] = high - at
    return starts


@contextmanager
def _group(bootstrap: str, connector: str) -> Iterator[Any]:
    """Asks for a sink's positions as a member would, without becoming one.

    ``AdminClient.list_consumer_group_offsets`` of librdkafka 2.16 dies with a segmentation fault when the broker has
    no coordinator for the group yet.
    """
    reader = kafka.consumer(bootstrap, consumer_group(connector), error_cb=lambda _: None)
    try:
        yield reader
    except KafkaException as failed:
        raise kafka.away(failed) from failed
    finally:
        reader.close()


def _positions(reader: Any, topic: str) -> dict[int, int]:
    count = kafka.partition_counts(reader).get(topic, 0)
    if not count:
        return {}
    saved = reader.committed([TopicPartition(topic, number) for number in range(count)], timeout=TIMEOUT)
    return {entry.partition: max(entry.offset, -1) for entry in saved}


def _state(name: str, status: dict[str, Any]) -> ConnectorState:
    tasks = status["tasks"]
    traces = [part["trace"] for part in (status["connector"], *tasks) if part.get("trace")]
    reason = traces[0].splitlines()[0] if traces else ""
    return ConnectorState(name, status["connector"]["state"], tuple(task["state"] for task in tasks), reason)
