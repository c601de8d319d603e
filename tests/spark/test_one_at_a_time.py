"""Two Spark processes on one store: the second takes over, the first goes, and nothing is said twice."""

from __future__ import annotations

import pytest

from smartshelf.contracts.stages import STAGES
from tests.spark.log import StoreLog
from tests.spark.running import DECIDING, SparkStore

pytestmark = [pytest.mark.spark, pytest.mark.servers]


def test_a_second_process_fences_the_first_which_says_so_and_goes(spark_store: SparkStore) -> None:
    first, log = spark_store, StoreLog(shelves=5).open()
    first.feed.feed(log)
    first.start(DECIDING)
    first.until_step(S01=0)

    second = first.another()
    second.start(DECIDING)
    try:
        second.until(lambda: "query store:" in second.said(), "the second to take over")
        log.live(10)
        first.feed.feed(log)
        assert first.ended() == 3
        assert "no longer accepts this producer" in first.said()
        if second.process is not None and second.process.poll() is not None:
            # The first had begun another batch before it noticed; Spark lets one process at a checkpoint.
            assert second.ended() == 3
            second.start(DECIDING)
        log.live(10)
        first.feed.feed(log)
        second.until_step(S01=log.last_step)
    finally:
        second.kill()
    for stage in STAGES:
        marks = [(mark.k, mark.n) for mark in first.done()["S01"] if mark.stage == stage]
        assert marks == sorted(set(marks))
    for rows in first.history().values():
        assert len({row.version for row in rows}) == len(rows)
    sums = log.plain_sum()
    assert {shelf: row.current_stock for (_, shelf), row in first.states().items()} == {
        shelf: places.get("SHELF", 0) for shelf, places in sums.items()
    }
