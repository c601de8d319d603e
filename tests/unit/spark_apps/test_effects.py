"""The effects of a batch: one transaction, in order, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from smartshelf.contracts.control import Done
from smartshelf.contracts.rows import JobProgress
from smartshelf.io.delta import DeltaSink, read
from spark_apps.queries import StartAgain
from spark_apps.runtime.effects import JOB_STATE, Effects
from spark_apps.runtime.processor import COLUMNS
from spark_apps.runtime.recovery import Generation

Row = tuple[str, str, str, str | None, bytes | None, bytes | None, int, int]


#: What another job has sent before.
BEFORE = {"shelf_aggregator": (6, 0)}


class Broker:
    """Stands for the transactional writer: committed records, in order, with their offsets."""

    def __init__(self) -> None:
        self.committed: list[tuple[str, Any]] = []
        self.fail_once = False
        self._open: list[tuple[str, Any]] = []
        self._reports: list[Callable[[], None]] = []

    def transaction(self, fill: Callable[[Broker], None]) -> None:
        while True:
            self._open, self._reports = [], []
            fill(self)
            if not self.fail_once:
                self.committed += self._open
                return
            self.fail_once = False  # aborted: the whole transaction is filled again

    def produce(self, topic: str, value: Any, key: Any = None, partition: int = 0, on_delivery: Any = None) -> None:
        offset = sum(name == topic for name, _ in self.committed + self._open)
        self._open.append((topic, value))
        if on_delivery:
            self._reports.append(lambda: on_delivery(None, _Message(topic, partition, offset)))

    def flush(self) -> None:
        for report in self._reports:
            report()
        self._reports = []

    def partition_of(self, topic: str, store_id: str) -> int:
        return {"S01": 0, "S02": 1}[store_id]

    def of(self, topic: str) -> list[Any]:
        return [value for name, value in self.committed if name == topic]


class _Message:
    def __init__(self, topic: str, partition: int, offset: int) -> None:
        self.topic, self.partition, self.offset = (lambda: topic), (lambda: partition), (lambda: offset)


def table(*rows: Row) -> pa.Table:
    types = dict(zip(COLUMNS, [*[pa.string()] * 4, pa.binary(), pa.binary(), pa.int64(), pa.int64()], strict=True))
    return pa.Table.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in rows], pa.schema(types.items()))


def state(store: str, value: bytes = b"{}") -> Row:
    return store, "record", "shelf_aggregator", "shelf_state", b"k", value, 0, 0


def done(store: str, k: int, n: int = 0) -> Row:
    return store, "done", "shelf_aggregator", None, None, None, k, n


def step(store: str, k: int, n: int = 0) -> Row:
    return store, "step", "", None, None, None, k, n


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def stores() -> set[str]:
    """Stores that have a profile."""
    return {"S01", "S02"}


@pytest.fixture
def make(broker: Broker, tmp_path: Path, stores: set[str]) -> Callable[..., Effects]:
    def made(progress: JobProgress | None = None, checkpoint: str = "C1", epoch: int = 1) -> Effects:
        sink = DeltaSink(tmp_path / "job_state", JOB_STATE)
        known = lambda: frozenset(stores)  # noqa: E731
        generation = Generation(epoch=epoch, because="a test", stages=("shelf_aggregator",), sent={"S03": BEFORE})
        return Effects("store", generation, broker, lambda: checkpoint, progress, sink, known)  # type: ignore[arg-type]

    return made


def progress_of(broker: Broker) -> JobProgress:
    return msgspec.json.decode(broker.of("job_progress")[-1], type=JobProgress)


def test_done_marks_come_after_the_records_and_name_where_they_went(
    make: Callable[..., Effects], broker: Broker
) -> None:
    make().take(table(done("S02", 7), state("S01"), state("S02"), state("S02"), done("S01", 5)), 0)
    assert [topic for topic, _ in broker.committed] == [*["shelf_state"] * 3, *["world_tasks"] * 2, "job_progress"]
    marks = [msgspec.json.decode(value, type=Done) for value in broker.of("world_tasks")]
    assert [(mark.store_id, mark.k, mark.offsets) for mark in marks] == [
        ("S02", 7, {"shelf_state": {"1": 2}}),
        ("S01", 5, {"shelf_state": {"0": 0}}),
    ]


def test_a_batch_that_was_sent_is_not_sent_again_after_a_restart(make: Callable[..., Effects], broker: Broker) -> None:
    batch = table(state("S01"), done("S01", 3), step("S01", 3))
    make().take(batch, 4)
    before = list(broker.committed)
    restarted = make(progress_of(broker))
    restarted.take(batch, 4)
    assert broker.committed == before
    restarted.take(batch, 5)
    assert len(broker.committed) == 2 * len(before)


def test_a_store_that_joins_is_taken_in_by_a_new_start_before_anything_is_sent(
    make: Callable[..., Effects], broker: Broker, stores: set[str]
) -> None:
    effects, batch = make(), table(state("S01"), step("R01", -1))
    stores.add("R01")
    with pytest.raises(StartAgain, match="R01"):
        effects.take(batch, 0)
    assert broker.committed == []
    make().take(batch, 0)
    assert len(broker.of("shelf_state")) == 1


def test_facts_under_the_name_of_a_store_that_there_is_not_stop_nothing(
    make: Callable[..., Effects], broker: Broker
) -> None:
    make().take(table(state("S01"), step("S99", -1)), 0)
    assert len(broker.of("shelf_state")) == 1


def test_the_same_batch_number_of_another_checkpoint_is_another_batch(
    make: Callable[..., Effects], broker: Broker
) -> None:
    make().take(table(state("S01")), 4)
    make(progress_of(broker), checkpoint="C2", epoch=2).take(table(state("S01")), 0)
    assert len(broker.of("shelf_state")) == 2


def test_a_transaction_that_is_repeated_counts_once(make: Callable[..., Effects], broker: Broker) -> None:
    broker.fail_once = True
    make().take(table(state("S01"), done("S01", 3)), 0)
    (mark,) = broker.of("world_tasks")
    assert msgspec.json.decode(mark, type=Done).offsets == {"shelf_state": {"0": 0}}


def test_progress_never_goes_back_and_remembers_what_was_sent_before(
    make: Callable[..., Effects], broker: Broker
) -> None:
    effects = make()
    effects.take(table(state("S01"), step("S01", 9), step("S02", 4)), 0)
    effects.take(table(step("S01", 3)), 1)
    known = progress_of(broker)
    assert (known.batch_id, known.steps) == (1, {"S01": 9, "S02": 4})
    assert known.offsets == {"shelf_state": {"0": 0}}
    assert known.folded == {"S01": 3, "S02": 4, "S03": -1}, "its states come from behind"


def test_progress_tells_extra_cuts_the_stages_and_what_was_sent_before_its_epoch(
    make: Callable[..., Effects], broker: Broker
) -> None:
    effects = make()
    effects.take(table(done("S01", 9, 2), step("S01", 9, 2), step("S02", 4)), 0)
    known = progress_of(broker)
    assert (known.steps, known.cuts) == ({"S01": 9, "S02": 4}, {"S01": 2})
    assert (known.stages, known.sent) == (("shelf_aggregator",), {"S03": BEFORE})
    (mark,) = broker.of("world_tasks")
    assert msgspec.json.decode(mark, type=Done).n == 2
    effects.take(table(step("S01", 10)), 1)
    assert progress_of(broker).cuts == {}


def test_a_batch_without_rows_is_still_known(make: Callable[..., Effects], broker: Broker) -> None:
    make().take(table(), 6)
    assert progress_of(broker).batch_id == 6


def test_a_state_is_brought_forward_once_also_when_the_batch_is_replayed(
    make: Callable[..., Effects], broker: Broker, tmp_path: Path
) -> None:
    at = datetime(2026, 2, 1, tzinfo=UTC)
    batch = table(("S01", "carried", "", None, msgspec.json.encode(at), b"state", 10, 0))
    make().take(batch, 0)
    make(progress_of(broker)).take(batch, 0)
    (row,) = read(tmp_path / "job_state")
    assert (row["store_id"], row["step"], row["at"], row["state"]) == ("S01", 10, at, b"state")


def test_why_the_query_failed_is_kept_as_it_was(make: Callable[..., Effects]) -> None:
    class Broken:
        def toArrow(self) -> pa.Table:  # noqa: N802  # Spark's name
            raise ValueError("no rows")

    effects = make()
    with pytest.raises(ValueError, match="no rows"):
        effects(Broken(), 0)
    assert isinstance(effects.failure, ValueError)


def test_only_the_last_states_brought_forward_stay(make: Callable[..., Effects], tmp_path: Path) -> None:
    at = msgspec.json.encode(datetime(2026, 2, 1, tzinfo=UTC))
    effects = make()
    for batch, k in enumerate((10, 20, 30, 40, 50)):
        for store in ("S01", "S02") if k < 30 else ("S01",):
            effects.take(table((store, "carried", "", None, at, b"state", k, 0), step(store, k)), batch)
    kept = {(row["store_id"], row["step"]) for row in read(tmp_path / "job_state")}
    assert kept == {("S01", 30), ("S01", 40), ("S01", 50), ("S02", 10), ("S02", 20)}
