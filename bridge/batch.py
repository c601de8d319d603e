"""One Kafka transaction, worked out before it is sent: facts, dead letters, ticks, positions. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from bridge.checks import DECODING_ERRORS, MAX_ENTRY, Sender, dead_letter, entry_refusal, refusal, sender_of
from bridge.inbox import Segment
from bridge.position import OFFSETS_TOPIC, MarksPosition, Position, SeenRecord, StreamPosition, seen_key
from smartshelf.contracts.control import Mark, Offsets, Tick
from smartshelf.contracts.events import DeadLetter, Evidence
from smartshelf.contracts.redis_keys import MARKS
from smartshelf.contracts.topics import STREAMS
from smartshelf.contracts.types import encode
from smartshelf.io.redis_stream import Entry

#: Deletions of forgotten events per transaction: a day's worth at once would delay the facts.
EXPIRED_PER_BATCH = 2_000

#: topic, value, key, partition: the arguments of a produce
Record = tuple[str, bytes | None, bytes, int]
#: A store's facts of one stream: (stream, store, partition)
Place = tuple[str, str, int]


@dataclass
class _Stream:
    """What a batch changes in one stream's position."""

    id: str
    forwarded: int
    dead_letters: int
    repeated: int
    missing: int
    seq: dict[str, int]

    @classmethod
    def of(cls, at: StreamPosition) -> _Stream:
        c = at.counts
        return cls(at.id, c.forwarded, c.dead_letters, c.repeated, c.missing, dict(at.seq))


@dataclass
class _Cut:
    """End of a segment: which fact was the last of each place, and the mark, if one ends here."""

    last: dict[Place, int]
    mark: Mark | None
    id: str | None


@dataclass
class Batch:
    """Everything of one transaction but the offsets, which only the broker knows."""

    position: Position
    #: store -> topic -> partition -> offset of the last configuration record
    config: Mapping[str, Offsets]
    facts: list[Record] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    #: Indexes of the facts whose offsets a position or a cut needs.
    flagged: set[int] = field(default_factory=set)
    #: Outside events seen for the first time -> simulated day
    seen: dict[bytes, int] = field(default_factory=dict)
    #: Sentences for the log.
    remarks: list[tuple[str, str]] = field(default_factory=list)
    _streams: dict[str, _Stream] = field(default_factory=dict)
    _cuts: list[_Cut] = field(default_factory=list)

    def settle(self, offsets: Mapping[int, int], tick_partition: Callable[[str], int]) -> Settled:
        """The rest of the transaction, once the broker has said the offsets of the flagged facts."""
        places = {stream: dict(at.offsets) for stream, at in self.position.streams.items()}
        marks, ticks = self.position.marks, list[Tick]()
        for cut in self._cuts:
            for (stream, store, partition), index in cut.last.items():
                places[stream][store] = places[stream].get(store, {}) | {str(partition): offsets[index]}
            if cut.id is not None:
                marks, written = self._tick(marks, cut, places)
                ticks += written
        streams = {stream: self._position(stream, change, places[stream]) for stream, change in self._streams.items()}
        forgotten = [key for key in self.position.seen.expired(EXPIRED_PER_BATCH) if key not in self.seen]
        records = self._records(streams, marks, ticks, forgotten, tick_partition)
        return Settled(streams, marks, ticks, forgotten, records)

    def _tick(
        self, marks: MarksPosition, cut: _Cut, places: Mapping[str, Mapping[str, dict[str, int]]]
    ) -> tuple[MarksPosition, list[Tick]]:
        mark, moved = cut.mark, msgspec.structs.replace(marks, id=cut.id)
        if mark is None or (mark.k, mark.n) <= (marks.k, marks.n):
            return moved, []
        # A Redis that lost its newest entries may group the same steps otherwise when they are lived again.
        k_from = mark.k_from if mark.n or mark.k_from > marks.k else marks.k + 1
        ticks = [
            Tick(
                store_id=store,
                epoch=mark.epoch,
                k_from=k_from,
                k=mark.k,
                n=mark.n,
                t=mark.t,
                cut={STREAMS[stream].name: dict(of[store]) for stream, of in places.items() if store in of},
                config=self.config.get(store, {}),
            )
            for store in mark.stores
        ]
        latest = marks.ticks | {tick.store_id: tick for tick in ticks}
        return msgspec.structs.replace(moved, k=mark.k, n=mark.n, t=mark.t, ticks=latest), ticks

    def _position(self, stream: str, change: _Stream, offsets: dict[str, dict[str, int]]) -> StreamPosition:
        counts = msgspec.structs.replace(
            self.position.streams[stream].counts,
            forwarded=change.forwarded,
            dead_letters=change.dead_letters,
            repeated=change.repeated,
            missing=change.missing,
        )
        return StreamPosition(epoch=self.position.epoch, id=change.id, counts=counts, seq=change.seq, offsets=offsets)

    def _records(
        self,
        streams: Mapping[str, StreamPosition],
        marks: MarksPosition,
        ticks: Iterable[Tick],
        forgotten: Iterable[bytes],
        tick_partition: Callable[[str], int],
    ) -> list[Record]:
        epoch = self.position.epoch
        records = [tick_record(tick, tick_partition) for tick in ticks]
        records += [(OFFSETS_TOPIC, encode(at), stream.encode(), 0) for stream, at in streams.items()]
        if marks != self.position.marks:
            records.append(marks_record(marks))
        records += [(OFFSETS_TOPIC, encode(SeenRecord(epoch=epoch, day=day)), key, 0) for key, day in self.seen.items()]
        records += [(OFFSETS_TOPIC, None, key, 0) for key in forgotten]
        return records


