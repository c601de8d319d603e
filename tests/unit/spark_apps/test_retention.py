"""Records go when a month was brought forward and nobody will read them again; not one earlier."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from smartshelf.contracts.rows import JobProgress
from smartshelf.contracts.stages import STAGES
from smartshelf.contracts.topics import TOPICS
from smartshelf.settings import Settings
from spark_apps.jobs import retention as job
from spark_apps.runtime import codec, retention
from spark_apps.runtime.cuts import Positions
from spark_apps.runtime.engine import FORMAT, Runtime
from spark_apps.runtime.processor import pack_values


def progress(job: str = "store", **steps: int) -> JobProgress:
    return JobProgress(
        job=job, epoch=1, checkpoint="A", batch_id=1, steps=steps, offsets={}, written_at=datetime.now(UTC)
    )  # fmt: skip


def row(step: int, job: str = "store", store: str = "S01", epoch: int = 1) -> dict[str, Any]:
    return {"job": job, "store_id": store, "step": step, "epoch": epoch}


def at(**topics: int) -> Positions:
    return Positions({topic: {"0": offset} for topic, offset in topics.items()})


def test_a_state_counts_only_when_the_job_has_sent_the_grace_beyond_it() -> None:
    rows = [row(100), row(200)]
    assert retention.put_away([progress(S01=259)], rows, 60) == {"store": {"S01": row(100)}}
    assert retention.put_away([progress(S01=260)], rows, 60) == {"store": {"S01": row(200)}}
    assert retention.put_away([progress(S01=159)], rows, 60) is None


def test_nothing_goes_while_a_store_or_a_job_has_brought_nothing_forward() -> None:
    assert retention.put_away([progress(S01=500, S02=500)], [row(100)], 60) is None
    assert retention.put_away([progress(S01=500), progress("store:a", S01=500)], [row(100)], 60) is None


def test_the_store_and_the_job_furthest_behind_decide() -> None:
    seen = {
        "store:a": {"S01": at(shelf_events=99), "S02": at(shelf_events=49)},
        "store:b": {"S01": at(shelf_events=79), "S02": at(shelf_events=89)},
    }
    assert retention.not_needed(seen, {}, {"shelf_events": 1}, []) == {"shelf_events": {"0": 50}}


def test_a_job_that_does_not_read_a_topic_does_not_hold_its_records() -> None:
    seen = {"store:a": {"S01": at(shelf_events=99)}, "store:b": {"S01": at(wh_events=9)}}
    assert retention.not_needed(seen, {}, {"shelf_events": 1}, []) == {"shelf_events": {"0": 100}}


def test_a_store_that_has_read_nothing_of_a_topic_yet_keeps_all_of_it() -> None:
    seen = {"store": {"S01": at(wh_events=99), "S02": at(shelf_events=5)}}
    assert retention.not_needed(seen, {}, {"wh_events": 1}, []) == {"wh_events": {"0": 0}}


def test_what_no_stage_reads_is_cut_by_time() -> None:
    assert retention.not_needed({"store": {"S01": at(shelf_events=9)}}, {"alerts": {"0": 7}}, {"alerts": 1}, []) == {
        "alerts": {"0": 7}
    }


def test_a_reader_that_is_behind_or_was_never_there_keeps_its_records() -> None:
    seen = {"store": {"S01": at(shelf_events=99)}}
    topics = {"shelf_events": 1, "alerts": 1}
    by_time = {"alerts": {"0": 50}}
    wanted = retention.not_needed(seen, by_time, topics, [])
    behind = retention.not_needed(seen, by_time, topics, [{"shelf_events": {"0": 40}}, {"alerts": {"0": -1}}])
    assert behind == {"shelf_events": {"0": 40}, "alerts": {"0": 0}}
    assert retention.held_back(wanted, behind) == ["alerts", "shelf_events"]
    passed = retention.not_needed(seen, by_time, topics, [{"shelf_events": {"0": 100}}, {"alerts": {"0": 60}}])
    assert passed == wanted
    assert retention.held_back(wanted, passed) == []


def test_compacted_topics_dead_letters_and_what_people_said_are_never_cut() -> None:
    assert {"shelf_events", "sim_ticks", "world_tasks", "alerts", "pos_lines"} <= set(retention.DELETED)
    assert not any(TOPICS[name].compacted for name in retention.DELETED)
    assert {"dead_letters", "commands"}.isdisjoint(retention.DELETED)


class _Looks(Exception):
    """It has looked at what Kafka holds, to delete some of it."""


def _looks(*_: object) -> None:
    raise _Looks


@pytest.mark.parametrize(("written_in", "looks"), [(FORMAT, True), (FORMAT + 1, False)])
def test_a_month_that_this_code_could_not_go_on_from_keeps_its_records(
    written_in: int, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = pack_values({"runtime": codec.pack(written_in, codec.unpack(Runtime().dump(), FORMAT, "runtime"))})
    known = msgspec.structs.replace(progress(S01=9_999), stages=STAGES)
    monkeypatch.setattr(job.delta, "read", lambda _: [row(100) | {"state": state}])
    monkeypatch.setattr(job.job_progress, "read", lambda _: {"store": known})
    monkeypatch.setattr(job.kafka, "start_offsets", _looks)
    with pytest.raises(_Looks) if looks else nullcontext():
        job.Retention(Settings()).look()
