"""How far the stages are, from their done marks (topic ``world_tasks``)."""

from __future__ import annotations

from collections.abc import Collection

from confluent_kafka import KafkaException, TopicPartition

from smartshelf.contracts.control import Done
from smartshelf.contracts.topics import TOPICS
from smartshelf.errors import Unavailable
from smartshelf.io import kafka

TOPIC = "world_tasks"

#: Records before a partition's end at which reading begins: every stage marks each batch of steps, so all are there.
TAIL = 2_000


class Marks:
    """Follows the done marks of all stores; ``done`` is the last step that a stage has decided for every store."""

    def __init__(self, bootstrap: str, stores: Collection[str], epoch: int) -> None:
        self._stores, self._epoch = stores, epoch
        self._reached: dict[tuple[str, str], int] = {}
        # Small queues: the service must stay small, and a mark is a few hundred bytes.
        self._reader = kafka.consumer(
            bootstrap, "runner", **{"queued.max.messages.kbytes": 1_024, "fetch.wait.max.ms": 500}
        )
        try:
            count = kafka.partition_counts(self._reader).get(TOPIC, 0)
            parts = [TopicPartition(TOPIC, number) for number in range(count)]
            for part in parts:
                low, high = self._reader.get_watermark_offsets(part, timeout=10.0)
                part.offset = max(low, high - TAIL)
            self._reader.assign(parts)
        except KafkaException as failed:
            raise kafka.away(failed) from failed

    def follow(self) -> None:
        """Read what has come since; waits up to a second for the first mark. Raises Unavailable when it cannot."""
        while messages := self._reader.consume(1_000, timeout=1.0):
            for message in messages:
                if (error := message.error()) is None:
                    self.hear(message.value())
                elif not error.retriable():
                    raise Unavailable("Kafka does not let the done marks be read", value=error.str())
            if len(messages) < 1_000:
                return

    def hear(self, value: bytes) -> None:
        """One record of the topic; tasks and marks of another epoch are not ours."""
        told = TOPICS[TOPIC].decoder.decode(value)
        if isinstance(told, Done) and told.epoch == self._epoch:
            key = (told.stage, told.store_id)
            self._reached[key] = max(told.k, self._reached.get(key, -1))

    def done(self, stage: str) -> int:
        """The last step that the stage has decided for every store; -1 for a stage that has not been heard of."""
        return min(self._reached.get((stage, store), -1) for store in self._stores)

    def close(self) -> None:
        self._reader.close()
