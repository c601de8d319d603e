"""What the business says: tasks and done marks, read from Kafka at the position that the world saved."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from producers.worlds import TASKS
from smartshelf.contracts.control import Done, Task
from smartshelf.contracts.topics import TOPICS
from smartshelf.errors import Unavailable
from smartshelf.io import kafka

log = logging.getLogger(__name__)

#: Records taken at once.
BATCH = 1_000
#: Say no more often than this that Kafka is away, real seconds.
COMPLAIN_EVERY = 10.0


class Heard(NamedTuple):
    """A record and where it was."""

    message: Task | Done
    partition: int
    offset: int


class TaskReader:
    """Committed records of ``world_tasks`` from ``offsets`` (partition -> next offset) on."""

    def __init__(self, bootstrap: str, offsets: Mapping[str, int]) -> None:
        self._decoder = TOPICS[TASKS].decoder
        self._complained = 0.0
        self._consumer: Consumer = kafka.consumer(bootstrap, "producers-tasks")
        partitions = kafka.partition_counts(self._consumer).get(TASKS, 0)
        if not partitions:
            raise Unavailable(f"The topic {TASKS} is not there yet", value=bootstrap, remedy="Has init run?")
        self._consumer.assign(
            [TopicPartition(TASKS, p, offsets.get(str(p), OFFSET_BEGINNING)) for p in range(partitions)]
        )

    def poll(self, timeout: float) -> list[Heard]:
        """What has arrived; waits up to ``timeout`` real seconds for the first record."""
        try:
            first = self._consumer.poll(timeout)
            if first is None:
                return []
            messages = [first, *self._consumer.consume(BATCH, timeout=0)]
        except KafkaException as failed:
            self._complain(str(failed))
            return []
        return [heard for message in messages if (heard := self._hear(message))]

    def close(self) -> None:
        self._consumer.close()

    def _hear(self, message: Message) -> Heard | None:
        if (error := message.error()) is not None:
            self._complain(error.str())
            return None
        try:
            return Heard(self._decoder.decode(message.value() or b""), message.partition(), message.offset())
        except msgspec.DecodeError as wrong:
            # Stages are the only writers and share this contract: nothing that waiting could mend.
            log.error("%s/%d/%d is no task: %s", TASKS, message.partition(), message.offset(), wrong)
            return None

    def _complain(self, reason: str) -> None:
        if time.monotonic() - self._complained > COMPLAIN_EVERY:
            self._complained = time.monotonic()
            log.warning("Kafka: %s", reason)
