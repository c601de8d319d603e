"""Raw sinks: every fact that is kept for ever, in delta/raw, with where it stood in Kafka."""

from __future__ import annotations

from pathlib import Path

import msgspec
from pyspark.sql import SparkSession

from smartshelf.errors import SmartShelfError
from smartshelf.io import kafka
from smartshelf.settings import Settings
from spark_apps import sources, tables
from spark_apps.queries import Query
from spark_apps.runtime import recovery
from spark_apps.sinks import RawSinks

NAME = "raw_sinks"


def folder(config: Settings) -> Path:
    """Its checkpoint."""
    return config.checkpoints / NAME / "v1"


def start(session: SparkSession, config: Settings) -> Query:
    """One query for all topics; a lost checkpoint goes on after what the tables hold."""
    checkpoint = folder(config)
    sinks = RawSinks(config.delta_root, lambda: recovery.checkpoint_id(checkpoint))
    topics = [topic.name for topic in tables.RAW]
    starting = _after(sinks, config.kafka_bootstrap, topics)
    query = (
        sources.kafka(session, config, topics, starting)
        .writeStream.queryName(NAME)
        .option("checkpointLocation", str(checkpoint))
        .trigger(processingTime=f"{config.raw_trigger_ms} milliseconds")
        .foreachBatch(sinks)
        .start()
    )
    return Query(NAME, query, sinks=tuple(sinks.sinks.values()))


def _after(sinks: RawSinks, bootstrap: str, topics: list[str]) -> str:
    """Where the tables end, as ``startingOffsets``."""
    ends = kafka.end_offsets(bootstrap, topics)
    start: dict[str, dict[str, int]] = {}
    for topic in topics:
        for partition, end in ends[topic].items():
            next_offset = sinks.reached[topic].get(partition, -1) + 1
            if next_offset > end:
                raise SmartShelfError(
                    f"delta/raw/{topic} holds more than its topic ever did: another Kafka's",
                    value=f"offset {next_offset - 1}, the topic ends at {end}",
                    remedy="Point SMARTSHELF_DELTA to this store's tables, or `smartshelf reset` both.",
                )
            start.setdefault(topic, {})[partition] = next_offset or recovery.EARLIEST
    return msgspec.json.encode(start).decode()
