"""All stages, split over processes in any way, changed at any moment: every decision as in one process, and once."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartshelf.contracts.control import Done, Offsets, Task, Tick
from smartshelf.contracts.rows import JobProgress, ShelfPolicy
from smartshelf.contracts.stages import lead_steps
from smartshelf.contracts.topics import TOPICS
from smartshelf.io import job_progress
from spark_apps import store
from spark_apps.jobs import STAGES
from spark_apps.runtime import engine as runtime
from spark_apps.runtime import recovery
from spark_apps.runtime.engine import Cut, StoreEngine
from spark_apps.runtime.processor import pack_values, unpack_values
from spark_apps.runtime.records import Record
from spark_apps.runtime.stage import TICKS, Stage, tellers
from tests.loop import Loop
from tests.worlds import small_body

STORE = "S01"
#: The bridge writes to partition 0 here and the jobs to 1: the bridge's ticks are made before the jobs have run.
OF_JOBS = 1
UNTIL = 150
Split = list[tuple[Stage[Any], ...]]
seeds = st.integers(0, 2**32)


@cache
def lived(seed: int) -> Loop:
    """A crowded store in one process, with lorries, an edit while the clock stands, and facts of an unknown shelf."""
    loop = Loop(STAGES, small_body(seed, shelves=5, visits=400.0))
    for number in range(5):
        loop.deliver(f"TESTEN{number:04d}", f"NEW-{number}", 20, "2026-01-02")
    loop.live(UNTIL // 2)
    loop.edit(ShelfPolicy(policy_id="p", store_id=STORE, threshold_pct=80.0, target_pct=95.0, cooldown_minutes=1))
    return loop.live(UNTIL)


class Kafka:
    """What stands in the topics: the whole log of bridge and capture, and what jobs add."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.log: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            self.log[record.topic, 0].append(record)
        self.jobs: dict[str, JobProgress] = {}
        self.carried: list[dict[str, Any]] = []

    def send(self, topic: str, key: bytes | None, value: bytes | None) -> int:
        records = self.log[topic, OF_JOBS]
        records.append(Record(topic, OF_JOBS, len(records), 0, key, value))
        return len(records) - 1

    def sent(self, topic: str) -> list[bytes | None]:
        return [record.value for record in self.log[topic, OF_JOBS]]

    @property
    def last_cut(self) -> Cut:
        tick = msgspec.json.decode(self.log[TICKS, 0][-1].value or b"", type=Tick)
        return tick.k, tick.n


