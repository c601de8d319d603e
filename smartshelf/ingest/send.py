"""Accepted rows become facts in the Redis streams, each once, whatever is killed.

The facts of a kind come from one source that numbers them without gap, like our own sources do: the bridge drops a
number that was there before, and ``smartshelf audit`` proves that none is missing or repeated. A row's numbers follow
from its place in ``processed`` and from the run's record, so that sending again sends the very same facts. How far it
has come stands in Redis, changed together with the streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import msgspec
import redis

from bridge.position import OFFSETS_TOPIC, StreamPosition
from smartshelf.contracts.events import SCHEMA_VERSION, Event
from smartshelf.contracts.redis_keys import INGEST
from smartshelf.contracts.types import encode
from smartshelf.errors import Unavailable
from smartshelf.ingest.kinds.base import Facts, Kind, Row
from smartshelf.ingest.layers import Layers
from smartshelf.ingest.runs import Run
from smartshelf.io import kafka
from smartshelf.io.step_save import read_position
from smartshelf.service import wait_for
from smartshelf.settings import Settings

#: Facts written together.
AT_ONCE = 1_000
#: More entries than this waiting in a stream are waited for: the world slows down from 200,000 on.
WAITING = 50_000
#: Facts that one simulated step has to take beside its own: stages hold a step's facts in memory.
PER_STEP = 20_000
#: Real seconds to wait for the store before giving up; the next ingest goes on.
PATIENCE = 120.0

Numbered = tuple[str, str, Event]
_AGAIN = "Nothing is lost: the next `smartshelf ingest`, of this or any file, goes on where it stopped."


class Sender:
    """Sends a run's facts and waits until Kafka has them."""

    def __init__(self, config: Settings, client: redis.Redis, say: Callable[[str], None]) -> None:
        self._config, self._client, self._say = config, client, say
        self._step, self._in_step = -1, 0

    def send(self, run: Run, kind: Kind, layers: Layers) -> int:
        """All facts of the run that are not in the streams yet; returns how many these were."""
        mark, sent = f"{run.kind}:{run.file_hash}", 0
        try:
            self._step, self._in_step = read_position(self._client).step, 0
            reached = int(self._client.hget(INGEST, mark) or 0)
            for facts, last_row in batches(run, kind, layers, reached + 1):
                self._make_room(facts)
                pipe = self._client.pipeline(transaction=True)
                for stream, key, fact in facts:
                    pipe.xadd(stream, {"key": key, "data": encode(fact)})
                pipe.hset(INGEST, mark, last_row)
                pipe.execute()
                sent, self._in_step = sent + len(facts), self._in_step + len(facts)
        except redis.RedisError as failed:
            raise Unavailable("Redis does not take the facts", value=str(failed), remedy=_AGAIN) from failed
        self._confirm(run, kind)
        return sent

    def forget(self, run: Run) -> None:
        """The run is on record as done: its mark is not needed any more."""
        self._client.hdel(INGEST, f"{run.kind}:{run.file_hash}")

    def _make_room(self, facts: Sequence[Numbered]) -> None:
        """Wait until bridge and stages can take these facts."""
        streams = {stream for stream, _, _ in facts}

        def bridge_follows() -> bool | None:
            return max(int(self._client.xlen(stream)) for stream in streams) < WAITING or None

        self._wait("the bridge", bridge_follows)
        if self._in_step >= PER_STEP:
            self._wait("the next simulated step (does the clock run?)", self._next_step)

    def _next_step(self) -> bool | None:
        step = read_position(self._client).step
        if step == self._step:
            return None
        self._step, self._in_step = step, 0
        return True

    def _confirm(self, run: Run, kind: Kind) -> None:
        """Until the bridge has put the run's last numbers into Kafka: then a Redis that forgets loses nothing."""
        last = {stream: first + count - 1 for stream, (first, count) in run.numbers.items() if count}

        def arrived() -> bool | None:
            there = _forwarded(self._config.kafka_bootstrap, kind.source)
            return all(there.get(stream, 0) >= number for stream, number in last.items()) or None

        if last:
            self._wait("the bridge to forward the last fact", arrived)

    def _wait(self, what: str, attempt: Callable[[], bool | None]) -> None:
        try:
            wait_for(what, attempt, timeout=PATIENCE, say=self._say)
        except Unavailable as late:
            raise Unavailable(f"Waited {PATIENCE:.0f} s for {what}", remedy=_AGAIN) from late


def batches(run: Run, kind: Kind, layers: Layers, first_row: int) -> Iterator[tuple[list[Numbered], int]]:
    """(facts, number of the last row they come of), about AT_ONCE facts each, of whole documents."""
    facts: list[Numbered] = []
    last = first_row - 1
    for document in _documents(layers, first_row):
        facts += numbered(run, kind, document)
        last = document[-1]["number"]
        if len(facts) >= AT_ONCE:
            yield facts, last
            facts = []
    if facts:
        yield facts, last


def _documents(layers: Layers, first: int) -> Iterator[list[Row]]:
    """Rows of ``processed`` by document. One that goes on in the next part is put together."""
    begun: list[Row] = []
    for part in layers.in_order("processed", "number", first):
        for number, rows in groupby(part.to_pylist(), key=itemgetter("document_number")):
            document = list(rows)
            if begun and begun[0]["document_number"] == number:
                begun += document
                continue
            if begun:
                yield begun
            begun = document
    if begun:
        yield begun


def numbered(run: Run, kind: Kind, document: Sequence[Row]) -> list[Numbered]:
    """The facts of a document under their numbers."""
    assert isinstance(kind.door, Facts)
    rows_before, documents_before = document[0]["number"] - 1, document[0]["document_number"] - 1
    following = {
        stream: run.numbers[stream][0] + of.by_row * rows_before + of.by_document * documents_before
        for stream, of in kind.door.streams.items()
    }
    facts: list[Numbered] = []
    for fact in kind.door.make(document[0]["document"], document):
        event = fact.event(
            event_id=fact.event_id,
            schema_version=SCHEMA_VERSION,
            source=kind.source,
            seq=following[fact.stream],
            **fact.payload,
        )
        following[fact.stream] += 1
        facts.append((fact.stream, fact.key, event))
    return facts


def _forwarded(bootstrap: str, source: str) -> dict[str, int]:
    """stream -> last number of a source that Kafka has."""
    records = kafka.read_latest(bootstrap, OFFSETS_TOPIC)
    return {
        key.decode(): msgspec.json.decode(value, type=StreamPosition).seq.get(source, 0)
        for key, value in records.items()
        if not key.startswith(b"seen:") and key != b"marks"
    }
