"""What is measured, one function each; all but ``start`` and ``bridge`` need the store running."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import httpx
import psutil
import redis
import sqlalchemy as sa

from bridge.bench import bench as bench_bridge
from simulated_time.store import Clock
from smartshelf.audit import run
from smartshelf.bench.sink import sink
from smartshelf.bench.table import Figure, percentile
from smartshelf.contracts.events import WeightChange
from smartshelf.contracts.ids import stable_id
from smartshelf.contracts.types import encode
from smartshelf.errors import SmartShelfError
from smartshelf.io import postgres, redis_stream
from smartshelf.settings import Settings
from smartshelf.stack import launcher, status
from smartshelf.stack.layout import Layout
from smartshelf.stack.programs import browser

#: Seconds of real time over which CPU and speed are watched.
WATCHED = 30.0
A_DAY = timedelta(days=1)
#: Real seconds in which a store must come to rest after a day at `auto`.
PATIENCE = 300.0
#: Services whose sudden death must cost nothing but time.
MORTAL = (
    "redis",
    "postgres",
    "kafka",
    "connect",
    "bridge",
    "producers",
    "spark",
    "sim-clock",
    "dashboard",
    "training-service",
)


def start(_: Settings) -> Iterator[Figure]:
    """From a stopped, provisioned store to every service well."""
    launcher.down()
    began = time.monotonic()
    launcher.up()
    yield Figure("provisioned `up` to healthy", time.monotonic() - began, "s", "< 40 s", "smartshelf down, up")


class Use(NamedTuple):
    """What a service takes: PSS (shared pages counted once) in bytes, seconds of CPU, its processes."""

    pss: int
    cpu: float
    processes: int


def memory(config: Settings) -> Iterator[Figure]:
    """Memory and CPU of all services, and of the streaming jobs alone, at speed 60 with one page open."""
    with at_speed(_clock(config), 60.0), _open_page(config):
        time.sleep(10)  # the change of speed has settled
        before = uses()
        time.sleep(WATCHED)
        after = uses()
    cores = {name: (use.cpu - before[name].cpu) / WATCHED for name, use in after.items()}
    pss = sum(use.pss for use in after.values())
    count = sum(use.processes for use in after.values())
    jobs = after["spark"]
    yield Figure("whole stack, memory", pss / 1e9, "GB", "< 2.6 GB", f"sum of PSS of {count} processes")
    yield Figure("whole stack, CPU", sum(cores.values()), "cores", "< 1", f"speed 60, one page open, {WATCHED:.0f} s")
    yield Figure("all streaming jobs, memory", jobs.pss / 1e9, "GB", "< 1.1 GB", "JVM and its Python processes")
    yield Figure("all streaming jobs, CPU", cores["spark"], "cores", "< 0.6", "in the same time")


def latency(config: Settings) -> Iterator[Figure]:
    """From XADD to the row in ``state.shelf_state``, at 20 events/s, with the clock held (no other changes)."""
    waited = waits(config, probes=400)
    for share, goal in ((0.5, "< 1 s"), (0.99, "-")):
        yield Figure(
            f"XADD -> state.shelf_state p{share * 100:.0f}", percentile(waited, share), "s", goal, "20 events/s"
        )


def waits(config: Settings, probes: int) -> list[float]:
    """Seconds that each of ``probes`` events at 20/s took, with the clock held."""
    clock, engine = _clock(config), postgres.engine(config, "analyst", "bench")
    clock.hold("bench", "latency is being measured", 120.0)
    try:
        time.sleep(5)  # everything before has arrived
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return _probe(config, connection, clock.now(), probes=probes, per_second=20)
    finally:
        clock.release("bench")
        engine.dispose()


def auto(config: Settings) -> Iterator[Figure]:
    """Simulated seconds per real second as fast as the pipeline keeps up, in opening hours."""
    clock = _clock(config)
    with at_speed(clock, None):
        time.sleep(5)
        began, from_moment = time.monotonic(), clock.now()
        time.sleep(WATCHED)
        lived, took = (clock.now() - from_moment).total_seconds(), time.monotonic() - began
    yield Figure("`auto`", lived / took, "x", "> 600 x", "simulated s per real s over 30 s")


def day(config: Settings) -> Iterator[Figure]:
    """24 simulated hours as fast as the pipeline keeps up, then the audit of all books."""
    clock = _clock(config)
    before = _events(config)
    with at_speed(clock, None):
        began, goal = time.monotonic(), clock.now() + A_DAY
        while clock.now() < goal:
            time.sleep(0.2)
        took = time.monotonic() - began
    events = _events(config) - before
    yield Figure("a simulated day at `auto`", took, "s", "< 120 s", f"{events:,} events of shelves, tills and doors")
    report = run.audit_running(config, PATIENCE)
    yield Figure("units amiss after it", len(report.differences), "", "0", "audit")


def recovery(_: Settings) -> Iterator[Figure]:
    """From SIGKILL of one service to the whole store healthy again."""
    for name in MORTAL:
        pid = next(service["pid"] for service in status.collect()["services"] if service["name"] == name)
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        _until(partial(_restarted, name, pid), f"{name} to come back", 120)
        yield Figure(f"SIGKILL of {name} to healthy", time.monotonic() - began, "s", "< 30 s")


def bridge(config: Settings) -> Iterator[Figure]:
    """Backlog throughput of the bridge on this store's servers."""
    yield Figure("bridge, backlog", bench_bridge(config)["events_per_second"], "events/s", "> 50,000")


