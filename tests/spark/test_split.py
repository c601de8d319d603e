"""Three simulated hours of a store whose stages run in three Spark processes, and then in one: the same to the unit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from smartshelf.contracts.stages import STAGES
from tests.spark.running import DECIDING, SparkStore
from tests.spark.truth import SCALE, Recorded, assert_decided_alike

pytestmark = [pytest.mark.spark, pytest.mark.servers, pytest.mark.timeout(1200)]

#: The last two wait for facts of each other in every step, the first waits for both.
STATES = "shelf_aggregator,batch_state,warehouse_aggregator,wh_batch_state,pos_flattener"
STORE_SIDE = "shelf_alerts,restock_manager,refill_bridge"
SPLIT = (STATES, STORE_SIDE, ",".join(name for name in STAGES if name not in f"{STATES},{STORE_SIDE}".split(",")))
#: Every step costs each process a batch or two, whatever its length.
STEP_SECONDS = 120
#: A kill in the first of three hours, and half an hour more after the split has changed.
KILLED_AT, SPLIT_UNTIL, UNTIL = 30, 90, 105
#: The world waits here for stages that have not said anything.
GATE = 3


@pytest.fixture
def split_store(spark_store: SparkStore, built: Path) -> Iterator[list[SparkStore]]:
    """The processes of a store with the recorded run's settings."""
    spark_store.env |= {"SMARTSHELF_DATA": str(built), "SCALE": SCALE, "STORE_TRIGGER_MS": "0"}
    spark_store.env["STEP_SECONDS"] = str(STEP_SECONDS)
    processes = [spark_store, *(spark_store.another(number) for number in range(2, len(SPLIT) + 1))]
    yield processes
    for process in processes:
        process.kill()


def test_three_processes_decide_what_one_decides_also_when_one_is_killed_and_one_goes_on_from_there(
    split_store: list[SparkStore], built: Path
) -> None:
    store, truth = split_store[0], Recorded(built, STEP_SECONDS)
    # As in a store that lives: no stage may be further behind the world than the gate allows.
    truth.live(GATE)
    store.feed.feed(truth)
    for process, jobs in zip(split_store, SPLIT, strict=True):
        process.start(jobs)
        # One after the other: Spark gives a Python worker ten seconds to start, whatever else the machine does.
        process.until(partial(_is_ready, process), "it to be ready")
    truth.live(SPLIT_UNTIL)
    store.feed.feed(truth, ticks_per_transaction=20)
    begun = time.monotonic()
    store.until_step(patience=400, S01=KILLED_AT)
    split_store[1].kill()
    split_store[1].start(SPLIT[1])
    store.until_step(patience=400, S01=SPLIT_UNTIL)
    print(f"split over three processes: {SPLIT_UNTIL} steps in {time.monotonic() - begun:.0f} s")
    assert [process.stop() for process in split_store] == [0, 0, 0]
    assert_decided_alike(store.config, truth)

    truth.live(UNTIL)
    store.feed.feed(truth, ticks_per_transaction=20)
    begun = time.monotonic()
    store.start(DECIDING)
    store.until_step(S01=UNTIL)
    print(f"back in one process: {UNTIL} steps in {time.monotonic() - begun:.0f} s")
    assert "rebuilt as epoch 2: the stages were split over other jobs before" in store.said()
    store.until(lambda: {row.epoch for row in store.states().values()} == {2}, "the new epoch")
    assert_decided_alike(store.config, truth)
    for stage in STAGES:
        cuts = [(mark.k, mark.n) for mark in store.done()["S01"] if mark.stage == stage]
        assert cuts == sorted(set(cuts)), f"{stage} says a step done once"


def _is_ready(process: SparkStore) -> bool:
    return " ready" in process.said()
