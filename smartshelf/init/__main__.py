"""``python -m smartshelf.init``: prepares the servers for the services, then exits 0; again changes nothing.

Topics -> roles and migrations -> reference data -> opening facts, which end with mark 0: from there time may run.

    python -m smartshelf.init --check-database    only compare the tables with the contracts, exit 1 when they differ
"""

from __future__ import annotations

import argparse
import logging
import sys
from datetime import UTC, datetime

from redis import Redis

from data.build import Order, build
from smartshelf import log
from smartshelf.errors import SmartShelfError
from smartshelf.init import capture, database, reference, topics
from smartshelf.init.opening import publish_opening
from smartshelf.io import kafka, postgres, redis_stream
from smartshelf.service import Service, running
from smartshelf.settings import Settings, settings

#: Where a generated data folder says what was built; written last.
MANIFEST = "manifest.json"


def prepare(service: Service) -> None:
    """Everything, in order. Raises SmartShelfError with the reason; whatever is done stays done."""
    config = service.settings
    redis = redis_stream.connect(config.redis_url)
    service.wait_for("Redis", lambda: redis_stream.ping(redis))
    service.wait_for("Postgres", lambda: postgres.answers(config))
    service.wait_for("Kafka", lambda: kafka.brokers_answer(config.kafka_bootstrap))
    ensure_topics(service)
    ensure_database(service)
    load_reference(service)
    open_stores(service, redis)


def ensure_topics(service: Service) -> None:
    """Create missing topics; say how existing ones differ, and leave them alone."""
    config = service.settings
    if created := kafka.ensure_topics(config.kafka_bootstrap, config.fact_partitions):
        service.log.info("created %d topics", len(created))
    for difference in topics.drift(config.kafka_bootstrap, config.fact_partitions):
        service.log.warning("%s; it is left as it is", difference)


def ensure_database(service: Service) -> None:
    """Roles, migrations and capture. Raises SmartShelfError when the tables then are not what the contracts say."""
    config = service.settings
    with postgres.connect(config, "owner", "init") as connection:
        if touched := database.ensure_roles(connection, config):
            service.log.info("roles with new passwords: %s", ", ".join(touched))
    before, after = database.migrate(config)
    if before != after:
        service.log.info("migrated the database from %s to %s", before or "nothing", after)
    with postgres.connect(config, "owner", "init") as connection:
        if changed := database.ensure_capture(connection):
            service.log.info("captured by Kafka Connect: %s", ", ".join(changed))
        if (buried := capture.restart_lost(connection, config.kafka_bootstrap)) is not None:
            service.log.warning("Postgres had given up its log: capture begins anew, %d rows were deleted", buried)
        if wrong := database.contract_differences(connection):
            raise SmartShelfError("The tables are not what the contracts say: " + "; ".join(wrong))


def load_reference(service: Service) -> None:
    """Build the data when they are not there, and load them into tables that have not had their first load."""
    config = service.settings
    with postgres.connect(config, "owner", "init") as connection:
        if reference.unloaded_files(connection) or not (config.data_dir / MANIFEST).is_file():
            build_data(service)
        for table, rows in reference.load(connection, config.data_dir / "db_csv").items():
            service.log.info("loaded %d rows into %s", rows, table)


def build_data(service: Service) -> None:
    """Generate the store's files unless those of the settings are there."""
    config = service.settings
    order = Order(
        config.stores, config.scale, config.seed, first_moment(config), near_expiry_days=config.near_expiry_days
    )
    built = build(config.data_dir, order)
    if not built.skipped:
        service.log.info("built the data of %s in %s", ", ".join(config.stores), built.folder)


def first_moment(config: Settings) -> datetime:
    """When the store opens: simulated, or today at the same time of day where time is real."""
    if config.use_simulated_time:
        return config.sim_start
    return datetime.combine(datetime.now(UTC).date(), config.sim_start.timetz())


def open_stores(service: Service, redis: Redis) -> None:
    """The opening facts and mark 0, which names how many configuration rows decisions must wait for."""
    config = service.settings
    with postgres.connect(config, "owner", "init") as connection:
        rows = reference.config_rows(connection, config.stores)
    if facts := publish_opening(config, redis, rows):
        service.log.info("opened %s with %d facts", ", ".join(config.stores), facts)


def check_database() -> int:
    """Print how the tables differ from the contracts; 1 when they do."""
    log.configure("init")
    try:
        with postgres.connect(settings(), "owner", "init") as connection:
            wrong = database.contract_differences(connection)
    except SmartShelfError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        print("Add a migration in postgresql/migrations/versions that makes them the same.", file=sys.stderr)
    return 1 if wrong else 0


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m smartshelf.init", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--check-database", action="store_true", help="compare the tables with the contracts only")
    if parser.parse_args().check_database:
        sys.exit(check_database())
    # Alembic tells its steps one by one; what came out of them is told here.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with running("init", one_shot=True) as service:
        prepare(service)


if __name__ == "__main__":
    main()
