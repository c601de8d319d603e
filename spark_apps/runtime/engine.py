"""The engine: one store's records in, steps run in order, outputs and new state out. Pure.

Records may come in any order within a batch and batches may be cut anywhere; the state after the last
record, every decision and every done mark are the same. Nothing here reads a clock: time is T(k) of the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from smartshelf.contracts.control import Done, Offsets, Task, Tick
from smartshelf.contracts.events import Event, Evidence
from smartshelf.contracts.topics import TOPICS
from spark_apps.runtime import books as bookkeeping
from spark_apps.runtime import codec
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.cuts import Positions
from spark_apps.runtime.pending import Business, Pending
from spark_apps.runtime.records import Fact, Record, Refused, dead_letter, fact_of
from spark_apps.runtime.stage import Output, Scope, Stage, Step, View

FORMAT = 1
TICKS, TASKS, DEAD_LETTERS = "sim_ticks", "world_tasks", "dead_letters"
#: Names of the state values beside those of the books; a stage's is ``stage:NAME``.
RUNTIME, CONFIG = "runtime", "config"
BEFORE_ALL = -1


class Emitted(NamedTuple):
    """A record to be sent, and the stage that it is accounted to."""

    stage: str
    output: Output


class Carried(NamedTuple):
    """The whole state of a store right after step ``k``, to be brought forward."""

    k: int
    at: datetime
    values: dict[str, bytes]
    positions: Offsets


@dataclass
class Result:
    """What one batch did."""

    emitted: list[Emitted] = field(default_factory=list)
    #: stage -> all steps up to this one are decided; only stages that got further in this batch.
    done: dict[str, int] = field(default_factory=dict)
    #: Last complete step.
    step: int = BEFORE_ALL
    carried: list[Carried] = field(default_factory=list)


@dataclass
class Runtime:
    """The engine's own state."""

    positions: Positions = field(default_factory=Positions)
    pending: Pending = field(default_factory=Pending)
    ticks: list[Tick] = field(default_factory=list)
    #: Last step run, as (k, n).
    last: tuple[int, int] = (BEFORE_ALL, 0)
    #: Done marks of stages whose facts are read from the log: last step and the offsets to be read for it.
    upstream: dict[str, tuple[int, Offsets]] = field(default_factory=dict)
    #: Steps up to this one were decided and sent in an earlier epoch: they are folded again in silence.
    silent_until: int = BEFORE_ALL
    #: Send every row as soon as the silent steps are over: the epoch has changed.
    announce: bool = False

    def dump(self) -> bytes:
        """As a versioned binary value."""
        return codec.pack(
            FORMAT,
            [
                self.positions.offsets,
                self.pending.plain(),
                [msgspec.json.encode(tick) for tick in self.ticks],
                self.last,
                self.upstream,
                self.silent_until,
                self.announce,
            ],
        )

    @classmethod
    def load(cls, data: bytes) -> Runtime:
        """From a versioned binary value."""
        offsets, pending, ticks, last, upstream, silent_until, announce = codec.unpack(data, FORMAT, RUNTIME)
        return cls(
            Positions(offsets),
            Pending.of(pending),
            [_tick(value) for value in ticks],
            tuple(last),
            {stage: (k, reached) for stage, (k, reached) in upstream.items()},
            silent_until,
            announce,
        )


