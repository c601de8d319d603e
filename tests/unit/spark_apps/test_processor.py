"""The engine kept by a worker is the one that the stored state describes, or it is not used."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import pytest

from spark_apps.jobs import STAGES
from spark_apps.runtime import processor
from spark_apps.runtime.books import NAMES
from spark_apps.runtime.processor import STAMP, Row, StoreProcessor
from spark_apps.runtime.records import Record
from tests.loop import Loop
from tests.worlds import small_body

STORE = "S01"


class StateStore:
    """Spark's side: the state as of the last batch that ended well, and what the running one has written."""

    def __init__(self) -> None:
        self.committed: dict[tuple[str], tuple[bytes]] = {}
        self.written: dict[tuple[str], tuple[bytes]] = {}
        self.read: Counter[str] = Counter()

    def getMapState(self, *_: str) -> StateStore:  # noqa: N802  # Spark's name
        return self

    def getValue(self, key: tuple[str]) -> tuple[bytes] | None:  # noqa: N802
        self.read[key[0]] += 1
        return (self.committed | self.written).get(key)

    def updateValue(self, key: tuple[str], value: tuple[bytes]) -> None:  # noqa: N802
        self.written[key] = value

    def commit(self) -> None:
        self.committed |= self.written
        self.written = {}

    def fail(self) -> None:
        self.written = {}


@pytest.fixture(scope="module")
def batches() -> list[list[Record]]:
    """An hour and a half with customers, five steps in a batch."""
    records = Loop(STAGES, small_body(visits=200.0)).live(90).records
    ends = [at + 1 for at, record in enumerate(records) if record.topic == "sim_ticks"][4::5]
    return [records[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


@pytest.fixture(autouse=True)
def _new_worker() -> None:
    processor._kept.clear()


def made(store: StateStore) -> StoreProcessor:
    working = StoreProcessor(STAGES, epoch=1, step_seconds=60)
    working.init(store)
    return working


def lived(working: StoreProcessor, store: StateStore, batch: list[Record]) -> list[Row]:
    rows = list(working._process(STORE, batch))
    store.commit()
    return rows


@pytest.fixture(scope="module")
def expected(batches: list[list[Record]]) -> tuple[list[list[Row]], dict[Any, Any]]:
    """What a worker does that keeps nothing from batch to batch."""
    store, rows = StateStore(), []
    for batch in batches:
        processor._kept.clear()
        rows.append(lived(made(store), store, batch))
    return rows, store.committed


def test_a_kept_engine_goes_on_as_one_that_was_stored_and_reads_no_state(
    batches: list[list[Record]], expected: tuple[list[list[Row]], dict[Any, Any]]
) -> None:
    store = StateStore()
    working = made(store)
    assert ([lived(working, store, batch) for batch in batches], store.committed) == expected
    assert (store.read[STAMP], store.read[NAMES]) == (len(batches), 1)


def test_a_batch_that_failed_is_repeated_on_the_state_as_it_is_stored(
    batches: list[list[Record]], expected: tuple[list[list[Row]], dict[Any, Any]]
) -> None:
    store = StateStore()
    working, rows = made(store), []
    for batch in batches:
        list(working._process(STORE, batch))
        store.fail()
        rows.append(lived(working, store, batch))
    assert (rows, store.committed) == expected


def test_a_batch_that_breaks_off_leaves_no_engine_behind(
    batches: list[list[Record]], expected: tuple[list[list[Row]], dict[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = StateStore()
    working, rows = made(store), []
    for batch in batches:
        with monkeypatch.context() as patch:
            patch.setattr(store, "updateValue", _broken)
            with pytest.raises(RuntimeError):
                working._process(STORE, batch)
        rows.append(lived(working, store, batch))
    assert (rows, store.committed) == expected


def _broken(*_: Any) -> None:
    raise RuntimeError("the state server has gone")


def test_workers_that_take_turns_do_not_use_what_they_kept_before(
    batches: list[list[Record]], expected: tuple[list[list[Row]], dict[Any, Any]]
) -> None:
    store, workers, rows = StateStore(), [dict(processor._kept), dict(processor._kept)], []
    working = made(store)
    for number, batch in enumerate(batches):
        processor._kept.clear()
        processor._kept.update(workers[number % 2])
        rows.append(lived(working, store, batch))
        workers[number % 2] = dict(processor._kept)
    assert (rows, store.committed) == expected


def test_a_processor_that_is_sent_with_every_batch_goes_on_as_one_that_stays(
    batches: list[list[Record]], expected: tuple[list[list[Row]], dict[Any, Any]]
) -> None:
    store = StateStore()
    driver, rows = StoreProcessor(STAGES, epoch=1, step_seconds=60), []
    for batch in batches:
        working = pickle.loads(pickle.dumps(driver))
        working.init(store)
        rows.append(lived(working, store, batch))
    assert (rows, store.committed) == expected
    assert store.read[NAMES] == 1


def test_an_engine_of_another_query_is_not_used(batches: list[list[Record]]) -> None:
    store = StateStore()
    lived(made(store), store, batches[0])
    lived(made(store), store, batches[1])
    assert store.read[NAMES] == 2
