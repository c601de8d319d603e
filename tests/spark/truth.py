"""What a store must decide: the same facts lived in one process without servers, and what readers of Kafka see."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec

from data.build import Order, build
from smartshelf.audit import books
from smartshelf.contracts.control import Done
from smartshelf.contracts.events import WhOut
from smartshelf.contracts.tables import TABLES, Table
from smartshelf.contracts.topics import TOPICS
from smartshelf.facts.process import Process
from smartshelf.io import kafka
from smartshelf.settings import Settings, load
from spark_apps.runtime.engine import Result
from spark_apps.runtime.records import Record

SCALE = "0.25"
#: The fields of a row that tell when and in which life of a job it was written.
_BOOKKEEPING = ("epoch", "as_of_step")


def built(folder: Path) -> Path:
    """The data of a store with a quarter of the shelves, which are refilled early and often."""
    config = _settings(folder)
    build(folder, Order(config.stores, config.scale, config.seed, config.sim_start))
    policies = folder / "db_csv" / "shelf_policies.csv"
    usual, eager = ",30,,80,60,", ",80,,95,10,"
    assert usual in policies.read_text()
    policies.write_text(policies.read_text().replace(usual, eager))
    return folder


def _settings(folder: Path, step_seconds: int = 60) -> Settings:
    return load({"SMARTSHELF_DATA": str(folder), "SCALE": SCALE, "STEP_SECONDS": str(step_seconds)})


class Recorded(Process):
    """A run in one process that remembers what bridge and capture would have written, as ``feed.Feed`` takes it."""

    store = "S01"

    def __init__(self, folder: Path, step_seconds: int = 60) -> None:
        self.written: list[Record] = []
        #: Stage -> number of records it sent.
        self.said: Counter[str] = Counter()
        #: Log (a topic that keeps every record) -> its records of stages, in order.
        self.logs: dict[str, list[dict[str, Any]]] = defaultdict(list)
        super().__init__(_settings(folder, step_seconds), lambda topic, line: None)
        # A crowd that empties shelves; without thieves and broken scales the shrink stage has nothing to say.
        self.worlds.switch(frozenset({"rush-hour", "viral-promotion", "theft", "mis-scan", "sensor-silence"}))

    @property
    def last_step(self) -> int:
        return self.worlds.position.step

    def _decide(self) -> None:
        self.written += self._inbox[self.store]
        super()._decide()

    def _send(self, store: str, result: Result) -> None:
        for stage, (topic, _, value) in result.emitted:
            self.said[stage] += 1
            if not TOPICS[topic].compacted:
                self.logs[topic].append(_plain(topic, value or b""))
        super()._send(store, result)

    def latest(self, table: Table) -> books.Rows:
        """The last row of every key, as it stands in the table's topic."""
        return {key: _without_bookkeeping(row) for key, row in self._rows_of(table).items()}


def _plain(topic: str, value: bytes) -> dict[str, Any]:
    return _without_bookkeeping(msgspec.to_builtins(TOPICS[topic].decoder.decode(value)))


def _without_bookkeeping(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _BOOKKEEPING}


# --- what readers of Kafka see ----------------------------------------------------------------------------------------


def hash_of(config: Settings) -> str:
    """As the audit makes it, of the rows that were ever sent and of what was taken from the backroom."""
    taken: books.Rows = {}
    for message in kafka.read_all(config.kafka_bootstrap, "wh_events"):
        fact = TOPICS["wh_events"].decoder.decode(message.value())
        if isinstance(fact, WhOut) and fact.store_id == Recorded.store:
            taken[(fact.event_id,)] = msgspec.to_builtins(fact)
    return books.store_hash({name: rows_of(config, TABLES[name]) for name in books.HASHED}, taken)


def rows_of(config: Settings, table: Table) -> books.Rows:
    """The last row of every key that was ever sent; only a table that deletes heeds tombstones."""
    rows: dict[bytes, bytes] = {}
    for message in kafka.read_all(config.kafka_bootstrap, table.topic.name):
        if msgspec.json.decode(message.key())["store_id"] != Recorded.store:
            continue
        if message.value() is not None:
            rows[message.key()] = message.value()
        elif table.deletes:
            rows.pop(message.key(), None)
    return books.keyed(table, map(msgspec.json.decode, rows.values()))


def assert_decided_alike(config: Settings, truth: Recorded) -> None:
    """Every row, fact, task, alert and receipt of every stage is the one of one process, said once and in order."""
    for topic, mine in truth.logs.items():
        assert _of_jobs(config, topic) == _by_source(topic, mine), topic
    for table in TABLES.values():
        if table.direction == "sink" and table.topic.compacted:
            rows = {key: _without_bookkeeping(row) for key, row in rows_of(config, table).items()}
            assert rows == truth.latest(table), table.full_name
    assert hash_of(config) == truth.hash


def _of_jobs(config: Settings, topic: str) -> dict[str, list[Any]]:
    """What stages wrote to a log for the store."""
    found = []
    for message in kafka.read_all(config.kafka_bootstrap, topic):
        decoded = TOPICS[topic].decoder.decode(message.value())
        is_ours = decoded.store_id == Recorded.store if hasattr(decoded, "store_id") else True
        source = getattr(decoded, "source", None)
        if is_ours and not isinstance(decoded, Done) and (source is None or source.startswith("job:")):
            found.append(_without_bookkeeping(msgspec.to_builtins(decoded)))
    return _by_source(topic, found)


def _by_source(topic: str, records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """By stage: in a split the records of several lie in one topic in any order. Tasks name no stage."""
    if topic == "world_tasks":
        return {"": sorted(records, key=lambda task: str(task["task_id"]))}
    said: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        said[record.get("source") or ""].append(record)
    return said
