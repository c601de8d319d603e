"""Which stores a record is given to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pyspark.sql import SparkSession

from spark_apps import sources

pytestmark = pytest.mark.spark
SCHEMA = "topic string, partition int, offset long, timestamp timestamp, key binary, value binary"


@pytest.fixture(scope="module")
def session() -> Iterator[SparkSession]:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", 1)
    ).getOrCreate()
    yield spark
    spark.stop()


def test_configuration_that_names_no_store_goes_to_every_store_and_facts_to_their_own(session: SparkSession) -> None:
    policy, everyone, fact = {"policy_id": "p"}, {"policy_id": "p", "store_id": None}, {"store_id": "S02"}
    given = [
        ("shelf_policies", policy, everyone, {"S01", "S02"}),
        ("shelf_policies", policy, None, {"S01", "S02"}),
        ("wh_policies", policy, {"policy_id": "p", "store_id": "S02"}, {"S02"}),
        ("shelf_profiles", {"store_id": "S01", "shelf_id": "A"}, None, {"S01"}),
        ("shelf_events", policy, fact, {"S02"}),
        ("shelf_events", policy, policy, {""}),
    ]

    def data(document: object) -> bytearray | None:
        return None if document is None else bytearray(json.dumps(document).encode())

    rows = [
        (topic, 0, offset, datetime(2026, 1, 1, tzinfo=UTC), data(key), data(value))
        for offset, (topic, key, value, _) in enumerate(given)
    ]
    seen: dict[int, set[str]] = {}
    for row in sources.by_store(session.createDataFrame(rows, SCHEMA), ("S02", "S01")).collect():
        seen.setdefault(row.offset, set()).add(row.store_id)
    assert seen == {offset: stores for offset, (*_, stores) in enumerate(given)}