MEASURES: dict[str, Callable[[Settings], Iterator[Figure]]] = {
    "start": start,
    "latency": latency,
    "memory": memory,
    "auto": auto,
    "day": day,
    "recovery": recovery,
    "bridge": bridge,
    "sink": sink,
}


def _clock(config: Settings) -> Clock:
    return Clock(redis_stream.connect(config.redis_url))


@contextmanager
def at_speed(clock: Clock, speed: float | None) -> Iterator[None]:
    """Run at a speed (None: auto) and go back to 60 afterwards."""
    clock.resume()
    if speed is None:
        clock.auto()
    else:
        clock.set_speed(speed)
    try:
        yield
    finally:
        clock.set_speed(60.0)


def _events(config: Settings) -> int:
    return sum(status.counts(config).values())


@contextmanager
def _open_page(config: Settings) -> Iterator[None]:
    """One page open in a headless browser where there is one, else the page's server alone."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        httpx.get(config.dashboard_url)
        yield
        return

    with sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=str(browser(Layout.of(config))), args=["--no-sandbox", "--disable-gpu"]
        )
        chromium.new_page().goto(config.dashboard_url)
        yield
        chromium.close()


def uses() -> dict[str, Use]:
    """By service, its children included (the page's viewer is not one of them)."""
    services = {service["name"]: service["pid"] for service in status.collect()["services"] if service["pid"]}
    return {name: _use_of(pid) for name, pid in services.items()}


def _use_of(pid: int) -> Use:
    """What a process and its children take; nothing once it has ended."""
    found: list[tuple[int, float]] = []
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                found.append((process.memory_full_info().pss, times.user + times.system))
    return Use(sum(pss for pss, _ in found), sum(cpu for _, cpu in found), len(found))


def _probe(config: Settings, connection: sa.Connection, now: datetime, probes: int, per_second: float) -> list[float]:
    """Put a milligram on shelf after shelf, see when each row's version has risen, and take it off again."""
    client = redis_stream.connect(config.redis_url)
    query = sa.text("select store_id, shelf_id, version from state.shelf_state")
    versions = {(row.store_id, row.shelf_id): row.version for row in connection.execute(query)}
    sent: dict[tuple[str, str], float] = {}
    waits: list[float] = []
    todo = list(versions)[:probes]
    began = time.monotonic()
    deadline = began + probes / per_second + 60
    while len(waits) < len(todo):
        while len(sent) + len(waits) < len(todo) and time.monotonic() >= began + (len(sent) + len(waits)) / per_second:
            key = todo[len(sent) + len(waits)]
            _put_milligrams(client, key, now, 1)
            sent[key] = time.monotonic()
        for row in connection.execute(query):
            key = (row.store_id, row.shelf_id)
            if key in sent and row.version > versions[key]:
                waits.append(time.monotonic() - sent.pop(key))
        if time.monotonic() > deadline:
            raise SmartShelfError(f"{len(todo) - len(waits)} of {len(todo)} probes did not arrive in Postgres")
        time.sleep(0.01)
    for key in todo:
        _put_milligrams(client, key, now, -1)
    return waits


def _put_milligrams(client: redis.Redis, shelf: tuple[str, str], now: datetime, milligrams: int) -> None:
    store_id, shelf_id = shelf
    fact = WeightChange(
        event_id=stable_id("bench", store_id, shelf_id, time.time_ns()),
        schema_version=1,
        store_id=store_id,
        timestamp=now,
        source="bench",
        shelf_id=shelf_id,
        delta_weight=milligrams / 1000,
        reason="bench",
    )
    client.xadd("shelf_events", {"key": f"{store_id}|{shelf_id}", "data": encode(fact)})


def _restarted(name: str, old: int) -> bool:
    told = status.collect()
    return told["healthy"] and any(s["name"] == name and s["pid"] not in (None, old) for s in told["services"])


def _until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SmartShelfError(f"Waited {seconds:.0f} s for {what}")
        time.sleep(0.2)
