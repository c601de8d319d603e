"""The world and the stages in one process: the same steps, cuts and gate as on servers, without any.

What Redis, bridge and Kafka do between the two is little when nothing can fail: a save appends facts to topics, a mark
becomes a tick with the ends of the store's topics, tasks and done marks are heard at once. Stages run only when the
gate has closed, so that the world is ahead of them by up to L steps, as it may be in a live run.
"""

from __future__ import annotations

import csv
import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from producers.world import Emitted
from producers.worlds import Worlds
from smartshelf.audit import books
from smartshelf.contracts.control import Done, Mark, Offsets, Task, Tick
from smartshelf.contracts.events import WhOut
from smartshelf.contracts.rows import key_json
from smartshelf.contracts.stages import step_end
from smartshelf.contracts.tables import TABLES, Table
from smartshelf.contracts.topics import CONFIG, STREAMS, TOPICS, Topic
from smartshelf.contracts.types import encode
from smartshelf.errors import BadInput
from smartshelf.init import opening
from smartshelf.io.step_save import UNBORN, Changes, Fact, Outcome, Position
from smartshelf.settings import Settings, opens_at
from spark_apps.jobs import configured_by, learnt_by
from spark_apps.runtime.engine import TASKS, Result, StoreEngine
from spark_apps.runtime.rates import NOTHING
from spark_apps.runtime.records import Record
from spark_apps.runtime.stage import TICKS, Output

#: One process needs no partitions.
PARTITION = 0


class Line(NamedTuple):
    """A record of a topic: where it stands, whose it is and in which step it came."""

    offset: int
    store_id: str
    step: int
    key: bytes
    value: bytes | None


#: Topics whose tables keep what the topic has dropped.
_HISTORY = frozenset(table.topic.name for table in TABLES.values() if not table.deletes)

#: Takes the lines of a topic as they come.
Keep = Callable[[str, Line], None]


