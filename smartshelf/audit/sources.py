"""Reading the books from each place of record, each by its own way: Kafka, Delta, Postgres, the world."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import redis
import sqlalchemy as sa
from deltalake import DeltaTable
from msgspec import Struct

from producers.truth import shelves_of_the_world
from smartshelf.audit.books import Balances, LotKey, Rows, Sequences, ShelfKey, keyed
from smartshelf.audit.cut import Cut
from smartshelf.contracts.control import Offsets
from smartshelf.contracts.events import Count, DeadLetter, Event, Evidence, Removal, WhAdjust, WhOut
from smartshelf.contracts.ledger import EXPIRED, Place
from smartshelf.contracts.render import arrow
from smartshelf.contracts.render.columns import columns
from smartshelf.contracts.rows import MirrorRow
from smartshelf.contracts.tables import TABLES, Table
from smartshelf.contracts.topics import FACTS, TOPICS, Topic
from smartshelf.domain import ledger
from smartshelf.domain.ledger import Moved
from smartshelf.domain.lots import LotPlace
from smartshelf.domain.shelf import shelves_of
from smartshelf.errors import Unavailable
from smartshelf.io import delta, kafka, postgres
from smartshelf.settings import Settings

#: Topics whose facts move units or weigh.
BOOKED = ("shelf_events", "pos_transactions", "wh_events")
_SINKS = [table for table in TABLES.values() if table.direction == "sink"]
#: Tables that stages write and Connect and Spark mirror.
MIRRORED: tuple[Table, ...] = tuple(table for table in _SINKS if not table.takes_facts)
#: Tables that Connect writes facts into.
RECORDED: tuple[Table, ...] = tuple(table for table in _SINKS if table.takes_facts)


_NAMES = tuple(topic.name for topic in FACTS)
#: Columns that the fold of an archived fact needs, and those that say who numbered it.
_NUMBERED = frozenset({"event_id", "event_type", "store_id", "source", "seq"})
_FOLDED = _NUMBERED | {
    "step", "timestamp", "shelf_id", "batch_code", "quantity", "qty", "adjustment", "reason", "location", "items",
    "schema_version",
}  # fmt: skip
#: Facts that the comparison with the world and the hash look at one by one.
_NOTED: dict[str, type[Event]] = {"wh_out": WhOut, "wh_adjust": WhAdjust, "removal": Removal}


class _Identity(Struct):
    """The part of an envelope that the checks of sequences and of records need."""

    event_id: str
    event_type: str
    store_id: str
    source: str
    seq: int | None = None

    @property
    def counted_as(self) -> str:
        """Who numbers: a stage does so for every store by itself."""
        is_job = self.source.startswith(Evidence.JOB_PREFIX)
        return f"{self.source} for {self.store_id}" if is_job else self.source


_identity = msgspec.json.Decoder(_Identity).decode


@dataclass
class Facts:
    """What a log of facts, read in the order of its offsets, adds up to."""

    balances: Balances
    sequences: Sequences = field(default_factory=Sequences)
    counted: int = 0
    #: Facts that stages decided in the last step: they count with the next.
    decided: int = 0
    #: Facts after the cut, on their way through the pipe.
    beyond: int = 0
    #: Units that left the backroom's books as expired and that staff have not thrown away yet.
    leaving: Counter[LotKey] = field(default_factory=Counter)
    #: Shelves of which files or foreign systems have told: the simulated world knows nothing of that.
    told: set[ShelfKey] = field(default_factory=set)
    #: Those of which such a fact came after the last tick: their states may show it already.
    ahead: set[ShelfKey] = field(default_factory=set)
    #: Every ``wh_out`` by event_id.
    taken: Rows = field(default_factory=dict)
    #: Kafka's first offsets: what lay before them was put away.
    starts: Offsets = field(default_factory=dict)
    _last_count: dict[ShelfKey, datetime] = field(default_factory=dict)

    def going_on(self, source: str) -> Facts:
        """A copy that another source goes on with."""
        copied = copy.deepcopy(self)
        copied.balances.source = source
        return copied

    def book(self, store_id: str, moved: Iterable[Moved], at: datetime, counted_shelf: str | None) -> None:
        """Book one fact that happened at ``at``; ``counted_shelf``: the shelf it counts, if it is a count."""
        self.counted += 1
        for move in moved:
            last = self._last_count.get(ShelfKey(store_id, move.shelf_id))
            self.balances.add(store_id, [ledger.as_counted(move, late=last is not None and at < last)])
        if counted_shelf is not None:
            key = ShelfKey(store_id, counted_shelf)
            self._last_count[key] = max(at, self._last_count.get(key, at))

    def take(self, fact: Event) -> None:
        """Remember what was taken from the backroom, for the hash."""
        if isinstance(fact, WhOut):
            row: dict[str, Any] = msgspec.to_builtins(fact)
            self.taken[(fact.event_id,)] = row

    def note(self, fact: Event) -> None:
        """Remember what the comparison with the world needs."""
        self.told |= _told_from_outside(fact)
        if isinstance(fact, WhAdjust) and fact.reason == EXPIRED:
            self.leaving[LotKey(fact.store_id, fact.shelf_id, fact.batch_code)] -= fact.qty
        elif isinstance(fact, Removal) and fact.location == "warehouse":
            self.leaving[LotKey(fact.store_id, fact.shelf_id, fact.batch_code)] -= fact.quantity

    def take_in(self, fact: Event, cut: Cut, topic: str, partition: int, offset: int) -> None:
        """One fact of a topic of BOOKED, and where it stands."""
        if cut.holds(fact.store_id, topic, partition, offset, fact.source, fact.step):
            counted = fact.shelf_id if isinstance(fact, Count) and fact.location == "store" else None
            self.book(fact.store_id, ledger.movements(fact), fact.timestamp, counted)
            self.note(fact)
            self.take(fact)
        elif cut.decided(fact.store_id, fact.source, fact.step):
            self.decided += 1
            self.take(fact)
        elif not cut.refuses(topic, partition, offset):
            self.beyond += 1
            self.ahead |= _told_from_outside(fact)


def facts_put_away(config: Settings, cut: Cut) -> Facts:
    """Fold the facts that Kafka has no longer (their months were brought forward) from the archive."""
    facts = Facts(Balances("delta raw"), starts=kafka.start_offsets(config.kafka_bootstrap, _NAMES))
    for topic in FACTS:
        if topic.raw and any(facts.starts[topic.name].values()):
            _fold_archive(config, cut, facts, topic, {}, facts.starts)
    return facts


def facts_in_kafka(config: Settings, cut: Cut, before: Facts) -> Facts:
    """Fold every committed fact through the ledger, and check that no sequence number is missing or repeated.

    ``before``: what the facts add up to that Kafka has no longer.
    """
    facts = before.going_on("kafka facts")
    for topic in FACTS:
        cut_off = {int(part) for part, start in facts.starts[topic.name].items() if start and not topic.raw}
        for message in kafka.read_all(config.kafka_bootstrap, topic.name):
            identity = _identity(message.value())
            if identity.seq is not None and Evidence.is_own(identity.source):
                stream = topic.stream or topic.name
                if message.partition() in cut_off:
                    facts.sequences.begin(identity.counted_as, stream, message.partition(), identity.seq)
                facts.sequences.add(identity.counted_as, stream, identity.seq)
            if topic.name in BOOKED:
                fact = topic.decoder.decode(message.value())
                facts.take_in(fact, cut, topic.name, message.partition(), message.offset())
    for letter in _dead_letters(config):
        # A dead-lettered event has used up its number too.
        if letter.seq is not None and letter.source and Evidence.is_own(letter.source):
            facts.sequences.add(letter.source, letter.origin.partition("/")[0], letter.seq)
    return facts


def _told_from_outside(fact: Event) -> set[ShelfKey]:
    outside = Evidence.is_outside(fact.source)
    return {ShelfKey(fact.store_id, shelf_id) for shelf_id in shelves_of(fact)} if outside else set()


def _dead_letters(config: Settings) -> Iterator[DeadLetter]:
    """Open letters that came from Redis (those of a stage stand in a topic as well)."""
    for message in kafka.read_all(config.kafka_bootstrap, "dead_letters"):
        letter: DeadLetter = TOPICS["dead_letters"].decoder.decode(message.value())
        if letter.resolution is None and letter.origin.count("/") == 1:
            yield letter


def facts_in_delta(config: Settings, cut: Cut, before: Facts) -> Balances:
    """Fold the raw archive from its typed columns, without a look at the messages, after what was put away."""
    facts = before.going_on("delta raw")
    for name in BOOKED:
        _fold_archive(config, cut, facts, TOPICS[name], facts.starts, {})
    return facts.balances


def _fold_archive(config: Settings, cut: Cut, facts: Facts, topic: Topic, start: Offsets, end: Offsets) -> None:
    """Fold a part of a topic's archive."""
    is_booked = topic.name in BOOKED
    schema = arrow.events_schema(topic).names
    columns = [name for name in schema if name in (_FOLDED if is_booked else _NUMBERED)]
    # The rows of one topic are few and told in full: what was taken from the backroom is part of the hash.
    columns = schema if topic.name == "wh_events" else columns
    for row in delta.in_order(config.delta_root / "raw" / topic.name, columns, start, end):
        if row["seq"] is not None and Evidence.is_own(row["source"]):
            identity = msgspec.convert({name: row[name] for name in _NUMBERED}, _Identity)
            facts.sequences.add(identity.counted_as, topic.stream or topic.name, row["seq"])
        where = (topic.name, row["partition"], row["offset"])
        if is_booked and cut.holds(row["store_id"], *where, row["source"], row["step"]):
            counted = row["event_type"] == "count" and row["location"] == "store"
            facts.book(row["store_id"], _moved(row), row["timestamp"], row["shelf_id"] if counted else None)
            if row["event_type"] in _NOTED:
                event = _event(row)
                facts.note(event)
                facts.take(event)


