"""What runs, how it is, and where to reach it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import psutil
import psycopg2
import redis

from bridge.position import OFFSETS_TOPIC
from bridge.position import lag as bridge_lag
from simulated_time.cli import to_json as clock_json
from simulated_time.store import Clock
from smartshelf import settings as settings_module
from smartshelf.contracts.topics import STREAMS
from smartshelf.errors import SmartShelfError, Unavailable
from smartshelf.io import connect, kafka, postgres, redis_stream
from smartshelf.io.postgres import dsn
from smartshelf.settings import Settings
from smartshelf.stack import launcher
from smartshelf.stack import postgres as cluster
from smartshelf.stack.launcher import Store
from smartshelf.stack.layout import Layout
from smartshelf.stack.supervision import ProcessInfo, Supervisor

#: Services that answer over the network.
SERVERS = ("redis", "kafka", "postgres", "connect", "dashboard")


def collect() -> dict[str, Any]:
    """The status as ``status --json`` prints it; works on a stopped store too."""
    current = settings_module.load()
    layout = Layout.of(current)
    supervisor = Supervisor(layout)
    if launcher.is_elsewhere():
        services = _servers(current)
    else:
        processes = supervisor.processes() if supervisor.is_running() else {}
        with ThreadPoolExecutor(max_workers=max(len(processes), 1)) as pool:
            services = list(pool.map(lambda info: _service(current, info), processes.values()))
    well = {entry["name"] for entry in services if entry["state"] == "healthy"}
    return {
        "healthy": bool(well) and all(entry["state"] in {"healthy", "done", "stopped"} for entry in services),
        "services": services,
        "urls": urls(current),
        # A server that is away would only be waited for.
        "clock": clock(current) if "redis" in well else {},
        "lag": lag(current) if {"redis", "kafka"} <= well else {},
        "counts": counts(current) if "kafka" in well else {},
        "capture": capture(current) if "postgres" in well else {},
        "jobs": jobs(current) if "postgres" in well else [],
        "home": str(layout.home),
    }  # fmt: skip


def _servers(current: Settings) -> list[dict[str, Any]]:
    """What of a store that somebody else supervises (compose) can be asked over the network."""
    with ThreadPoolExecutor(max_workers=len(SERVERS)) as pool:
        problems = pool.map(lambda name: launcher.answer_of(current, name), SERVERS)
    return [
        {"name": name, "state": _judged(problem), "pid": None, "rss_mb": None, "since": None}
        for name, problem in zip(SERVERS, problems, strict=True)
    ]


def _judged(problem: str | None) -> str:
    return "healthy" if problem is None else f"unhealthy: {problem}"


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
    if info.name == "init" and info.state in {"EXITED", "STOPPED"} and info.exit_code:
        return f"failed ({info.exit_code})"
    if info.name == "init" and info.state == "EXITED":
        return "done"
    if info.state == "STOPPED":
        return "stopped"
    if not info.is_up:
        return info.state.lower()
    if info.name == "init":
        return "running"
    return _judged(launcher.problem_of(current, info.name, info.pid))


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
        "postgres": dsn(current),
        "kafka": current.kafka_bootstrap,
        "redis": current.redis_url,
        "connect": current.connect_url,
    }


def clock(current: Settings) -> dict[str, Any]:
    """The clock as ``smartshelf clock status --json`` tells it; {} while Redis or the clock does not answer."""
    try:
        return clock_json(Clock(redis_stream.connect(current.redis_url)).status())
    except SmartShelfError:
        return {}


def lag(current: Settings) -> dict[str, int]:
    """What waits at each hop: entries in Redis that the bridge has not forwarded, records that a sink has not written.

    {} for a hop that does not answer. A sink says every second how far it is, so a busy one is never quite at 0.
    """
    return {**_redis_lag(current), **_sink_lag(current)}


def _redis_lag(current: Settings) -> dict[str, int]:
    client = redis_stream.connect(current.redis_url)
    try:
        return {f"redis:{name}": waiting for name, waiting in bridge_lag(client).items()}
    except redis.RedisError:
        return {}
    finally:
        client.close()


def _sink_lag(current: Settings) -> dict[str, int]:
    files = sorted(launcher.CONNECTORS.glob("sink-*.json"))
    sinks = {file.stem: json.loads(file.read_text())["config"]["topics"] for file in files}
    try:
        return {f"connect:{name}": waiting for name, waiting in connect.lags(current.kafka_bootstrap, sinks).items()}
    except Unavailable:
        return {}


def counts(current: Settings) -> dict[str, int]:
    """Events in each topic since the epoch began, and dead letters, as the bridge counted them; {} while unknown."""
    try:
        kept = kafka.read_latest(current.kafka_bootstrap, OFFSETS_TOPIC, timeout=5)
    except SmartShelfError:
        return {}
    counted = {name: json.loads(kept[name.encode()])["counts"] for name in STREAMS if name.encode() in kept}
    found = {STREAMS[name].name: int(count["forwarded"]) for name, count in counted.items()}
    return {**found, "dead_letters": sum(int(count["dead_letters"]) for count in counted.values())} if found else {}


def capture(current: Settings) -> dict[str, Any]:
    """What the source connector holds back of Postgres' log; {} before it has run for the first time."""
    try:
        slot = postgres.capture_slot(current)
    except SmartShelfError:
        return {}
    return {} if slot is None else {**asdict(slot), "alarm": slot.alarm or None}


