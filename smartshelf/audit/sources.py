"""Reading the books from each place of record, each by its own way: Kafka, Delta, Postgres, the world."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from deltalake import DeltaTable
from msgspec import Struct

from smartshelf.audit.books import Balances, Sequences, ShelfKey, shelf_rows
from smartshelf.audit.cut import Cut
from smartshelf.contracts.events import Count, DeadLetter, Evidence
from smartshelf.contracts.ledger import MOVEMENTS
from smartshelf.contracts.rows import ShelfState
from smartshelf.contracts.topics import FACTS, TOPICS
from smartshelf.domain import ledger
from smartshelf.domain.ledger import Moved
from smartshelf.errors import Unavailable
from smartshelf.io import kafka, postgres
from smartshelf.settings import Settings

#: Topics whose facts move units or weigh.
BOOKED = ("shelf_events", "pos_transactions", "wh_events")

Rows = dict[ShelfKey, dict[str, Any]]


class _Identity(Struct):
    """The part of an envelope that the sequence check needs."""

    store_id: str
    source: str
    seq: int | None = None


_identity = msgspec.json.Decoder(_Identity).decode


@dataclass
class Facts:
    """What a log of facts, read in the order of its offsets, adds up to."""

    balances: Balances
    sequences: Sequences = field(default_factory=Sequences)
    counted: int = 0
    #: Facts after the cut, on their way through the pipe.
    beyond: int = 0
    _last_count: dict[ShelfKey, datetime] = field(default_factory=dict)

    def book(self, store_id: str, moved: Iterable[Moved], at: datetime, counted_shelf: str | None) -> None:
        """Book one fact that happened at ``at``; ``counted_shelf``: the shelf it counts, if it is a count."""
        self.counted += 1
        for move in moved:
            last = self._last_count.get(ShelfKey(store_id, move.shelf_id))
            self.balances.add(store_id, [ledger.as_counted(move, late=last is not None and at < last)])
        if counted_shelf is not None:
            key = ShelfKey(store_id, counted_shelf)
            self._last_count[key] = max(at, self._last_count.get(key, at))


def facts_in_kafka(config: Settings, cut: Cut) -> Facts:
    """Fold every committed fact through the ledger, and check that no sequence number is missing or repeated."""
    facts = Facts(Balances("kafka facts"))
    for topic in FACTS:
        for message in kafka.read_all(config.kafka_bootstrap, topic.name):
            identity = _identity(message.value())
            if identity.seq is not None and Evidence.is_own(identity.source):
                facts.sequences.add(identity.source, topic.stream or topic.name, identity.seq)
            if topic.name not in BOOKED:
                continue
            fact = topic.decoder.decode(message.value())
            where = (topic.name, message.partition(), message.offset())
            if cut.holds(fact.store_id, *where, fact.source, fact.step):
                counted = fact.shelf_id if isinstance(fact, Count) and fact.location == "store" else None
                facts.book(fact.store_id, ledger.movements(fact), fact.timestamp, counted)
            elif not cut.refuses(*where):
                facts.beyond += 1
    for letter in _dead_letters(config):
        # A dead-lettered event has used up its number too.
        if letter.seq is not None and letter.source and Evidence.is_own(letter.source):
            facts.sequences.add(letter.source, letter.origin.partition("/")[0], letter.seq)
    return facts


def _dead_letters(config: Settings) -> Iterator[DeadLetter]:
    """Open letters that came from Redis (those of a stage stand in a topic as well)."""
    for message in kafka.read_all(config.kafka_bootstrap, "dead_letters"):
        letter: DeadLetter = TOPICS["dead_letters"].decoder.decode(message.value())
        if letter.resolution is None and letter.origin.count("/") == 1:
            yield letter


def facts_in_delta(config: Settings, cut: Cut) -> Balances:
    """Fold the raw archive from its typed columns, without a look at the messages."""
    facts = Facts(Balances("delta raw"))
    for name in BOOKED:
        table = DeltaTable(str(config.delta_root / "raw" / name)).to_pyarrow_table()
        for row in table.sort_by([("partition", "ascending"), ("offset", "ascending")]).to_pylist():
            if cut.holds(row["store_id"], name, row["partition"], row["offset"], row["source"], row["step"]):
                counted = row["event_type"] == "count" and row["location"] == "store"
                facts.book(row["store_id"], _moved(row), row["timestamp"], row["shelf_id"] if counted else None)
    return facts.balances


def _moved(row: Mapping[str, Any]) -> Iterator[Moved]:
    rule = ledger.rule_for(row["event_type"], row.get("reason"), row.get("location"))
    if rule is None:
        return
    for line in row.get("items") or [row]:
        yield Moved(line["shelf_id"], line.get("batch_code"), rule.origin, rule.destination, line[rule.quantity])


def states_in_kafka(config: Settings) -> Rows:
    """The compacted topic's latest row of every shelf."""
    return shelf_rows(kafka.read_latest(config.kafka_bootstrap, "shelf_state").values())


def states_in_delta(config: Settings) -> Rows:
    """The Delta mirror."""
    table = DeltaTable(str(config.delta_root / "cleansed" / "shelf_state")).to_pyarrow_table()
    return _keyed(msgspec.to_builtins(row) for row in table.to_pylist())


def states_in_postgres(config: Settings) -> Rows:
    """The Postgres mirror."""
    columns = ", ".join(field.name for field in msgspec.structs.fields(ShelfState))
    engine = postgres.engine(config, "analyst", "audit")
    try:
        with engine.connect() as connection:
            rows = connection.execute(sa.text(f"select {columns} from state.shelf_state")).mappings().all()
    except sa.exc.OperationalError as failed:
        raise Unavailable("Postgres does not answer", value=str(failed.orig).strip()) from failed
    finally:
        engine.dispose()
    return _keyed(msgspec.to_builtins(msgspec.convert(dict(row), ShelfState)) for row in rows)


def _keyed(rows: Iterator[dict[str, Any]] | Any) -> Rows:
    return {ShelfKey(row["store_id"], row["shelf_id"]): row for row in rows}


def as_balances(source: str, rows: Mapping[ShelfKey, Mapping[str, Any]]) -> Balances:
    """The part of the books that a shelf state tells."""
    columns = {
        "current_stock": MOVEMENTS["pickup"].origin,
        "in_baskets": MOVEMENTS["pickup"].destination,
        "on_the_way": MOVEMENTS["refill"].origin,
    }
    return Balances(
        source, {key: {place: row[column] for column, place in columns.items()} for key, row in rows.items()}
    )