class Process:
    """One run. ``keep`` gets every record of every append-only topic."""

    def __init__(self, config: Settings, keep: Keep) -> None:
        self.config, self._keep = config, keep
        self.start = opens_at(config)
        self._stages = configured_by(config)
        self.counts: Counter[str] = Counter()
        #: Latest row by key of every compacted topic that stages write; history tables forget none.
        self.rows: dict[str, dict[bytes, bytes]] = {}
        self._taken: books.Rows = {}
        self._ends: dict[str, Offsets] = {store: {} for store in config.stores}
        self._config_ends: dict[str, Offsets] = {store: {} for store in config.stores}
        self._inbox: dict[str, list[Record]] = {store: [] for store in config.stores}
        learnt = learnt_by(config)
        self._engines = {
            store: StoreEngine(
                store,
                self._stages,
                epoch=config.epoch,
                step_seconds=config.step_seconds,
                learnt=learnt.get(store, NOTHING),
                calendar=config.calendar,
            )
            for store in config.stores
        }
        self._step = 0
        self.worlds = self._opened()

    @property
    def hash(self) -> str:
        """What ``smartshelf audit`` prints for a live run of the same seed at this step."""
        return books.store_hash({name: self._rows_of(TABLES[name]) for name in books.HASHED}, self._taken)

    def _rows_of(self, table: Table) -> books.Rows:
        return books.keyed(table, map(msgspec.json.decode, self.rows.get(table.topic.name, {}).values()))

    @property
    def now(self) -> datetime:
        """T(k) of the last step lived."""
        return step_end(self.start, self.config.step_seconds, self.worlds.position.step)

    def live(self, k: int) -> None:
        """Live to the end of step ``k`` and let every stage decide it."""
        target = self.worlds.end_of(k)
        with _no_collector():
            while True:
                while self.worlds.turn(target):
                    pass
                self._decide()
                if self.worlds.position.step >= k:
                    return

    # --- opening ---------------------------------------------------------------------------------

    def _opened(self) -> Worlds:
        config, folder = self.config, self.config.data_dir / "db_csv"
        profiles = [each for each in opening.read_profiles(folder) if each.store_id in config.stores]
        lots = [each for each in opening.read_lots(folder) if each.store_id in config.stores]
        if missing := sorted(set(config.stores) - {each.store_id for each in profiles}):
            raise BadInput(
                f"The data in {config.data_dir} are of other stores",
                value=", ".join(missing),
                remedy="Run `smartshelf data build`, or set STORES.",
            )
        for topic in CONFIG:
            if topic.compacted:  # commands come while the store lives
                self._configure(topic, folder / f"{topic.name}.csv")
        facts = opening.opening_facts(profiles, lots, self.start)
        mark = Mark(epoch=config.epoch, k_from=0, k=0, t=self.start, stores=tuple(sorted(config.stores)), streams={})
        start_ms = int(self.start.timestamp() * 1000)
        self._save(epoch=config.epoch, step=UNBORN, number=0, facts=facts, changes={}, until_ms=start_ms, mark=mark)
        return Worlds(
            start_ms,
            config.step_seconds * 1000,
            Position(config.epoch, 0, 1, start_ms),
            opening.opened_worlds(config, profiles, lots, self.start),
            self._save,
            render=_unstamped,
        )

    def _configure(self, topic: Topic, path: Path) -> None:
        """The first load of a configuration table, as capture hands it to the stages that read it."""
        if not any(topic.name in stage.config for stage in self._stages) or topic.row is None:
            return
        with path.open(newline="", encoding="utf-8") as file:
            for offset, texts in enumerate(csv.DictReader(file)):
                filled = {name: text for name, text in texts.items() if text}
                row = msgspec.convert(filled, topic.row, strict=False)
                record = Record(topic.name, PARTITION, offset, 0, key_json(topic.row, row), encode(row))
                for store in [texts["store_id"]] if texts["store_id"] else self.config.stores:
                    if store in self._inbox:
                        self._inbox[store].append(record)
                        self._config_ends[store][topic.name] = {str(PARTITION): offset}

    # --- what Redis, the bridge and Kafka do -----------------------------------------------------

    def _save(
        self,
        *,
        epoch: int,
        step: int,  # noqa: ARG002  # nobody else could have written
        number: int,  # noqa: ARG002
        facts: Sequence[Fact],
        changes: Changes,  # noqa: ARG002  # the world is in this process and cannot be killed alone
        until_ms: int,  # noqa: ARG002
        mark: Mark | None,
    ) -> Outcome:
        if mark:
            self._step = mark.k
        for stream, key, data in facts:
            topic, store = STREAMS[stream].name, _store_of(data)
            offset = self._append(topic, store, key.encode(), data)
            self._inbox[store].append(Record(topic, PARTITION, offset, 0, key.encode(), data))
            self._ends[store].setdefault(topic, {})[str(PARTITION)] = offset
        if mark:
            for store in mark.stores:
                self._tick(store, mark, epoch)
        return "saved"

    def _tick(self, store: str, mark: Mark, epoch: int) -> None:
        tick = Tick(
            store_id=store,
            epoch=epoch,
            k_from=mark.k_from,
            k=mark.k,
            t=mark.t,
            cut={topic: dict(ends) for topic, ends in self._ends[store].items()},
            config=self._config_ends[store],
        )
        data = encode(tick)
        offset = self._append(TICKS, store, store.encode(), data)
        self._inbox[store].append(Record(TICKS, PARTITION, offset, 0, store.encode(), data))

    def _append(self, topic: str, store: str, key: bytes, value: bytes | None) -> int:
        offset = self.counts[topic]
        self.counts[topic] += 1
        self._keep(topic, Line(offset, store, self._step, key, value))
        return offset

    # --- what Spark does -------------------------------------------------------------------------

    def _decide(self) -> None:
        for store, engine in self._engines.items():
            records, self._inbox[store] = self._inbox[store], []
            result = engine.process(records)
            self._send(store, result)
            for stage, k in result.done.items():
                self._hear(store, Done(store_id=store, stage=stage, k=k, epoch=self.config.epoch, offsets={}))

    def _send(self, store: str, result: Result) -> None:
        for _, output in result.emitted:
            key = output.key or b""
            if TOPICS[output.topic].compacted:
                rows = self.rows.setdefault(output.topic, {})
                if output.value is not None:
                    rows[key] = output.value
                elif output.topic not in _HISTORY:
                    rows.pop(key, None)
            elif output.topic == TASKS:
                self._hear(store, TOPICS[TASKS].decoder.decode(output.value or b""))
            else:
                self._append(output.topic, store, key, output.value)
                self._note(output)

    def _note(self, output: Output) -> None:
        if output.topic == "wh_events":
            fact = TOPICS[output.topic].decoder.decode(output.value or b"")
            if isinstance(fact, WhOut):
                self._taken[(fact.event_id,)] = msgspec.to_builtins(fact)

    def _hear(self, store: str, message: Task | Done) -> None:
        self._append(TASKS, store, store.encode(), encode(message))
        self.worlds.hear(message)


def steps_until(config: Settings, start: datetime, *, days: int | None, until: datetime | None) -> int:
    """The step that ends after so many days, or the first that ends at or after a moment. Raises BadInput."""
    if (days is None) == (until is None):
        raise BadInput("Say how far, in one way", remedy="Use --days N or --until TIME.")
    end = until or start + timedelta(days=days or 0)
    steps = -((start - end) // timedelta(seconds=config.step_seconds))
    if steps < 1:
        raise BadInput(
            "That is not after the store's opening", value=days if until is None else until.isoformat(),
            remedy=f"It opens at {start.isoformat()}.",
        )  # fmt: skip
    return steps


class _Named(msgspec.Struct):
    store_id: str


_named = msgspec.json.Decoder(_Named).decode


def _store_of(data: bytes) -> str:
    return _named(data).store_id


def _unstamped(facts: Iterable[Emitted]) -> list[Fact]:
    """Facts without a wall-clock time: the same run gives the same bytes."""
    return [(fact.stream, fact.key, encode(fact.fact)) for fact in facts]


@contextmanager
def _no_collector() -> Iterator[None]:
    """Millions of objects and hardly a cycle: looking for some takes a quarter of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect(1)