class Job:
    """One process, started as store.start does it; its batches are cut anyhow."""

    def __init__(self, kafka: Kafka, stages: Sequence[Stage[Any]], folder: Path) -> None:
        self.kafka, self.stages = kafka, tuple(stages)
        self.name, self.topics = store.job_name(stages), store.topics_of(stages)
        known = recovery.Known(
            dict(kafka.jobs),
            lambda: kafka.carried,
            lambda: {STORE: kafka.last_cut},
            dict.fromkeys(self.topics, OF_JOBS + 1),
            lead_steps(60),
            dict,
        )
        self.generation = recovery.choose(
            recovery.Checkpoints(folder / str(abs(hash(self.name)))), self.name, stages, known, epoch=1,
            starting="earliest",
        )  # fmt: skip
        values: dict[str, bytes] = {}
        self.read: dict[tuple[str, int], int] = {}
        for _, state in recovery.states_to_start_from(self.generation, stages, kafka.carried):
            engine = self._engine(unpack_values(state))
            engine.rebuilt(self.generation.past()[STORE])
            values = unpack_values(state) | engine.dump()
        self.values, self.engine = values, self._engine(values)
        if self.generation.starting != "earliest":
            start: Offsets = msgspec.json.decode(self.generation.starting)
            self.read = {
                (topic, int(partition)): max(offset, 0)
                for topic, partitions in start.items()
                for partition, offset in partitions.items()
            }

    def _engine(self, values: dict[str, bytes]) -> StoreEngine:
        return StoreEngine(
            STORE, self.stages, epoch=self.generation.epoch, step_seconds=60, values=values,
            upstream=store.upstream_of(self.stages), telling=tellers(STAGES),
            past=self.generation.past().get(STORE),
        )  # fmt: skip

    @property
    def step(self) -> int:
        row = self.kafka.jobs.get(self.name)
        return row.steps.get(STORE, -1) if row and row.epoch == self.generation.epoch else -1

    def turn(self, rng: random.Random) -> None:
        """One batch: some of what is new, in no order; now and then on the state as it was stored."""
        batch: list[Record] = []
        for place in [(topic, partition) for topic in sorted(self.topics) for partition in (0, OF_JOBS)]:
            begin, records = self.read.get(place, 0), self.kafka.log[place]
            self.read[place] = len(records) if rng.random() < 0.8 else rng.randrange(begin, len(records) + 1)
            batch += records[begin : self.read[place]]
        if not batch and self.step >= 0:
            return
        # Without records Spark would run no batch; in a store that lives the next tick is one.
        rng.shuffle(batch)
        if rng.random() < 0.05:
            self.values |= self.engine.dump()
            self.engine = self._engine(self.values)
        self._send(self.engine.process(batch))

    def _send(self, result: runtime.Result) -> None:
        offsets: dict[str, Offsets] = defaultdict(dict)
        for stage, output in result.emitted:
            offset = self.kafka.send(output.topic, output.key, output.value)
            offsets[stage][output.topic] = {str(OF_JOBS): offset}
        for stage, k in result.done.items():
            mark = Done(
                store_id=STORE, stage=stage, k=k, n=result.n, epoch=self.generation.epoch, offsets=offsets[stage]
            )
            self.kafka.send("world_tasks", None, msgspec.json.encode(mark))
        for carried in result.carried:
            key = {"job": self.name, "store_id": STORE, "epoch": self.generation.epoch, "step": carried.k}
            self.kafka.carried.append(key | {"state": pack_values(carried.values)})
        if result.step >= 0:
            before = self.kafka.jobs.get(self.name)
            known = (before.steps[STORE], before.cuts.get(STORE, 0)) if before else (-1, 0)
            step, n = max(known, (result.step, result.n))
            generation = self.generation
            self.kafka.jobs[self.name] = JobProgress(
                job=self.name, epoch=generation.epoch, checkpoint="C", batch_id=0, steps={STORE: step}, offsets={},
                cuts={STORE: n}, stages=generation.stages, sent=generation.sent, now=generation.now,
                began=generation.began, written_at=datetime.now(UTC),
            )  # fmt: skip


def random_split(rng: random.Random, stages: Sequence[Stage[Any]] = STAGES) -> Split:
    """Any stages in any process; within a process they keep their order."""
    processes = rng.randrange(2, 5)
    place = [rng.randrange(processes) for _ in stages]
    return [
        tuple(stage for stage, its in zip(stages, place, strict=True) if its == process)
        for process in sorted(set(place))
    ]


def run(kafka: Kafka, split: Split, folder: Path, rng: random.Random, until: int = UNTIL) -> None:
    """Start the processes and run them until all have decided a step; they may be further."""
    go(kafka, [Job(kafka, stages, folder) for stages in split], rng, until)


def go(kafka: Kafka, jobs: list[Job], rng: random.Random, until: int = UNTIL) -> None:
    """Let started processes run."""
    for _ in range(60 * UNTIL):
        if all(job.step >= until for job in jobs):
            return
        rng.shuffle(jobs)
        for job in jobs:
            job.turn(rng)
    pytest.fail(f"stuck at {[(job.name, job.step) for job in jobs]}")


