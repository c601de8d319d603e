"""One store's configuration as the stages see it: up to the step's cut, never beyond."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from smartshelf.contracts.events import Event
from smartshelf.contracts.rows import ShelfProfile
from smartshelf.contracts.topics import TOPICS
from smartshelf.domain.shelf import shelves_of
from spark_apps.runtime import codec
from spark_apps.runtime.records import Record, Refused

FORMAT = 1


class Changes(NamedTuple):
    """What one cut changed: shelves that got another profile, and shelves that lost theirs, in order of arrival."""

    profiles: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self.profiles or self.removed)


class StoreConfig:
    """Profiles by shelf. Policies join here with the first stage that reads them."""

    def __init__(self, profiles: dict[str, ShelfProfile] | None = None) -> None:
        self.profiles = profiles or {}
        #: What the last cut changed.
        self.changes = Changes()

    def refuses(self, fact: Event) -> str | None:
        """Why a fact cannot be booked, or None: every shelf it names must have a profile."""
        unknown = [shelf for shelf in shelves_of(fact) if shelf not in self.profiles]
        return f"unknown shelf {unknown[0]}: it has no profile up to the step's cut" if unknown else None

    def apply(self, records: Iterable[Record]) -> list[Refused]:
        """Take in a cut's records of configuration topics, in order; a record that says nothing new is no change."""
        before = dict(self.profiles)
        refused: list[Refused] = []
        seen: dict[str, None] = {}
        for record in records:
            try:
                seen[self._profile(record)] = None
            except (msgspec.DecodeError, KeyError, TypeError) as wrong:
                # The previous row stays in force.
                refused.append(Refused(record, f"not a {record.topic} row: {wrong}"))
        present = [s for s in seen if s in self.profiles and self.profiles[s] != before.get(s)]
        removed = [s for s in seen if s in before and s not in self.profiles]
        self.changes = Changes(tuple(present), tuple(removed))
        return refused

    def _profile(self, record: Record) -> str:
        if record.value is None:
            shelf_id: str = msgspec.json.decode(record.key or b"")["shelf_id"]
            self.profiles.pop(shelf_id, None)
            return shelf_id
        profile: ShelfProfile = TOPICS["shelf_profiles"].decoder.decode(record.value)
        self.profiles[profile.shelf_id] = profile
        return profile.shelf_id

    def dump(self) -> bytes:
        """As a versioned binary value."""
        return codec.pack(FORMAT, msgspec.msgpack.encode(list(self.profiles.values())))

    @classmethod
    def load(cls, data: bytes) -> StoreConfig:
        """From a versioned binary value."""
        return cls(dict(_profiles(codec.unpack(data, FORMAT, "config"))))


_decode = msgspec.msgpack.Decoder(list[ShelfProfile]).decode


@lru_cache(maxsize=64)
def _profiles(body: bytes) -> dict[str, ShelfProfile]:
    """Decoded once per worker and change: profiles are the largest part of the state and seldom change."""
    return {profile.shelf_id: profile for profile in _decode(body)}
