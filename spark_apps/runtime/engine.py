"""The engine: one store's records in, steps run in order, outputs and new state out. Pure.

Records may come in any order within a batch and batches may be cut anywhere; the state after the last
record, every decision and every done mark are the same. Nothing here reads a clock: time is T(k) of the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from smartshelf.contracts.control import Done, Offsets, Task, Tick
from smartshelf.contracts.events import Event, Evidence
from smartshelf.contracts.topics import FACTS, TOPICS
from smartshelf.domain.calendar import Calendar
from spark_apps.runtime import books as bookkeeping
from spark_apps.runtime import codec
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.cuts import Positions
from spark_apps.runtime.pending import Business, Pending
from spark_apps.runtime.rates import NOTHING, WEEK, DemandRates, Opening
from spark_apps.runtime.records import Fact, Record, Refused, dead_letter, fact_of
from spark_apps.runtime.stage import TICKS, Output, Scope, Stage, Step, View, config_of, facts_of, tellers

FORMAT = 3
TASKS, DEAD_LETTERS = "world_tasks", "dead_letters"
#: Names of the state values beside those of the books; a stage's is ``stage:NAME``.
RUNTIME, CONFIG = "runtime", "config"
BEFORE_ALL = -1
#: Step k and the number n of an extra cut after it (0: the step itself).
Cut = tuple[int, int]
NO_CUT: Cut = (BEFORE_ALL, 0)
FACT_TOPICS = frozenset(topic.name for topic in FACTS)


class Past(msgspec.Struct, frozen=True):
    """What a new epoch of a store must not say again."""

    #: Stage -> what it decided up to this cut was sent and stands in the log.
    sent: dict[str, Cut] = {}
    #: Of stages that are new to the store: how far the world had come without them.
    now: Cut = NO_CUT
    #: Stage -> the cut up to which the store lived without it, in this epoch or a former one.
    began: dict[str, Cut] = {}

    def silences(self, stage: str, cut: Cut) -> bool:
        """Whether what a stage decides at a cut is not to be sent."""
        return cut <= self.sent.get(stage, self.now)

    def begins(self, stage: str, last: Cut, cut: Cut) -> bool:
        """Whether the step after ``last`` is the first that a stage decides in a store that lived without it."""
        return stage in self.began and last <= self.began[stage] < cut


NO_PAST = Past()


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
    #: Last complete step, and the number of the last extra cut after it.
    step: int = BEFORE_ALL
    n: int = 0
    carried: list[Carried] = field(default_factory=list)


@dataclass
class Runtime:
    """The engine's own state."""

    positions: Positions = field(default_factory=Positions)
    pending: Pending = field(default_factory=Pending)
    ticks: list[Tick] = field(default_factory=list)
    #: Last step run, as (k, n).
    last: Cut = NO_CUT
    #: Done marks by stage: last cut decided, and the offsets of facts to be read for it.
    marks: dict[str, tuple[Cut, Offsets]] = field(default_factory=dict)
    #: What was decided and sent in an earlier epoch: it is folded again in silence.
    past: Past = NO_PAST
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
                self.marks,
                self.past.sent,
                self.past.now,
                self.announce,
                self.past.began,
            ],
        )

    @classmethod
    def load(cls, data: bytes) -> Runtime:
        """From a versioned binary value."""
        body = codec.unpack(data, FORMAT, RUNTIME, UPGRADES)
        offsets, pending, ticks, last, marks, sent, now, announce, began = body
        return cls(
            Positions(offsets),
            Pending.of(pending),
            [_tick(value) for value in ticks],
            tuple(last),
            {stage: (tuple(cut), reached) for stage, (cut, reached) in marks.items()},
            Past(_cuts(sent), tuple(now), _cuts(began)),
            announce,
        )


