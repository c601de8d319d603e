"""Which entries may be forwarded now."""

from __future__ import annotations

from datetime import UTC, datetime

from bridge.inbox import Inbox, MarkEntry, Segment
from smartshelf.contracts.control import Mark
from smartshelf.contracts.redis_keys import MARKS
from smartshelf.io.redis_stream import Entry

T0 = datetime(2026, 1, 1, 7, tzinfo=UTC)
STREAMS = ("shelf_events", "wh_events")


def _inbox(limit: int = 10) -> Inbox:
    return Inbox(dict.fromkeys((*STREAMS, MARKS), "0-0"), limit)


def _entries(*ids: int) -> list[Entry]:
    return [(f"{number}-0".encode(), {}) for number in ids]


def _mark(redis_id: int, k: int, **streams: int) -> MarkEntry:
    ids = {stream: f"{number}-0" for stream, number in streams.items()}
    return MarkEntry(f"{redis_id}-0", Mark(epoch=1, k_from=k, k=k, t=T0, stores=("S01",), streams=ids))


def _segments(inbox: Inbox, ready: bool = True) -> list[tuple[dict[str, list[int]], int | None]]:
    def plain(segment: Segment) -> tuple[dict[str, list[int]], int | None]:
        facts = {name: [int(entry[0].split(b"-")[0]) for entry in found] for name, found in segment.facts.items()}
        return facts, segment.end.mark.k if segment.end and segment.end.mark else None

    return [plain(segment) for segment in inbox.segments(lambda mark: ready)]


def test_facts_go_before_the_mark_that_covers_them_and_later_ones_after() -> None:
    inbox = _inbox()
    inbox.add(inbox.wanted(), {"shelf_events": _entries(1, 2, 4)}, [_mark(3, 0, shelf_events=2)])
    assert _segments(inbox) == [({"shelf_events": [1, 2]}, 0), ({"shelf_events": [4]}, None)]


def test_no_fact_passes_a_mark_whose_facts_are_not_all_read() -> None:
    inbox = _inbox(limit=2)
    mark = _mark(9, 0, shelf_events=3, wh_events=4)
    inbox.add(inbox.wanted(), {"shelf_events": _entries(1, 2), "wh_events": _entries(4, 10)}, [mark])
    assert _segments(inbox) == [({"shelf_events": [1, 2], "wh_events": [4]}, None)]
    inbox.add(inbox.wanted(), {"shelf_events": _entries(3)}, [])
    assert _segments(inbox) == [({"shelf_events": [3]}, 0), ({"wh_events": [10]}, None)]


def test_facts_are_held_while_there_may_be_marks_not_read_yet() -> None:
    inbox = _inbox(limit=1)
    inbox.add(inbox.wanted(), {"shelf_events": _entries(5)}, [_mark(2, 0)])
    assert _segments(inbox) == [({}, 0)]
    inbox.add(inbox.wanted(), {}, [])
    assert _segments(inbox) == [({"shelf_events": [5]}, None)]


def test_a_mark_that_is_not_ready_holds_the_rest() -> None:
    inbox = _inbox()
    inbox.add(inbox.wanted(), {"shelf_events": _entries(1, 3)}, [_mark(2, 0, shelf_events=1)])
    assert _segments(inbox, ready=False) == [({"shelf_events": [1]}, None)]
    assert _segments(inbox, ready=True) == [({}, 0), ({"shelf_events": [3]}, None)]


def test_a_mark_that_names_a_deleted_entry_does_not_wait_for_it_for_ever() -> None:
    inbox = _inbox()
    inbox.add(inbox.wanted(), {}, [_mark(8, 0, shelf_events=7)])
    assert _segments(inbox) == []
    inbox.add(inbox.wanted(), {}, [])
    assert _segments(inbox) == [({}, 0)]


def test_a_stream_whose_entries_wait_is_not_read_on() -> None:
    inbox = _inbox(limit=2)
    inbox.add(inbox.wanted(), {"wh_events": _entries(8, 9)}, [_mark(5, 0, shelf_events=4)])
    _segments(inbox, ready=False)
    assert set(inbox.wanted()) == {"shelf_events", MARKS}
