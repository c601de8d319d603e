"""One store's configuration as the stages see it, and what people ask for: up to the step's cut, never beyond."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from smartshelf.contracts import commands
from smartshelf.contracts.commands import Asked
from smartshelf.contracts.events import Event
from smartshelf.contracts.rows import Command, ShelfPolicy, ShelfProfile, WhPolicy
from smartshelf.contracts.topics import TOPICS
from smartshelf.domain import fefo, ordering, policy, restock
from smartshelf.domain.shelf import shelves_of
from spark_apps.runtime import codec
from spark_apps.runtime.records import Record, Refused

FORMAT = 2
Units = NDArray[np.int64]
Row = ShelfProfile | ShelfPolicy | WhPolicy

#: Topic -> field of its key, which is the name of a row within a store.
_NAMED_BY = {"shelf_profiles": "shelf_id", "shelf_policies": "policy_id", "wh_policies": "policy_id"}
COMMANDS = "commands"
#: Topics of which a configuration is made.
CONFIGURATION = frozenset({*_NAMED_BY, COMMANDS})
#: Days for which a command is known again when capture repeats it (it does after losing its place). Postgres sets
#: ``at``, so that an older one can only be a repetition.
REMEMBERED_DAYS = 30
#: What a policy leaves open when it is looked at for contradictions.
_DEFAULTS = {"shelf_policies": policy.SHELF_DEFAULTS, "wh_policies": policy.WAREHOUSE_DEFAULTS}


class Changes(NamedTuple):
    """What one cut changed: shelves that got another profile, and shelves that lost theirs, in order of arrival."""

    profiles: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    #: Whether a policy came, changed or went: any shelf may be under another rule now.
    policies: bool = False
    #: What people asked for, in order of arrival; every command comes once.
    commands: tuple[Asked, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self.profiles or self.removed or self.policies or self.commands)


class Rules:
    """Profiles and policies in force as columns; row i of each is the shelf ``shelf_ids[i]``."""

    def __init__(self, profiles: Iterable[ShelfProfile], shelf: Iterable[ShelfPolicy], wh: Iterable[WhPolicy]) -> None:
        self._profiles = tuple(profiles)
        self.shelf_ids = [profile.shelf_id for profile in self._profiles]
        self.row_of = {shelf_id: row for row, shelf_id in enumerate(self.shelf_ids)}
        scopes = policy.Scopes.of(
            self.shelf_ids, [p.category for p in self._profiles], [p.subcategory for p in self._profiles]
        )
        store_id = self._profiles[0].store_id if self._profiles else ""
        #: Field of a shelf policy -> its value on every shelf.
        self.shelf = policy.resolve(shelf, scopes, store_id, policy.SHELF_DEFAULTS)
        #: Field of a warehouse policy -> its value on every shelf; NaN where nobody has said any.
        self.warehouse = policy.resolve(wh, scopes, store_id, policy.WAREHOUSE_DEFAULTS)

    @cached_property
    def maximum(self) -> Units:
        """Units that fit on each shelf."""
        return np.array([profile.maximum_stock for profile in self._profiles], dtype=np.int64)

    @cached_property
    def goods(self) -> ordering.Goods:
        """What ordering must know of each product."""
        batch = np.array([profile.standard_batch_size for profile in self._profiles], dtype=np.int64)
        capacity = np.array([profile.warehouse_capacity for profile in self._profiles], dtype=np.int64)
        return ordering.Goods(batch, self._lives, self.maximum, capacity)

    @cached_property
    def low(self) -> Units:
        """Units below which each shelf is low."""
        return restock.threshold(self.maximum, self.shelf["threshold_pct"], self.shelf["min_qty"])

    @cached_property
    def goal(self) -> Units:
        """Units that a refill brings each shelf back to."""
        return restock.target(self.maximum, self.shelf["target_pct"], self.low)

    @cached_property
    def near_in_store(self) -> Units:
        """Days before expiry from which a lot in the store counts as nearly expired."""
        return fefo.near_expiry_window(self.shelf["near_expiry_days"], self._lives)

    @cached_property
    def near_in_backroom(self) -> Units:
        """Days before expiry from which a lot in the backroom counts as nearly expired."""
        return fefo.near_expiry_window(self.warehouse["near_expiry_days"], self._lives)

    @cached_property
    def _lives(self) -> Units:
        return np.array([profile.shelf_life_days for profile in self._profiles], dtype=np.int64)


class Tables:
    """The rows of one store, by topic and name; not changed once they are looked at."""

    def __init__(self, rows: Mapping[str, Mapping[str, Row]] | None = None) -> None:
        rows = rows or {}
        self.rows: dict[str, dict[str, Any]] = {topic: dict(rows.get(topic, {})) for topic in _NAMED_BY}

    @cached_property
    def rules(self) -> Rules:
        """What is in force; made when a stage first asks."""
        of = self.rows
        return Rules(of["shelf_profiles"].values(), of["shelf_policies"].values(), of["wh_policies"].values())


class StoreConfig:
    """Profiles by shelf, and the policies of this store and of all stores."""

    def __init__(self, tables: Tables | None = None, known: Mapping[str, int] | None = None) -> None:
        self._tables = tables or Tables()
        #: Command -> day (since 1970, wall clock) on which it was entered.
        self._known = dict(known or {})
        #: What the last cut changed.
        self.changes = Changes()

    @property
    def profiles(self) -> dict[str, ShelfProfile]:
        """Profile of every shelf."""
        return self._tables.rows["shelf_profiles"]

    @property
    def rules(self) -> Rules:
        """Policies as they hold for every shelf."""
        return self._tables.rules

    def as_new(self) -> StoreConfig:
        """The same to somebody who has seen none of it: all has changed."""
        same = StoreConfig(self._tables, self._known)
        same.changes = self.changes._replace(profiles=tuple(self.profiles), policies=True)
        return same

    def commands_for(self, stage: str) -> list[Asked]:
        """What this cut's commands ask of a stage; it answers each with an outcome."""
        return [asked for asked in self.changes.commands if asked.stage == stage]

    def refuses(self, fact: Event) -> str | None:
        """Why a fact cannot be booked, or None: every shelf it names must have a profile."""
        profiles = self.profiles
        unknown = [shelf for shelf in shelves_of(fact) if shelf not in profiles]
        return f"unknown shelf {unknown[0]}: it has no profile up to the step's cut" if unknown else None

    def apply(self, records: Iterable[Record]) -> list[Refused]:
        """Take in a cut's records of configuration topics, in order; a record that says nothing new is no change."""
        records = list(records)
        if not records:
            self.changes = Changes()
            return []
        refused: list[Refused] = []
        asked = self._take_commands([record for record in records if record.topic == COMMANDS], refused)
        records = [record for record in records if record.topic != COMMANDS]
        if not records:
            self.changes = Changes(commands=asked)
            return refused
        before, self._tables = self._tables, Tables(self._tables.rows)
        seen: dict[str, dict[str, None]] = {topic: {} for topic in _NAMED_BY}
        for record in records:
            try:
                seen[record.topic][_take(record, self._tables.rows[record.topic])] = None
            except (msgspec.DecodeError, KeyError, TypeError) as wrong:
                # The previous row stays in force.
                refused.append(Refused(record, f"not a {record.topic} row: {wrong}"))
            except _Contradiction as wrong:
                refused.append(Refused(record, str(wrong)))
        profiles, known = self.profiles, before.rows["shelf_profiles"]
        named = seen["shelf_profiles"]
        self.changes = Changes(
            tuple(shelf for shelf in named if shelf in profiles and profiles[shelf] != known.get(shelf)),
            tuple(shelf for shelf in named if shelf in known and shelf not in profiles),
            any(self._tables.rows[topic] != before.rows[topic] for topic in _DEFAULTS),
            asked,
        )
        return refused

    @classmethod
    def joined(cls, parts: Iterable[tuple[StoreConfig, Collection[str]]]) -> StoreConfig:
        """Of each topic what the first one holds that has read it; ``parts``: configurations and what they read."""
        rows: dict[str, dict[str, Any]] = {}
        known: dict[str, int] | None = None
        for config, topics in parts:
            rows = {topic: config._tables.rows[topic] for topic in topics if topic in _NAMED_BY} | rows
            if COMMANDS in topics and known is None:
                known = config._known
        return cls(Tables(rows), known)

    def _take_commands(self, records: Iterable[Record], refused: list[Refused]) -> tuple[Asked, ...]:
        """Commands not taken before; deleting one, or changing it later, asks for nothing."""
        asked: list[Asked] = []
        for record in records:
            if record.value is None:
                continue
            try:
                command: Command = TOPICS[COMMANDS].decoder.decode(record.value)
            except msgspec.DecodeError as wrong:
                refused.append(Refused(record, f"not a {COMMANDS} row: {wrong}"))
                continue
            day = command.at.toordinal()
            oldest = max(self._known.values(), default=day) - REMEMBERED_DAYS
            if command.command_id in self._known or day < oldest:
                continue
            self._known = {name: at for name, at in self._known.items() if at >= day - REMEMBERED_DAYS}
            self._known[command.command_id] = day
            asked.append(commands.read(command))
        return tuple(asked)

    def dump(self) -> bytes:
        """As a versioned binary value."""
        rows: dict[str, Any] = {topic: list(of_topic.values()) for topic, of_topic in self._tables.rows.items()}
        rows[COMMANDS] = self._known
        return codec.pack(FORMAT, msgspec.msgpack.encode(rows))

    @classmethod
    def load(cls, data: bytes) -> StoreConfig:
        """From a versioned binary value."""
        return cls(*_tables(codec.unpack(data, FORMAT, "config", UPGRADES)))


