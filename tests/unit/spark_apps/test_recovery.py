"""Which generation a start runs on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smartshelf.contracts.control import Done, Offsets
from smartshelf.contracts.rows import JobProgress
from smartshelf.errors import SmartShelfError
from smartshelf.io import job_progress
from spark_apps.jobs import STAGES
from spark_apps.jobs.pos_flattener import PosFlattener
from spark_apps.jobs.shelf_aggregator import ShelfAggregator
from spark_apps.runtime import books, codec, handover, recovery
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
    values |= {f"stage:{stage.name}": codec.pack(stage.version, f"{job} {step}") for stage in stages}
    if SHELVES in stages:
        values |= {name: codec.pack(books.FORMAT, name) for name in books.VALUES}
    return {"store_id": store, "job": job, "epoch": epoch, "step": step, "state": pack_values(values)}


def choose(
    folder: Path,
    *known: JobProgress | None,
    rows: Any = (),
    epoch: int = 1,
    job: str = "store",
    stages: Any = BOTH,
    ticks: dict[str, Cut] | None = None,
    starts: Offsets | None = None,
) -> Generation:
    jobs = {row.job: row for row in known if row}
    found = Known(jobs, lambda: rows, lambda: ticks or {}, PARTITIONS, LEAD, lambda: starts or {})
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
    begun = Generation(epoch=4, because="first start", stages=stages, formats=handover.formats(BOTH))
    assert choose(tmp_path, None, epoch=4) == begun


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
    assert (store, unpack_values(state)["stage:shelf_aggregator"]) == ("S01", codec.pack(1, "store 50"))


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
        "books:units": codec.pack(books.FORMAT, "books:units"),
        "stage:shelf_aggregator": codec.pack(SHELVES.version, "store:a 80"),
        "stage:pos_flattener": codec.pack(FLATTENER.version, "store:b 80"),
    }
    positions = Runtime.load(values["runtime"]).positions.offsets
    assert positions == {"shelf_events": {"0": 700}, "pos_transactions": {"0": 70}, "world_tasks": {"0": 5}}


# --- another version of the code -------------------------------------------------------------------


def bump(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come with code in which the shelf aggregator keeps another state."""
    monkeypatch.setattr(ShelfAggregator, "version", ShelfAggregator.version + 1)