class StoreEngine:
    """One store. ``process`` a batch of records, then ``dump`` the state values that changed.

    ``upstream``: stages of other processes whose facts these stages read (from the log, behind done marks).
    ``telling``: topic -> the stage whose process tells of bad records in it; its own where all stages are here.
    ``past``: where a store without values begins a new epoch, what was sent in former ones.
    ``learnt``: what the store's history knows of demand; it and ``calendar`` are fixed for the life of the store.
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
        telling: Mapping[str, str] | None = None,
        past: Past | None = None,
        learnt: Opening = NOTHING,
        calendar: Calendar = WEEK,
    ) -> None:
        self.store_id, self.stages, self.epoch = store_id, tuple(stages), epoch
        self._step_length = timedelta(seconds=step_seconds)
        self._upstream = frozenset(upstream)
        self._telling = tellers(stages) if telling is None else telling
        self._facts = facts_of(stages)
        self._config_topics = config_of(stages)
        self._own = frozenset(stage.name for stage in stages)
        self._writers = frozenset(stage.name for stage in stages if stage.writes & self._facts)
        self._has_books = any(stage.books for stage in stages)
        self._loaded = dict(values or {})
        if self._loaded:
            self._runtime = Runtime.load(self._loaded[RUNTIME])
        else:
            past = past or NO_PAST
            self._runtime = Runtime(past=past, announce=past != NO_PAST)
        self._config = StoreConfig.load(self._loaded[CONFIG]) if CONFIG in self._loaded else StoreConfig()
        self._books = (
            Books.load(self._loaded, learnt, calendar)
            if bookkeeping.NAMES in self._loaded
            else Books(demand=DemandRates(learnt, calendar))
        )
        self._states = {stage.name: self._load(stage) for stage in self.stages}
        #: Stages that came after the state was brought forward, until they have seen their first step.
        self._unseen = {
            name for name in self._own if self._runtime.last > NO_CUT and f"stage:{name}" not in self._loaded
        }
        self._config_changed = False

    def _load(self, stage: Stage[Any]) -> Any:
        data = self._loaded.get(f"stage:{stage.name}")
        return stage.new() if data is None else stage.load(data)

    def rebuilt(self, past: Past) -> None:
        """Say that the state given is one that was brought forward into a new epoch.

        What was sent before is taken from the log, none of it is sent again.
        """
        self._runtime.past, self._runtime.announce = past, True
        # What the log holds is what the rest of the system has acted on: what counted from memory is read again.
        pending = self._runtime.pending
        pending.business = [b for b in pending.business if b.fact.record.offset > BEFORE_ALL]

    # --- a batch ---------------------------------------------------------------------------------

    def process(self, records: Iterable[Record]) -> Result:
        """Take in one batch and run every step that is complete."""
        result = Result()
        begun_at = self._runtime.last
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
        reached, past = self._runtime.last, self._runtime.past
        if reached > begun_at:
            # A stage that is new to the store says when it has caught up.
            result.done = {
                stage.name: reached[0]
                for stage in self.stages
                if reached > past.sent.get(stage.name, (past.now[0] - 1, 0))
            }
        result.step, result.n = reached
        return result

    def dump(self) -> dict[str, bytes]:
        """The state values that are not as they were loaded, or dumped last."""
        changed = {name: value for name, value in self._values().items() if self._loaded.get(name) != value}
        self._loaded |= changed
        self._config_changed = False
        return changed

    def _values(self) -> dict[str, bytes]:
        values = {RUNTIME: self._runtime.dump()}
        # Profiles are many and seldom change.
        if self._config_changed or CONFIG not in self._loaded:
            values[CONFIG] = self._config.dump()
        else:
            values[CONFIG] = self._loaded[CONFIG]
        if self._has_books:
            values |= self._books.dump()
        seen = [stage for stage in self.stages if stage.name not in self._unseen]
        return values | {f"stage:{stage.name}": stage.dump(self._states[stage.name]) for stage in seen}

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
                    self._refuse(Refused(record, f"not a tick: {wrong}"), result, (self._runtime.last[0] + 1, 0))
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
        elif step >= self._runtime.last[0] and (job not in self._own or self._is_logged(job)):
            self._pend_business(job, step, fact)
        # Otherwise it has counted: one of our own from memory, another before the state was brought forward.

    def _pend_business(self, job: str, step: int, fact: Fact) -> None:
        record = fact.record
        number = (record.partition, record.offset)
        self._runtime.pending.business.append(Business(job, step, record.topic, number, fact))

    def _is_logged(self, stage: str) -> bool:
        """Whether what follows the last cut was decided by this stage of ours in an earlier epoch."""
        sent = self._runtime.past.sent.get(stage)
        return sent is not None and self._runtime.last <= sent

    def _receive_done(self, record: Record) -> None:
        mark: Done | Task = TOPICS[TASKS].decoder.decode(record.value or b"")
        if not isinstance(mark, Done):
            return
        cut, reached = self._runtime.marks.get(mark.stage, (NO_CUT, {}))
        for topic in mark.offsets.keys() & FACT_TOPICS:
            for partition, offset in mark.offsets[topic].items():
                known = reached.setdefault(topic, {})
                known[partition] = max(offset, known.get(partition, BEFORE_ALL))
        self._runtime.marks[mark.stage] = (max(cut, (mark.k, mark.n)), reached)

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
            if not self._others_decided():
                return False
            self._step(self._step_of(tick.k, tick.n, tick.t), tick, result)
            return True
        for k in range(next_step, tick.k + 1):
            if not self._others_decided():
                return False
            self._step(self._step_of(k, 0, tick.t - (tick.k - k) * self._step_length), tick, result)
        return True

    def _step_of(self, k: int, n: int, at: datetime) -> Step:
        # An extra cut while the clock stands takes no time.
        since = at if n else at - self._step_length
        return Step(k, n, at, since, Scope(self.store_id, self.epoch, k))

    def _others_decided(self) -> bool:
        """Whether all that other stages wrote up to the last cut, and what is to be taken from the log, is here."""
        last = self._runtime.last
        if last == NO_CUT:
            return True
        for stage in self._upstream.union(filter(self._is_logged, self._writers)):
            cut, offsets = self._runtime.marks.get(stage, (NO_CUT, {}))
            if cut < last or not self._runtime.positions.cover(offsets, self._facts):
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
        if self._has_books:
            self._books.advance(_of(booked, bookkeeping.TOPICS), self._config, step)
        for stage in self.stages:
            events = _of(booked, stage.facts)
            config, books = self._seen_by(stage, step)
            state, outputs = stage.advance(self._states[stage.name], events, config, step, books)
            self._states[stage.name] = state
            if not self._runtime.past.silences(stage.name, (step.k, step.n)):
                self._emit(stage, step, outputs, result)
        for letter in refused:
            self._refuse(letter, result, (step.k, step.n))
        self._runtime.last = (step.k, step.n)
        if not step.n and _month(step.at) != _month(step.at - self._step_length):
            result.carried.append(Carried(step.k, step.at, self._values(), self._copy_of_positions()))

    def _seen_by(self, stage: Stage[Any], step: Step) -> tuple[StoreConfig, Books]:
        """Configuration and books; to a stage that begins in a store that has lived without it, all is new."""
        begins = self._runtime.past.begins(stage.name, self._runtime.last, (step.k, step.n))
        if begins:
            self._states[stage.name] = stage.begin(self._states[stage.name])
        elif stage.name not in self._unseen:
            return self._config, self._books
        self._unseen.discard(stage.name)
        config = self._config.as_new()
        return config, replace(self._books, touched=tuple(sorted(config.profiles)))

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

    def _refuse(self, refused: Refused, result: Result, cut: Cut) -> None:
        """Tell of a bad record, unless that is another process's part or was done in an earlier epoch."""
        stage = self._telling.get(refused.record.topic, self.stages[0].name)
        if stage in self._own and not self._runtime.past.silences(stage, cut):
            letter = Output(DEAD_LETTERS, refused.record.origin.encode(), dead_letter(refused, self.store_id))
            result.emitted.append(Emitted(stage, letter))

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
        past, last = self._runtime.past, self._runtime.last
        if self._runtime.announce and any(last < past.sent.get(stage.name, past.now) for stage in self.stages):
            return
        after = self._live()
        scope = Scope(self.store_id, self.epoch, self._runtime.last[0])
        for stage in self.stages:
            rows = stage.rows(None if before is None else before[stage.name], after[stage.name], self._config, scope)
            result.emitted += [Emitted(stage.name, row) for row in rows]
        self._runtime.announce = False