def decisions(values: Sequence[bytes | None], topic: str) -> dict[str, list[Any]]:
    """What was said in a topic, by stage, in order; without what tells only when and how often it was written."""
    said: dict[str, list[Any]] = defaultdict(list)
    for value in values:
        decoded = TOPICS[topic].decoder.decode(value or b"null")
        if not isinstance(decoded, Done):
            plain = msgspec.to_builtins(decoded)
            said[plain.get("source") or ""].append({k: v for k, v in plain.items() if k != "epoch"})
    return said


def said_fused(loop: Loop, topic: str) -> dict[str, list[Any]]:
    return decisions([msgspec.json.encode(value) for _, name, value in loop.log if name == topic], topic)


#: Logs of decisions, each of which must be said once, in order.
LOGS = ("alerts", "proposals", "wh_events", "shelf_events", "shelf_restock_plan", "wh_supplier_plan",
        "wh_supplier_orders", "daily_discounts", "pos_headers", "pos_lines", "dead_letters")  # fmt: skip


def assert_same(kafka: Kafka, loop: Loop) -> None:
    for topic in LOGS:
        assert decisions(kafka.sent(topic), topic) == said_fused(loop, topic), topic
    tasks = [msgspec.to_builtins(task) for task in loop.sent(Task)]
    mine = [task for told in decisions(kafka.sent("world_tasks"), "world_tasks").values() for task in told]
    by_id = {"key": lambda task: task["task_id"]}
    assert sorted(mine, **by_id) == sorted(tasks, **by_id)  # type: ignore[call-overload]
    for topic in {topic.name for topic in TOPICS.values() if topic.compacted and topic.kind == "state"}:
        rows = {r.key: r.value and TOPICS[topic].decoder.decode(r.value) for r in kafka.log[topic, OF_JOBS]}
        assert _truth(rows) == _truth(loop.rows[topic]), topic
    marks: dict[str, list[Cut]] = defaultdict(list)
    for value in kafka.sent("world_tasks"):
        if isinstance(mark := TOPICS["world_tasks"].decoder.decode(value), Done):
            marks[mark.stage].append((mark.k, mark.n))
    assert marks.keys() == {stage.name for stage in STAGES}
    assert all(cuts == sorted(set(cuts)) and cuts[-1] == (UNTIL, 0) for cuts in marks.values())


def _truth(rows: dict[bytes | None, Any]) -> dict[bytes | None, Any]:
    return {key: msgspec.structs.replace(row, epoch=0, as_of_step=0) for key, row in rows.items() if row is not None}


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 3), cuts=seeds)
def test_any_split_decides_what_one_process_decides(seed: int, cuts: int, tmp_path_factory: Any) -> None:
    loop, rng = lived(seed), random.Random(cuts)
    kafka = Kafka(loop.records)
    run(kafka, random_split(rng), tmp_path_factory.mktemp("split"), rng)
    assert_same(kafka, loop)


@pytest.fixture
def hourly(monkeypatch: pytest.MonkeyPatch) -> None:
    """States are brought forward each hour instead of each month."""
    monkeypatch.setattr(runtime, "_month", lambda moment: (moment.date(), moment.hour))


