"""Mirrors: the latest row of every state, in delta/cleansed, a second or two behind."""

from __future__ import annotations

from pyspark.sql import SparkSession

from smartshelf.settings import Settings
from spark_apps import sources, tables
from spark_apps.queries import Query
from spark_apps.runtime import recovery
from spark_apps.sinks import Mirrors

NAME = "mirrors"


def start(session: SparkSession, config: Settings) -> Query:
    """One query for all state topics; reading them again from the beginning changes nothing."""
    folder = config.checkpoints / NAME / "v1"
    mirrors = Mirrors(config.delta_root, lambda: recovery.checkpoint_id(folder))
    query = (
        sources.kafka(session, config, [table.name for table in tables.MIRRORED], "earliest")
        .writeStream.queryName(NAME)
        .option("checkpointLocation", str(folder))
        .trigger(processingTime=f"{config.mirror_trigger_ms} milliseconds")
        .foreachBatch(mirrors)
        .start()
    )
    return Query(NAME, query, sinks=tuple(mirrors.sinks.values()))
