"""Killed at every point of a batch, every job has decided, told and stored what it would have without, and once.

One store lives a whole day and night in which every stage has something to do, from the first customer to the lorry
and the expired lots of the next morning; two more live at random, with edits and facts that must be refused. Batches
are cut anywhere, topics run ahead of one another, and a batch that was sent is replayed.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from smartshelf.audit import books
from smartshelf.audit import sources as audited
from smartshelf.contracts.stages import STAGES
from smartshelf.contracts.tables import TABLES, Table
from smartshelf.contracts.topics import Topic
from smartshelf.io import delta, kafka
from spark_apps import tables
from tests.spark.log import StoreLog
from tests.spark.running import SparkStore
from tests.spark.truth import SCALE, Recorded, assert_decided_alike

pytestmark = [pytest.mark.spark, pytest.mark.servers, pytest.mark.timeout(1200)]

#: Kill points of one round; more rounds by the environment for a longer run.
POINTS = ("after", "inside", "before", "random") * int(os.environ.get("KILL_ROUNDS", "1"))
#: To 08:10 on the day after the opening.
DAY = 25 * 60 + 10
#: The other stores' logs know of no sweep after closing: they begin behind one and end before the next.
AFTER_CLOSING, UNSWEPT = datetime(2026, 1, 1, 23, 1, tzinfo=UTC), 1_400
#: The world waits here for stages that have not said anything.
GATE = 5
#: Steps of the day between two looks at the other stores.
PACE = 15
#: A batch takes no more offsets, so that batches end in the middle of steps.
OFFSETS = 700


class World:
    """Writes what happens in all stores, as fast as the kills come."""

    def __init__(self, store: SparkStore, built: Path) -> None:
        self.store, self.day = store, Recorded(built)
        self.others = [
            StoreLog(name, seed=seed, shelves=10, start=AFTER_CLOSING).open() for seed, name in ((1, "S02"), (2, "S05"))
        ]
        self.may_live_to, self._is_heard = 0, False
        self._over, self._disorder = threading.Event(), random.Random(1)
        self._thread = threading.Thread(target=self._live)

    def __enter__(self) -> World:
        self._thread.start()
        return self

    def __exit__(self, *failed: object) -> None:
        self._over.set()
        self._thread.join()

    def _live(self) -> None:
        while not self._over.is_set():
            self._is_heard = self._is_heard or self.store.progress() is not None
            self.go_on(min(self.may_live_to, self.day.last_step + PACE) if self._is_heard else GATE)
            time.sleep(0.2)

    def go_on(self, until: int) -> None:
        for log in self.others:
            if log.last_step < UNSWEPT:
                log.live(2)
        if until > self.day.last_step:
            self.day.live(until)
        self.store.feed.feed(self.day, *self.others, ticks_per_transaction=PACE, disorder=self._disorder)

    @property
    def steps(self) -> dict[str, int]:
        return {log.store: log.last_step for log in (self.day, *self.others)}


def test_kills_at_every_point_and_lost_sink_checkpoints_lose_nothing_and_double_nothing(
    spark_store: SparkStore, built: Path
) -> None:
    store = spark_store
    store.env |= {"SMARTSHELF_DATA": str(built), "SCALE": SCALE, "MAX_OFFSETS_PER_TRIGGER": str(OFFSETS)}
    with World(store, built) as world:
        for number, point in enumerate(POINTS, start=1):
            world.may_live_to = DAY * number // len(POINTS)
            _run_until_killed(store, point)
    for job in ("raw_sinks", "mirrors"):
        shutil.rmtree(store.config.checkpoints / job)
    world.go_on(DAY)
    store.start()
    store.until_step(**world.steps)
    assert_decided_alike(store.config, world.day)
    assert {stage for stage in STAGES if not world.day.said[stage]} == set(), "stages that had nothing to say"
    _nothing_is_lost(store, world.others)
    _nothing_is_said_twice(store, world)
    _the_archive_holds_every_fact(store)
    _the_mirrors_hold_every_row(store)
    assert store.stop() == 0


def _run_until_killed(store: SparkStore, point: str) -> None:
    progress = store.progress()
    batch = progress.batch_id if progress else -1
    if point == "random":
        store.start()
        store.until(lambda: (p := store.progress()) is not None and p.batch_id > batch + 3, "some batches")
        store.kill()
    else:
        store.start_mortal(point, batch + 3)
        assert store.ended() == -9, store.said()[-3000:]


def _nothing_is_lost(store: SparkStore, logs: list[StoreLog]) -> None:
    states = store.states()
    for log in logs:
        for shelf, places in log.plain_sum().items():
            row = states[log.store, shelf]
            assert (row.current_stock, row.in_baskets) == (places.get("SHELF", 0), places.get("BASKET", 0))
            assert row.max_stock == log.maximum(shelf)


def _nothing_is_said_twice(store: SparkStore, world: World) -> None:
    for rows in store.history().values():
        orders = [(row.epoch, row.version) for row in rows]
        assert orders == sorted(set(orders)), "each version of a row is sent once, in order"
    marks = store.done()
    for name, last in world.steps.items():
        for stage in STAGES:
            cuts = [(mark.k, mark.n) for mark in marks[name] if mark.stage == stage]
            assert cuts == sorted(set(cuts))
            assert cuts[-1][0] == last
    wanted = [store.feed.origin(log.store, origin) for log in world.others for origin in log.refused]
    assert sorted(store.letters()) == sorted(wanted)


def _the_archive_holds_every_fact(store: SparkStore) -> None:
    """Also those that stages have written."""
    for topic in tables.RAW:
        there = sorted(
            (message.partition(), message.offset(), topic.decoder.decode(message.value()).event_id)
            for message in kafka.read_all(store.config.kafka_bootstrap, topic.name)
        )
        archived, facts = partial(_archived, store, topic), len(there)
        store.until(lambda here=archived, facts=facts: len(here()) >= facts, f"the archive of {topic.name}")
        assert archived() == there
        assert there


def _archived(store: SparkStore, topic: Topic) -> list[tuple[int, int, str]]:
    rows = delta.read(tables.raw_path(store.config.delta_root, topic))
    return sorted((row["partition"], row["offset"], row["event_id"]) for row in rows)


def _the_mirrors_hold_every_row(store: SparkStore) -> None:
    for table in tables.MIRRORED:
        rows = audited.rows_in_kafka(store.config, table)
        differ = partial(_differences, store, table, rows)
        store.until(lambda differ=differ: not differ(), f"the mirror of {table.full_name}")
        assert rows or table.name == "command_outcomes"
    shelves, backroom = (audited.rows_in_kafka(store.config, TABLES[f"state.{name}"]) for name in _TOTALED)
    units = {
        key: row["current_stock"] + row["in_baskets"] + row["on_the_way"] + backroom[key]["wh_current_stock"]
        for key, row in shelves.items()
    }
    totals = tables.totals_path(store.config.delta_root)
    store.until(
        lambda: {(row["store_id"], row["shelf_id"]): row["total"] for row in delta.read(totals)} == units, "the totals"
    )


_TOTALED = ("shelf_state", "wh_state")


def _differences(store: SparkStore, table: Table, rows: books.Rows) -> list[books.Difference]:
    mirror = audited.rows_in_delta(store.config, table)
    return books.compare_rows("kafka", rows, "delta", mirror, keeps_more=not table.deletes)
