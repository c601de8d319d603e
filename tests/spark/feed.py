"""Writes made-up logs to a real Kafka as bridge and Connect would: facts and tick in one transaction."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from smartshelf.contracts.control import Offsets, Tick
from smartshelf.contracts.topics import TOPICS
from smartshelf.io.kafka import TransactionalWriter
from spark_apps.runtime.records import Record
from spark_apps.runtime.stage import TICKS


class Log(Protocol):
    """What one store's bridge and capture have written so far, in order."""

    store: str
    written: list[Record]


class Feed:
    """Gives the records of store logs their real offsets, and the ticks the real cuts."""

    def __init__(self, bootstrap: str) -> None:
        self._writer = TransactionalWriter(bootstrap, "test-feed")
        #: (store, topic, made-up offset) -> (partition, offset in Kafka)
        self.placed: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._fed: dict[str, int] = {}

    def feed(self, *logs: Log, ticks_per_transaction: int = 1, disorder: random.Random | None = None) -> None:
        """What the logs hold beyond what was fed before; stores take turns, a step each.

        With ``disorder`` the facts of a chunk come topic by topic in any order, each topic in its own transaction, so
        that a reader sees one topic far ahead of another.
        """
        turns = [_steps(log, self._fed.get(log.store, 0)) for log in logs]
        for log in logs:
            self._fed[log.store] = len(log.written)
        steps = [step for group in _zip_longest(turns) for step in group]
        for begin in range(0, len(steps), ticks_per_transaction):
            chunk = steps[begin : begin + ticks_per_transaction]
            given = [(log, record) for log, records in chunk for record in records]
            topics = sorted({record.topic for _, record in given} - {TICKS})
            if disorder is None:
                self._send(given, {*topics, TICKS})
                continue
            disorder.shuffle(topics)
            for topic in (*topics, TICKS):
                self._send(given, {topic})

    def _send(self, given: list[tuple[Log, Record]], topics: set[str]) -> None:
        chosen = [(log, record) for log, record in given if record.topic in topics]
        if chosen:
            self._writer.transaction(lambda writer: self._fill(writer, chosen))

    def _fill(self, writer: TransactionalWriter, given: list[tuple[Log, Record]]) -> None:
        for log, record in given:
            if record.topic != TICKS:
                self._produce(writer, log.store, record, record.value)
        writer.flush()
        for log, record in given:
            if record.topic == TICKS:
                tick = msgspec.json.decode(record.value or b"", type=Tick)
                cut, config = self._real(log.store, tick.cut), self._real(log.store, tick.config)
                real = msgspec.structs.replace(tick, cut=cut, config=config)
                self._produce(writer, log.store, record, msgspec.json.encode(real))
        writer.flush()

    def _produce(self, writer: TransactionalWriter, store: str, record: Record, value: bytes | None) -> None:
        partition = writer.partition_of(record.topic, store) if TOPICS[record.topic].by_store else 0

        def placed(error: Any, message: Any) -> None:
            assert error is None, error
            self.placed[store, record.topic, record.offset] = (message.partition(), message.offset())

        writer.produce(record.topic, value, record.key, partition, placed)

    def _real(self, store: str, cut: Offsets) -> Offsets:
        real: Offsets = {}
        for topic, partitions in cut.items():
            for offset in partitions.values():
                partition, there = self.placed[store, topic, offset]
                real[topic] = {str(partition): there}
        return real

    def origin(self, store: str, made_up: str) -> str:
        """Where a record of a log really stands."""
        topic, _, offset = made_up.split("/")
        partition, there = self.placed[store, topic, int(offset)]
        return f"{topic}/{partition}/{there}"


def _steps(log: Log, begin: int) -> list[tuple[Log, list[Record]]]:
    steps: list[tuple[Log, list[Record]]] = []
    records: list[Record] = []
    for record in log.written[begin:]:
        records.append(record)
        if record.topic == "sim_ticks":
            steps.append((log, records))
            records = []
    return [*steps, (log, records)] if records else steps


def _zip_longest(groups: list[list[Any]]) -> Iterable[list[Any]]:
    for number in range(max(map(len, groups), default=0)):
        yield [group[number] for group in groups if number < len(group)]
