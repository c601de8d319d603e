"""The store's services in one place: what runs, after what, how we know that it is well, how it stops.

Compose has the same names and the same order.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from smartshelf.errors import BadInput
from smartshelf.stack import jars
from smartshelf.stack.layout import CONF, Layout
from smartshelf.stack.provision import Provision


@dataclass(frozen=True)
class Service:
    """One process of the store.

    ``after``: services that must be well before this one starts. ``one_shot``: it works when it
    has ended with 0. ``start_seconds``: how long it may take until it is well. ``stop_seconds``:
    how long it may take to end after ``stop_signal`` before it is killed.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    one_shot: bool = False
    start_seconds: float = 60.0
    stop_signal: str = "TERM"
    stop_seconds: int = 20
    user: str | None = None


SPARK = "spark"
#: Who stops when: everything upstream first, so that each hop can drain into the next.
DRAIN_ORDER: tuple[tuple[str, ...], ...] = (
    ("init", "producers"),
    ("bridge",),
    ("spark",),
    ("connect", "dashboard", "training-service"),
    ("sim-clock",),
    ("kafka",),
    ("postgres", "redis"),
)

#: All names, as in compose; further Spark processes of a split store are called spark-2, spark-3, ...
NAMES = (
    "redis", "kafka", "postgres", "init", "connect", "sim-clock", "bridge", "producers", "spark", "training-service",
    "dashboard",
)  # fmt: skip

#: C1 only and the serial collector: on two cores the store starts faster and stays smaller.
_JVM = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")


def services(
    layout: Layout, provision: Provision, ports: Mapping[str, int], store: Mapping[str, str], connectors: Path
) -> dict[str, Service]:
    """Every service by name. ``store`` is the content of store.env, ``connectors`` the folder of connector files."""
    run = layout.run
    java, postgres = str(provision.java.binary), provision.postgres
    broker_path = jars.class_path(layout.jars / "kafka")
    logging = f"-Dlog4j2.configurationFile={CONF / 'log4j2.properties'}"
    parts = store.get("SPARK_SPLIT", "").count("/") + 1
    connector_files = tuple(str(path) for path in sorted(connectors.glob("*.json")))
    secrets = {name: value for name, value in store.items() if name.startswith("SMARTSHELF_POSTGRES_")}
    worker = (java, *_JVM, "-XX:MaxMetaspaceSize=192m", logging, "-cp", broker_path)
    page = ("--server.port", str(ports["dashboard"]), "--server.address", "127.0.0.1", "--server.headless", "true")
    all_services = (
        Service("redis", (str(provision.redis_server), str(run / "redis.conf"))),
        Service(
            "kafka",
            (java, *_JVM, logging, "-cp", broker_path, "kafka.Kafka", str(run / "server.properties")),
            stop_seconds=30,
        ),
        Service(
            "postgres",
            (str(postgres.server), "-D", str(postgres.data), "-c", f"config_file={postgres.data}/smartshelf.conf"),
            # "Fast": SIGTERM would wait until the last client has gone.
            stop_signal="INT",
            stop_seconds=30,
            user=postgres.user,
        ),
        Service("init", _python("smartshelf.init"), ("redis", "kafka", "postgres"), one_shot=True, start_seconds=300),
        Service(
            "connect",
            (
                *worker,
                "org.apache.kafka.connect.cli.ConnectStandalone",
                str(run / "worker.properties"),
                *connector_files,
            ),
            ("kafka", "postgres", "init"),
            environment=secrets,
            start_seconds=120,
        ),
        Service("sim-clock", _python("simulated_time"), ("redis", "init")),
        Service("bridge", _python("bridge"), ("redis", "kafka", "init")),
        Service("producers", _python("producers"), ("redis", "kafka", "init")),
        *(
            Service(
                name,
                _python("spark_apps.main", "--part", str(number)),
                ("kafka", "init"),
                # glibc gives every thread a heap of its own: with two in all the process is smaller and stays so.
                environment={
                    "JAVA_HOME": str(provision.java.home),
                    "PYSPARK_PYTHON": sys.executable,
                    "MALLOC_ARENA_MAX": "2",
                },
                start_seconds=180,
                stop_seconds=60,
            )
            for number, name in enumerate(_spark(parts), 1)
        ),
        Service("training-service", _python("smartshelf.runner"), ("redis", "kafka", "postgres", "init")),
        Service(
            "dashboard",
            (*_python("streamlit"), "run", "dashboard/app.py", *page, "--browser.gatherUsageStats", "false"),
            ("redis", "postgres", "init"),
        ),
    )
    return {service.name: service for service in all_services}


def names(spark_parts: int = 1) -> list[str]:
    """The services of a store whose Spark jobs are split over so many processes."""
    found = list(NAMES)
    at = found.index(SPARK)
    return [*found[:at], *_spark(spark_parts), *found[at + 1 :]]


def _spark(parts: int) -> list[str]:
    return [SPARK, *(f"{SPARK}-{number}" for number in range(2, parts + 1))]


def kind_of(name: str) -> str:
    """The service that a process of a split one is part of."""
    return SPARK if name.startswith(f"{SPARK}-") else name


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def select(names: Collection[str], only: Iterable[str] = (), without: Iterable[str] = ()) -> list[str]:
    """The services asked for, in the order of ``names``; BadInput for an unknown name."""
    only, without = set(only), set(without)
    if unknown := sorted((only | without) - set(names)):
        raise BadInput("There is no such service", value=", ".join(unknown), remedy=f"Services: {', '.join(names)}.")
    return [name for name in names if (not only or name in only) and name not in without]