def _event(row: Mapping[str, Any]) -> Event:
    """An archived row as the event that it was."""
    kind = _NOTED[row["event_type"]]
    names = {field.name for field in msgspec.structs.fields(kind)}
    values = {name: value for name, value in row.items() if name in names and value is not None}
    event: Event = msgspec.convert(msgspec.to_builtins(values), kind, strict=False)
    return event


def _moved(row: Mapping[str, Any]) -> Iterator[Moved]:
    rule = ledger.rule_for(row["event_type"], row.get("reason"), row.get("location"))
    if rule is None:
        return
    for line in row.get("items") or [row]:
        yield Moved(line["shelf_id"], line.get("batch_code"), rule.origin, rule.destination, line[rule.quantity])


def rows_in_kafka(config: Settings, table: Table) -> Rows:
    """The topic's latest row of every key."""
    values = kafka.read_latest(config.kafka_bootstrap, table.topic.name).values()
    return keyed(table, (msgspec.json.decode(value) for value in values))


def rows_in_delta(config: Settings, table: Table) -> Rows:
    """The Delta mirror; call it for tables that have one."""
    return keyed(table, DeltaTable(str(config.delta_root / (table.delta or ""))).to_pyarrow_table().to_pylist())


def rows_in_postgres(config: Settings, table: Table) -> Rows:
    """The Postgres mirror."""
    columns = ", ".join(field.name for field in msgspec.structs.fields(table.row))
    engine = postgres.engine(config, "analyst", "audit")
    try:
        with engine.connect() as connection:
            # Rows of epoch 0 are generated history, which no stage has sent; facts have no epoch.
            sent = " where epoch > 0" if issubclass(table.row, MirrorRow) else ""
            rows = connection.execute(sa.text(f"select {columns} from {table.full_name}{sent}")).mappings().all()
    except sa.exc.OperationalError as failed:
        raise Unavailable("Postgres does not answer", value=str(failed.orig).strip()) from failed
    finally:
        engine.dispose()
    return keyed(table, (dict(row) for row in rows))