class _Contradiction(Exception):
    """A policy that cannot be followed."""


def _take(record: Record, rows: dict[str, Any]) -> str:
    """Take one record into its topic's rows; the name of the row."""
    field = _NAMED_BY[record.topic]
    if record.value is None:
        gone: str = msgspec.json.decode(record.key or b"")[field]
        rows.pop(gone, None)
        return gone
    row: Row = TOPICS[record.topic].decoder.decode(record.value)
    if record.topic in _DEFAULTS and (wrong := policy.contradictions(row, _DEFAULTS[record.topic])):
        raise _Contradiction(" ".join(wrong))
    name: str = getattr(row, field)
    rows[name] = row
    return name


class _Rows(msgspec.Struct):
    shelf_profiles: list[ShelfProfile]
    shelf_policies: list[ShelfPolicy]
    wh_policies: list[WhPolicy]
    commands: dict[str, int] = {}


def _with_policies(body: bytes) -> bytes:
    """Format 1 held nothing but profiles."""
    profiles = msgspec.msgpack.decode(body, type=list[ShelfProfile])
    return msgspec.msgpack.encode(_Rows(profiles, [], []))


UPGRADES = {1: _with_policies}
_decode = msgspec.msgpack.Decoder(_Rows).decode


@lru_cache(maxsize=64)
def _tables(body: bytes) -> tuple[Tables, dict[str, int]]:
    """Tables and known commands.

    Decoded once per worker and change: profiles are the largest part of the state and seldom change.
    """
    rows = _decode(body)
    tables = {topic: {getattr(row, field): row for row in getattr(rows, topic)} for topic, field in _NAMED_BY.items()}
    return Tables(tables), rows.commands
