"""Reading the books from each place of record, each by its own way: Kafka, Delta, Postgres, the world."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from deltalake import DeltaTable
from msgspec import Struct

from smartshelf.audit.books import Balances, Sequences, ShelfKey
from smartshelf.audit.cut import Cut
from smartshelf.contracts.events import DeadLetter, Evidence
from smartshelf.contracts.ledger import MOVEMENTS
from smartshelf.contracts.rows import ShelfState
from smartshelf.contracts.topics import FACTS, TOPICS
from smartshelf.domain import ledger
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
    """What a log of facts adds up to."""

    balances: Balances
    sequences: Sequences = field(default_factory=Sequences)
    counted: int = 0
    #: Facts after the cut, on their way through the pipe.
    beyond: int = 0


def facts_in_kafka(config: Settings, cut: Cut) -> Facts:
    """Fold every committed fact, one by one, through the ledger."""
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
                facts.counted += 1
                facts.balances.add(fact.store_id, ledger.movements(fact))
            elif f"{where[0]}/{where[1]}/{where[2]}" not in cut.refused:
                facts.beyond += 1
    for letter in _dead_letters(config):
        # A dead-lettered event has used up its number too.
        if letter.seq is not None and letter.source and "-" in letter.origin:
            facts.sequences.add(letter.source, letter.origin.partition("/")[0], letter.seq)
    return facts


def _dead_letters(config: Settings) -> Iterator[DeadLetter]:
    """Open letters that came from Redis (those of a stage stand in a topic as well)."""
    for message in kafka.read_all(config.kafka_bootstrap, "dead_letters"):
        letter: DeadLetter = TOPICS["dead_letters"].decoder.decode(message.value())
        if letter.resolution is None and letter.origin.count("/") == 1:
            yield letter


def facts_in_delta(config: Settings, cut: Cut) -> Balances:
    """Fold the raw archive column by column: sums by shelf and kind of event, then the ledger's rule for each."""
    balances = Balances("delta raw")
    for name in BOOKED:
        table = DeltaTable(str(config.delta_root / "raw" / name)).to_pyarrow_table()
        table = table.filter(_inside(table, name, cut))
        if name == "pos_transactions":
            table = _receipt_lines(table)
        for column in ("reason", "location", "quantity", "qty", "adjustment"):
            if column not in table.column_names:
                table = table.append_column(column, pa.nulls(len(table), pa.string()))
        keys = ["store_id", "shelf_id", "event_type", "reason", "location"]
        quantities = [
            c for c in ("quantity", "qty", "adjustment") if not pa.types.is_string(table.schema.field(c).type)
        ]
        for row in table.group_by(keys).aggregate([(c, "sum") for c in quantities]).to_pylist():
            if row["shelf_id"] is None:
                continue
            rule = ledger.rule_for(row["event_type"], row["reason"], row["location"])
            if rule is not None:
                units = row[f"{rule.quantity}_sum"] or 0
                moved = ledger.Moved(row["shelf_id"], None, rule.origin, rule.destination, units)
                balances.add(row["store_id"], [moved])
    return balances


def _inside(table: pa.Table, name: str, cut: Cut) -> pa.Array:
    columns = ("store_id", "partition", "offset", "source", "step")
    rows = zip(*(table.column(column).to_pylist() for column in columns), strict=True)
    return pa.array([cut.holds(store, name, part, offset, source, step) for store, part, offset, source, step in rows])


def _receipt_lines(table: pa.Table) -> pa.Table:
    items = table.column("items").combine_chunks()
    parents = pc.list_parent_indices(items)
    lines = pc.list_flatten(items)
    return pa.table(
        {
            "store_id": table.column("store_id").take(parents),
            "event_type": table.column("event_type").take(parents),
            "shelf_id": pc.struct_field(lines, "shelf_id"),
            "quantity": pc.struct_field(lines, "quantity"),
        }
    )


def states_in_kafka(config: Settings) -> Rows:
    """The compacted topic's latest row of every shelf."""
    latest = kafka.read_latest(config.kafka_bootstrap, "shelf_state").values()
    return _keyed(msgspec.to_builtins(msgspec.json.decode(value, type=ShelfState)) for value in latest)


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