def jobs(current: Settings) -> list[dict[str, Any]]:
    """The last run of every scheduled job and of every stage that the calendar fires."""
    query = (
        "select distinct on (job) job, scheduled_for, status, attempts, error from ops.job_runs "
        "order by job, scheduled_for desc"
    )
    try:
        with postgres.connect(current, "analyst", "status") as connection, connection.cursor() as cursor:
            cursor.execute(query)
            names = [column.name for column in cursor.description or ()]
            runs = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    except (SmartShelfError, psycopg2.Error):  # not yet migrated
        return []
    return [run | {"scheduled_for": run["scheduled_for"].isoformat().replace("+00:00", "Z")} for run in runs]


def as_text(status: dict[str, Any]) -> str:
    """The status for people."""
    if not status["services"]:
        return "The store is not running. Start it with `make up` (or `smartshelf up`)."
    lines = [f"{'service':<16} {'state':<12} {'pid':>7} {'MB':>7}  since"]
    for entry in status["services"]:
        memory = "" if entry["rss_mb"] is None else f"{entry['rss_mb']:.0f}"
        state, _, problem = entry["state"].partition(": ")
        line = f"{entry['name']:<16} {state:<12} {entry['pid'] or '':>7} {memory:>7}  {entry['since'] or ''}  {problem}"
        lines.append(line.rstrip())
    lines += ["", *(f"{name:<12} {url}" for name, url in status["urls"].items())]
    if status["clock"]:
        told = status["clock"]
        lines += ["", f"clock        {told['now']}, {told['text']}"]
    if status["lag"]:
        lines += ["", f"waiting      {waiting(status['lag'])}"]
    if status["counts"]:
        lines += ["events       " + _listed(status["counts"])]
    if alarm := status["capture"].get("alarm"):
        lines += [f"capture      {alarm}"]
    lines += [
        f"job          {run['job']} due {run['scheduled_for']} failed: {run['error']}"
        for run in status["jobs"]
        if run["status"] == "failed"
    ]
    if launcher.is_elsewhere():
        lines += ["", "These are the servers named by SMARTSHELF_*; what supervises them knows of the other services."]
    return "\n".join(lines)


def waiting(lag: dict[str, int]) -> str:
    """What waits for the bridge and for Postgres in one line, with the place where most of it does; --json has all."""
    hops = {"the bridge": "redis:", "Postgres": "connect:sink-"}
    found = []
    for hop, prefix in hops.items():
        amounts = {name.removeprefix(prefix): amount for name, amount in lag.items() if name.startswith(prefix)}
        if total := sum(amounts.values()):
            most = max(amounts, key=lambda name: amounts[name])
            found.append(f"{total:,} for {hop} (most: {most} {amounts[most]:,})")
    return ", ".join(found) or "nothing"


def _listed(amounts: dict[str, int]) -> str:
    return ", ".join(f"{name} {amount:,}" for name, amount in amounts.items())


def after_up(store: Store, status: dict[str, Any]) -> str:
    """What to open and type next, printed when ``up`` is done."""
    names = {entry["name"] for entry in status["services"] if entry["state"] == "healthy"}
    lines = ["", "The store is up."]
    if "dashboard" in names:
        lines.append(f"  page      {status['urls']['dashboard']}")
    if "postgres" in names:
        lines.append(f"  postgres  {status['urls']['postgres']}")
    lines += ["  next      smartshelf status | smartshelf logs | make audit | make down"]
    folder = cluster.locate(store.layout).data
    if store.layout.home not in folder.parents:
        lines.append(f"  note      Postgres keeps its data in {folder}: it may not run as root, and other users")
        lines.append(f"            cannot enter {store.layout.home}")
    return "\n".join(lines)
