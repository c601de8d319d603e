"""Choosing jobs, and telling a failed query in one line."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from smartshelf.contracts.stages import STAGES
from smartshelf.contracts.topics import TOPICS
from smartshelf.contracts.types import Id
from smartshelf.errors import Fenced, SettingError, Unavailable
from spark_apps import jobs, queries, session, store
from spark_apps.queries import Query, QueryFailed, StartAgain


def test_all_means_every_job_and_a_list_means_these() -> None:
    assert set(jobs.select("all")) == {*STAGES, "raw_sinks", "mirrors", "delta_init", "retention"}
    assert jobs.select("mirrors, shelf_aggregator") == ("mirrors", "shelf_aggregator")


@pytest.mark.parametrize("names", ["mirors", "", " , "])
def test_an_unknown_job_is_told_with_the_known_ones(names: str) -> None:
    with pytest.raises(SettingError, match="shelf_aggregator"):
        jobs.select(names)


def test_every_job_is_in_one_process_of_a_split() -> None:
    assert jobs.part(("",), 1) == jobs.select("all")
    parts = ("rest", "shelf_aggregator,batch_state", "raw_sinks, mirrors")
    named = [jobs.part(parts, number) for number in (1, 2, 3)]
    assert named[1:] == [("shelf_aggregator", "batch_state"), ("raw_sinks", "mirrors")]
    assert sorted(name for names in named for name in names) == sorted(jobs.select("all"))


@pytest.mark.parametrize(
    ("parts", "number", "problem"),
    [
        (("rest", "shrink", "shrink,mirrors"), 1, "twice.*shrink"),
        (("shrink", "mirrors"), 1, "leaves jobs out.*delta_init"),
        (("rest", "shrink", "rest"), 1, "leaves jobs out"),
        (("rest", "shrink"), 3, "no such Spark process.*3"),
        (("rest", "srink"), 1, "no such job.*srink"),
        (("",), 2, "no such Spark process.*2"),
    ],
)
def test_a_split_that_leaves_out_or_doubles_a_job_is_refused(parts: tuple[str, ...], number: int, problem: str) -> None:
    with pytest.raises(SettingError, match=problem):
        jobs.part(parts, number)


def test_no_stage_reads_the_simulations_truth() -> None:
    assert not any(TOPICS[topic].truth for topic in store.topics_of(jobs.STAGES))


def test_all_stages_together_are_the_job_store_and_fewer_have_their_own_identity() -> None:
    assert store.job_name(jobs.STAGES) == "store"
    splits = [jobs.STAGES[first:last] for first in range(3) for last in range(first + 1, len(jobs.STAGES))]
    names = [store.job_name(stages) for stages in splits]
    assert len({"store", *names}) == len(splits) + 1
    for name in names:
        msgspec.convert(name, Id)


def test_comments_and_blank_lines_are_no_settings() -> None:
    assert session.defaults("# why\n\nspark.a   b c\n") == {"spark.a": "b c"}


def test_temporary_files_of_killed_processes_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    never = 2**22 + 1  # above the kernel's highest process id
    for owner in (never, os.getppid()):
        (tmp_path / str(owner) / "blocks").mkdir(parents=True)
    mine = session._scratch(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, str(os.getppid())}


def test_the_telling_line_of_a_stack_trace_is_the_reason() -> None:
    trace = (
        "org.apache.spark.SparkException: Job aborted\n\tat x.y.Z\nTraceback:\nRuntimeError: a tick is missing\n\tat q"
    )
    assert queries.reason(trace) == "RuntimeError: a tick is missing"


def test_without_a_stack_trace_the_first_line_is_the_reason_and_never_the_plan() -> None:
    text = (
        "[STREAM_FAILED] Query [id = 1] terminated with exception: x\n=== Streaming Query ===\n+- LocalRelation <empty>"
    )
    assert queries.reason(text).endswith("terminated with exception: x")


class Ended:
    """A query that has ended with an error."""

    isActive = False  # noqa: N815  # Spark's name

    def __init__(self, text: str) -> None:
        self.text = text

    def exception(self) -> str:
        return self.text


def test_a_query_that_lost_kafka_is_to_be_started_again() -> None:
    with pytest.raises(StartAgain, match="lost Kafka"):
        Query("store", Ended("org.apache.kafka.common.errors.TimeoutException: no answer")).check()
    with pytest.raises(StartAgain, match="lost Kafka"):
        Query("store", Ended("Py4JException"), failure=lambda: Unavailable("Kafka did not take 3 records")).check()


def test_a_query_whose_checkpoint_another_process_uses_is_to_be_started_again() -> None:
    with pytest.raises(StartAgain, match="another process"):
        Query("store", Ended("[CONCURRENT_STREAM_LOG_UPDATE] Concurrent update to the log.")).check()


def test_a_repaired_checkpoint_is_to_be_started_again() -> None:
    query = Query("store", Ended("CANNOT_LOAD_STATE_STORE"), repair=lambda text: "the checkpoint is damaged")
    with pytest.raises(StartAgain, match="damaged"):
        query.check()


def test_a_fenced_writer_says_so_and_not_what_spark_makes_of_it() -> None:
    with pytest.raises(Fenced):
        Query("store", Ended("Py4JException"), failure=lambda: Fenced("another one is at work")).check()


def test_any_other_error_is_a_failure_with_its_reason() -> None:
    with pytest.raises(QueryFailed, match="ValueError: x") as failed:
        Query("store", Ended("ValueError: x")).check()
    assert failed.value.exit_code == 1


class Working:
    """A query at work on a batch."""

    isActive = True  # noqa: N815  # Spark's name

    def __init__(self) -> None:
        self.lastProgress: dict[str, int] | None = None
        self.status = {"isTriggerActive": True}


def test_a_query_that_stays_at_one_batch_for_long_is_to_be_started_again() -> None:
    spark = Working()
    query = Query("store", spark)
    for _ in range(queries.PATIENT_LOOKS):
        query.check()
        query.look()
    with pytest.raises(StartAgain, match="one batch for 30 minutes"):
        query.check()


def test_a_query_that_gets_on_or_has_nothing_to_do_does_not_hang() -> None:
    spark = Working()
    query = Query("store", spark)
    for batch in range(3):
        spark.lastProgress = {"batchId": batch}
        for _ in range(queries.PATIENT_LOOKS):
            query.look()
        query.check()
    spark.status = {"isTriggerActive": False}
    for _ in range(2 * queries.PATIENT_LOOKS):
        query.look()
    query.check()
