"""What a transaction holds: numbers in turn, memory of outside events, extra ticks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from bridge.batch import Batch, Settled, Sorter, apply, extra_ticks
from bridge.inbox import MarkEntry, Segment
from bridge.position import OFFSETS_TOPIC, MarksPosition, Position
from smartshelf.contracts.control import Mark, Tick

T0 = datetime(2026, 1, 1, 7, tzinfo=UTC)


def _event(**changes: Any) -> dict[bytes, bytes]:
    body = {
        "event_type": "unpaid",
        "event_id": "e1",
        "schema_version": 1,
        "store_id": "S01",
        "timestamp": T0,
        "source": "world:S01",
        "seq": 1,
        "shelf_id": "A",
        "quantity": 1,
    }
    return {b"key": b"k", b"data": msgspec.json.encode(body | changes)}


def _forward(position: Position, *entries: dict[bytes, bytes], mark: Mark | None = None) -> tuple[Batch, Settled]:
    sorter = Sorter(position, lambda topic, store: 0, lambda: T0)
    facts = [(f"{number}-0".encode(), fields) for number, fields in enumerate(entries, start=1)]
    end = MarkEntry("9-0", mark) if mark else None
    batch = sorter.batch([Segment({"shelf_events": facts} if facts else {}, end)], {})
    settled = batch.settle({index: 100 + index for index in batch.flagged}, lambda store: 0)
    apply(batch, settled)
    return batch, settled


def test_a_repeated_number_of_an_own_source_is_dropped_and_counted() -> None:
    position = Position(epoch=1)
    batch, _ = _forward(position, _event(), _event(seq=2, event_id="e2"), _event(seq=1))
    assert len(batch.facts) == 2
    assert position.streams["shelf_events"].counts.repeated == 1


def test_a_missing_number_is_counted_and_the_event_forwarded() -> None:
    position = Position(epoch=1)
    batch, settled = _forward(position, _event(), _event(seq=5))
    assert len(batch.facts) == 2
    assert settled.streams["shelf_events"].counts.missing == 3
    assert ("error", "shelf_events: 3 sequence numbers are missing before 2-0") in batch.remarks


def test_the_number_of_a_dead_letter_is_used_up() -> None:
    position = Position(epoch=1)
    batch, _ = _forward(position, _event(quantity="one"), _event(seq=2), _event(quantity="one"))
    assert len(batch.letters) == 1
    assert (position.streams["shelf_events"].counts.missing, position.streams["shelf_events"].counts.repeated) == (0, 1)


def test_an_outside_event_is_remembered_for_eight_days_and_then_deleted() -> None:
    position = Position(epoch=1)
    outside = _event(source="vendor")
    days = [Mark(epoch=1, k_from=k, k=k, t=T0 + timedelta(days=k), stores=(), streams={}) for k in range(10)]
    sent = [len(_forward(position, outside, mark=mark)[0].facts) for mark in days]
    assert sent == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    batch, settled = _forward(position, outside)
    assert len(batch.facts) == 1, "it came more than eight days ago"
    assert (OFFSETS_TOPIC, None, b"seen:vendor:e1", 0) not in settled.records, "it has just come again"


def test_forgotten_events_are_deleted_from_the_record() -> None:
    position = Position(epoch=1)
    later = Mark(epoch=1, k_from=0, k=0, t=T0 + timedelta(days=9), stores=(), streams={})
    _forward(position, _event(source="vendor"))
    _forward(position, mark=later)
    _, settled = _forward(position, _event(source="vendor", event_id="e2"))
    assert (OFFSETS_TOPIC, None, b"seen:vendor:e1", 0) in settled.records
    _, settled = _forward(position, _event(source="vendor", event_id="e3"))
    assert settled.forgotten == []


def test_a_higher_epoch_starts_afresh_and_forgets() -> None:
    position = Position(epoch=1)
    _, settled = _forward(position, _event(), _event(source="vendor"))
    records = {key: value for _, value, key, _ in settled.records if value is not None}
    again = Position.load(records, epoch=1)
    assert (again.streams["shelf_events"].seq, len(again.seen)) == ({"world:S01": 1}, 1)
    fresh = Position.load(records, epoch=2)
    assert (fresh.streams["shelf_events"].id, fresh.streams["shelf_events"].seq, len(fresh.seen)) == ("0-0", {}, 0)
    assert fresh.seen.expired(10) == [b"seen:vendor:e1"]


def test_a_mark_lived_again_in_other_groups_yields_only_the_steps_without_a_tick() -> None:
    position = Position(epoch=1)
    for k_from, k in ((0, 0), (1, 5)):
        mark = Mark(epoch=1, k_from=k_from, k=k, t=T0, stores=("S01",), streams={})
        assert [(tick.k_from, tick.k) for tick in _forward(position, mark=mark)[1].ticks] == [(k_from, k)]
    regrouped = [Mark(epoch=1, k_from=f, k=k, t=T0, stores=("S01",), streams={}) for f, k in ((1, 3), (4, 8))]
    ticks = [tick for mark in regrouped for tick in _forward(position, mark=mark)[1].ticks]
    assert [(tick.k_from, tick.k) for tick in ticks] == [(6, 8)]


def test_steps_without_a_mark_are_reported() -> None:
    position = Position(epoch=1)
    _forward(position, mark=Mark(epoch=1, k_from=0, k=0, t=T0, stores=(), streams={}))
    batch, _ = _forward(position, mark=Mark(epoch=1, k_from=3, k=3, t=T0, stores=(), streams={}))
    assert ("error", "steps 1 to 2 have no mark") in batch.remarks


def test_an_extra_tick_keeps_the_cut_and_brings_only_newer_configuration() -> None:
    tick = Tick(store_id="S01", epoch=1, k_from=2, k=3, t=T0, cut={"shelf_events": {"0": 7}}, config={"a": {"0": 1}})
    other = msgspec.structs.replace(tick, store_id="S02")
    marks = MarksPosition(epoch=1, k=3, n=0, t=T0, ticks={"S01": tick, "S02": other})
    config = {"S01": {"a": {"0": 2}}, "S02": {"a": {"0": 0}}}
    moved, ticks = extra_ticks(marks, config.__getitem__)
    assert [(one.store_id, one.k_from, one.k, one.n, one.cut) for one in ticks] == [("S01", 3, 3, 1, tick.cut)]
    assert (moved.k, moved.n) == (3, 1)
    assert extra_ticks(moved, config.__getitem__) == (moved, [])
