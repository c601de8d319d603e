"""What has been read from Redis and is not in Kafka yet, cut into segments at the marks. Pure: no I/O.

Facts are never handed out past a mark that is not complete. So whatever has been forwarded at any
moment belongs to steps up to the first mark without a tick, and after a kill the offset of a store's
last forwarded fact is all that the next cut needs.

Why facts may be handed out when no mark is waiting: one XREAD is atomic over all streams and a mark is
written by the same script as the last facts it covers. So facts read while the marks were read to their
end are covered by the next mark, whatever it will be.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from smartshelf.contracts.control import Mark
from smartshelf.contracts.events import DeadLetter
from smartshelf.contracts.redis_keys import MARKS
from smartshelf.io.redis_stream import Entry, id_order


@dataclass(frozen=True)
class MarkEntry:
    """One entry of ``marks``: the mark, or the letter that says why it is none; neither: to be passed over."""

    id: str
    mark: Mark | None = None
    letter: DeadLetter | None = None


@dataclass
class Segment:
    """Facts in order by stream; ``end`` is the mark entry that follows them, if it is complete."""

    facts: dict[str, Sequence[Entry]] = field(default_factory=dict)
    end: MarkEntry | None = None

    def __bool__(self) -> bool:
        return bool(self.facts) or self.end is not None


class Inbox:
    """Entries by stream, in order, from the ids that Kafka already has."""

    def __init__(self, start: Mapping[str, str], limit: int) -> None:
        """``start``: stream (also ``marks``) -> last id done with; ``limit``: entries to read at once per stream."""
        self._limit = limit
        self._read = dict(start)
        #: Everything up to this id has been read: also ids named by a mark whose entry somebody deleted.
        self._covered = {stream: id_order(redis_id) for stream, redis_id in start.items()}
        self._facts: dict[str, list[Entry]] = {stream: [] for stream in start if stream != MARKS}
        self._marks: deque[MarkEntry] = deque()
        self._known_marks = 0
        #: Whether the last reply had as many entries of a stream as it could: there may be more.
        self.backed_up = False
        self._marks_at_end = False

    def wanted(self) -> dict[str, str]:
        """Stream -> id to read on from; call before each XREAD. Full streams are left out."""
        self._known_marks = len(self._marks)
        full = {stream for stream, entries in self._facts.items() if len(entries) >= self._limit}
        if len(self._marks) >= self._limit:
            full.add(MARKS)
        return {stream: redis_id for stream, redis_id in self._read.items() if stream not in full}

    def add(self, asked: Mapping[str, str], facts: Mapping[str, list[Entry]], marks: Sequence[MarkEntry]) -> None:
        """The reply to an XREAD of the streams ``asked``."""
        known = list(self._marks)[: self._known_marks]
        for stream in asked:
            if stream == MARKS:
                continue
            entries = facts.get(stream, [])
            if entries:
                self._facts[stream] += entries
                self._read[stream] = entries[-1][0].decode()
                self._covered[stream] = max(self._covered[stream], id_order(entries[-1][0]))
            if len(entries) < self._limit:
                # The marks known before asked only for what was there: it has been read, or it is gone for good.
                named = [id_order(at.mark.streams[stream]) for at in known if at.mark and stream in at.mark.streams]
                self._covered[stream] = max([self._covered[stream], *named])
        if marks:
            self._marks.extend(marks)
            self._read[MARKS] = marks[-1].id
        self.backed_up = len(marks) >= self._limit or any(len(new) >= self._limit for new in facts.values())
        self._marks_at_end = MARKS in asked and len(marks) < self._limit

    def segments(self, ready: Callable[[Mark], bool]) -> Iterator[Segment]:
        """Take out all that may be forwarded now; ``ready`` says whether a complete mark may become a tick."""
        while self._marks:
            entry = self._marks[0]
            if entry.mark is None:
                yield Segment(end=self._marks.popleft())
                continue
            limits = {stream: id_order(redis_id) for stream, redis_id in entry.mark.streams.items()}
            segment = Segment(self._take(limits))
            if self._is_covered(limits) and ready(entry.mark):
                segment.end = self._marks.popleft()
                yield segment
                continue
            if segment:
                yield segment
            return
        if self._marks_at_end and (rest := {stream: entries for stream, entries in self._facts.items() if entries}):
            self._facts |= {stream: [] for stream in rest}
            yield Segment(dict(rest))

    @property
    def waiting_for(self) -> Mark | None:
        """The first mark that is not complete."""
        return self._marks[0].mark if self._marks else None

    def _take(self, limits: Mapping[str, tuple[int, int]]) -> dict[str, Sequence[Entry]]:
        taken: dict[str, Sequence[Entry]] = {}
        for stream, limit in limits.items():
            entries = self._facts.get(stream)
            if not entries or id_order(entries[0][0]) > limit:
                continue
            end = bisect_right(entries, limit, key=lambda entry: id_order(entry[0]))
            taken[stream], self._facts[stream] = entries[:end], entries[end:]
        return taken

    def _is_covered(self, limits: Mapping[str, tuple[int, int]]) -> bool:
        return all(self._covered[stream] >= limit for stream, limit in limits.items() if stream in self._covered)