def ids_in_kafka(config: Settings, table: Table) -> set[str]:
    """Ids of the topic's facts that a table of facts keeps."""
    kept = event_types(table)
    facts = (_identity(message.value()) for message in kafka.read_all(config.kafka_bootstrap, table.topic.name))
    return {fact.event_id for fact in facts if fact.event_type in kept}


def ids_in_postgres(config: Settings, table: Table) -> set[str]:
    """Ids of the facts that a table has."""
    with postgres.connect(config, "analyst", "audit") as connection, connection.cursor() as cursor:
        cursor.execute(f"select event_id from {table.full_name}")
        return {row[0] for row in cursor.fetchall()}


def event_types(table: Table) -> frozenset[str]:
    """The event types that a table of facts keeps: what its ``event_type`` may be."""
    (kept,) = (column.type.allowed for column in columns(table.row) if column.name == "event_type")  # type: ignore[union-attr]
    return frozenset(kept)


def version_of(row: Mapping[str, Any]) -> tuple[int, int]:
    """What orders two copies of a row."""
    return row["epoch"], row["version"]


def as_balances(source: str, rows: Mapping[str, Rows]) -> Balances:
    """The part of the books that the states tell; ``rows`` by the tables' full names."""
    told = Balances(source)
    for row in rows["state.shelf_state"].values():
        places = told.by_shelf.setdefault(ShelfKey(row["store_id"], row["shelf_id"]), {})
        places[Place.SHELF], places[Place.BASKET] = row["current_stock"], row["in_baskets"]
        places[Place.ON_THE_WAY] = row["on_the_way"]
    for row in rows["state.wh_state"].values():
        places = told.by_shelf.setdefault(ShelfKey(row["store_id"], row["shelf_id"]), {})
        places[Place.BACKROOM] = row["wh_current_stock"]
    for row in rows["state.wh_batch_state"].values():
        told.by_lot[LotKey(row["store_id"], row["shelf_id"], row["batch_code"])] = {
            LotPlace.BACKROOM: row["batch_quantity_warehouse"],
            LotPlace.ON_THE_WAY: row["in_transit_qty"],
            LotPlace.STORE: row["batch_quantity_store"],
        }
    return told