class StoreEngine:
    """One store. ``process`` a batch of records, then ``dump`` the state values that changed.

    ``upstream``: stages of other processes whose facts these stages read (from the log, behind done marks).
    """

    def __init__(
        self,
        store_id: str,
        stages: Sequence[Stage[Any]],
        *,
        epoch: int,
        step_seconds: int,
        values: Mapping[str, bytes] | None = None,
        upstream: Iterable[str] = (),
        silent_until: int = BEFORE_ALL,
    ) -> None:
        self.store_id, self.stages, self.epoch = store_id, tuple(stages), epoch
        self._step_length = timedelta(seconds=step_seconds)
        self._upstream = frozenset(upstream)
        self._facts = frozenset[str]().union(*(stage.reads() for stage in stages))
        self._config_topics = frozenset[str]().union(*(stage.config for stage in stages))
        self._own = frozenset(stage.name for stage in stages)
        self._writers = frozenset(stage.name for stage in stages if stage.writes & self._facts)
        self._has_books = any(stage.books for stage in stages)
        self._loaded = dict(values or {})
        if self._loaded:
            self._runtime = Runtime.load(self._loaded[RUNTIME])
        else:
            self._runtime = Runtime(silent_until=silent_until, announce=silent_until > BEFORE_ALL)
        self._config = StoreConfig.load(self._loaded[CONFIG]) if CONFIG in self._loaded else StoreConfig()
        self._books = Books.load(self._loaded) if bookkeeping.NAMES in self._loaded else Books()
        self._states = {stage.name: self._load(stage) for stage in self.stages}
        self._config_changed = False

    def _load(self, stage: Stage[Any]) -> Any:
        data = self._loaded.get(f"stage:{stage.name}")
        return stage.new() if data is None else stage.load(data)

    def rebuilt(self, silent_until: int) -> None:
        """Say that the state given is one that was brought forward into a new epoch.

        Steps up to ``silent_until`` were sent before: their decisions are taken from the log, none is sent again.
        """
        self._runtime.silent_until, self._runtime.announce = silent_until, True
        # What the log holds is what the rest of the system has acted on.
        pending = self._runtime.pending
        pending.business = [b for b in pending.business if b.job not in self._own or b.step > silent_until]

    # --- a batch ---------------------------------------------------------------------------------

    def process(self, records: Iterable[Record]) -> Result:
        """Take in one batch and run every step that is complete."""
        result = Result()
        begun_at = self._runtime.last[0]
        before = None if self._runtime.announce else self._live()
        for (topic, partition), rows in groupby(sorted(records, key=_position), key=_place):
            seen = self._runtime.positions.at(topic, partition)
            # A rebuild starts a little too early, for the store that is furthest behind.
            new = [record for record in rows if record.offset > seen]
            if new:
                self._runtime.positions.see(topic, partition, new[-1].offset)
                self._receive(topic, new, result)
        self._run(result)
        self._show(before, result)
        reached = self._runtime.last[0]
        if reached > max(begun_at, self._runtime.silent_until):
            result.done = {stage.name: reached for stage in self.stages}
        result.step = reached
        return result

    def dump(self) -> dict[str, bytes]:
        """The state values that are not as they were loaded."""
        return {name: value for name, value in self._values().items() if self._loaded.get(name) != value}

    def _values(self) -> dict[str, bytes]:
        values = {RUNTIME: self._runtime.dump()}
        # Profiles are many and seldom change.
        if self._config_changed or CONFIG not in self._loaded:
            values[CONFIG] = self._config.dump()
        else:
            values[CONFIG] = self._loaded[CONFIG]
        if self._has_books:
            values |= self._books.dump()
        return values | {f"stage:{stage.name}": stage.dump(self._states[stage.name]) for stage in self.stages}

    # --- taking in -------------------------------------------------------------------------------

    def _receive(self, topic: str, records: list[Record], result: Result) -> None:
        if topic in self._facts:
            for record in records:
                self._receive_fact(fact_of(record))
        elif topic in self._config_topics:
            self._runtime.pending.config += records
        elif topic == TICKS:
            for record in records:
                try:
                    self._runtime.ticks.append(_tick(record.value))
                except msgspec.DecodeError as wrong:
                    self._refuse(Refused(record, f"not a tick: {wrong}"), result)
        elif topic == TASKS:
            for record in records:
                self._receive_done(record)

    def _receive_fact(self, fact: Fact) -> None:
        event, pending = fact.event, self._runtime.pending
        if event is None:
            pending.add(fact)
            return
        if event.store_id != self.store_id:
            pending.add(Fact(fact.record, None, f"names two stores, {self.store_id} and {event.store_id}"))
            return
        if not event.source.startswith(Evidence.JOB_PREFIX):
            pending.add(fact)
            return
        job = event.source.removeprefix(Evidence.JOB_PREFIX)
        step = event.step
        if step is None:
            pending.add(Fact(fact.record, None, "a fact of a job must name its step"))
        elif job not in self._own or self._runtime.last[0] <= step <= self._runtime.silent_until:
            self._pend_business(job, step, fact)
        # Otherwise it is one of our own that was counted from memory.

    def _pend_business(self, job: str, step: int, fact: Fact) -> None:
        record = fact.record
        number = (record.partition, record.offset)
        self._runtime.pending.business.append(Business(job, step, record.topic, number, fact))

    def _receive_done(self, record: Record) -> None:
        mark: Done | Task = TOPICS[TASKS].decoder.decode(record.value or b"")
        if not isinstance(mark, Done) or mark.stage not in self._upstream | self._writers:
            return
        k, reached = self._runtime.upstream.get(mark.stage, (BEFORE_ALL, {}))
        for topic, partitions in mark.offsets.items():
            for partition, offset in partitions.items():
                known = reached.setdefault(topic, {})
                known[partition] = max(offset, known.get(partition, BEFORE_ALL))
        self._runtime.upstream[mark.stage] = (max(k, mark.k), reached)

    # --- running steps ---------------------------------------------------------------------------

    def _run(self, result: Result) -> None:
        ticks = self._runtime.ticks
        while ticks and self._is_covered(ticks[0]):
            if not self._run_tick(ticks[0], result):
                return
            ticks.pop(0)

    def _is_covered(self, tick: Tick) -> bool:
        positions = self._runtime.positions
        return positions.cover(tick.cut, self._facts) and positions.cover(tick.config, self._config_topics)

    def _run_tick(self, tick: Tick, result: Result) -> bool:
        """Run the steps of a tick; False when one has to wait for another stage."""
        reached = self._runtime.last[0]
        if (tick.k, tick.n) <= self._runtime.last:
            return True
        next_step = reached + 1 if reached > BEFORE_ALL else tick.k_from
        if next_step < tick.k_from or (tick.n and tick.k != reached):
            raise RuntimeError(f"store {self.store_id}: a tick is missing between step {reached} and {tick.k}.{tick.n}")
        if tick.n:
            self._step(self._step_of(tick.k, tick.n, tick.t), tick, result)
            return True
        for k in range(next_step, tick.k + 1):
            if not self._upstream_decided(k - 1):
                return False
            self._step(self._step_of(k, 0, tick.t - (tick.k - k) * self._step_length), tick, result)
        return True

    def _step_of(self, k: int, n: int, at: datetime) -> Step:
        # An extra cut while the clock stands takes no time.
        since = at if n else at - self._step_length
        return Step(k, n, at, since, Scope(self.store_id, self.epoch, k))

    def _upstream_decided(self, k: int) -> bool:
        """Whether all that other stages wrote in step ``k``, and what is to be taken from the log, is here."""
        awaited = self._upstream | (self._writers if k <= self._runtime.silent_until else frozenset())
        for stage in awaited if k >= 0 else ():
            reached, offsets = self._runtime.upstream.get(stage, (BEFORE_ALL, {}))
            if reached < k or not self._runtime.positions.cover(offsets, self._facts):
                return False
        return True

    def _step(self, step: Step, tick: Tick, result: Result) -> None:
        pending = self._runtime.pending
        refused = self._config.apply(pending.take_config(tick.config))
        self._config_changed |= self._config.changes.any
        facts = pending.take_business(step.k) if not step.n else []
        if step.k == tick.k:
            facts += pending.take_facts(tick.cut)
        booked: list[tuple[str, Event]] = []
        for fact in facts:
            reason = fact.problem if fact.event is None else self._config.refuses(fact.event)
            if fact.event is not None and reason is None:
                booked.append((fact.record.topic, fact.event))
            else:
                refused.append(Refused(fact.record, reason or ""))
        silent = step.k <= self._runtime.silent_until
        if self._has_books:
            self._books.advance(_of(booked, bookkeeping.TOPICS), self._config.changes, step.at, step.since)
        for stage in self.stages:
            events = _of(booked, stage.facts)
            state, outputs = stage.advance(self._states[stage.name], events, self._config, step, self._books)
            self._states[stage.name] = state
            if not silent:
                self._emit(stage, step, outputs, result)
        if not silent:
            for letter in refused:
                self._refuse(letter, result)
        self._runtime.last = (step.k, step.n)
        if not step.n and _month(step.at) != _month(step.at - self._step_length):
            result.carried.append(Carried(step.k, step.at, self._values(), self._copy_of_positions()))

    def _emit(self, stage: Stage[Any], step: Step, outputs: Iterable[Output], result: Result) -> None:
        for number, output in enumerate(outputs):
            result.emitted.append(Emitted(stage.name, output))
            if output.topic in self._facts:
                self._remember(stage, step, number, output)

    def _remember(self, stage: Stage[Any], step: Step, number: int, output: Output) -> None:
        """A fact of our own counts in the next step, before it has come back from Kafka."""
        fact = fact_of(Record(output.topic, 0, BEFORE_ALL, 0, output.key, output.value))
        if fact.event is None or fact.event.source != Evidence.JOB_PREFIX + stage.name or fact.event.step != step.k:
            raise RuntimeError(f"stage {stage.name} wrote a fact without its source and step: {output.value!r}")
        self._runtime.pending.business.append(Business(stage.name, step.k, output.topic, (step.n, number), fact))

    def _refuse(self, refused: Refused, result: Result) -> None:
        letter = Output(DEAD_LETTERS, refused.record.origin.encode(), dead_letter(refused, self.store_id))
        result.emitted.append(Emitted(self.stages[0].name, letter))

    def _copy_of_positions(self) -> Offsets:
        return {topic: dict(partitions) for topic, partitions in self._runtime.positions.offsets.items()}

    # --- showing ---------------------------------------------------------------------------------

    def _live(self) -> dict[str, View[Any]]:
        waiting = [(topic, event) for topic, event in self._runtime.pending.events() if not self._config.refuses(event)]
        books = self._books.copy()
        books.fold(_of(waiting, bookkeeping.TOPICS))
        return {
            stage.name: View(stage.live(self._states[stage.name], _of(waiting, stage.facts)), books)
            for stage in self.stages
        }

    def _show(self, before: dict[str, View[Any]] | None, result: Result) -> None:
        """Rows of the live view that changed in this batch; after a rebuild all of them, once it has caught up."""
        if self._runtime.announce and self._runtime.last[0] < self._runtime.silent_until:
            return
        after = self._live()
        scope = Scope(self.store_id, self.epoch, self._runtime.last[0])
        for stage in self.stages:
            rows = stage.rows(None if before is None else before[stage.name], after[stage.name], self._config, scope)
            result.emitted += [Emitted(stage.name, row) for row in rows]
        self._runtime.announce = False


def _of(booked: Iterable[tuple[str, Event]], topics: frozenset[str]) -> list[Event]:
    return [event for topic, event in booked if topic in topics]


def _tick(value: bytes | None) -> Tick:
    tick: Tick = TOPICS[TICKS].decoder.decode(value or b"")
    return tick


def _place(record: Record) -> tuple[str, int]:
    return record.topic, record.partition


def _position(record: Record) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


def _month(moment: datetime) -> tuple[int, int]:
    return moment.year, moment.month
