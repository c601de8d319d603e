"""Which generation a start runs on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smartshelf.contracts.rows import JobProgress
from spark_apps.runtime import recovery
from spark_apps.runtime.cuts import Positions
from spark_apps.runtime.engine import Carried, Runtime
from spark_apps.runtime.processor import pack_carried
from spark_apps.runtime.recovery import Checkpoints, Generation

PARTITIONS = {"shelf_events": 2, "shelf_profiles": 1}


def progress(epoch: int = 1, checkpoint: str = "A", batch: int = 5, **steps: int) -> JobProgress:
    return JobProgress(
        job="store", epoch=epoch, checkpoint=checkpoint, batch_id=batch, steps=steps or {"S01": 100}, offsets={},
        written_at=datetime.now(UTC),
    )  # fmt: skip


def checkpoint(folder: Path, identity: str = "A", planned: int = 5, committed: int = 5) -> None:
    for name, last in (("offsets", planned), ("commits", committed)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for batch in range(last + 1):
            (folder / name / str(batch)).write_text("v1\n{}\n" + json.dumps({"shelf_events": {"0": batch}}))
    (folder / "metadata").write_text(json.dumps({"id": identity}))


def carried(store: str, step: int, epoch: int = 1, **positions: dict[str, int]) -> dict[str, Any]:
    runtime = Runtime(Positions(dict(positions)))
    state = pack_carried(Carried(step, datetime.now(UTC), {"runtime": runtime.dump()}, {}))
    return {"store_id": store, "epoch": epoch, "step": step, "state": state}


def choose(folder: Path, known: JobProgress | None, rows: Any = (), epoch: int = 1) -> Generation:
    return recovery.choose(
        Checkpoints(folder), known, lambda: rows, epoch=epoch, starting="earliest", partitions=PARTITIONS
    )  # fmt: skip


@pytest.fixture
def running(tmp_path: Path) -> Path:
    """The folder of a job that has run as epoch 1."""
    choose(tmp_path, None)
    checkpoint(tmp_path / "v1")
    return tmp_path


def test_the_first_start_begins_the_epoch_of_the_settings(tmp_path: Path) -> None:
    assert choose(tmp_path, None, epoch=4) == Generation(epoch=4, because="first start")


def test_a_restart_goes_on_with_the_same_parameters(running: Path) -> None:
    assert choose(running, progress()) == choose(running, progress())
    assert choose(running, progress()).epoch == 1


def test_a_batch_that_kafka_has_and_spark_has_not_committed_is_no_trouble(running: Path) -> None:
    checkpoint(running / "v1", planned=6)
    assert choose(running, progress(batch=6)).epoch == 1


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (progress(checkpoint="B"), "another one"),
        (progress(batch=9), "older"),
        (progress(batch=3), "newer"),
        (progress(epoch=3), "epoch 3"),
        (None, "does not know"),
    ],
)
def test_a_checkpoint_that_does_not_fit_the_results_in_kafka_begins_another_epoch(
    running: Path, known: JobProgress | None, reason: str
) -> None:
    generation = choose(running, known)
    assert reason in generation.because
    assert generation.epoch == max(1, known.epoch if known else 0) + 1


def test_lost_without_a_trace_the_epoch_still_rises_and_what_was_sent_stays_silent(tmp_path: Path) -> None:
    generation = choose(tmp_path, progress(S01=100, S02=90))
    assert (generation.epoch, generation.silent) == (2, {"S01": 100, "S02": 90})
    assert generation.starting == "earliest"


def test_a_rebuild_that_was_killed_before_its_first_batch_goes_on(tmp_path: Path) -> None:
    first = choose(tmp_path, progress())
    assert choose(tmp_path, progress()) == first


def test_a_raised_epoch_rebuilds(running: Path) -> None:
    assert choose(running, progress(), epoch=7).epoch == 7


def test_a_rebuild_starts_where_no_store_misses_a_record(tmp_path: Path) -> None:
    # S01 and S02 lie in partition 0 of two, S05 in partition 1.
    rows = [
        carried("S01", 50, shelf_events={"0": 500}, shelf_profiles={"0": 10}),
        carried("S02", 50, shelf_events={"0": 400}, shelf_profiles={"0": 30}),
        carried("S05", 50, shelf_events={"1": 70}, shelf_profiles={"0": 20}),
    ]
    generation = choose(tmp_path, progress(S01=100, S02=100, S05=100), rows)
    assert json.loads(generation.starting) == {"shelf_events": {"0": 401, "1": 71}, "shelf_profiles": {"0": 11}}
    assert set(generation.carried) == {"S01", "S02", "S05"}


def test_a_store_that_had_nothing_in_a_partition_is_read_from_its_beginning(tmp_path: Path) -> None:
    rows = [carried("S01", 50, shelf_events={"0": 500}), carried("S02", 50, shelf_profiles={"0": 3})]
    generation = choose(tmp_path, progress(S01=100, S02=100), rows)
    assert json.loads(generation.starting)["shelf_events"]["0"] == recovery.EARLIEST


def test_a_store_without_a_brought_forward_state_makes_all_be_read_again(tmp_path: Path) -> None:
    generation = choose(tmp_path, progress(S01=100, S02=100), [carried("S01", 50, shelf_events={"0": 500})])
    assert generation.starting == "earliest"


def test_a_state_whose_batch_never_left_is_not_started_from(tmp_path: Path) -> None:
    rows = [carried("S01", 50), carried("S01", 120)]
    assert choose(tmp_path, progress(S01=100), rows).carried == {"S01": (1, 50)}


def test_the_states_of_a_generation_are_the_ones_it_named(tmp_path: Path) -> None:
    rows = [carried("S01", 50), carried("S01", 60)]
    generation = choose(tmp_path, progress(S01=55), rows)
    assert recovery.states_to_start_from(generation, rows) == [("S01", rows[0]["state"])]


def test_committed_offsets_are_those_of_the_last_committed_batch(running: Path) -> None:
    checkpoint(running / "v1", planned=7, committed=5)
    assert recovery.committed_offsets(running / "v1") == {"shelf_events": {"0": 5}}
    assert recovery.committed_offsets(running / "nothing") == {}


def test_a_description_is_readable_by_people(running: Path) -> None:
    assert msgspec.json.decode((running / "v1.json").read_bytes())["because"] == "first start"
