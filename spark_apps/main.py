"""``python -m spark_apps.main --jobs all``: one Spark session, its queries, and their supervision."""

from __future__ import annotations

import argparse
import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from deltalake.exceptions import DeltaError
from pyspark.sql import SparkSession

from smartshelf.contracts.topics import TOPICS
from smartshelf.errors import SmartShelfError
from smartshelf.io import kafka
from smartshelf.service import Service, running
from smartshelf.settings import Settings
from spark_apps import jobs, session, store
from spark_apps.jobs import delta_init, mirrors, raw_sinks, retention
from spark_apps.queries import Query

log = logging.getLogger(__name__)

SERVICE = "spark"
#: Real seconds between two rounds of maintenance. A round costs about half a second of CPU.
MAINTENANCE_SECONDS = 60.0
#: Real seconds that the start may take, with a state to be built anew.
START_SECONDS = 1_800.0
#: Real seconds a query may take to finish its batch when asked to stop.
STOP_SECONDS = 8.0


class Chore(NamedTuple):
    """Something to be done now and then, and what it is called when it fails."""

    name: str
    do: Callable[[], None]


def main() -> None:
    """Parse the command line and run until SIGTERM, or until a query fails (exit 1, or 3: start me again)."""
    parser = argparse.ArgumentParser(prog="python -m spark_apps.main", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--jobs", help="all, or names with commas, e.g. shelf_aggregator,mirrors")
    what.add_argument("--part", type=int, default=1, help="the jobs of this process of SPARK_SPLIT, counted from 1")
    arguments = parser.parse_args()
    with running(SERVICE if arguments.part == 1 else f"{SERVICE}-{arguments.part}") as service:
        named = arguments.jobs
        run(service, jobs.select(named) if named else jobs.part(service.settings.spark_parts, arguments.part))


def run(service: Service, names: tuple[str, ...]) -> None:
    """Start the chosen jobs, the store query first, and watch them."""
    config = service.settings
    service.wait_for("Kafka's topics", lambda: _topics_are_there(config))
    if delta_init.NAME in names:
        delta_init.run(config)
    with_queries = set(names) - {delta_init.NAME, retention.NAME}
    with service.patience(START_SECONDS):
        queries = start(session.start(config), config, names) if with_queries else []
    if chores := chores_of(config, names, queries):
        watch(service, queries, chores)


def start(spark: SparkSession, config: Settings, names: tuple[str, ...]) -> list[Query]:
    """Start the queries of these jobs."""
    queries: list[Query] = []
    if stages := [stage for stage in jobs.configured_by(config) if stage.name in names]:
        queries.append(store.start(spark, config, stages))
    for job in (mirrors, raw_sinks):
        if job.NAME in names:
            queries.append(job.start(spark, config))
    return queries


def chores_of(config: Settings, names: tuple[str, ...], queries: list[Query]) -> list[Chore]:
    """What these jobs do now and then: every table is looked after by its writer."""
    chores = [Chore(f"maintenance of {sink.path}", sink.maintain) for query in queries for sink in query.sinks]
    chores += [Chore(f"a look at query {query.name}", query.look) for query in queries]
    if retention.NAME in names:
        chores.append(Chore(retention.NAME, retention.Retention(config).look))
        chores.append(Chore("files of ingest", lambda: retention.sweep(config.delta_root)))
    return chores


def watch(service: Service, queries: list[Query], chores: list[Chore]) -> None:
    """Beat while all queries live; raise why one has ended; stop them between batches when asked to."""
    care = threading.Thread(target=maintain, args=(service, chores), daemon=True)
    care.start()
    waiting = list(queries)
    while not service.stopping:
        for query in queries:
            query.check()
        waiting = [query for query in waiting if not query.has_worked()]
        if not waiting:
            service.beat()
        service.sleep(0.5)
    for query in queries:
        query.stop(STOP_SECONDS)
    care.join()


def maintain(service: Service, chores: list[Chore]) -> None:
    """Do what has to be done now and then, one thing after the other, until the service stops."""
    while not service.stopping:
        service.sleep(MAINTENANCE_SECONDS)
        for chore in chores:
            if service.stopping:
                return
            try:
                chore.do()
            except (DeltaError, OSError, SmartShelfError) as failed:
                # Everything is as it was; the next round tries again, and writing would tell of a full disk.
                log.warning("%s: %s", chore.name, failed)


def _topics_are_there(config: Settings) -> bool | None:
    return True if kafka.existing_topics(config.kafka_bootstrap) >= TOPICS.keys() else None


if __name__ == "__main__":
    main()
