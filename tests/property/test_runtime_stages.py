"""Facts that a stage writes itself count one step later: fused in one process, split over two, or read again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from smartshelf.contracts import events as e
from smartshelf.contracts.control import Done
from smartshelf.contracts.ids import fact_id
from spark_apps.jobs.shelf_aggregator import ShelfAggregator
from spark_apps.runtime import codec
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.engine import Cut, Past, StoreEngine
from spark_apps.runtime.records import Record
from spark_apps.runtime.stage import Output, Stage, Step
from tests.spark.log import STEP, StoreLog

seeds = st.integers(0, 2**32)


class Picker(Stage[dict[str, int]]):
    """Sends a unit from the backroom for every third pickup it has folded, and folds its own sendings."""

    name: ClassVar = "picker"
    facts: ClassVar = frozenset({"shelf_events", "wh_events"})
    writes: ClassVar = frozenset({"wh_events"})

    def new(self) -> dict[str, int]:
        return {"pickups": 0, "sent": 0, "seen": 0}

    def load(self, data: bytes) -> dict[str, int]:
        return codec.unpack(data, 1, self.name)

    def dump(self, state: dict[str, int]) -> bytes:
        return codec.pack(1, state)

    def advance(
        self, state: dict[str, int], facts: Sequence[e.Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[dict[str, int], list[Output]]:
        outputs = []
        state["seen"] += sum(isinstance(fact, e.WhOut) for fact in facts)
        for fact in facts:
            if isinstance(fact, e.Pickup):
                state["pickups"] += 1
                if state["pickups"] % 3 == 0:
                    outputs.append(self._send(fact, step, state["sent"]))
                    state["sent"] += 1
        return state, outputs

    def _send(self, pickup: e.Pickup, step: Step, number: int) -> Output:
        out = e.WhOut(
            event_id=fact_id("job:picker", "wh_events", number + 1), schema_version=1, store_id=pickup.store_id,
            timestamp=step.at, source="job:picker", seq=number + 1, step=step.k, shelf_id=pickup.shelf_id,
            batch_code="B", qty=1, plan_id=f"P{number}", due_ts=step.at,
        )  # fmt: skip
        return Output("wh_events", pickup.store_id.encode(), msgspec.json.encode(out))


PICKER, SHELVES = Picker(), ShelfAggregator()


class Process:
    """One process's engine over saved values, reading a shared log as Kafka would hand it out."""

    def __init__(
        self, stages: Sequence[Stage[Any]], upstream: Sequence[str] = (), epoch: int = 1, past: Past | None = None
    ):
        self.stages, self.upstream, self.epoch, self.past = stages, upstream, epoch, past
        self.values: dict[str, bytes] = {}
        self.read: dict[str, int] = {}
        #: Step and extra cut of every done mark.
        self.done: list[Cut] = []
        self.sent: list[Output] = []

    def turn(self, log: dict[str, list[Record]], rng: random.Random) -> bool:
        """Read some of what is new, and write back; False when there was nothing new."""
        batch: list[Record] = []
        for topic in sorted(log):
            begin = self.read.get(topic, 0)
            end = rng.randrange(begin, min(begin + 12, len(log[topic])) + 1)
            batch += log[topic][begin:end]
            self.read[topic] = end
        rng.shuffle(batch)
        self._process(batch, log)
        return any(self.read.get(topic, 0) < len(records) for topic, records in log.items())

    def _process(self, batch: list[Record], log: dict[str, list[Record]]) -> None:
        engine = StoreEngine(
            "S01", self.stages, epoch=self.epoch, step_seconds=STEP, values=self.values, upstream=self.upstream,
            past=self.past,
        )  # fmt: skip
        result = engine.process(batch)
        self.values |= engine.dump()
        offsets: dict[str, dict[str, int]] = {}
        for _, output in result.emitted:
            if output.topic == "wh_events":
                self.sent.append(output)
                offsets["wh_events"] = {"0": _append(log, output.topic, output.value)}
        for stage, k in result.done.items():
            mark = Done(
                store_id="S01",
                stage=stage,
                k=k,
                epoch=self.epoch,
                offsets=offsets if stage == "picker" else {},
                n=result.n,
            )
            _append(log, "world_tasks", msgspec.json.encode(mark))
            self.done.append((k, result.n))


def _cut(mark: Record) -> Cut:
    done = msgspec.json.decode(mark.value or b"", type=Done)
    return done.k, done.n


def _append(log: dict[str, list[Record]], topic: str, value: bytes | None) -> int:
    records = log.setdefault(topic, [])
    offset = records[-1].offset + 2 if records else 0
    records.append(Record(topic, 0, offset, 0, b"S01", value))
    return offset


def run(processes: Sequence[Process], log: dict[str, list[Record]], rng: random.Random) -> None:
    busy = True
    while busy:
        busy = False
        for process in processes:
            busy |= process.turn(log, rng)


def fresh_log(seed: int) -> tuple[dict[str, list[Record]], int]:
    made = StoreLog(seed=seed).open().live(30)
    return {topic: list(records) for topic, records in made.records.items()}, made.last_step


@settings(max_examples=25, deadline=None)
@given(seed=seeds, cuts=seeds)
def test_fused_and_split_stages_decide_and_keep_the_same(seed: int, cuts: int) -> None:
    fused, split = Process([SHELVES, PICKER]), [Process([SHELVES], upstream=["picker"]), Process([PICKER])]
    log, end = fresh_log(seed)
    other = {topic: list(records) for topic, records in log.items()}
    run([fused], log, random.Random(cuts))
    run(split, other, random.Random(cuts + 1))
    assert fused.sent == split[1].sent
    assert fused.done[-1] == split[0].done[-1] == split[1].done[-1]
    assert fused.done[-1][0] == end
    assert fused.values["stage:shelf_aggregator"] == split[0].values["stage:shelf_aggregator"]
    assert fused.values["stage:picker"] == split[1].values["stage:picker"]


@settings(max_examples=25, deadline=None)
@given(seed=seeds, cuts=seeds, where=seeds)
def test_a_rebuild_takes_what_was_decided_from_the_log_and_decides_only_what_follows(
    seed: int, cuts: int, where: int
) -> None:
    log, _ = fresh_log(seed)
    first = Process([SHELVES, PICKER])
    run([first], log, random.Random(cuts))
    if not first.done:
        return
    # Everything up to a done mark was sent; what came after it was not.
    sent_until = random.Random(where).choice(first.done)
    kept = [r for r in log.get("wh_events", []) if msgspec.json.decode(r.value)["step"] <= sent_until[0]]
    marks = [r for r in log["world_tasks"] if _cut(r) <= sent_until]
    log = log | {"wh_events": kept, "world_tasks": marks}
    again = Process([SHELVES, PICKER], epoch=2, past=Past(dict.fromkeys(("shelf_aggregator", "picker"), sent_until)))
    run([again], log, random.Random(where))
    assert again.sent == [o for o in first.sent if msgspec.json.decode(o.value)["step"] > sent_until[0]]
    assert all(cut > sent_until for cut in again.done)
    for stage in ("stage:shelf_aggregator", "stage:picker"):
        assert again.values[stage] == first.values[stage]