def tick_record(tick: Tick, partition: Callable[[str], int]) -> Record:
    """The message of a tick."""
    return "sim_ticks", encode(tick), tick.store_id.encode(), partition(tick.store_id)


def marks_record(marks: MarksPosition) -> Record:
    """The message that says which marks have become ticks."""
    return OFFSETS_TOPIC, encode(marks), MARKS.encode(), 0


def extra_ticks(marks: MarksPosition, config: Callable[[str], Offsets]) -> tuple[MarksPosition, list[Tick]]:
    """For a store that stands still: a tick (k, n + 1) for each store with configuration newer than its last tick.

    The cut stays that of step k: whatever has been forwarded since belongs to the next step.
    """
    ticks = [
        msgspec.structs.replace(tick, k_from=tick.k, n=marks.n + 1, config=latest)
        for tick in marks.ticks.values()
        if tick.k == marks.k and _is_newer(latest := config(tick.store_id), tick.config)
    ]
    if not ticks:
        return marks, []
    latest_ticks = marks.ticks | {tick.store_id: tick for tick in ticks}
    return msgspec.structs.replace(marks, n=marks.n + 1, ticks=latest_ticks), ticks


def _is_newer(config: Offsets, than: Offsets) -> bool:
    """Whether any partition has come further; it may also seem to have gone back, when tombstones are cleaned up."""
    return any(
        offset > than.get(topic, {}).get(partition, -1)
        for topic, partitions in config.items()
        for partition, offset in partitions.items()
    )


@dataclass(frozen=True)
class Settled:
    """What holds after the commit, and the records that say so."""

    streams: Mapping[str, StreamPosition]
    marks: MarksPosition
    ticks: list[Tick]
    forgotten: list[bytes]
    records: list[Record]


def apply(batch: Batch, settled: Settled) -> None:
    """The batch's transaction is committed: its position becomes today's."""
    position = batch.position
    position.take_over(settled.streams, settled.marks)
    position.seen.deleted(settled.forgotten)
    for key, day in batch.seen.items():
        position.seen.add(key, day)
    if settled.marks.t is not None:
        position.seen.expire(settled.marks.t.toordinal())


