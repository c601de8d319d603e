"""Structure checks: what a Redis entry must be, and a sentence for everything that it is not.

Whether a shelf or a lot exists is not asked here: that is the stages' business.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from smartshelf.contracts.events import SCHEMA_VERSION, DeadLetter
from smartshelf.contracts.topics import FACTS, Topic
from smartshelf.contracts.types import ABSURD_QUANTITY

#: What decoding can raise: wrong shape or syntax, bytes that are not UTF-8, nesting without end.
DECODING_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

#: Largest key + data that is forwarded, bytes: the broker refuses records above 1 MiB.
MAX_ENTRY = 900_000
#: How much of an oversized or broken entry a dead letter keeps, bytes: base64 makes 4 of 3, and 1 MiB is the limit.
MAX_RAW = 600_000
_MAX_KEY, _MAX_SHOWN = 1_000, 80

#: event_type -> the stream that carries it
HOME: dict[str, str] = {
    str(kind.__struct_config__.tag): topic.stream or topic.name for topic in FACTS for kind in topic.events
}

_AT = re.compile(r"^(?P<what>.*) - at `\$(?P<path>.*)`$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]")


class Sender(Struct):
    """What can be told of a bad entry's sender; anything may be missing or of any type."""

    store_id: Any = None
    source: Any = None
    seq: Any = None


def refusal(topic: Topic, data: bytes, error: Exception) -> str:
    """Why an entry of this topic's stream is refused: field, value found, and what to do."""
    if isinstance(error, RecursionError):
        return "The data is nested too deeply. Send flat JSON as in the data dictionary."
    if isinstance(error, UnicodeDecodeError) or not isinstance(error, msgspec.ValidationError):
        reason = str(error).removeprefix("JSON is malformed: ")
        return f"The data is not JSON ({reason}). Found: {_shown(data)}. Send one JSON object in UTF-8."
    document = msgspec.json.decode(data)
    if not isinstance(document, dict):
        return f"The data is not a JSON object. Found: {_shown(document)}. Send one object with the envelope's fields."
    located = _AT.match(str(error))
    what, path = (located["what"], located["path"]) if located else (str(error), "")
    return _field_refusal(topic, document, what, path)


def _field_refusal(topic: Topic, document: dict[str, Any], what: str, path: str) -> str:
    found = _at(document, path)
    if missing := _MISSING.search(what):
        where = f" in {path[1:]}" if path else ""
        return f"The field '{missing['name']}'{where} is missing. {_needs(document)}"
    if path == ".event_type":
        if isinstance(found, str) and found in HOME:
            return f"The event_type {_shown(found)} is of another stream. Send it to {HOME[found]}."
        known = ", ".join(sorted(str(kind.__struct_config__.tag) for kind in topic.events))
        return f"The event_type is unknown. Found: {_shown(found)}. {topic.stream} carries: {known}."
    if path == ".schema_version" and isinstance(found, int) and found > SCHEMA_VERSION:
        return (
            f"The schema_version is newer than this store understands ({SCHEMA_VERSION}). Found: {found}. "
            "Upgrade the store, then replay this letter, or send the older version."
        )
    if isinstance(found, int) and f"{ABSURD_QUANTITY}" in what:
        return (
            f"The field '{path[1:]}' is absurd: at most {ABSURD_QUANTITY} units in one event. Found: {found}. "
            "Correct it with replay --edit, or drop it."
        )
    expectation = what[:1].lower() + what[1:].replace("`", "")
    return (
        f"The field '{path[1:]}' is wrong: {expectation}. Found: {_shown(found)}. "
        "Correct it at the sender or with replay --edit."
    )


def _needs(document: Mapping[str, Any]) -> str:
    kind = document.get("event_type")
    return f"Every {kind} must have it." if isinstance(kind, str) and kind in HOME else "Every event must have it."


def _at(document: Any, path: str) -> Any:
    """The value at a msgspec path like ``.items[1].quantity``; None where there is none."""
    for step in _STEP.finditer(path):
        try:
            document = document[step["name"]] if step["name"] else document[int(step["index"])]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, bytes) else repr(value[: _MAX_SHOWN + 1])[1:]
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


def entry_refusal(fields: Mapping[bytes, bytes]) -> str | None:
    """Why an entry cannot be an event whatever it says: a field is missing, or it is too large; None when it can."""
    for name in (b"key", b"data"):
        if name not in fields:
            there = ", ".join(_text(field) for field in list(fields)[:5])
            return f"The entry has no field '{name.decode()}'. Found: {there}. Send XADD STREAM * key KEY data JSON."
    size = len(fields[b"key"]) + len(fields[b"data"])
    if size > MAX_ENTRY:
        return f"The entry is too large: at most {MAX_ENTRY} bytes. Found: {size} bytes. Split it at the sender."
    return None


def sender_of(data: bytes) -> Sender:
    """Store, source and number of a bad entry, as far as they can be read."""
    try:
        sender = msgspec.json.decode(data, type=Sender)
    except DECODING_ERRORS:
        return Sender()
    return Sender(
        store_id=sender.store_id if isinstance(sender.store_id, str) else None,
        source=sender.source if isinstance(sender.source, str) else None,
        seq=sender.seq if isinstance(sender.seq, int) and not isinstance(sender.seq, bool) else None,
    )


def dead_letter(
    stream: str, entry_id: bytes, fields: Mapping[bytes, bytes], reason: str, sender: Sender, seen: datetime
) -> DeadLetter:
    """The letter for one bad entry, with as much of its bytes as the broker takes."""
    raw = fields.get(b"data")
    if raw is None:
        raw = msgspec.json.encode({_text(name): _text(value) for name, value in fields.items()})
    whole = len(raw)
    if whole > MAX_RAW:
        raw, reason = raw[:MAX_RAW], f"{reason} Only the first {MAX_RAW} of its {whole} bytes are kept."
    key = fields.get(b"key")
    return DeadLetter(
        origin=f"{stream}/{entry_id.decode()}",
        key=None if key is None else _text(key)[:_MAX_KEY],
        raw=base64.b64encode(raw).decode(),
        truncated_from=whole if whole > len(raw) else None,
        reason=reason,
        store_id=sender.store_id,
        source=sender.source,
        seq=sender.seq,
        first_seen=seen,
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
