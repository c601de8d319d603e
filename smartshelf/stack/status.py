"""What runs, how it is, and where to reach it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import confluent_kafka
import psutil
import redis
from confluent_kafka import Consumer, TopicPartition

from smartshelf import settings as settings_module
from smartshelf.settings import Settings
from smartshelf.stack import launcher
from smartshelf.stack.launcher import Store
from smartshelf.stack.layout import Layout
from smartshelf.stack.supervision import ProcessInfo, Supervisor


def collect() -> dict[str, Any]:
    """The status as ``status --json`` prints it; works on a stopped store too."""
    current = settings_module.load()
    layout = Layout.of(current)
    supervisor = Supervisor(layout)
    processes = supervisor.processes() if supervisor.is_running() else {}
    with ThreadPoolExecutor(max_workers=max(len(processes), 1)) as pool:
        services = list(pool.map(lambda info: _service(current, info), processes.values()))
    running = bool(services)
    return {
        "healthy": running and all(entry["state"] in {"healthy", "done", "stopped"} for entry in services)
        and any(entry["state"] == "healthy" for entry in services),
        "services": services,
        "urls": urls(current),
        "clock": clock(current) if running else {},
        "lag": lag(current) if running else {},
        "counts": counts(current) if running else {},
        "home": str(layout.home),
    }  # fmt: skip


def _service(current: Settings, info: ProcessInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "state": _state(current, info),
        "pid": info.pid or None,
        "rss_mb": _rss_mb(info.pid) if info.pid else None,
        "since": datetime.fromtimestamp(info.since, UTC).isoformat().replace("+00:00", "Z") if info.since else None,
    }


def _state(current: Settings, info: ProcessInfo) -> str:
    """healthy; done (a one-shot); stopped (on purpose); or what is wrong."""
    if info.name == "init" and info.state in {"EXITED", "STOPPED"}:
        return {0: "done" if info.state == "EXITED" else "stopped"}.get(info.exit_code, f"failed ({info.exit_code})")
    if info.state == "STOPPED":
        return "stopped"
    if not info.is_up:
        return info.state.lower()
    if info.name == "init":
        return "running"
    problem = launcher.problem_of(current, info.name, info.pid)
    return "healthy" if problem is None else f"unhealthy: {problem}"


def _rss_mb(pid: int) -> float | None:
    """Resident memory of a service with its children, in MB (shared pages count in each)."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return round(sum(member.memory_info().rss for member in family) / 1e6, 1)
    except psutil.Error:
        return None


def urls(current: Settings) -> dict[str, str]:
    """Where each part can be reached; Postgres with the read-only role."""
    return {
        "dashboard": current.dashboard_url,
        "postgres": current.postgres_dsn("analyst"),
        "kafka": current.kafka_bootstrap,
        "redis": current.redis_url,
        "connect": current.connect_url,
    }


def clock(current: Settings) -> dict[str, Any]:
    """Simulated now, speed and state as the clock keeps them; {} while Redis or the clock does not answer."""
    try:
        with redis.Redis.from_url(current.redis_url, socket_timeout=2, decode_responses=True) as client:
            now = client.get("sim:now")
            kept = client.hgetall("sim:clock")
            holds = client.hgetall("sim:holds")
    except redis.RedisError:
        return {}
    speed = kept.get("multiplier") or kept.get("speed")
    return {"now": now, "speed": speed, "state": "held" if holds else "running", "holds": sorted(holds)} if now else {}


def lag(current: Settings) -> dict[str, Any]:
    """Work that waits at each hop: entries of Redis streams the bridge has not taken yet."""
    try:
        with redis.Redis.from_url(current.redis_url, socket_timeout=2, decode_responses=True) as client:
            streams = sorted(client.scan_iter(type="stream", count=1000))
            waiting = {f"redis:{name}": client.xlen(name) for name in streams}
    except redis.RedisError:
        return {}
    return waiting


def counts(current: Settings) -> dict[str, int]:
    """Offsets used per topic (records and transaction marks) since the topic began; {} while Kafka is away."""
    consumer = Consumer(
        {"bootstrap.servers": current.kafka_bootstrap, "group.id": "smartshelf-status", "log_level": 0}
        | {"error_cb": lambda _: None, "enable.auto.commit": False}
    )
    try:
        topics = consumer.list_topics(timeout=2).topics
        used: dict[str, int] = {}
        for name, topic in sorted(topics.items()):
            if name.startswith("__"):
                continue
            ends = (
                consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=2)
                for partition in topic.partitions
            )
            used[name] = sum(end[1] for end in ends if end)
    except confluent_kafka.KafkaException:
        return {}
    finally:
        consumer.close()
    return used


def as_text(status: dict[str, Any]) -> str:
    """The status for people."""
    if not status["services"]:
        return "The store is not running. Start it with `make up` (or `smartshelf up`)."
    lines = [f"{'service':<12} {'state':<12} {'pid':>7} {'MB':>7}  since"]
    for entry in status["services"]:
        memory = "" if entry["rss_mb"] is None else f"{entry['rss_mb']:.0f}"
        lines.append(
            f"{entry['name']:<12} {entry['state']:<12} {entry['pid'] or '':>7} {memory:>7}  {entry['since'] or ''}"
        )
    lines += ["", *(f"{name:<12} {url}" for name, url in status["urls"].items())]
    if status["clock"]:
        told = status["clock"]
        lines += ["", f"clock        {told['now']} speed {told['speed']} ({told['state']})"]
    waiting = {name: amount for name, amount in status["lag"].items() if amount}
    lines += ["", "waiting      " + (json.dumps(waiting) if waiting else "nothing")]
    return "\n".join(lines)


def after_up(store: Store, status: dict[str, Any]) -> str:
    """What to open and type next, printed when ``up`` is done."""
    names = {entry["name"] for entry in status["services"] if entry["state"] == "healthy"}
    lines = ["", "The store is up."]
    if "dashboard" in names:
        lines.append(f"  page      {status['urls']['dashboard']}")
    if "postgres" in names:
        lines.append(f"  postgres  {status['urls']['postgres']}")
    lines += ["  next      smartshelf status | smartshelf logs | make audit | make down"]
    folder = launcher.postgres.locate(store.layout).data
    if store.layout.home not in folder.parents:
        lines.append(f"  note      Postgres keeps its data in {folder}: it may not run as root, and other users")
        lines.append(f"            cannot enter {store.layout.home}")
    return "\n".join(lines)