def test_another_format_of_a_state_is_built_anew_without_being_asked(
    running: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bump(monkeypatch)
    generation = choose(running, progress())
    assert (generation.epoch, generation.sent) == (2, sent(S01=100))
    assert generation.because == "its states are in other formats (stage:shelf_aggregator 1, now 2)"
    assert choose(running, progress()) == generation, "killed before its first batch it goes on"
    checkpoint(running / "v2", "B")
    assert choose(running, progress(2, "B")) == generation


def test_formats_that_change_again_before_the_first_batch_are_noticed(
    running: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bump(monkeypatch)
    choose(running, progress())
    bump(monkeypatch)
    assert choose(running, progress()).epoch == 3


def test_states_of_a_version_that_recorded_no_formats_are_built_anew(running: Path) -> None:
    of_now = msgspec.json.decode((running / "v1.json").read_bytes(), type=Generation)
    Checkpoints(running).begin(msgspec.structs.replace(of_now, formats={}))
    generation = choose(running, progress())
    assert (generation.epoch, generation.because) == (2, "an earlier version of the code kept its states")


def test_only_what_this_code_reads_is_started_from(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [carried("S01", 40, shelf_events={"0": 4})]
    with monkeypatch.context() as later:
        bump(later)
        rows.append(carried("S01", 60, 2))
    generation = choose(running, progress(2), rows=rows)
    assert generation.origins == {"S01": [("store", 1, 40)]}
    bump(monkeypatch)
    assert choose(running, progress(3), rows=rows).origins == {"S01": [("store", 2, 60)]}
    bump(monkeypatch)
    generation = choose(running, progress(4), rows=rows)
    assert (generation.origins, generation.starting) == ({}, "earliest")


def test_an_older_format_that_this_code_upgrades_is_started_from(tmp_path: Path) -> None:
    row = carried("S01", 40)
    old = codec.pack(1, [{"shelf_events": {"0": 4}}, [[], [], []], [], [40, 0], {}, -1, False])
    row["state"] = pack_values(unpack_values(row["state"]) | {"runtime": old})
    assert choose(tmp_path, progress(), rows=[row]).origins == {"S01": [("store", 1, 40)]}


def test_what_a_stage_kept_that_keeps_more_now_is_not_started_from(tmp_path: Path) -> None:
    row = carried("S01", 40)
    row["state"] = pack_values(unpack_values(row["state"]) | {"stage:shelf_aggregator": b""})
    assert choose(tmp_path, progress(), rows=[row]).origins == {}


def test_a_job_cares_for_the_formats_of_its_own_stages_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [carried("S01", 40)]
    bump(monkeypatch)
    generation = choose(tmp_path, progress(), rows=rows, job="store:b", stages=[FLATTENER])
    assert generation.origins == {"S01": [("store", 1, 40)]}


CUT: Offsets = {"shelf_events": {"0": 41, "1": 0}}


@pytest.mark.parametrize("epoch", [1, 9])
def test_states_that_need_facts_which_kafka_has_deleted_are_not_built_at_all(
    running: Path, epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [carried("S01", 40, shelf_events={"0": 40})]
    assert choose(running, progress(S01=100), rows=rows, epoch=2, starts=CUT).epoch == 2
    bump(monkeypatch)
    with pytest.raises(SmartShelfError) as refused:
        choose(running, progress(S01=100), rows=rows, epoch=epoch, starts=CUT)
    text = str(refused.value)
    for told in (
        "stage:shelf_aggregator is in format 1 (this version reads 2)",
        "S01: shelf_events begins with record 41, needed from 0",
        "make reset",
    ):
        assert told in text
    assert Checkpoints(running).latest() is not None
    assert Checkpoints(running).latest().epoch == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("rows", [(), [carried("S01", 30, shelf_events={"0": 30})]], ids=["lost", "an older one"])
def test_a_lost_checkpoint_is_not_built_from_a_part_of_the_facts(tmp_path: Path, rows: Any) -> None:
    with pytest.raises(SmartShelfError, match=r"its checkpoint is gone.*shelf_events begins with record 41"):
        choose(tmp_path, progress(S01=100), rows=rows, starts=CUT)


def test_a_store_that_joined_after_records_were_deleted_has_all_of_its_own(tmp_path: Path) -> None:
    rows = [carried("S01", 40, shelf_events={"0": 40})]
    generation = choose(tmp_path, progress(S01=100, S02=90), rows=rows, starts=CUT)
    assert (set(generation.origins), generation.starting) == ({"S01"}, "earliest")


def test_a_stage_that_is_new_in_a_process_of_its_own_starts_from_what_others_brought_forward(tmp_path: Path) -> None:
    known = progress(stages=[SHELVES], S01=100)
    rows = [carried("S01", 40, stages=[SHELVES], pos_transactions={"0": 40})]
    cut: Offsets = {"pos_transactions": {"0": 41, "1": 0}}
    new: Any = {"job": "store:b", "stages": [FLATTENER], "ticks": {"S01": (103, 0)}, "starts": cut}
    generation = choose(tmp_path, known, rows=rows, **new)
    assert generation.origins == {"S01": [("store", 1, 40)]}
    assert generation.past()["S01"] == Past({}, (103, 0), {"pos_flattener": (103, 0)})
    with pytest.raises(SmartShelfError, match="new stages: pos_flattener"):
        choose(tmp_path / "none", known, **new)


def test_the_row_of_a_version_that_named_no_stages_counts_for_those_that_had_decided() -> None:
    old = progress(stages=[])
    first = {"shelf_aggregator": 1, "batch_state": 1, "daily_features": 2}
    assert job_progress.told_by_marks(old, first) == ("shelf_aggregator", "batch_state")
    assert job_progress.told_by_marks(progress(2, stages=[]), first) == (*list(first)[:2], "daily_features")
    split = progress(job="store:batch_state+shrink", stages=[])
    assert job_progress.told_by_marks(split, first) == ("batch_state",)


def test_done_marks_are_read_only_for_rows_without_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {b"store": msgspec.json.encode(progress())}
    mark = Done(store_id="S01", stage="shrink", k=3, epoch=1, offsets={})
    asked: list[str] = []

    class Message:
        def value(self) -> bytes:
            return msgspec.json.encode(mark)

    monkeypatch.setattr(job_progress.kafka, "read_latest", lambda *_: rows)
    monkeypatch.setattr(job_progress.kafka, "read_all", lambda _, topic: asked.append(topic) or [Message()])
    assert job_progress.read("")["store"].stages == tuple(stage.name for stage in BOTH)
    assert asked == []
    rows[b"store"] = msgspec.json.encode(progress(stages=[]))
    assert job_progress.read("")["store"].stages == ("shrink",)
    assert asked == ["world_tasks"]


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
