"""Reading topics into Spark."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # the name that all of Spark's documentation uses

from smartshelf.contracts.topics import TOPICS
from smartshelf.io import kafka as kafka_io
from smartshelf.settings import Settings

#: An envelope, a tick or a primary key as our own writers put it: the store comes first, or after these.
_BEGINS_WITH_STORE = (
    r'^\{(?:"event_type":"[a-z_]+",)?(?:"event_id":"[^"\\]+",)?(?:"schema_version":\d+,)?"store_id":"([^"\\]+)"'
)


def kafka(session: SparkSession, config: Settings, topics: Iterable[str], starting: str) -> DataFrame:
    """Committed records of topics; ``starting``: earliest, latest or offsets as JSON, used by a new checkpoint only."""
    return (
        session.readStream.format("kafka")
        .option("kafka.bootstrap.servers", config.kafka_bootstrap)
        .option("subscribe", ",".join(sorted(topics)))
        .option("startingOffsets", starting)
        .option("kafka.isolation.level", "read_committed")
        # The broker's default waits half a second for more data: all of it latency at low rates.
        .option("kafka.fetch.max.wait.ms", "20")
        .option("maxOffsetsPerTrigger", config.max_offsets_per_trigger)
        .option("fetchOffset.retryIntervalMs", "100")
        .load()
    )


def known_stores(config: Settings) -> frozenset[str]:
    """Stores that configuration for all stores is given to: those of the settings, and all that have a profile."""
    profiles = kafka_io.read_latest(config.kafka_bootstrap, "shelf_profiles")
    return frozenset(config.stores) | {msgspec.json.decode(key)["store_id"] for key in profiles}


def by_store(records: DataFrame, stores: Collection[str]) -> DataFrame:
    """Records with their store. Configuration names it in its key (a tombstone has no value) or else its value.

    A configuration record that names none concerns every store (smartshelf/io/configuration.py): it is given to each of
    ``stores``.
    """
    configuration = [topic.name for topic in TOPICS.values() if topic.kind == "config"]
    in_value = _store_in("value")
    every: Column = F.array(*(F.lit(store) for store in sorted(stores)))
    named = F.coalesce(_store_in("key"), in_value)
    concerned = F.when(
        F.col("topic").isin(configuration), F.when(named.isNull(), every).otherwise(F.array(named))
    ).otherwise(F.array(F.coalesce(in_value, F.lit(""))))
    return records.select(
        F.explode(concerned).alias("store_id"),
        "topic",
        "partition",
        "offset",
        F.unix_millis("timestamp").alias("arrived_ms"),
        "key",
        "value",
    )


def _store_in(column: str) -> Column:
    """The store that a record's key or value names; null when it names none."""
    text = F.col(column).cast("string")
    # Parsing JSON costs 9 us an event, this 1.5 us; what does not begin as our own writers do is parsed.
    quick = F.nullif(F.regexp_extract(text, _BEGINS_WITH_STORE, 1), F.lit(""))
    return F.coalesce(quick, F.get_json_object(text, "$.store_id"))
