"""Which generation a start runs on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smartshelf.contracts.rows import JobProgress
from smartshelf.io import job_progress
from spark_apps.jobs import STAGES
from spark_apps.jobs.pos_flattener import PosFlattener
from spark_apps.jobs.shelf_aggregator import ShelfAggregator
from spark_apps.runtime import recovery
from spark_apps.runtime.cuts import Positions
from spark_apps.runtime.engine import Cut, Past, Runtime
from spark_apps.runtime.processor import pack_values, unpack_values
from spark_apps.runtime.recovery import Checkpoints, Generation, Known

PARTITIONS = {"shelf_events": 2, "shelf_profiles": 1}
SHELVES, FLATTENER = ShelfAggregator(), PosFlattener()
BOTH = (SHELVES, FLATTENER)
LEAD = 8


def progress(
    epoch: int = 1, checkpoint: str = "A", batch: int = 5, job: str = "store", stages: Any = BOTH, **steps: int
) -> JobProgress:
    return JobProgress(
        job=job, epoch=epoch, checkpoint=checkpoint, batch_id=batch, steps=steps or {"S01": 100}, offsets={},
        stages=tuple(stage.name for stage in stages), written_at=datetime.now(UTC),
    )  # fmt: skip


def checkpoint(folder: Path, identity: str = "A", planned: int = 5, committed: int = 5) -> None:
    for name, last in (("offsets", planned), ("commits", committed)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for batch in range(last + 1):
            (folder / name / str(batch)).write_text("v1\n{}\n" + json.dumps({"shelf_events": {"0": batch}}))
    (folder / "metadata").write_text(json.dumps({"id": identity}))


def carried(
    store: str, step: int, epoch: int = 1, job: str = "store", stages: Any = BOTH, **positions: dict[str, int]
) -> dict[str, Any]:
    values = {"runtime": Runtime(Positions(dict(positions)), last=(step, 0)).dump()}
    values |= {f"stage:{stage.name}": f"{job} {step}".encode() for stage in stages}
    if SHELVES in stages:
        values |= {"books:names": b"names", "books:units": b"units"}
    return {"store_id": store, "job": job, "epoch": epoch, "step": step, "state": pack_values(values)}


def choose(
    folder: Path,
    *known: JobProgress | None,
    rows: Any = (),
    epoch: int = 1,
    job: str = "store",
    stages: Any = BOTH,
    ticks: dict[str, Cut] | None = None,
) -> Generation:
    jobs = {row.job: row for row in known if row}
    found = Known(jobs, lambda: rows, lambda: ticks or {}, PARTITIONS, LEAD)
    return recovery.choose(Checkpoints(folder), job, stages, found, epoch=epoch, starting="earliest")


def sent(**steps: int) -> dict[str, dict[str, Cut]]:
    return {store: {stage.name: (k, 0) for stage in BOTH} for store, k in steps.items()}


@pytest.fixture
def running(tmp_path: Path) -> Path:
    """The folder of a job that has run as epoch 1."""
    choose(tmp_path, None)
    checkpoint(tmp_path / "v1")
    return tmp_path


def test_the_first_start_begins_the_epoch_of_the_settings(tmp_path: Path) -> None:
    stages = ("shelf_aggregator", "pos_flattener")
    assert choose(tmp_path, None, epoch=4) == Generation(epoch=4, because="first start", stages=stages)


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
    assert (generation.epoch, generation.sent) == (2, sent(S01=100, S02=90))
    assert generation.past()["S02"] == Past(sent(S02=90)["S02"])
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
    generation = choose(tmp_path, progress(S01=100, S02=100, S05=100), rows=rows)
    assert json.loads(generation.starting) == {"shelf_events": {"0": 401, "1": 71}, "shelf_profiles": {"0": 11}}
    assert set(generation.origins) == {"S01", "S02", "S05"}


def test_a_store_that_had_nothing_in_a_partition_is_read_from_its_beginning(tmp_path: Path) -> None:
    rows = [carried("S01", 50, shelf_events={"0": 500}), carried("S02", 50, shelf_profiles={"0": 3})]
    generation = choose(tmp_path, progress(S01=100, S02=100), rows=rows)
    assert json.loads(generation.starting)["shelf_events"]["0"] == recovery.EARLIEST


def test_a_store_without_a_brought_forward_state_makes_all_be_read_again(tmp_path: Path) -> None:
    rows = [carried("S01", 50, shelf_events={"0": 500})]
    generation = choose(tmp_path, progress(S01=100, S02=100), rows=rows)
    assert generation.starting == "earliest"


def test_a_state_whose_batch_never_left_is_not_started_from(tmp_path: Path) -> None:
    rows = [carried("S01", 50), carried("S01", 120)]
    assert choose(tmp_path, progress(S01=100), rows=rows).origins == {"S01": [("store", 1, 50)]}


def test_the_states_of_a_generation_are_the_ones_it_named(tmp_path: Path) -> None:
    rows = [carried("S01", 50), carried("S01", 60)]
    generation = choose(tmp_path, progress(S01=55), rows=rows)
    ((store, state),) = recovery.states_to_start_from(generation, BOTH, rows)
    assert (store, unpack_values(state)["stage:pos_flattener"]) == ("S01", b"store 50")


# --- another split ---------------------------------------------------------------------------------


def split(epoch: int = 2, shelves: int = 120, flattener: int = 110) -> tuple[JobProgress, JobProgress, JobProgress]:
    """A store that ran fused to step 100 and was split then."""
    return (
        progress(S01=100),
        progress(epoch, job="store:a", stages=[SHELVES], S01=shelves),
        progress(epoch, job="store:b", stages=[FLATTENER], S01=flattener),
    )


def test_a_job_whose_stages_another_had_goes_on_silently_up_to_what_that_has_sent(tmp_path: Path) -> None:
    generation = choose(tmp_path, progress(S01=100), job="store:a", stages=[SHELVES])
    assert (generation.epoch, generation.sent) == (2, {"S01": {"shelf_aggregator": (100, 0)}})
    assert "split over other jobs before (store: shelf_aggregator, pos_flattener)" in generation.because


def test_a_job_split_off_later_than_its_sibling_takes_over_from_the_same_job(tmp_path: Path) -> None:
    whole, first, _ = split()
    generation = choose(tmp_path, whole, first, job="store:b", stages=[FLATTENER])
    assert (generation.epoch, generation.sent) == (2, {"S01": {"pos_flattener": (100, 0)}})


def test_put_together_again_every_stage_is_silent_as_far_as_its_own_job_came(running: Path) -> None:
    generation = choose(running, *split())
    assert generation.epoch == 3
    assert generation.sent == {"S01": {"shelf_aggregator": (120, 0), "pos_flattener": (110, 0)}}


def test_a_changed_split_that_was_killed_before_its_first_batch_goes_on(tmp_path: Path) -> None:
    first = choose(tmp_path, progress(), job="store:a", stages=[SHELVES])
    assert choose(tmp_path, progress(), job="store:a", stages=[SHELVES]) == first
    later = choose(tmp_path, progress(S01=170), job="store:a", stages=[SHELVES])
    assert (later.epoch, later.sent["S01"]["shelf_aggregator"]) == (3, (170, 0)), "the other went on meanwhile"


def test_an_unchanged_split_goes_on_however_far_its_siblings_are(tmp_path: Path) -> None:
    whole, first, second = split()
    generation = choose(tmp_path, whole, second, job="store:a", stages=[SHELVES])
    checkpoint(tmp_path / "v2")
    assert choose(tmp_path, whole, first, second, job="store:a", stages=[SHELVES]) == generation


def test_the_first_start_of_a_split_is_no_change_of_it(tmp_path: Path) -> None:
    _, first, _ = split(epoch=1, shelves=LEAD - 1)
    generation = choose(tmp_path, first, job="store:b", stages=[FLATTENER], ticks={"S01": (LEAD - 1, 0)})
    assert (generation.epoch, generation.because, generation.past()) == (1, "first start", {})


def test_a_stage_new_to_a_store_says_nothing_of_the_steps_that_were_lived_without_it(running: Path) -> None:
    known = progress(stages=[SHELVES], S01=100)
    generation = choose(running, known, ticks={"S01": (103, 1)})
    assert (generation.epoch, generation.because) == (2, "new stages: pos_flattener")
    past = generation.past()["S01"]
    assert past.silences("shelf_aggregator", (100, 0))
    assert not past.silences("shelf_aggregator", (101, 0))
    assert past.silences("pos_flattener", (103, 1))
    assert not past.silences("pos_flattener", (104, 0))


def test_a_stage_taken_from_a_job_makes_it_begin_anew(running: Path) -> None:
    generation = choose(running, progress(), stages=[SHELVES])
    assert (generation.epoch, generation.sent) == (2, {"S01": {"shelf_aggregator": (100, 0)}})


def test_states_of_several_jobs_are_joined_from_the_last_step_that_all_brought_forward(running: Path) -> None:
    rows = [
        carried("S01", 60),
        carried("S01", 80, 2, "store:a", [SHELVES], shelf_events={"0": 700}, world_tasks={"0": 9}),
        carried("S01", 80, 2, "store:b", [FLATTENER], pos_transactions={"0": 70}, world_tasks={"0": 5}),
        carried("S01", 90, 2, "store:a", [SHELVES]),
    ]
    generation = choose(running, *split(), rows=rows)
    assert generation.origins == {"S01": [("store:a", 2, 80), ("store:b", 2, 80)]}
    ((_, state),) = recovery.states_to_start_from(generation, BOTH, rows)
    values = unpack_values(state)
    assert {name: values[name] for name in ("books:units", "stage:shelf_aggregator", "stage:pos_flattener")} == {
        "books:units": b"units",
        "stage:shelf_aggregator": b"store:a 80",
        "stage:pos_flattener": b"store:b 80",
    }
    positions = Runtime.load(values["runtime"]).positions.offsets
    assert positions == {"shelf_events": {"0": 700}, "pos_transactions": {"0": 70}, "world_tasks": {"0": 5}}


def test_a_store_has_reached_a_step_when_the_states_of_all_its_stages_stand_there() -> None:
    whole = progress(stages=STAGES, S01=100)
    assert job_progress.reached([whole]) == {"S01": 100}
    assert job_progress.reached([msgspec.structs.replace(whole, folded={"S01": 40})]) == {"S01": 40}
    assert job_progress.reached([progress(stages=STAGES[1:], S01=100)]) == {"S01": -1}
    assert job_progress.reached([whole, progress(2, job="store:a", stages=[SHELVES], S01=90)]) == {"S01": 90}


def test_who_is_in_charge_of_a_stage_tells_how_far_it_has_come() -> None:
    whole, first, second = split()
    assert job_progress.sent([first, second, whole], ["shelf_aggregator", "pos_flattener"]) == {
        "S01": {"shelf_aggregator": (120, 0), "pos_flattener": (110, 0)}
    }
    catching_up = msgspec.structs.replace(first, steps={"S01": 30}, sent={"S01": {"shelf_aggregator": (100, 0)}})
    assert job_progress.sent([whole, catching_up], ["shelf_aggregator"])["S01"] == {"shelf_aggregator": (100, 0)}
    silent = msgspec.structs.replace(first, steps={"S01": 30}, now={"S01": (90, 0)})
    assert job_progress.sent([silent], ["shelf_aggregator"]) == {}


def test_committed_offsets_are_those_of_the_last_committed_batch(running: Path) -> None:
    checkpoint(running / "v1", planned=7, committed=5)
    assert recovery.committed_offsets(running / "v1") == {"shelf_events": {"0": 5}}
    assert recovery.committed_offsets(running / "nothing") == {}


def test_a_description_is_readable_by_people(running: Path) -> None:
    assert msgspec.json.decode((running / "v1.json").read_bytes())["because"] == "first start"