def _of(booked: Iterable[tuple[str, Event]], topics: frozenset[str]) -> list[Event]:
    return [event for topic, event in booked if topic in topics]


def _cuts(plain: Mapping[str, Sequence[int]]) -> dict[str, Cut]:
    return {stage: (k, n) for stage, (k, n) in plain.items()}


def _tick(value: bytes | None) -> Tick:
    tick: Tick = TOPICS[TICKS].decoder.decode(value or b"")
    return tick


def _place(record: Record) -> tuple[str, int]:
    return record.topic, record.partition


def _position(record: Record) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


def _with_extra_cuts(body: list[Any]) -> list[Any]:
    """Format 1 knew marks and silence by step only."""
    offsets, pending, ticks, last, upstream, silent_until, announce = body
    marks = {stage: ((k, 0), reached) for stage, (k, reached) in upstream.items()}
    return [
        offsets,
        pending,
        ticks,
        last,
        marks,
        dict.fromkeys(upstream, (silent_until, 0)),
        (silent_until, 0),
        announce,
    ]


def _with_beginnings(body: list[Any]) -> list[Any]:
    """Format 2 did not know since when a stage that was new to the store decides."""
    return [*body, {}]


UPGRADES = {1: _with_extra_cuts, 2: _with_beginnings}


def _month(moment: datetime) -> tuple[int, int]:
    return moment.year, moment.month
