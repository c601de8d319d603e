"""The bridge's loop: read Redis, one Kafka transaction, trim Redis."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec
import redis
from confluent_kafka import Message

from bridge.batch import Batch, Settled, Sorter, apply, extra_ticks, marks_record, tick_record
from bridge.checks import DECODING_ERRORS, Sender, dead_letter
from bridge.config_view import ConfigView
from bridge.inbox import Inbox, MarkEntry, Segment
from bridge.position import OFFSETS_TOPIC, Position, recorded_epoch
from smartshelf.contracts.control import Mark
from smartshelf.contracts.redis_keys import EPOCH, MARKS, TARGET, WORLD
from smartshelf.contracts.topics import FACTS
from smartshelf.contracts.types import encode
from smartshelf.errors import Fenced, SmartShelfError, Unavailable
from smartshelf.io import kafka, redis_stream
from smartshelf.io.redis_stream import id_order
from smartshelf.service import Service

#: Name of the bridge among Kafka's transactional producers: a second bridge fences the first.
TRANSACTIONAL_ID = "bridge"
#: Entries read at once per stream.
COUNT = 2_000
#: Least time between two transactions when nothing is backed up, real seconds: each costs the broker 4 ms.
GAP = 0.05
#: Real seconds between two looks, while idle, for configuration that no tick has named yet.
_LOOK_EVERY = 0.5
_TELL_EVERY = 5.0
_AWAY = (redis.ConnectionError, redis.TimeoutError)

log = logging.getLogger(__name__)
_mark_decoder = msgspec.json.Decoder(Mark)


class Bridge:
    """One bridge, fenced against every other: use as ``while ...: bridge.turn()``."""

    def __init__(self, client: redis.Redis, bootstrap: str, default_epoch: int, sleep: Callable[[float], None]) -> None:
        """Take over from whoever was the bridge before. ``sleep`` returns early when asked to stop.

        Raises Unavailable when Kafka does not answer or has not all topics.
        """
        self._redis, self._sleep = client, sleep
        # The order matters: only once the former bridge is fenced are its positions final.
        self._writer = kafka.TransactionalWriter(bootstrap, TRANSACTIONAL_ID)
        needed = [*(topic.name for topic in FACTS), "dead_letters", "sim_ticks", OFFSETS_TOPIC]
        if missing := [name for name in needed if name not in self._writer.partitions]:
            raise Unavailable("Kafka lacks topics", value=missing, remedy="Has init run? See `smartshelf logs init`.")
        records = kafka.read_latest(bootstrap, OFFSETS_TOPIC)
        self._position = Position.load(records, self._epoch(records, default_epoch))
        self._config = ConfigView(bootstrap)
        self._config.catch_up()
        self._sorter = Sorter(self._position, self._writer.partition_of, lambda: datetime.now(UTC))
        self._inbox: Inbox | None = None
        self._told = self._looked = self._last_transaction = 0.0

    def turn(self) -> None:
        """Wait for entries (at most a second), forward what there is. Raises Fenced when another bridge took over."""
        if (
            not (self._inbox and self._inbox.backed_up)
            and (early := self._last_transaction + GAP - time.monotonic()) > 0
        ):
            self._sleep(early)
        try:
            inbox = self._read()
            self._config.poll()
            if segments := list(inbox.segments(self._is_ready)):
                self._last_transaction = time.monotonic()
                self._forward(segments)
            else:
                self._writer.poll()
                if inbox.waiting_for:
                    self._sleep(GAP)
                else:
                    self._tick_while_paused()
        except _AWAY as away:
            # What is read but not forwarded is read again: Redis may come back older than it was.
            self._inbox = None
            self._wait_for_redis(away)

    def close(self) -> None:
        self._config.close()
        self._writer.close()

    # --- starting and coming back -------------------------------------------------------------

    def _epoch(self, records: Mapping[bytes, bytes], default: int) -> int:
        ours, recorded = int(self._redis.get(EPOCH) or default), recorded_epoch(records)
        if ours < recorded:
            raise SmartShelfError(
                f"Redis holds epoch {ours} of the store, but Kafka has facts of epoch {recorded}",
                remedy="Do SMARTSHELF_REDIS_URL and SMARTSHELF_KAFKA name the same store? If so: `smartshelf reset`.",
            )
        if recorded and ours > recorded:
            log.info("epoch %d begins (was %d): starting afresh", ours, recorded)
        return ours

    def _resume(self) -> Inbox:
        """Go on from the committed position: at the start, and whenever Redis has come back."""
        newest = {stream: redis_stream.last_generated_id(self._redis, stream) for stream in self._position.ids()}
        for stream, at in self._position.ids().items():
            if id_order(newest[stream]) < id_order(at):
                log.warning(
                    "Redis came back older than what Kafka has: %s ends at %s, forwarded up to %s; "
                    "going on from there, what comes again is dropped by its number",
                    stream, newest[stream], at,
                )  # fmt: skip
                self._position.rewind(stream, newest[stream])
        self._trim(self._position.ids())
        return Inbox(self._position.ids(), COUNT)

    def _read(self) -> Inbox:
        """Read all streams into the inbox, waiting up to a second for the first entry."""
        inbox = self._inbox = self._inbox or self._resume()
        asked = inbox.wanted()
        if not asked:
            return inbox
        block = None if inbox.waiting_for or inbox.backed_up else redis_stream.BLOCK_MS
        try:
            reply = redis_stream.read(self._redis, asked, COUNT, block)
        except redis.ResponseError as refused:
            raise SmartShelfError(
                "Redis does not read the streams",
                value=str(refused),
                remedy="Is one of their names used for something else?",
            ) from refused
        marks = [self._mark(*entry) for entry in reply.pop(MARKS, [])]
        inbox.add(asked, reply, marks)
        return inbox

    def _wait_for_redis(self, away: Exception) -> None:
        now = time.monotonic()
        if now - self._told > _TELL_EVERY:
            log.warning("waiting for Redis: %s", away)
            self._told = now
        self._sleep(0.5)

    # --- marks ----------------------------------------------------------------------------------

    def _mark(self, entry_id: bytes, fields: dict[bytes, bytes]) -> MarkEntry:
        try:
            mark = _mark_decoder.decode(fields[b"data"])
            for redis_id in mark.streams.values():
                id_order(redis_id)
        except KeyError:
            return self._bad_mark(entry_id, fields, "The mark has no field 'data'.")
        except (ValueError, *DECODING_ERRORS) as wrong:
            return self._bad_mark(entry_id, fields, f"The mark cannot be read: {wrong}.")
        epoch = self._position.epoch
        if mark.epoch > epoch:
            if int(self._redis.get(EPOCH) or 0) >= mark.epoch:
                raise Fenced(f"Epoch {mark.epoch} of the store has begun, this bridge is in {epoch}")
            return self._bad_mark(entry_id, fields, f"The mark is of epoch {mark.epoch}, the store of {epoch}.")
        if mark.epoch < epoch:
            log.warning("mark of step %d passed over: it is of epoch %d, now is %d", mark.k, mark.epoch, epoch)
            return MarkEntry(entry_id.decode())
        return MarkEntry(entry_id.decode(), mark)

    def _bad_mark(self, entry_id: bytes, fields: dict[bytes, bytes], reason: str) -> MarkEntry:
        log.error("marks/%s: %s", entry_id.decode(), reason)
        letter = dead_letter(MARKS, entry_id, fields, reason, Sender(), datetime.now(UTC))
        return MarkEntry(entry_id.decode(), letter=letter)

    def _is_ready(self, mark: Mark) -> bool:
        missing = self._config.state.missing(mark)
        if missing and time.monotonic() - self._told > _TELL_EVERY:
            log.info("step %d waits for the configuration: Kafka has %s", mark.k, missing)
            self._told = time.monotonic()
        return not missing

    # --- forwarding -----------------------------------------------------------------------------

    def _forward(self, segments: list[Segment]) -> None:
        marks = [segment.end.mark for segment in segments if segment.end and segment.end.mark]
        stores = {store for mark in marks for store in mark.stores}
        batch = self._sorter.batch(segments, {store: self._config.state.offsets(store) for store in stores})
        for level, remark in batch.remarks:
            log.log(logging.getLevelNamesMapping()[level.upper()], "%s", remark)
        for letter in batch.letters:
            log.warning("dead letter %s: %s", letter.origin, letter.reason)
        settled = self._send(batch)
        apply(batch, settled)
        ids = {stream: at.id for stream, at in settled.streams.items()}
        self._trim(ids | {MARKS: settled.marks.id})

    def _tick_while_paused(self) -> None:
        """While the world stands at the end of a step, let edits of the configuration take effect all the same."""
        if time.monotonic() - self._looked < _LOOK_EVERY:
            return
        self._looked = time.monotonic()
        marks, ticks = extra_ticks(self._position.marks, self._config.state.offsets)
        if not ticks or not self._world_stands():
            return
        partition = self._tick_partition
        records = [*(tick_record(tick, partition) for tick in ticks), marks_record(marks)]

        def fill(writer: kafka.TransactionalWriter) -> None:
            for record in records:
                writer.produce(*record)

        self._writer.transaction(fill)
        self._position.marks = marks
        log.info("configuration changed while step %d stands: extra tick %d", marks.k, marks.n)

    def _world_stands(self) -> bool:
        reached, target = self._redis.hget(WORLD, "t_ms"), self._redis.get(TARGET)
        at = self._position.marks.t
        if reached is None or target is None or at is None:
            return False
        return int(target) <= int(reached) == round(at.timestamp() * 1000)

    def _tick_partition(self, store_id: str) -> int:
        return self._writer.partition_of("sim_ticks", store_id)

    def _send(self, batch: Batch) -> Settled:
        """One transaction, repeated as a whole until it is committed."""
        settled: list[Settled] = []

        def fill(writer: kafka.TransactionalWriter) -> None:
            offsets: dict[int, int] = {}
            flagged, produce = batch.flagged, writer.produce
            for index, record in enumerate(batch.facts):
                if index in flagged:
                    produce(*record, _noting(offsets, index))
                else:
                    produce(*record)
            for letter in batch.letters:
                produce("dead_letters", encode(letter), letter.origin)
            if flagged:
                writer.flush()
            if len(offsets) < len(flagged):
                raise kafka.RepeatTransaction
            settled[:] = [batch.settle(offsets, self._tick_partition)]
            for rest in settled[0].records:
                produce(*rest)

        self._writer.transaction(fill)
        return settled[0]

    def _trim(self, ids: Mapping[str, str]) -> None:
        """Delete from Redis what Kafka has; exactly, so that a stream's length is what waits in it."""
        pipe = self._redis.pipeline(transaction=False)
        for stream, redis_id in ids.items():
            if redis_id != "0-0":
                milliseconds, number = id_order(redis_id)
                pipe.xtrim(stream, minid=f"{milliseconds}-{number + 1}", approximate=False)
        pipe.execute()


def _noting(offsets: dict[int, int], index: int) -> Callable[[object, Message], None]:
    """A delivery report that notes the record's offset; a failed one notes nothing."""

    def delivered(error: object, message: Message) -> None:
        if error is None:
            offsets[index] = message.offset()

    return delivered


def run(service: Service) -> None:
    """Be the bridge until asked to stop."""
    settings = service.settings
    client = redis_stream.connect(settings.redis_url)
    service.wait_for("Redis", lambda: redis_stream.ping(client) or None)
    service.wait_for("Kafka", lambda: kafka.brokers_answer(settings.kafka_bootstrap) or None)
    try:
        bridge = Bridge(client, settings.kafka_bootstrap, settings.epoch, service.sleep)
    except _AWAY as away:
        raise redis_stream.away(away) from away
    try:
        while not service.stopping:
            bridge.turn()
            service.beat()
    finally:
        bridge.close()
        client.close()
