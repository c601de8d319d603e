"""The sentences for bad entries name the field, the value and the remedy."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import msgspec
import pytest

from bridge.checks import DECODING_ERRORS, MAX_ENTRY, MAX_RAW, Sender, dead_letter, entry_refusal, refusal, sender_of
from smartshelf.contracts.topics import TOPICS

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def _refusal(topic: str, document: object) -> str:
    data = document if isinstance(document, bytes) else msgspec.json.encode(document)
    try:
        TOPICS[topic].decoder.decode(data)
    except DECODING_ERRORS as error:
        return refusal(TOPICS[topic], data, error)
    raise AssertionError("the entry was accepted")


READING = {
    "event_type": "reading",
    "event_id": "e",
    "schema_version": 1,
    "store_id": "S01",
    "timestamp": "2026-01-01T07:00:00Z",
    "source": "vendor",
    "zone_id": "Z1",
    "temperature_c": 4.0,
    "kwh": 1.0,
}


def test_a_missing_field_is_named_with_who_needs_it() -> None:
    without = {name: value for name, value in READING.items() if name != "zone_id"}
    assert _refusal("cold_chain", without) == "The field 'zone_id' is missing. Every reading must have it."


def test_a_wrong_type_inside_a_list_is_located_and_shown() -> None:
    receipt = {name: READING[name] for name in ("event_id", "schema_version", "store_id", "timestamp", "source")}
    line = {"line_no": 1, "shelf_id": "A", "quantity": "two", "unit_price": 1.0, "total_price": 2.0}
    receipt |= {"event_type": "pos_transaction", "transaction_id": "T", "customer_id": "C", "till_id": "1"}
    reason = _refusal("pos_transactions", receipt | {"items": [line], "total_items": 1, "total_amount": 2.0})
    assert "'items[0].quantity' is wrong: expected int, got str. Found: 'two'." in reason


def test_an_event_of_another_stream_is_sent_home() -> None:
    assert _refusal("shelf_events", READING) == "The event_type 'reading' is of another stream. Send it to cold_chain."


def test_long_values_are_cut_in_the_sentence() -> None:
    reason = _refusal("cold_chain", READING | {"event_type": "x" * 10_000})
    assert len(reason) < 300


def test_an_oversized_entry_keeps_what_the_broker_takes_and_says_so() -> None:
    fields = {b"key": b"k", b"data": b"x" * (MAX_ENTRY + 1)}
    reason = entry_refusal(fields)
    assert reason is not None
    letter = dead_letter("cold_chain", b"1-0", fields, reason, Sender(), NOW)
    assert len(base64.b64decode(letter.raw)) == MAX_RAW
    assert letter.truncated_from == MAX_ENTRY + 1
    assert f"Only the first {MAX_RAW} of its {MAX_ENTRY + 1} bytes are kept." in letter.reason
    assert len(msgspec.json.encode(letter)) < 1_000_000


@pytest.mark.parametrize(
    ("fields", "missing"), [({b"data": b"{}"}, "key"), ({b"key": b"k"}, "data"), ({b"x": b"y"}, "key")]
)
def test_an_entry_without_key_or_data_is_refused(fields: dict[bytes, bytes], missing: str) -> None:
    assert f"no field '{missing}'" in (entry_refusal(fields) or "")


def test_the_sender_of_a_bad_entry_is_told_as_far_as_it_can_be_read() -> None:
    assert sender_of(b"hello") == Sender()
    assert sender_of(b'{"store_id": 7, "source": "vendor", "seq": true}') == Sender(source="vendor")
    assert sender_of(b'{"store_id": "S01", "source": "world:S01", "seq": 4}') == Sender("S01", "world:S01", 4)
