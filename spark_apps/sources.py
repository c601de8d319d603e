"""Reading topics into Spark."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # the name that all of Spark's documentation uses

from smartshelf.contracts.topics import TOPICS
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


def by_store(records: DataFrame) -> DataFrame:
    """Records with their store. Rows of configuration name it in their key, for a tombstone has no value.

    Policies for all stores name none: the first stage that reads policies sends such a row under every store's
    key here (an explode over the stores that sim_ticks has named).
    """
    configuration = [topic.name for topic in TOPICS.values() if topic.kind == "config"]
    named_in: Column = F.when(F.col("topic").isin(configuration), F.col("key")).otherwise(F.col("value"))
    text = named_in.cast("string")
    # Parsing JSON costs 9 us an event, this 1.5 us; what does not begin as our own writers do is parsed.
    quick = F.nullif(F.regexp_extract(text, _BEGINS_WITH_STORE, 1), F.lit(""))
    store = F.coalesce(quick, F.get_json_object(text, "$.store_id"), F.lit(""))
    return records.select(
        store.alias("store_id"),
        "topic",
        "partition",
        "offset",
        F.unix_millis("timestamp").alias("arrived_ms"),
        "key",
        "value",
    )