class Sorter:
    """Decides for each entry whether it is a fact, a repetition or a dead letter, and makes batches of them."""

    def __init__(
        self,
        position: Position,
        partition_of: Callable[[str, str], int],
        now: Callable[[], datetime],
    ) -> None:
        """``partition_of(topic, store_id)``; ``now`` is wall time, for ``first_seen`` only."""
        self._position, self._partition_of, self._now = position, partition_of, now
        self._own: dict[str, bool] = {}

    def batch(self, segments: Iterable[Segment], config: Mapping[str, Offsets]) -> Batch:
        """All segments as one transaction. ``config``: see Batch."""
        batch = Batch(self._position, config)
        reached = self._position.marks
        for segment in segments:
            last: dict[Place, int] = {}
            for stream, entries in segment.facts.items():
                self._sort(batch, stream, entries, last, reached.t)
            batch.flagged.update(last.values())
            end = segment.end
            batch._cuts.append(_Cut(last, end.mark if end else None, end.id if end else None))
            if end and end.letter:
                batch.letters.append(end.letter)
            if end and end.mark:
                reached = self._reach(batch, reached, end.mark)
        return batch

    def _reach(self, batch: Batch, reached: MarksPosition, mark: Mark) -> MarksPosition:
        if (mark.k, mark.n) <= (reached.k, reached.n):
            batch.remarks.append(("warning", f"step {mark.k} (n={mark.n}) has had its tick: mark passed over"))
            return reached
        if mark.k_from > reached.k + 1:
            batch.remarks.append(("error", f"steps {reached.k + 1} to {mark.k_from - 1} have no mark"))
        return msgspec.structs.replace(reached, k=mark.k, n=mark.n, t=mark.t)

    def _sort(
        self, batch: Batch, stream: str, entries: Iterable[Entry], last: dict[Place, int], reached: datetime | None
    ) -> None:
        """The hot loop: every fact of the store passes here."""
        topic = STREAMS[stream]
        name, decode, facts = topic.name, topic.decoder.decode, batch.facts
        change = batch._streams.get(stream) or batch._streams.setdefault(
            stream, _Stream.of(self._position.streams[stream])
        )
        own, partitions = self._own, dict[str, int]()
        latest: dict[str, int] = {}
        before, entry_id = len(facts), b""
        repeated, missing = change.repeated, change.missing
        for entry_id, fields in entries:
            try:
                data = fields[b"data"]
                key = fields[b"key"]
                event = decode(data)
            except (KeyError, *DECODING_ERRORS) as error:
                self._refuse(batch, change, stream, entry_id, fields, error)
                continue
            if len(data) + len(key) > MAX_ENTRY:
                self._refuse(batch, change, stream, entry_id, fields, None)
                continue
            source, store = event.source, event.store_id
            if (numbered := own.get(source)) is None:
                numbered = own[source] = Evidence.is_own(source)
            if numbered:
                if event.seq is None:
                    self._refuse(batch, change, stream, entry_id, fields, None)
                    continue
                if not self._in_turn(change, source, event.seq):
                    continue
            elif self._seen_before(batch, change, event, reached):
                continue
            if (partition := partitions.get(store)) is None:
                partition = partitions[store] = self._partition_of(name, store)
            latest[store] = len(facts)
            facts.append((name, data, key, partition))
        change.forwarded += len(facts) - before
        change.id = entry_id.decode() or change.id
        for store, index in latest.items():
            last[(stream, store, partitions[store])] = index
        if change.repeated > repeated:
            batch.remarks.append(("warning", f"{stream}: {change.repeated - repeated} repeated events dropped"))
        if change.missing > missing:
            batch.remarks.append(
                ("error", f"{stream}: {change.missing - missing} sequence numbers are missing before {change.id}")
            )

    @staticmethod
    def _in_turn(change: _Stream, source: str, seq: int) -> bool:
        """Whether an own source's event is new; a number left out is counted, its event is gone."""
        expected = change.seq.get(source, 0) + 1
        if seq < expected:
            change.repeated += 1
            return False
        change.missing += seq - expected
        change.seq[source] = seq
        return True

    def _seen_before(self, batch: Batch, change: _Stream, event: Any, reached: datetime | None) -> bool:
        key = seen_key(event.source, event.event_id)
        if key in batch.seen or key in self._position.seen:
            change.repeated += 1
            return True
        batch.seen[key] = (reached or event.timestamp).toordinal()
        return False

    def _refuse(
        self,
        batch: Batch,
        change: _Stream,
        stream: str,
        entry_id: bytes,
        fields: dict[bytes, bytes],
        error: Exception | None,
    ) -> None:
        """Make a dead letter of a bad entry; its sequence number, if it has one, is used up."""
        data = fields.get(b"data", b"")
        sender = sender_of(data)
        numbered = sender.source and sender.seq and Evidence.is_own(sender.source)
        if numbered and not self._in_turn(change, sender.source, sender.seq):
            return
        reason = entry_refusal(fields) or _reason(stream, data, sender, error)
        change.dead_letters += 1
        batch.letters.append(dead_letter(stream, entry_id, fields, reason, sender, self._now()))


def _reason(stream: str, data: bytes, sender: Sender, error: Exception | None) -> str:
    if error is None:
        return f"The field 'seq' is missing. {sender.source} must number its events without gap, by stream, from 1."
    return refusal(STREAMS[stream], data, error)
