"""Which configuration each store has: offsets for the ticks, and whether all of it is there."""

from __future__ import annotations

import logging
import time

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from smartshelf.contracts.control import Mark, Offsets
from smartshelf.contracts.topics import CONFIG
from smartshelf.errors import Unavailable
from smartshelf.io import kafka
from smartshelf.io.configuration import EVERY_STORE, concerned_store

log = logging.getLogger(__name__)


class ConfigState:
    """What the configuration topics hold, by store. Pure: records in, offsets and counts out."""

    def __init__(self) -> None:
        #: store (or EVERY_STORE) -> topic -> partition -> last offset
        self._last: dict[str | None, dict[str, dict[str, int]]] = {}
        #: topic -> key -> store: the rows there are now
        self._rows: dict[str, dict[bytes, str | None]] = {}

    def record(self, topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take in one committed record; one that is not JSON concerns nobody."""
        try:
            store = concerned_store(key, value)
        except (msgspec.DecodeError, UnicodeDecodeError) as bad:
            log.error("%s/%d/%d is not configuration: %s", topic, partition, offset, bad)
            return
        self._last.setdefault(store, {}).setdefault(topic, {})[str(partition)] = offset
        rows = self._rows.setdefault(topic, {})
        if value is None:
            rows.pop(key or b"", None)
        else:
            rows[key or b""] = store

    def offsets(self, store: str) -> Offsets:
        """Offset of the last record that concerns a store, by topic and partition; topics without any are left out."""
        merged: Offsets = {}
        for owner in (store, EVERY_STORE):
            for topic, partitions in self._last.get(owner, {}).items():
                into = merged.setdefault(topic, {})
                for partition, offset in partitions.items():
                    into[partition] = max(offset, into.get(partition, -1))
        return merged

    def missing(self, mark: Mark) -> str:
        """What configuration a mark waits for, as a phrase; empty when everything is there."""
        for store, wanted in (mark.rows or {}).items():
            for topic, count in wanted.items():
                there = sum(owner in (store, EVERY_STORE) for owner in self._rows.get(topic, {}).values())
                if there < count:
                    return f"{there} of {count} rows of {topic} for {store}"
        return ""


class ConfigView:
    """ConfigState kept up to date by a consumer that reads the topics from the beginning at each start."""

    def __init__(self, bootstrap: str) -> None:
        self.state = ConfigState()
        self._consumer: Consumer = kafka.consumer(bootstrap, "bridge-config", **{"enable.partition.eof": True})
        counts = kafka.partition_counts(self._consumer)
        self._unread = {(topic.name, p) for topic in CONFIG for p in range(counts.get(topic.name, 0))}
        self._consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for topic, p in sorted(self._unread)])

    def catch_up(self, timeout: float = 60.0) -> None:
        """Read to the ends; raises Unavailable when that takes more than ``timeout`` real seconds."""
        deadline = time.monotonic() + timeout
        while self._unread:
            self._read(0.2)
            if time.monotonic() > deadline:
                raise Unavailable("Kafka does not deliver the configuration topics", remedy="Is kafka well?")

    def poll(self) -> None:
        """Take in what has arrived, without waiting."""
        self._read(0)

    def _read(self, timeout: float) -> None:
        for message in self._consumer.consume(1_000, timeout=timeout):
            if (error := message.error()) is None:
                self._take(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._unread.discard((message.topic(), message.partition()))
            elif error.fatal():
                raise KafkaException(error)
            else:
                log.warning("configuration topics: %s", error.str())

    def _take(self, message: Message) -> None:
        self.state.record(message.topic(), message.partition(), message.offset(), message.key(), message.value())

    def close(self) -> None:
        self._consumer.close()