def lots_in_store(source: str, rows: Rows) -> Balances:
    """What the lots' rows of the store tell."""
    told = Balances(source)
    for row in rows.values():
        key = LotKey(row["store_id"], row["shelf_id"], row["batch_code"])
        told.by_lot[key] = {LotPlace.STORE: row["batch_quantity_store"]}
    return told


def world(client: redis.Redis, cut: Cut, leaving: Mapping[LotKey, int]) -> tuple[Balances, set[ShelfKey]]:
    """Physical truth, in the words of the books, and the shelves whose lots in the store cannot be compared.

    Goods on their way still stand in the backroom. What is ``leaving`` is there too until staff throw it away, but
    in the books no longer. Nobody knows of which lots the units are that went past the till.
    """
    truth, unsure = Balances("the world"), set[ShelfKey]()
    for store_id in cut.ticks:
        for shelf_id, real in shelves_of_the_world(client, store_id).items():
            truth.by_shelf[ShelfKey(store_id, shelf_id)] = {
                Place.SHELF: real.on_shelf,
                Place.BASKET: real.in_baskets + real.unpaid,
                Place.BACKROOM: real.in_backroom,
                Place.SOLD: real.sold,
                Place.WASTED: real.wasted,
            }
            if real.unpaid:
                unsure.add(ShelfKey(store_id, shelf_id))
            for batch in real.in_store.keys() | real.behind.keys():
                truth.by_lot[LotKey(store_id, shelf_id, batch)] = {
                    LotPlace.STORE: real.in_store.get(batch, 0),
                    LotPlace.BACKROOM: real.behind.get(batch, 0),
                }
    for lot, units in leaving.items():
        places = truth.by_shelf.setdefault(ShelfKey(lot.store_id, lot.shelf_id), {})
        places[Place.BACKROOM] = places.get(Place.BACKROOM, 0) - units
        kept = truth.by_lot.setdefault(lot, {})
        kept[LotPlace.BACKROOM] = kept.get(LotPlace.BACKROOM, 0) - units
    return truth, unsure


def as_the_world_sees(books: Balances) -> Balances:
    """The books with what is on its way where it physically stands, in the backroom, and what is lost where it left.

    What went past the till is in a basket for the books, and lost after closing.
    """
    seen = Balances(books.source)
    for key, places in books.by_shelf.items():
        behind = places.get(Place.BACKROOM, 0) + places.get(Place.ON_THE_WAY, 0)
        out = places.get(Place.BASKET, 0) + places.get(Place.LOST, 0)
        seen.by_shelf[key] = places | {Place.BACKROOM: behind, Place.BASKET: out}
    for lot, kept in books.by_lot.items():
        behind = kept.get(LotPlace.BACKROOM, 0) + kept.get(LotPlace.ON_THE_WAY, 0)
        seen.by_lot[lot] = kept | {LotPlace.BACKROOM: behind}
    return seen
