"""Three simulated hours of a store whose stages run in three Spark processes, and then in one: the same to the unit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from data.build import Order, build
from smartshelf.audit import books
from smartshelf.contracts.events import WhOut
from smartshelf.contracts.stages import STAGES
from smartshelf.contracts.tables import TABLES, Table
from smartshelf.contracts.topics import TOPICS
from smartshelf.facts.process import Process
from smartshelf.io import kafka
from smartshelf.settings import load
from spark_apps.runtime.records import Record
from tests.spark.running import DECIDING, SparkStore

pytestmark = [pytest.mark.spark, pytest.mark.servers]

#: The last two wait for facts of each other in every step, the first waits for both.
STATES = "shelf_aggregator,batch_state,warehouse_aggregator,wh_batch_state,pos_flattener"
STORE_SIDE = "shelf_alerts,restock_manager,refill_bridge"
SPLIT = (STATES, STORE_SIDE, ",".join(name for name in STAGES if name not in f"{STATES},{STORE_SIDE}".split(",")))
#: Three hours, and half an hour more after the split has changed.
SPLIT_UNTIL, UNTIL = 180, 210
#: The world waits here for stages that have not said anything.
GATE = 5


class Recorded(Process):
    """A run in one process that remembers what bridge and capture would have written, as tests/spark/feed takes it."""

    store = "S01"

    def __init__(self, folder: Path) -> None:
        self.written: list[Record] = []
        config = load({"SMARTSHELF_DATA": str(folder), "SCALE": "0.1"})
        build(folder, Order(config.stores, config.scale, config.seed, config.sim_start))
        super().__init__(config, lambda topic, line: None)

    def _decide(self) -> None:
        self.written += self._inbox[self.store]
        super()._decide()


@pytest.fixture
def split_store(spark_store: SparkStore, tmp_path: Path) -> Iterator[list[SparkStore]]:
    """The processes of a store with the recorded run's settings."""
    spark_store.env |= {"SMARTSHELF_DATA": str(tmp_path / "data"), "SCALE": "0.1", "STORE_TRIGGER_MS": "0"}
    processes = [spark_store, *(spark_store.another(number) for number in range(2, len(SPLIT) + 1))]
    yield processes
    for process in processes:
        process.kill()


def test_three_processes_decide_what_one_decides_and_one_goes_on_from_there(
    split_store: list[SparkStore], tmp_path: Path
) -> None:
    store, truth = split_store[0], Recorded(tmp_path / "data")
    # As in a store that lives: no stage may be further behind the world than the gate allows.
    truth.live(GATE)
    store.feed.feed(truth)  # type: ignore[arg-type]  # it has what a log has
    for process, jobs in zip(split_store, SPLIT, strict=True):
        process.start(jobs)
        # One after the other: Spark gives a Python worker ten seconds to start, whatever else the machine does.
        process.until(partial(_is_ready, process), "it to be ready")
    truth.live(SPLIT_UNTIL)
    store.feed.feed(truth, ticks_per_transaction=20)  # type: ignore[arg-type]
    begun = time.monotonic()
    store.until_step(patience=400, S01=SPLIT_UNTIL)
    print(f"split over three processes: {SPLIT_UNTIL} steps in {time.monotonic() - begun:.0f} s")
    assert [process.stop() for process in split_store] == [0, 0, 0]
    assert _hash(store) == truth.hash

    truth.live(UNTIL)
    store.feed.feed(truth, ticks_per_transaction=20)  # type: ignore[arg-type]
    begun = time.monotonic()
    store.start(DECIDING)
    store.until_step(S01=UNTIL)
    print(f"back in one process: {UNTIL} steps in {time.monotonic() - begun:.0f} s")
    assert "rebuilt as epoch 2: the stages were split over other jobs before" in store.said()
    store.until(lambda: {row.epoch for row in store.states().values()} == {2}, "the new epoch")
    assert _hash(store) == truth.hash
    for stage in STAGES:
        cuts = [(mark.k, mark.n) for mark in store.done()["S01"] if mark.stage == stage]
        assert cuts == sorted(set(cuts)), f"{stage} says a step done once"


def _is_ready(process: SparkStore) -> bool:
    return " ready" in process.said()


def _hash(store: SparkStore) -> str:
    """As the audit makes it, of the rows that were ever sent and of what was taken from the backroom."""
    taken: books.Rows = {}
    for message in kafka.read_all(store.config.kafka_bootstrap, "wh_events"):
        fact = TOPICS["wh_events"].decoder.decode(message.value())
        if isinstance(fact, WhOut):
            taken[(fact.event_id,)] = msgspec.to_builtins(fact)
    return books.store_hash({name: _rows(store, TABLES[name]) for name in books.HASHED}, taken)


def _rows(store: SparkStore, table: Table) -> books.Rows:
    rows: dict[bytes, bytes] = {}
    for message in kafka.read_all(store.config.kafka_bootstrap, table.topic.name):
        if message.value() is not None:
            rows[message.key()] = message.value()
        elif table.deletes:
            rows.pop(message.key(), None)
    return books.keyed(table, map(msgspec.json.decode, rows.values()))
