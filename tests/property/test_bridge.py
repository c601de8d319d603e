"""The bridge's planning against a model of Redis and Kafka: however the entries are read and whenever it dies.

The model: an append-only log of what the world wrote, read by atomic XREADs of random size at random moments;
a Kafka whose offsets have holes (commit markers, records of others, aborted transactions); kills before
and after the commit; a Redis that comes back older than it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.batch import Record, Sorter, apply
from bridge.inbox import Inbox, MarkEntry
from bridge.position import OFFSETS_TOPIC, Position
from smartshelf.contracts.control import Mark, Tick
from smartshelf.contracts.redis_keys import MARKS
from smartshelf.contracts.topics import STREAMS
from smartshelf.io.redis_stream import Entry, id_order

START = datetime(2026, 1, 1, 7, tzinfo=UTC)
USED = ("shelf_events", "wh_events", "pos_transactions")
STORES = ("S01", "S02")


@dataclass(frozen=True)
class Fact:
    """What the world writes: the same, however often it has to write it."""

    stream: str
    store: str
    name: str
    data: bytes
    good: bool


@dataclass(frozen=True)
class StepEnd:
    """End of a step: a mark."""

    k: int


Op = Fact | StepEnd


@st.composite
def lives(draw: st.DrawFn) -> list[Op]:
    """A few steps of two stores: numbered events, bad ones among them, and outside events that come twice."""
    ops: list[Op] = []
    seq: dict[tuple[str, str], int] = {}
    outside: list[Fact] = []
    for k in range(draw(st.integers(1, 8))):
        for _ in range(draw(st.integers(0, 6))):
            stream, store = draw(st.sampled_from(USED)), draw(st.sampled_from(STORES))
            kind = draw(st.sampled_from(("own", "own", "own", "bad", "outside", "again")))
            if kind == "again" and outside:
                ops.append(draw(st.sampled_from(outside)))
                continue
            number = seq[stream, store] = seq.get((stream, store), 0) + 1
            fact = _fact(stream, store, number, kind)
            if kind == "outside":
                seq[stream, store] -= 1
                fact = _fact(stream, store, 1_000 + len(outside), kind)
                outside.append(fact)
            ops.append(fact)
        ops.append(StepEnd(k))
    return ops


def _fact(stream: str, store: str, number: int, kind: str) -> Fact:
    name = f"{kind}-{stream}-{store}-{number}"
    body: dict[str, Any] = {
        "event_id": name,
        "schema_version": 1,
        "store_id": store,
        "timestamp": START,
        "source": "vendor" if kind == "outside" else f"world:{store}",
    }
    if kind != "outside":
        body["seq"] = number
    if stream == "shelf_events":
        body |= {"event_type": "unpaid", "shelf_id": "A", "quantity": 1}
    elif stream == "wh_events":
        body |= {"event_type": "wh_adjust", "shelf_id": "A", "batch_code": "B", "qty": 1, "reason": "count"}
    else:
        line = {"line_no": 1, "shelf_id": "A", "quantity": 1, "unit_price": 1.0, "total_price": 1.0}
        body |= {"event_type": "pos_transaction", "transaction_id": "T", "customer_id": "C", "till_id": "1"}
        body |= {"items": [line], "total_items": 1, "total_amount": 1.0}
    if kind == "bad":
        body["timestamp"] = "yesterday"
    return Fact(stream, store, name, msgspec.json.encode(body), kind != "bad")


class World:
    """Redis, and the world that writes into it."""

    def __init__(self, ops: list[Op]) -> None:
        self.ops, self.done, self._clock = ops, 0, 1
        self.entries: dict[str, list[Entry]] = {stream: [] for stream in (*STREAMS, MARKS)}
        self.facts: dict[tuple[str, str], Fact] = {}
        self._history: list[dict[str, int]] = []

    def live(self, count: int) -> None:
        for op in self.ops[self.done : self.done + count]:
            self._history.append({stream: len(entries) for stream, entries in self.entries.items()})
            self._write(op)
            self.done += 1

    def _write(self, op: Op) -> None:
        self._clock += 1
        redis_id = f"{self._clock // 3}-{self._clock}"
        if isinstance(op, Fact):
            self.facts[op.stream, redis_id] = op
            self.entries[op.stream].append((redis_id.encode(), {b"key": op.store.encode(), b"data": op.data}))
            return
        newest = {stream: self.newest(stream) for stream in STREAMS}
        when = START + timedelta(minutes=op.k)
        mark = Mark(epoch=1, k_from=op.k, k=op.k, t=when, stores=STORES, streams=newest)
        self.entries[MARKS].append((redis_id.encode(), {b"data": msgspec.json.encode(mark)}))

    def newest(self, stream: str) -> str:
        return self.entries[stream][-1][0].decode() if self.entries[stream] else "0-0"

    def lose(self, count: int) -> None:
        """Redis comes back without the newest ``count`` writes; the world lives them again."""
        count = min(count, self.done)
        if not count:
            return
        lengths = self._history[self.done - count]
        del self._history[self.done - count :]
        self.done -= count
        self.entries = {stream: entries[: lengths[stream]] for stream, entries in self.entries.items()}

    def xread(self, asked: dict[str, str], count: int) -> dict[str, list[Entry]]:
        return {
            stream: [entry for entry in self.entries[stream] if id_order(entry[0]) > id_order(after)][:count]
            for stream, after in asked.items()
        }


@dataclass
class Kafka:
    """Committed records by topic, with offsets that only rise."""

    records: dict[str, list[tuple[int, Record]]] = field(default_factory=dict)
    _next: dict[str, int] = field(default_factory=dict)

    def offsets(self, records: list[Record], others: int) -> list[int]:
        """Offsets that the broker gives these records, with ``others`` by other writers in between."""
        given = []
        for topic, *_ in records:
            given.append(self._next.get(topic, 0))
            self._next[topic] = given[-1] + 1 + others
        return given

    def commit(self, records: list[Record], offsets: list[int]) -> None:
        for record, offset in zip(records, offsets, strict=True):
            self.records.setdefault(record[0], []).append((offset, record))

    def position(self) -> Position:
        latest: dict[bytes, bytes] = {}
        for _, (_, value, key, _) in self.records.get(OFFSETS_TOPIC, []):
            if value is None:
                latest.pop(key, None)
            else:
                latest[key] = value
        return Position.load(latest, epoch=1)


class Run:
    """A bridge in the model, from turn to turn."""

    def __init__(self, world: World, limit: int) -> None:
        self.world, self.kafka, self.limit = world, Kafka(), limit
        self.start()

    def start(self) -> None:
        self.position = self.kafka.position()
        self.sorter = Sorter(self.position, lambda topic, store: 0, lambda: START)
        self.resume()

    def resume(self) -> None:
        for stream, at in self.position.ids().items():
            if id_order(self.world.newest(stream)) < id_order(at):
                self.position.rewind(stream, self.world.newest(stream))
        self.inbox = Inbox(self.position.ids(), self.limit)

    def turn(self, others: int, commits: bool) -> None:
        asked = self.inbox.wanted()
        reply = self.world.xread(asked, self.limit)
        marks = [
            MarkEntry(redis_id.decode(), msgspec.json.decode(fields[b"data"], type=Mark))
            for redis_id, fields in reply.pop(MARKS, [])
        ]
        self.inbox.add(asked, reply, marks)
        segments = list(self.inbox.segments(lambda mark: True))
        if not segments:
            return
        batch = self.sorter.batch(segments, {})
        given = self.kafka.offsets(batch.facts, others)
        settled = batch.settle({index: given[index] for index in batch.flagged}, lambda store: 0)
        if not commits:
            self.start()
            return
        self.kafka.commit(batch.facts, given)
        self.kafka.commit(settled.records, self.kafka.offsets(settled.records, others))
        apply(batch, settled)


turns = st.lists(
    st.tuples(
        st.sampled_from(("turn", "turn", "turn", "kill before commit", "kill after commit", "redis loses")),
        st.integers(0, 10),
        st.integers(0, 2),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(ops=lives(), schedule=turns, limit=st.integers(1, 7))
def test_every_fact_is_forwarded_once_and_every_cut_covers_exactly_its_steps(
    ops: list[Op], schedule: list[tuple[str, int, int]], limit: int
) -> None:
    world = World(ops)
    run = Run(world, limit)
    for what, number, others in schedule:
        if what == "redis loses":
            world.lose(number)
            world.live(others)
            run.resume()
            continue
        world.live(number)
        run.turn(others, commits=what != "kill before commit")
        if what == "kill after commit":
            run.start()
    world.live(len(ops))
    run.resume()
    for _ in range(3 * len(ops) + 3):
        run.turn(0, commits=True)

    _check_facts(ops, run.kafka)
    _check_ticks(ops, run.kafka)


def _expected(ops: list[Op], wanted: Callable[[Fact], bool]) -> list[str]:
    """Names of the good facts in order, each once."""
    return list(dict.fromkeys(op.name for op in ops if isinstance(op, Fact) and op.good and wanted(op)))


def _check_facts(ops: list[Op], kafka: Kafka) -> None:
    for stream in USED:
        sent = [_name(record) for _, record in kafka.records.get(STREAMS[stream].name, [])]
        assert sent == _expected(ops, lambda fact, stream=stream: fact.stream == stream)


def _check_ticks(ops: list[Op], kafka: Kafka) -> None:
    ticks = [msgspec.json.decode(value or b"", type=Tick) for _, (_, value, _, _) in kafka.records.get("sim_ticks", [])]
    steps = [op.k for op in ops if isinstance(op, StepEnd)]
    for store in STORES:
        mine = [tick for tick in ticks if tick.store_id == store]
        assert [(tick.k_from, tick.k) for tick in mine] == [(k, k) for k in steps]
        for tick in mine:
            lived = ops[: ops.index(StepEnd(tick.k))]
            for stream in USED:
                _check_cut(kafka, tick, stream, store, lived)


def _check_cut(kafka: Kafka, tick: Tick, stream: str, store: str, lived: list[Op]) -> None:
    """The cut covers the store's facts up to the end of the step, no more, and ends at one of them."""
    topic = STREAMS[stream].name
    end = tick.cut.get(topic, {}).get("0", -1)
    records = [(offset, record) for offset, record in kafka.records.get(topic, []) if _store(record) == store]
    covered = [_name(record) for offset, record in records if offset <= end]
    assert covered == _expected(lived, lambda fact: (fact.stream, fact.store) == (stream, store))
    assert end == -1 or end in [offset for offset, _ in records]


def _name(record: Record) -> str:
    return str(msgspec.json.decode(record[1] or b"")["event_id"])


def _store(record: Record) -> str:
    return str(msgspec.json.decode(record[1] or b"")["store_id"])