@pytest.mark.parametrize("archived", [True, False], ids=["brought forward", "from the first fact"])
def test_a_changed_split_takes_over_what_was_decided_and_decides_only_what_follows(
    archived: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if archived:
        request.getfixturevalue("hourly")
    for seed in range(2):
        loop, rng = lived(seed), random.Random(seed)
        kafka, folder = Kafka(loop.records), tmp_path / str(seed)
        whole: Split = [STAGES]
        for until, split in (
            (20, whole),
            (50, random_split(rng)),
            (UNTIL // 2, random_split(rng)),
            (110, whole),
            (UNTIL, random_split(rng)),
        ):
            run(kafka, split, folder, rng, until)
        assert_same(kafka, loop)
        assert bool(kafka.carried) is archived


@pytest.mark.parametrize("archived", [True, False], ids=["brought forward", "from the first fact"])
def test_a_store_that_is_upgraded_decides_what_one_that_never_was_decides(
    archived: bool, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if archived:
        request.getfixturevalue("hourly")
    loop, rng = lived(2), random.Random(2)
    kafka = Kafka(loop.records)
    run(kafka, [STAGES], tmp_path, rng, UNTIL // 2)
    for name in ("restock_manager", "daily_features"):
        (stage,) = [stage for stage in STAGES if stage.name == name]
        monkeypatch.setattr(type(stage), "version", stage.version + 1)
    upgraded = Job(kafka, STAGES, tmp_path).generation
    assert upgraded.because.startswith("its states are in other formats (stage:restock_manager")
    assert upgraded.origins == {}, "what was brought forward is in the old formats"
    run(kafka, [STAGES], tmp_path, rng, UNTIL - 10)
    run(kafka, [STAGES], tmp_path, rng)
    assert bool(Job(kafka, STAGES, tmp_path).generation.origins) is archived, "and then in the new ones"
    assert_same(kafka, loop)


def test_a_stage_new_to_a_store_is_given_its_past_in_silence_whatever_the_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, rng = lived(1), random.Random(1)
    (newcomer,) = [stage for stage in STAGES if stage.name == "restock_manager"]
    old = tuple(stage for stage in STAGES if stage is not newcomer)
    kafka = Kafka(loop.records)
    with monkeypatch.context() as before:
        before.setattr(store, "STAGES", old)
        run(kafka, random_split(rng, old), tmp_path, rng)
    assert job_progress.reached(kafka.jobs.values()) == {STORE: -1}
    said = {topic: len(kafka.sent(topic)) for topic in LOGS}
    run(kafka, random_split(rng), tmp_path, rng)
    assert job_progress.reached(kafka.jobs.values()) == {STORE: UNTIL}
    assert said == {topic: len(kafka.sent(topic)) for topic in LOGS}
    marks = [TOPICS["world_tasks"].decoder.decode(value) for value in kafka.sent("world_tasks")]
    assert [mark.k for mark in marks if isinstance(mark, Done) and mark.stage == newcomer.name] == [UNTIL]


NEWCOMERS, JOINED = ("warehouse_alerts", "supplier_manager"), 70


@pytest.mark.parametrize("archived", [True, False], ids=["brought forward", "from the first fact"])
def test_a_stage_new_to_a_store_decides_from_what_there_is_and_so_does_every_rebuild(
    archived: bool, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if archived:
        request.getfixturevalue("hourly")
    loop, rng = lived(1), random.Random(1)
    at = next(i for i, record in enumerate(loop.records) if record.topic == TICKS and _k(record) == JOINED)
    old = tuple(stage for stage in STAGES if stage.name not in NEWCOMERS)
    said: list[dict[str, list[Any]]] = []
    for is_rebuilt in (False, True):
        kafka, folder = Kafka(loop.records[: at + 1]), tmp_path / str(is_rebuilt)
        with monkeypatch.context() as before:
            before.setattr(store, "STAGES", old)
            run(kafka, [old], folder, rng, JOINED)
        jobs = [Job(kafka, STAGES, folder)]
        for record in loop.records[at + 1 :]:
            kafka.log[record.topic, 0].append(record)
        for until in (100, 130) if is_rebuilt else ():
            go(kafka, jobs, rng, until)
            jobs = [Job(kafka, STAGES, folder)]
        go(kafka, jobs, rng)
        said.append({topic: decisions(kafka.sent(topic), topic) for topic in LOGS})
        facts = said[-1]["proposals"]["job:warehouse_alerts"]
        assert [fact["seq"] for fact in facts] == list(range(1, len(facts) + 1)), "the first that it ever said"
        assert facts[0]["step"] == JOINED + 1, "at once, with what there is"
        assert said[-1]["wh_supplier_plan"], "and it is heard"
    assert said[0] == said[1]


def _k(tick: Record) -> int:
    return msgspec.json.decode(tick.value or b"", type=Tick).k
