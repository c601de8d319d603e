"""How far the bridge has come: what it keeps in ``bridge.offsets``, written in the same transaction as the facts.

Keys: the name of a stream (also ``marks``), and ``seen:SOURCE:EVENT_ID`` for events of outside sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice

import msgspec
import redis
from msgspec import Struct

from smartshelf.contracts.control import Tick
from smartshelf.contracts.redis_keys import MARKS
from smartshelf.contracts.topics import STREAMS

OFFSETS_TOPIC = "bridge.offsets"
#: An outside event that comes again within this many simulated days is dropped.
REMEMBERED_DAYS = 8
_SEEN = b"seen:"


class Counts(Struct, kw_only=True, frozen=True):
    """What became of the entries of one stream, in entries; ``missing`` in sequence numbers."""

    forwarded: int = 0
    dead_letters: int = 0
    #: Dropped: already forwarded before.
    repeated: int = 0
    #: Numbers that an own source left out.
    missing: int = 0


class StreamPosition(Struct, kw_only=True, frozen=True):
    """How far one fact stream has been forwarded."""

    epoch: int
    id: str = "0-0"
    counts: Counts = Counts()
    #: own source -> last sequence number
    seq: dict[str, int] = {}
    #: store -> partition (as text: JSON keys) -> offset of its last fact from this stream
    offsets: dict[str, dict[str, int]] = {}


class MarksPosition(Struct, kw_only=True, frozen=True):
    """Which marks have become ticks."""

    epoch: int
    id: str = "0-0"
    #: Last tick written: step and its extra number. -1: none yet.
    k: int = -1
    n: int = 0
    #: Simulated time of that tick.
    t: datetime | None = None
    #: store -> its last tick
    ticks: dict[str, Tick] = {}


class SeenRecord(Struct, kw_only=True, frozen=True):
    """When an outside event was first seen: number of the simulated day (``date.toordinal``)."""

    epoch: int
    day: int


class Seen:
    """The events of outside sources of the last simulated days, by the day on which they came."""

    def __init__(self) -> None:
        self._days: dict[int, set[bytes]] = {}
        #: Keys whose records are to be deleted, oldest first.
        self._expired: dict[bytes, None] = {}

    def __len__(self) -> int:
        return sum(map(len, self._days.values()))

    def __contains__(self, key: bytes) -> bool:
        return any(key in keys for keys in self._days.values())

    def add(self, key: bytes, day: int) -> None:
        """Remember an event from this simulated day on."""
        self._expired.pop(key, None)
        self._days.setdefault(day, set()).add(key)

    def forget(self, key: bytes) -> None:
        """Have a key's record deleted (it belongs to an earlier epoch)."""
        self._expired[key] = None

    def expire(self, today: int) -> None:
        """Forget what came more than REMEMBERED_DAYS before ``today``."""
        for day in [day for day in self._days if day < today - REMEMBERED_DAYS]:
            self._expired |= dict.fromkeys(self._days.pop(day))

    def expired(self, limit: int) -> list[bytes]:
        """Up to ``limit`` keys whose records are to be deleted."""
        return list(islice(self._expired, limit))

    def deleted(self, keys: Iterable[bytes]) -> None:
        """The records of these expired keys have been deleted."""
        for key in keys:
            self._expired.pop(key, None)


def seen_key(source: str, event_id: str) -> bytes:
    """Key of the memory of one event of an outside source."""
    return b"%b%b:%b" % (_SEEN, source.encode(), event_id.encode())


class Position:
    """Everything the bridge must know again after a kill."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.streams = {stream: StreamPosition(epoch=epoch) for stream in STREAMS}
        self.marks = MarksPosition(epoch=epoch)
        self.seen = Seen()

    @classmethod
    def load(cls, records: Mapping[bytes, bytes], epoch: int) -> Position:
        """From the latest records of ``bridge.offsets``; those of earlier epochs count as none."""
        position = cls(epoch)
        for key, value in records.items():
            position._restore(key, value)
        if position.marks.t is not None:
            position.seen.expire(position.marks.t.toordinal())
        return position

    def _restore(self, key: bytes, value: bytes) -> None:
        if key.startswith(_SEEN):
            record = msgspec.json.decode(value, type=SeenRecord)
            if record.epoch == self.epoch:
                self.seen.add(key, record.day)
            else:
                self.seen.forget(key)
            return
        name = key.decode()
        if name == MARKS:
            marks = msgspec.json.decode(value, type=MarksPosition)
            self.marks = marks if marks.epoch == self.epoch else self.marks
        elif name in STREAMS:
            stream = msgspec.json.decode(value, type=StreamPosition)
            self.streams[name] = stream if stream.epoch == self.epoch else self.streams[name]

    def ids(self) -> dict[str, str]:
        """Last Redis id done with, by stream, marks included."""
        return {stream: at.id for stream, at in self.streams.items()} | {MARKS: self.marks.id}

    def rewind(self, stream: str, redis_id: str) -> None:
        """Go back to an id of a Redis that has lost its newest entries; sequence numbers stay."""
        if stream == MARKS:
            self.marks = msgspec.structs.replace(self.marks, id=redis_id)
        else:
            self.streams[stream] = msgspec.structs.replace(self.streams[stream], id=redis_id)

    def take_over(self, streams: Mapping[str, StreamPosition], marks: MarksPosition) -> None:
        """A transaction with these positions is committed."""
        self.streams.update(streams)
        self.marks = marks


def recorded_epoch(records: Mapping[bytes, bytes]) -> int:
    """Highest epoch in the latest records of ``bridge.offsets``; 0 when there are none."""
    positions = (value for key, value in records.items() if not key.startswith(_SEEN))
    return max((msgspec.json.decode(value, type=MarksPosition).epoch for value in positions), default=0)


def lag(client: redis.Redis) -> dict[str, int]:
    """Entries that wait in Redis, by stream: what Kafka has is trimmed at once."""
    pipe = client.pipeline(transaction=False)
    names = [*STREAMS, MARKS]
    for name in names:
        pipe.xlen(name)
    return dict(zip(names, (int(waiting) for waiting in pipe.execute()), strict=True))
