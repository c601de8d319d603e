"""Kafka: clients with exact settings, topics from the contract, transactions, reading to an offset."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from kafka import KafkaAdminClient
from kafka import TopicPartition as AdminPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError as AdminError
from kafka.errors import TopicAlreadyExistsError

from smartshelf.contracts.control import Offsets
from smartshelf.contracts.topics import TOPICS, Topic
from smartshelf.errors import Fenced, SmartShelfError, Unavailable

log = logging.getLogger(__name__)

#: librdkafka prints every failed connection attempt below this level, once a second while the broker is away.
QUIET = {"log_level": 2}


def away(failed: KafkaException | AdminError) -> Unavailable:
    """What a person is told of a broker that does not answer."""
    error = failed.args[0] if failed.args else failed
    reason = error.str() if isinstance(error, KafkaError) else str(failed)
    return Unavailable("Kafka does not answer", value=reason, remedy="Is the store up? See `smartshelf status`.")


# --- where a record goes -------------------------------------------------------------------------


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 (org.apache.kafka.common.utils.Utils.murmur2), as an unsigned number."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    length = len(data)
    h = (0x9747B28C ^ length) & mask
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    for shift, byte in enumerate(data[whole:]):
        h ^= byte << (8 * shift)
    if length & 3:
        h = h * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)


def partition_for_store(store_id: str, partitions: int) -> int:
    """The partition that holds all of a store's records of a topic."""
    return (murmur2(store_id.encode()) & 0x7FFFFFFF) % partitions


# --- topics --------------------------------------------------------------------------------------


def brokers_answer(bootstrap: str) -> bool:
    """True when the broker serves metadata; raises Unavailable otherwise."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "probe", **QUIET})
    try:
        consumer.list_topics(timeout=5)
        return True
    except KafkaException as failed:
        raise away(failed) from failed
    finally:
        consumer.close()


def partition_counts(client: Consumer | Producer, timeout: float = 10.0) -> dict[str, int]:
    """Number of partitions by topic."""
    try:
        metadata = client.list_topics(timeout=timeout)
    except KafkaException as failed:
        raise away(failed) from failed
    return {name: len(topic.partitions) for name, topic in metadata.topics.items()}


def existing_topics(bootstrap: str) -> set[str]:
    """Names of the topics there are; Unavailable when Kafka does not answer."""
    reader = consumer(bootstrap, "smartshelf-reader")
    try:
        return set(partition_counts(reader, timeout=5.0))
    finally:
        reader.close()


def ensure_topics(bootstrap: str, fact_partitions: int, topics: Iterable[Topic] = tuple(TOPICS.values())) -> list[str]:
    """Create the topics that do not exist yet and return their names; existing ones are left as they are.

    Raises Unavailable when Kafka does not do it.
    """
    with _admin(bootstrap, "smartshelf-init") as admin:
        there = set(admin.list_topics())
        missing = [topic for topic in topics if topic.name not in there]
        try:
            if missing:
                admin.create_topics([_new(topic, fact_partitions) for topic in missing])
        except TopicAlreadyExistsError:
            return []  # another init made them just now
        return [topic.name for topic in missing]


def _new(topic: Topic, fact_partitions: int) -> NewTopic:
    return NewTopic(
        name=topic.name,
        num_partitions=fact_partitions if topic.by_store else 1,
        replication_factor=1,
        topic_configs=topic.config(),
    )


def delete_before(bootstrap: str, offsets: Offsets) -> None:
    """Delete the records below these offsets, by topic and partition; repeating it changes nothing.

    Raises Unavailable when Kafka does not do it.
    """
    wanted = {
        AdminPartition(topic, int(part)): offset for topic, parts in offsets.items() for part, offset in parts.items()
    }
    if not wanted:
        return
    with _admin(bootstrap, "smartshelf-retention") as admin:
        admin.delete_records(wanted)


@contextmanager
def _admin(bootstrap: str, client_id: str) -> Iterator[KafkaAdminClient]:
    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap, client_id=client_id)
    except AdminError as failed:
        raise away(failed) from failed
    try:
        yield admin
    except AdminError as failed:
        raise Unavailable("Kafka refuses a change of its topics", value=str(failed)) from failed
    finally:
        admin.close()


# --- reading -------------------------------------------------------------------------------------


def consumer(bootstrap: str, group: str, **overrides: Any) -> Consumer:
    """A read_committed consumer that commits nothing: positions live elsewhere (checkpoints, transactions)."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
            **QUIET,
            **overrides,
        }
    )


