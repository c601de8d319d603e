"""The engine's promises: batches may be cut, shuffled and replayed anyhow, the store is the same."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from smartshelf.contracts.control import Done
from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import ShelfState
from spark_apps.jobs.shelf_aggregator import ShelfAggregator
from spark_apps.runtime.engine import Cut, Past, Result, StoreEngine
from spark_apps.runtime.records import Record
from tests.spark.log import STEP, StoreLog

STAGES = (ShelfAggregator(),)
seeds = st.integers(0, 2**32)


def sent_until(k: int) -> Past:
    return Past(dict.fromkeys((stage.name for stage in STAGES), (k, 0)))


class Store:
    """An engine over saved values, as in Spark's state store, and what a reader of its topics has seen."""

    def __init__(self, values: dict[str, bytes] | None = None, epoch: int = 1, past: Past | None = None) -> None:
        self.values, self.epoch, self.past = values or {}, epoch, past
        self.rows: dict[bytes, bytes | None] = {}
        self.letters: list[bytes] = []
        #: Step and extra cut of every done mark.
        self.done: list[Cut] = []
        self.carried: list = []

    def batch(self, records: list, crash: bool = False) -> None:
        engine = StoreEngine("S01", STAGES, epoch=self.epoch, step_seconds=STEP, values=self.values, past=self.past)
        result = engine.process(records)
        if not crash:
            self.values = self.values | engine.dump()
            self._read(result)

    def _read(self, result: Result) -> None:
        for _, output in result.emitted:
            if output.topic == "dead_letters":
                self.letters.append(output.value)
            else:
                old = self.rows.get(output.key)
                if old is not None and output.value is not None:
                    assert _order(old) < _order(output.value), "a row never goes back"
                self.rows[output.key] = output.value
        if result.done:
            self.done.append((result.done["shelf_aggregator"], result.n))
        self.carried += result.carried

    def state(self) -> list[ShelfState]:
        rows = [msgspec.json.decode(value, type=ShelfState) for value in self.rows.values() if value is not None]
        return sorted(rows, key=lambda row: row.shelf_id)


def _order(value: bytes) -> tuple[int, int]:
    row = msgspec.json.decode(value, type=ShelfState)
    return row.epoch, row.version


def sent_before(k: int) -> Record:
    """The mark that says that an earlier epoch has sent all steps up to ``k``; it counted nothing by command."""
    mark = Done(store_id="S01", stage="shelf_aggregator", k=k, epoch=1, offsets={})
    return Record("world_tasks", 0, 0, 0, b"S01", msgspec.json.encode(mark))


def run(log: StoreLog, seed: int) -> Store:
    rng, store = random.Random(seed), Store()
    for batch in log.batches(rng):
        while rng.random() < 0.3:
            store.batch(batch, crash=True)
        store.batch(batch)
    return store


@settings(max_examples=60, deadline=None)
@given(seed=seeds, cuts=seeds)
def test_any_cutting_shuffling_and_replaying_of_batches_leaves_the_same_store(seed: int, cuts: int) -> None:
    log = StoreLog(seed=seed).open().live(40)
    whole = Store()
    whole.batch(log.all())
    pieces = run(log, cuts)
    assert pieces.values == whole.values
    assert [_truth(row) for row in pieces.state()] == [_truth(row) for row in whole.state()]
    assert pieces.done == sorted(set(pieces.done))
    assert pieces.done[-1] == whole.done[-1]
    assert pieces.done[-1][0] == log.last_step
    assert sorted(pieces.letters) == sorted(whole.letters)


def _truth(row: ShelfState) -> ShelfState:
    """A row may have been written before its step was folded: as_of_step says so, nothing else differs."""
    return msgspec.structs.replace(row, as_of_step=0)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, cuts=seeds)
def test_the_fold_is_the_plain_sum_of_the_facts_and_bad_ones_are_told_once(seed: int, cuts: int) -> None:
    log = StoreLog(seed=seed).open().live(30)
    store = run(log, cuts)
    sums = log.plain_sum()
    for row in store.state():
        places = sums[row.shelf_id]
        assert row.current_stock == places.get(Place.SHELF.name, 0)
        assert row.in_baskets == places.get(Place.BASKET.name, 0)
    origins = [msgspec.json.decode(letter)["origin"] for letter in store.letters]
    assert sorted(origins) == sorted(log.refused)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, cuts=seeds)
def test_a_version_counts_the_inputs_that_changed_the_row(seed: int, cuts: int) -> None:
    log = StoreLog(seed=seed, shelves=3).open().live(20, odd=False)
    inputs = dict.fromkeys(log.shelf_ids, 1)  # the profile
    for fact in log.booked:
        shelves = {line.shelf_id for line in fact.items} if hasattr(fact, "items") else {fact.shelf_id}
        for shelf in shelves:
            inputs[shelf] += 1
    assert {row.shelf_id: row.version for row in run(log, cuts).state()} == inputs


@settings(max_examples=40, deadline=None)
@given(seed=seeds, cuts=seeds, later=seeds)
def test_a_rebuild_from_the_brought_forward_state_is_silent_until_where_it_was_and_then_the_same(
    seed: int, cuts: int, later: int
) -> None:
    log = StoreLog(seed=seed, start=datetime(2026, 1, 31, 23, 50, tzinfo=UTC)).open().live(30)
    first = run(log, cuts)
    (carried,) = first.carried
    assert carried.at == datetime(2026, 2, 1, tzinfo=UTC)
    sent = random.Random(later).randrange(carried.k, log.last_step + 1)

    engine = StoreEngine("S01", STAGES, epoch=2, step_seconds=STEP, values=carried.values)
    engine.rebuilt(sent_until(sent))
    again = Store(carried.values | engine.dump(), epoch=2)
    rng = random.Random(later)
    again.batch([sent_before(sent)])
    for batch in log.batches(rng):  # also what the state has seen already
        again.batch(batch)

    assert {n: v for n, v in again.values.items() if n != "runtime"} == {
        n: v for n, v in first.values.items() if n != "runtime"
    }
    assert [_truth(row) for row in again.state()] == [
        msgspec.structs.replace(_truth(row), epoch=2) for row in first.state()
    ]
    assert all(cut > (sent, 0) for cut in again.done)
    assert (again.done or [(sent, 0)])[-1][0] == log.last_step


@settings(max_examples=25, deadline=None)
@given(seed=seeds, cuts=seeds)
def test_a_rebuild_from_the_beginning_shows_nothing_of_the_past(seed: int, cuts: int) -> None:
    log = StoreLog(seed=seed).open().live(20)
    sent = 12
    rng, again = random.Random(cuts), Store(epoch=2, past=sent_until(sent))
    again.batch([sent_before(sent)])
    for batch in log.batches(rng):
        seen = dict(again.rows)
        again.batch(batch)
        if not again.done:
            assert seen == again.rows or min(r.as_of_step for r in again.state()) >= sent
    assert all(row.as_of_step >= sent for row in again.state())
    assert len(again.state()) == len(log.shelf_ids)
    assert all(cut > (sent, 0) for cut in again.done)
