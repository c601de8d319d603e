"""A record as it stands in Kafka, and the fact in it."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from smartshelf.contracts.events import DeadLetter, Event
from smartshelf.contracts.topics import TOPICS


class Record(NamedTuple):
    """One Kafka record. ``arrived_ms``: when the broker took it (LogAppendTime), the same on every reading."""

    topic: str
    partition: int
    offset: int
    arrived_ms: int
    key: bytes | None
    value: bytes | None

    @property
    def origin(self) -> str:
        """Where it stands: names it in dead letters."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class Fact(NamedTuple):
    """A record and its event; ``event`` is None when the value is not of the contract."""

    record: Record
    event: Event | None
    problem: str = ""


class Refused(NamedTuple):
    """A record that is not booked, and why."""

    record: Record
    reason: str


def fact_of(record: Record) -> Fact:
    """Decode a record of a fact topic."""
    try:
        return Fact(record, TOPICS[record.topic].decoder.decode(record.value or b""))
    except msgspec.DecodeError as wrong:
        return Fact(record, None, f"not of the contract: {wrong}")


class _Envelope(msgspec.Struct):
    """What can be told of a bad event."""

    source: str | None = None
    seq: int | None = None


def dead_letter(refused: Refused, store_id: str) -> bytes:
    """The record for topic ``dead_letters``; the same on every replay."""
    record = refused.record
    try:
        envelope = msgspec.json.decode(record.value or b"{}", type=_Envelope)
    except msgspec.DecodeError:
        envelope = _Envelope()
    return msgspec.json.encode(
        DeadLetter(
            origin=record.origin,
            key=record.key.decode(errors="replace") if record.key is not None else None,
            raw=b64encode(record.value or b"").decode(),
            reason=refused.reason,
            store_id=store_id or None,
            source=envelope.source,
            seq=envelope.seq,
            first_seen=datetime.fromtimestamp(record.arrived_ms / 1000, UTC),
        )
    )