def end_offsets(bootstrap: str, topics: Iterable[str]) -> Offsets:
    """The next offset to be written, by topic and partition (as text); Unavailable when Kafka does not answer."""
    return _watermarks(bootstrap, topics, 1)


def start_offsets(bootstrap: str, topics: Iterable[str]) -> Offsets:
    """The first offset that was not deleted, by topic and partition (as text); Unavailable like ``end_offsets``."""
    return _watermarks(bootstrap, topics, 0)


def _watermarks(bootstrap: str, topics: Iterable[str], which: int) -> Offsets:
    def ask(reader: Consumer, parts: list[TopicPartition]) -> list[int]:
        return [reader.get_watermark_offsets(part, timeout=10.0)[which] for part in parts]

    return _asked(bootstrap, topics, ask)


def offsets_since(bootstrap: str, topics: Iterable[str], moment_ms: int) -> Offsets:
    """The first offset appended at or after a moment (real ms since 1970), or the end; Unavailable like the others."""

    def ask(reader: Consumer, parts: list[TopicPartition]) -> list[int]:
        asked = [TopicPartition(part.topic, part.partition, moment_ms) for part in parts]
        found = reader.offsets_for_times(asked, timeout=10.0)
        return [
            part.offset if part.offset >= 0 else reader.get_watermark_offsets(part, timeout=10.0)[1] for part in found
        ]

    return _asked(bootstrap, topics, ask)


def _asked(
    bootstrap: str, topics: Iterable[str], ask: Callable[[Consumer, list[TopicPartition]], list[int]]
) -> Offsets:
    """One offset of every partition of these topics, by topic and partition."""
    reader = consumer(bootstrap, "smartshelf-reader")
    try:
        counts = partition_counts(reader)
        found: Offsets = {}
        for topic in topics:
            parts = [TopicPartition(topic, part) for part in range(counts.get(topic, 0))]
            found[topic] = {str(part.partition): at for part, at in zip(parts, ask(reader, parts), strict=True)}
        return found
    except KafkaException as failed:
        raise away(failed) from failed
    finally:
        reader.close()


def appended_at(bootstrap: str, topic: str, partition: int, offset: int) -> int | None:
    """When the first record at or after an offset was appended, real ms since 1970; None when there is none."""
    for message in read_all(bootstrap, topic, {partition: offset}, only=(partition,)):
        moment: int = message.timestamp()[1]
        return moment
    return None


def read_all(
    bootstrap: str,
    topic: str,
    start: Mapping[int, int] | None = None,
    timeout: float = 60.0,
    only: Collection[int] | None = None,
) -> Iterator[Message]:
    """Every committed record of a topic up to the ends it has now, from ``start`` (partition -> offset) or the first.

    ``only``: these partitions. Raises Unavailable when Kafka stops answering for ``timeout`` real seconds.
    """
    reader = _reader(bootstrap)
    try:
        there = range(partition_counts(reader).get(topic, 0))
        begin = start or {}
        parts = [TopicPartition(topic, p, begin.get(p, OFFSET_BEGINNING)) for p in there if only is None or p in only]
        yield from _to_the_ends(reader, parts, timeout)
    finally:
        reader.close()


def count_records(bootstrap: str, starts: Iterable[TopicPartition], timeout: float = 10.0) -> Counter[str]:
    """Committed records by topic from these offsets on: fewer than the offsets, of which each commit mark takes one.

    Raises Unavailable like ``read_all``.
    """
    reader = _reader(bootstrap)
    try:
        return Counter(message.topic() for message in _to_the_ends(reader, list(starts), timeout))
    finally:
        reader.close()


def _reader(bootstrap: str) -> Consumer:
    return consumer(bootstrap, "smartshelf-reader", **{"enable.partition.eof": True})


def _to_the_ends(reader: Consumer, parts: list[TopicPartition], timeout: float) -> Iterator[Message]:
    """The records of these partitions from their offsets up to the ends they have now."""
    unread = {(part.topic, part.partition) for part in parts}
    try:
        reader.assign(parts)
        deadline = time.monotonic() + timeout
        while unread:
            # It waits for all it was asked for, or so long: the end of a topic would cost it every time.
            for message in reader.consume(1_000, timeout=0.05):
                deadline = time.monotonic() + timeout
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard((message.topic(), message.partition()))
                elif not error.retriable():
                    raise KafkaException(error)
            if time.monotonic() > deadline:
                names = ", ".join(sorted({topic for topic, _ in unread}))
                raise Unavailable(f"Kafka did not deliver the rest of {names} within {timeout:.0f} s")
    except KafkaException as failed:
        names = ", ".join(sorted({part.topic for part in parts}))
        raise Unavailable(f"Kafka does not let {names} be read", value=str(failed)) from failed


