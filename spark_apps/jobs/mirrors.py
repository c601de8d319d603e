"""Mirrors: the latest row of every state, plan and alert in Delta, a second or two behind, and the totals."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from smartshelf.contracts.ids import stable_id
from smartshelf.settings import Settings
from spark_apps import sources, tables
from spark_apps.queries import Query
from spark_apps.runtime import recovery
from spark_apps.sinks import Mirrors

NAME = "mirrors"


def folder(config: Settings) -> Path:
    """Its checkpoint. Spark fixes a checkpoint's topics: another list of topics needs another checkpoint."""
    return config.checkpoints / NAME / f"v2-{stable_id(*_topics())}"


def _topics() -> list[str]:
    return sorted(table.topic.name for table in tables.MIRRORED)


def start(session: SparkSession, config: Settings) -> Query:
    """One query for all topics; reading them again from the beginning changes nothing."""
    checkpoint = folder(config)
    mirrors = Mirrors(config.delta_root, lambda: recovery.checkpoint_id(checkpoint))
    query = (
        sources.kafka(session, config, _topics(), "earliest")
        .writeStream.queryName(NAME)
        .option("checkpointLocation", str(checkpoint))
        .trigger(processingTime=f"{config.mirror_trigger_ms} milliseconds")
        .foreachBatch(mirrors)
        .start()
    )
    return Query(NAME, query, sinks=(*mirrors.sinks.values(), mirrors.totals))
