"""A small world of two stores that writes through the real save script, and bridges to kill."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import redis
from confluent_kafka import KafkaException, TopicPartition

from bridge.position import lag
from smartshelf.contracts.control import Mark, Tick
from smartshelf.contracts.ids import fact_id
from smartshelf.contracts.redis_keys import EPOCH, TARGET
from smartshelf.contracts.topics import FACTS, STREAMS
from smartshelf.io import kafka, redis_stream, step_save
from smartshelf.service import is_healthy
from smartshelf.settings import CHECKOUT
from tests.integration.servers import Servers, eventually

START = datetime(2026, 1, 1, 7, tzinfo=UTC)
STORES = ("S01", "S02")
#: Facts of each store per step.
SHELF_EVENTS, WH_EVENTS = 6, 1
_SAVES_PER_STEP = 2


def at(step: int) -> datetime:
    """T(step)."""
    return START + timedelta(minutes=step)


def event(stream: str, store: str, step: int, seq: int, **changes: Any) -> dict[str, Any]:
    """A valid event, the same whenever it is written."""
    source = f"world:{store}"
    body: dict[str, Any] = {
        "event_id": fact_id(source, stream, seq),
        "schema_version": 1,
        "store_id": store,
        "timestamp": at(step),
        "source": source,
        "seq": seq,
        "shelf_id": f"SHELFX{seq % 4:04}",
    }
    if stream == "shelf_events":
        body |= {"event_type": "pickup", "customer_id": "C1", "quantity": 1, "item_weight": 330.0}
    else:
        body |= {"event_type": "wh_adjust", "batch_code": "B1", "qty": 1, "reason": "count"}
    return body | changes


def facts_of(step: int, part: int) -> list[step_save.Fact]:
    """What the world writes in one of the two saves of a step."""
    facts = []
    for store in STORES:
        half = SHELF_EVENTS // _SAVES_PER_STEP
        first = step * SHELF_EVENTS + part * half + 1
        facts += [("shelf_events", store, seq) for seq in range(first, first + half)]
        if part:
            facts.append(("wh_events", store, step * WH_EVENTS + 1))
    documents = [(stream, event(stream, store, step, seq)) for stream, store, seq in facts]
    return [(stream, f"{doc['store_id']}|{doc['shelf_id']}", msgspec.json.encode(doc)) for stream, doc in documents]


class BridgeStore:
    """Redis and Kafka of one test: an epoch of its own, so that no test sees another's facts."""

    _epochs = itertools.count(1)

    def __init__(self, servers: Servers) -> None:
        self.servers, self.epoch = servers, next(self._epochs)
        self.config = servers.config
        self.client = redis_stream.connect(self.config.redis_url)
        self.client.flushall()
        self.client.set(EPOCH, self.epoch)
        self.client.set(TARGET, 10**15)
        topics = [topic.name for topic in FACTS] + ["sim_ticks", "dead_letters"]
        self._begin = {topic: _ends(self.config.kafka_bootstrap, topic) for topic in topics}

    # --- the world ------------------------------------------------------------------------------

    def live(self, until: int, rows: dict[str, dict[str, int]] | None = None) -> None:
        """Live until the end of a step, continuing wherever Redis says the world is."""
        while True:
            position = step_save.read_position(self.client)
            step, part = position.step + 1, position.number % _SAVES_PER_STEP
            if step > until:
                return
            ends = part == _SAVES_PER_STEP - 1
            mark = Mark(epoch=self.epoch, k_from=step, k=step, t=at(step), stores=STORES, streams={}, rows=rows)
            outcome = step_save.save(
                self.client,
                epoch=self.epoch,
                step=position.step,
                number=position.number,
                facts=facts_of(step, part),
                changes={},
                until_ms=int(at(step).timestamp() * 1000),
                mark=mark if ends else None,
            )
            assert outcome == "saved"

    @contextmanager
    def living(self, steps_per_second: float) -> Iterator[None]:
        """A world that goes on living in the background, also when Redis is away for a while."""
        stop = threading.Event()

        def world() -> None:
            while not stop.wait(1 / steps_per_second):
                try:
                    self.live(step_save.read_position(self.client).step + 1)
                except redis.ConnectionError:
                    continue

        thread = threading.Thread(target=world)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    @property
    def step(self) -> int:
        """Last complete step of the world."""
        return step_save.read_position(self.client).step

    def add(self, stream: str, document: dict[str, Any] | bytes, key: str = "k") -> str:
        """One entry from outside the world."""
        data = document if isinstance(document, bytes) else msgspec.json.encode(document)
        return bytes(self.client.xadd(stream, {"key": key, "data": data})).decode()

    # --- bridges --------------------------------------------------------------------------------

    def bridge(self) -> subprocess.Popen[str]:
        """A bridge process; its log comes from ``log_of``."""
        (self.servers.home / "run").mkdir(exist_ok=True)
        (self.servers.home / "run" / "bridge.ready").unlink(missing_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "bridge"], env=self.servers.env, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True
        )

    @contextmanager
    def bridging(self) -> Iterator[subprocess.Popen[str]]:
        """A healthy bridge until the end of the block; then it is asked to stop and must end with 0."""
        process = self.bridge()
        try:
            self.until_healthy(process)
            yield process
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()

    def until_healthy(self, process: subprocess.Popen[str]) -> None:
        eventually(lambda: process.poll() is not None or is_healthy(self.config, "bridge"), "the bridge to be ready")
        assert process.poll() is None, process.communicate()[1]

    def drained(self, timeout: float = 60) -> None:
        """Wait until nothing is left in Redis."""
        eventually(lambda: not any(lag(self.client).values()), "Redis to be drained", timeout)

    # --- what is in Kafka -----------------------------------------------------------------------

    def records(self, topic: str) -> list[Any]:
        """Committed messages of this test."""
        return list(kafka.read_all(self.config.kafka_bootstrap, topic, self._begin[topic]))

    def events(self, stream: str) -> list[dict[str, Any]]:
        """The forwarded events of a stream with their place: partition, offset and key beside the fields."""
        return [
            msgspec.json.decode(message.value())
            | {"partition": message.partition(), "offset": message.offset(), "key": message.key()}
            for message in self.records(STREAMS[stream].name)
        ]

    def ticks(self, store: str) -> list[Tick]:
        found = [msgspec.json.decode(message.value(), type=Tick) for message in self.records("sim_ticks")]
        return [tick for tick in found if tick.store_id == store]

    def letters(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(message.value()) for message in self.records("dead_letters")]

    def assert_exactly_once(self) -> None:
        """Every event once and in order, every step one tick, every cut exactly its steps' facts."""
        steps = self.step + 1
        for stream, per_step in (("shelf_events", SHELF_EVENTS), ("wh_events", WH_EVENTS)):
            events = self.events(stream)
            for store in STORES:
                mine = [one for one in events if one["source"] == f"world:{store}"]
                assert [one["seq"] for one in mine] == list(range(1, steps * per_step + 1))
                self._assert_cuts(stream, store, mine)
        for store in STORES:
            assert [(tick.k_from, tick.k, tick.epoch) for tick in self.ticks(store)] == [
                (k, k, self.epoch) for k in range(steps)
            ]

    def _assert_cuts(self, stream: str, store: str, events: list[dict[str, Any]]) -> None:
        ticks = iter(self.ticks(store))
        last: dict[str, int] = {}
        tick = next(ticks)
        for one in events:
            while datetime.fromisoformat(one["timestamp"]) > tick.t:
                assert tick.cut[STREAMS[stream].name] == last
                tick = next(ticks)
            last = {str(one["partition"]): one["offset"]}
        assert tick.cut[STREAMS[stream].name] == last


def _ends(bootstrap: str, topic: str) -> dict[int, int]:
    """End offset by partition; a topic just created has no leader for a moment."""
    reader = kafka.consumer(bootstrap, "bridge-test")

    def ends() -> dict[int, int] | None:
        try:
            count = kafka.partition_counts(reader)[topic]
            return {p: reader.get_watermark_offsets(TopicPartition(topic, p), timeout=5)[1] for p in range(count)}
        except KafkaException:
            return None

    try:
        return eventually(ends, f"a leader of {topic}")
    finally:
        reader.close()


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL, and wait for the end."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def pause_before_kill(seconds: float) -> None:
    """Let a process come to an arbitrary point of its work."""
    time.sleep(seconds)