def read_latest(bootstrap: str, topic: str, timeout: float = 60.0) -> dict[bytes, bytes]:
    """The latest value of every key of a compacted topic; deleted keys are left out."""
    latest: dict[bytes, bytes] = {}
    for message in read_all(bootstrap, topic, timeout=timeout):
        key, value = message.key() or b"", message.value()
        if value is None:
            latest.pop(key, None)
        else:
            latest[key] = value
    return latest


# --- writing -------------------------------------------------------------------------------------


class RepeatTransaction(Exception):
    """Raised inside ``fill``: a record was not delivered; abort, and fill again."""


class TransactionalWriter:
    """A fenced producer: all records of one ``transaction`` become visible together, or none.

    A second writer with the same ``transactional_id`` fences this one (Fenced: exit and be restarted).
    """

    #: Longest single call into librdkafka, real seconds: signals are served only between calls.
    CALL_SECONDS = 5.0

    def __init__(self, bootstrap: str, transactional_id: str, *, timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": 15_000,
                "enable.idempotence": True,
                "linger.ms": 1,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 1_000_000,
                **QUIET,
            }
        )
        try:
            self._again(self._producer.init_transactions)
        except KafkaException as failed:
            raise Unavailable("Kafka did not accept the transactional producer", value=str(failed)) from failed
        self.partitions = partition_counts(self._producer)

    def transaction(self, fill: Callable[[TransactionalWriter], None]) -> None:
        """Run ``fill`` (which calls produce/flush) inside one transaction; repeated as a whole when Kafka says so.

        Raises Fenced when another writer took over or the transaction's fate is unknown.
        """
        while True:
            try:
                self._producer.begin_transaction()
                fill(self)
                self._again(self._producer.commit_transaction)
                return
            except RepeatTransaction:
                self._abort("a record was not delivered")
            except KafkaException as failed:
                error = failed.args[0]
                # _STATE is what produce() answers once the transaction has failed.
                if error.fatal() or not (error.txn_requires_abort() or error.code() == KafkaError._STATE):
                    raise Fenced("Kafka no longer accepts this producer", value=error.str()) from failed
                self._abort(error.str())

    def _abort(self, why: str) -> None:
        log.warning("transaction repeated: %s", why)
        try:
            self._again(self._producer.abort_transaction)
        except KafkaException as lost:
            raise Fenced("Kafka lost this producer's transaction", value=lost.args[0].str()) from lost
        time.sleep(0.2)

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | str | None = None,
        partition: int = 0,
        on_delivery: Callable[[KafkaError | None, Message], None] | None = None,
    ) -> None:
        """Queue one record; waits when the local queue is full."""
        while True:
            try:
                if on_delivery is None:
                    self._producer.produce(topic, value, key, partition)
                else:
                    self._producer.produce(topic, value, key, partition, on_delivery=on_delivery)
                return
            except BufferError:
                self._producer.poll(0.05)

    def partition_of(self, topic: str, store_id: str) -> int:
        """Partition of a store's records in a topic."""
        return partition_for_store(store_id, self.partitions[topic])

    def flush(self) -> None:
        """Wait until the broker has everything produced so far (delivery callbacks have run)."""
        if left := self._producer.flush(self._timeout):
            raise SmartShelfError(f"Kafka did not take {left} records within {self._timeout:.0f} s")

    def poll(self) -> None:
        """Serve callbacks while idle."""
        self._producer.poll(0)

    def close(self) -> None:
        """Give up the connection; records not yet committed are lost, as they must be."""
        try:
            self._producer.close()
        except KafkaException as fatal:
            # A fenced producer complains once more; whoever was using it has been told already.
            log.debug("closing: %s", fatal)

    def _again(self, call: Callable[[float], Any]) -> None:
        """librdkafka: a retriable error means 'call the same function again'."""
        deadline = time.monotonic() + 4 * self._timeout
        while True:
            try:
                call(self.CALL_SECONDS)
                return
            except KafkaException as failed:
                if not failed.args[0].retriable() or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
