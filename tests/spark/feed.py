"""Writes made-up logs to a real Kafka as bridge and Connect would: facts and tick in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from smartshelf.contracts.control import Offsets, Tick
from smartshelf.contracts.topics import TOPICS
from smartshelf.io.kafka import TransactionalWriter
from spark_apps.runtime.records import Record
from tests.spark.log import StoreLog


class Feed:
    """Gives the records of store logs their real offsets, and the ticks the real cuts."""

    def __init__(self, bootstrap: str) -> None:
        self._writer = TransactionalWriter(bootstrap, "test-feed")
        #: (store, topic, made-up offset) -> (partition, offset in Kafka)
        self.placed: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._fed: dict[str, int] = {}

    def feed(self, *logs: StoreLog, ticks_per_transaction: int = 1) -> None:
        """What the logs hold beyond what was fed before; stores take turns, a step each."""
        turns = [_steps(log, self._fed.get(log.store, 0)) for log in logs]
        for log in logs:
            self._fed[log.store] = len(log.written)
        steps = [step for group in _zip_longest(turns) for step in group]
        for begin in range(0, len(steps), ticks_per_transaction):
            chunk = steps[begin : begin + ticks_per_transaction]
            self._writer.transaction(lambda writer, chunk=chunk: self._fill(writer, chunk))  # type: ignore[misc]

    def _fill(self, writer: TransactionalWriter, steps: Iterable[tuple[StoreLog, list[Record]]]) -> None:
        steps = list(steps)
        for log, records in steps:
            for record in records:
                if record.topic != "sim_ticks":
                    self._produce(writer, log.store, record, record.value)
        writer.flush()
        for log, records in steps:
            for record in records:
                if record.topic == "sim_ticks":
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


def _steps(log: StoreLog, begin: int) -> list[tuple[StoreLog, list[Record]]]:
    steps: list[tuple[StoreLog, list[Record]]] = []
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
