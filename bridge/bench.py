"""How fast the bridge is, what an event costs, and how long one takes: on servers of its own, away from any store."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict

import psutil
import redis
from confluent_kafka import Consumer, TopicPartition

from bridge.position import lag
from smartshelf.contracts.control import Mark
from smartshelf.contracts.events import SCHEMA_VERSION, Pickup, WeightChange
from smartshelf.contracts.ids import stable_id
from smartshelf.contracts.redis_keys import MARKS
from smartshelf.contracts.topics import TOPICS
from smartshelf.contracts.types import encode
from smartshelf.errors import SmartShelfError, Unavailable
from smartshelf.io import kafka, redis_stream
from smartshelf.service import wait_for
from smartshelf.settings import CHECKOUT, Settings, load

_START = datetime(2026, 1, 1, 7, tzinfo=UTC)
_EVENTS_PER_MARK = 100
_SOURCE = "world:S01"


class Measured(TypedDict):
    """``cpu_us_per_event``: processor time of the bridge; latencies: XADD to a read_committed consumer, ms."""

    events: int
    events_per_second: float
    cpu_us_per_event: float
    latency_p50_ms: float
    latency_p99_ms: float
    cores_at_rate: float
    memory_mb: float


def bench(config: Settings, events: int = 200_000, rate: float = 50.0, seconds: float = 15.0) -> Measured:
    """Drain a backlog of ``events`` with marks, then watch ``rate`` events a second for ``seconds`` real seconds.

    Starts Redis and Kafka in a temporary folder with the programs and jars of ``config``'s store.
    """
    with _servers(config) as env:
        scratch = load(env)
        client = redis_stream.connect(scratch.redis_url)
        kafka.ensure_topics(scratch.kafka_bootstrap, scratch.fact_partitions)
        _fill(client, events)
        with _bridge(scratch, env) as process:
            wait_for("the first event", lambda: _waiting(client) < events or None, timeout=60, every=0.001)
            left, began, before = _waiting(client), time.perf_counter(), _cpu(process)
            wait_for("the backlog to drain", lambda: _waiting(client) == 0 or None, timeout=300, every=0.005)
            took, cpu = time.perf_counter() - began, _cpu(process) - before
            watched = time.perf_counter(), _cpu(process)
            latencies = sorted(_latencies(client, scratch.kafka_bootstrap, events, rate, seconds))
            cores = (_cpu(process) - watched[1]) / (time.perf_counter() - watched[0])
            memory = process.memory_info().rss / 1e6
    return Measured(
        events=events,
        events_per_second=left / took,
        cpu_us_per_event=cpu / left * 1e6,
        latency_p50_ms=latencies[len(latencies) // 2] * 1e3,
        latency_p99_ms=latencies[int(len(latencies) * 0.99)] * 1e3,
        cores_at_rate=cores,
        memory_mb=memory,
    )


def pickup(seq: int, store_id: str = "S01", source: str = _SOURCE) -> Pickup:
    """The ``seq``-th of an endless row of valid events."""
    return Pickup(
        event_id=stable_id("bench", source, seq),
        schema_version=SCHEMA_VERSION,
        store_id=store_id,
        timestamp=_START + timedelta(seconds=seq),
        source=source,
        seq=seq,
        produced_at=datetime.now(UTC),
        customer_id=f"C{seq % 500:05}",
        shelf_id=f"BENCHX{seq % 1142:04}",
        quantity=1 + seq % 3,
        item_weight=330.0,
    )


def _weight_change(seq: int) -> WeightChange:
    moved = pickup(seq)
    return WeightChange(
        **{name: getattr(moved, name) for name in moved.__struct_fields__ if name not in ("quantity", "item_weight")},
        delta_weight=-moved.quantity * moved.item_weight,
    )


def _fill(client: redis.Redis, events: int) -> None:
    """A backlog as the world leaves it: pickups and weight changes by turns, a mark every hundred events."""
    last = b""
    for begin in range(1, events + 1, _EVENTS_PER_MARK):
        pipe = client.pipeline(transaction=False)
        for seq in range(begin, min(begin + _EVENTS_PER_MARK, events + 1)):
            event = pickup(seq) if seq % 2 else _weight_change(seq)
            pipe.xadd("shelf_events", {"key": f"S01|{event.shelf_id}", "data": encode(event)})
        last = pipe.execute()[-1]
        k = begin // _EVENTS_PER_MARK
        mark = Mark(epoch=1, k_from=k, k=k, t=_START, stores=("S01",), streams={"shelf_events": last.decode()})
        client.xadd(MARKS, {"key": "mark", "data": encode(mark)})


def _latencies(client: redis.Redis, bootstrap: str, begin: int, rate: float, seconds: float) -> Iterator[float]:
    """Seconds from XADD to the consumer, one per event, at a steady rate."""
    reader = kafka.consumer(bootstrap, "bridge-bench")
    try:
        yield from _timed(client, reader, begin, rate, seconds)
    finally:
        reader.close()


def _timed(client: redis.Redis, reader: Consumer, begin: int, rate: float, seconds: float) -> Iterator[float]:
    _, end = reader.get_watermark_offsets(TopicPartition("shelf_events", 0))
    reader.assign([TopicPartition("shelf_events", 0, end)])
    decode = TOPICS["shelf_events"].decoder.decode
    total, sent, arrived = int(rate * seconds), dict[str, float](), 0
    first = time.perf_counter()
    while arrived < total:
        now = time.perf_counter()
        if now > first + seconds + 30:
            raise Unavailable(f"{total - arrived} of {total} events did not come through the bridge")
        while len(sent) < total and first + len(sent) / rate <= now:
            event = pickup(begin + len(sent) + 1)
            sent[event.event_id] = time.perf_counter()
            client.xadd("shelf_events", {"key": f"S01|{event.shelf_id}", "data": encode(event)})
        for message in reader.consume(100, timeout=0.002):
            if message.error() is None:
                yield time.perf_counter() - sent[decode(message.value()).event_id]
                arrived += 1


def _waiting(client: redis.Redis) -> int:
    return lag(client)["shelf_events"]


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _bridge(config: Settings, env: Mapping[str, str]) -> Iterator[psutil.Process]:
    """A bridge at work."""
    config.home.joinpath("logs").mkdir(exist_ok=True)
    with config.home.joinpath("logs", "bridge.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "bridge"], env=dict(env), cwd=CHECKOUT, stderr=log)
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def _servers(config: Settings) -> Iterator[dict[str, str]]:
    """Redis and Kafka with empty data; the environment that leads to them."""
    with tempfile.TemporaryDirectory(prefix="smartshelf-bench-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        if (programs := config.home / "packages").is_dir():
            (home / "packages").symlink_to(programs.absolute())
        outside = {name: value for name, value in os.environ.items() if not name.startswith("SMARTSHELF_")}
        env = outside | {"SMARTSHELF_HOME": str(home), "SMARTSHELF_JARS": str(config.jars.absolute())}
        try:
            _launcher(env, "up", "--only", "redis,kafka")
            yield env
        finally:
            _launcher(env, "down")


def _launcher(env: Mapping[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "smartshelf.stack", *arguments]
    done = subprocess.run(command, env=dict(env), cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SmartShelfError("The bench's own servers do not obey", value=done.stderr.strip().splitlines()[-1:])
