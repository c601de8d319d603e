"""Dead letters: look at them, send them again (mended if need be), or drop them.

A letter is open until a record with the same origin and a resolution follows it in ``dead_letters``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import msgspec
import redis

from bridge.checks import DECODING_ERRORS, MAX_ENTRY, refusal
from bridge.position import OFFSETS_TOPIC, StreamPosition
from smartshelf.contracts.events import DeadLetter, Evidence
from smartshelf.contracts.redis_keys import DEAD_LETTERS, MARKS
from smartshelf.contracts.topics import STREAMS, TOPICS
from smartshelf.contracts.types import encode
from smartshelf.errors import BadInput
from smartshelf.io import kafka

TOPIC = "dead_letters"
#: Own name among Kafka's transactional producers: two operators at once cannot both resolve a letter.
TRANSACTIONAL_ID = "deadletters"

# KEYS: stream, hash of the tool. ARGV: origin, number the event bears, key, data.
# Returns {id, whether it was added now}; nothing when another replay has taken the number meanwhile.
_REPLAY = """
local done = redis.call('HGET', KEYS[2], 'done:' .. ARGV[1])
if done then return {done, 0} end
local last = tonumber(redis.call('HGET', KEYS[2], 'seq:' .. KEYS[1]) or '0')
if tonumber(ARGV[2]) <= last then return {} end
local id = redis.call('XADD', KEYS[1], '*', 'key', ARGV[3], 'data', ARGV[4])
redis.call('HSET', KEYS[2], 'seq:' .. KEYS[1], ARGV[2], 'done:' .. ARGV[1], id)
return {id, 1}
"""


@dataclass(frozen=True)
class Letter:
    """One dead letter with what has become of it."""

    letter: DeadLetter
    #: None while it is open.
    resolution: DeadLetter | None = None

    @property
    def raw(self) -> bytes:
        """The bytes as they came (their beginning, when ``truncated_from`` is set)."""
        return base64.b64decode(self.letter.raw)

    @property
    def stream(self) -> str:
        """The Redis stream that a replay goes to; BadInput when the letter came from none."""
        place = self.letter.origin.partition("/")[0]
        if place in STREAMS:
            return place
        if place in TOPICS and TOPICS[place].stream:
            return str(TOPICS[place].stream)
        what = "A mark cannot be replayed" if place == MARKS else f"The topic {place} is not fed by a Redis stream"
        raise BadInput(what, value=self.letter.origin, remedy="Correct its sender, then drop the letter.")


class DeadLetters:
    """The dead letters of one store."""

    def __init__(self, client: redis.Redis, bootstrap: str) -> None:
        self._redis, self._bootstrap = client, bootstrap

    @cached_property
    def _writer(self) -> kafka.TransactionalWriter:
        return kafka.TransactionalWriter(self._bootstrap, TRANSACTIONAL_ID)

    @cached_property
    def _forwarded(self) -> dict[str, int]:
        """stream -> last number of ours that Kafka has: Redis may have come back older than it was."""
        records = kafka.read_latest(self._bootstrap, OFFSETS_TOPIC)
        positions = {
            stream: msgspec.json.decode(records[stream.encode()], type=StreamPosition)
            for stream in STREAMS
            if stream.encode() in records
        }
        return {stream: at.seq.get(Evidence.DEAD_LETTERS, 0) for stream, at in positions.items()}

    def all(self) -> dict[str, Letter]:
        """Every letter by origin, oldest first; raises Unavailable when Kafka does not answer."""
        decode = TOPICS[TOPIC].decoder.decode
        letters: dict[str, Letter] = {}
        for message in kafka.read_all(self._bootstrap, TOPIC):
            record: DeadLetter = decode(message.value())
            if record.resolution is None:
                letters.setdefault(record.origin, Letter(record))
            elif record.origin in letters:
                letters[record.origin] = Letter(letters[record.origin].letter, record)
        return letters

    def open(self) -> list[Letter]:
        """The letters that wait for a decision, oldest first."""
        return [letter for letter in self.all().values() if letter.resolution is None]

    def get(self, origin: str) -> Letter:
        """One letter; BadInput when there is none."""
        if (found := self.all().get(origin)) is None:
            raise BadInput("There is no such dead letter", value=origin, remedy="See `smartshelf deadletters list`.")
        return found

    def drop(self, letter: Letter, reason: str) -> None:
        """Close an open letter: its event is given up."""
        _must_be_open(letter)
        self._resolve(letter, "dropped", reason)

    def replay(self, letter: Letter, edits: Mapping[str, Any] | None = None) -> str:
        """Send an open letter's event to its stream again, as source ``deadletters`` with the same event_id.

        ``edits``: field (also ``key``, the entry's own) -> new value. Returns the new entry's id. An event that
        the bridge would refuse again is refused here (BadInput). Killed at any moment, the event is sent once.
        """
        _must_be_open(letter)
        stream = letter.stream
        document, key = mended(letter, edits or {})
        while True:
            document["source"], document["seq"] = Evidence.DEAD_LETTERS, self._next_number(stream)
            data = encode(document)
            check(stream, data, key)
            arguments = (letter.letter.origin, document["seq"], key, data)
            if reply := self._redis.eval(_REPLAY, 2, stream, DEAD_LETTERS, *arguments):
                break
        entry = bytes(reply[0]).decode()
        self._resolve(letter, "replayed", f"replayed as {stream}/{entry}")
        return entry

    def _next_number(self, stream: str) -> int:
        known = int(self._redis.hget(DEAD_LETTERS, f"seq:{stream}") or 0)
        return 1 + max(known, self._forwarded.get(stream, 0))

    def _resolve(self, letter: Letter, resolution: Literal["replayed", "dropped"], reason: str) -> None:
        # The bytes stay in the letter's own record.
        record = msgspec.structs.replace(letter.letter, raw="", reason=reason, resolution=resolution)
        self._writer.transaction(lambda into: into.produce(TOPIC, encode(record), record.origin))


def _must_be_open(letter: Letter) -> None:
    if letter.resolution is not None:
        raise BadInput(f"This dead letter is {letter.resolution.resolution} already", value=letter.letter.origin)


def mended(letter: Letter, edits: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The event of a letter as a document and its entry's key, with the edits made.

    Raises BadInput when the letter has no whole event to mend.
    """
    if letter.letter.truncated_from:
        raise BadInput(
            "Only the beginning of this event is kept", value=letter.letter.origin, remedy="Send it anew, then drop it."
        )
    try:
        document = msgspec.json.decode(letter.raw)
    except DECODING_ERRORS:
        document = None
    if not isinstance(document, dict):
        raise BadInput(
            "There is no event in this letter: it is not a JSON object",
            value=letter.letter.origin,
            remedy="Send the event anew, then drop the letter.",
        )
    edits = dict(edits)
    key = edits.pop("key", letter.letter.key)
    if key is None:
        raise BadInput("This entry had no key", value=letter.letter.origin, remedy="Name one: --edit key=KEY.")
    return document | edits, str(key)


def check(stream: str, data: bytes, key: str) -> None:
    """BadInput when the bridge would refuse this event again."""
    try:
        STREAMS[stream].decoder.decode(data)
    except DECODING_ERRORS as error:
        raise BadInput("The event would be refused again", problems=[refusal(STREAMS[stream], data, error)]) from None
    if len(data) + len(key) > MAX_ENTRY:
        raise BadInput(f"The event is larger than {MAX_ENTRY} bytes", value=len(data))


def parse_edit(text: str) -> tuple[str, Any]:
    """``FIELD=VALUE``; the value is JSON where it can be read as such, else text."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise BadInput("An edit is FIELD=VALUE", value=text, remedy="For example: --edit quantity=3")
    try:
        return name, msgspec.json.decode(value)
    except DECODING_ERRORS:
        return name, value
