"""What a batch does to the world outside: one Kafka transaction, and months brought forward to Delta.

The order, which is what makes a crash at any instant harmless:
1. Spark plans batch n and writes its offsets; the stages run on the state of batch n-1.
2. Carried states go to Delta, keyed by (job, store, epoch, step): repeating changes nothing.
3. One transaction: all records; flush; done marks with the offsets these got; the job's progress.
4. Spark commits batch n and its state.
A crash before 3 leaves nothing behind; one between 3 and 4 makes Spark replay batch n from the same offsets
and state: its number stands in ``job_progress`` already, so nothing is sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
from confluent_kafka import KafkaError, Message

from smartshelf.contracts.control import Done, Offsets
from smartshelf.contracts.rows import JobProgress, key_json
from smartshelf.contracts.topics import TOPICS
from smartshelf.io.delta import DeltaSink
from smartshelf.io.kafka import TransactionalWriter
from spark_apps.queries import StartAgain
from spark_apps.runtime.processor import COLUMNS
from spark_apps.runtime.recovery import Generation

log = logging.getLogger(__name__)

#: So many states brought forward stay, by job and store. A rebuild needs the last one whose step was sent.
KEPT = 3
JOB_STATE_KEY = ("job", "store_id", "epoch", "step")
JOB_STATE = pa.schema(
    [
        pa.field("job", pa.string(), nullable=False),
        pa.field("store_id", pa.string(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("step", pa.int64(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("state", pa.binary(), nullable=False),
    ]
)


class Row(NamedTuple):
    """One row that the stages gave back (processor.OUTPUT)."""

    store_id: str
    kind: str
    stage: str
    topic: str | None
    key: bytes | None
    value: bytes | None
    step: int
    n: int


class Effects:
    """The function for foreachBatch: sees every batch in order, once; nothing else may use its rows."""

    def __init__(
        self,
        job: str,
        generation: Generation,
        writer: TransactionalWriter,
        checkpoint: Callable[[], str],
        progress: JobProgress | None,
        job_state: DeltaSink,
        stores: Callable[[], frozenset[str]],
    ) -> None:
        """``stores`` says which have a profile: the query gives configuration for all stores to each of them."""
        self._job, self._generation, self._writer = job, generation, writer
        self._checkpoint, self._job_state = checkpoint, job_state
        self._progress, self._stores_now, self._stores = progress, stores, stores()
        #: Why the query failed, as an exception of ours: Spark passes on only its text.
        self.failure: Exception | None = None

    def __call__(self, frame: Any, batch_id: int) -> None:
        """Take one batch; what it raises stops the query, and Spark replays the batch after a restart."""
        try:
            self.take(frame.toArrow(), batch_id)
        except Exception as failed:
            self.failure = failed
            raise

    def take(self, table: pa.Table, batch_id: int) -> None:
        """The effects of a batch whose rows are these."""
        rows = [Row(*values) for values in zip(*(table.column(name).to_pylist() for name in COLUMNS), strict=True)]
        self._take_in({row.store_id for row in rows} - self._stores - {""})
        self._bring_forward([row for row in rows if row.kind == "carried"])
        checkpoint = self._checkpoint()
        if self._is_sent(checkpoint, batch_id):
            log.info("batch %d was sent before the restart", batch_id)
            return
        self._send(rows, checkpoint, batch_id)
        self.after_send(batch_id)

    def _take_in(self, strangers: set[str]) -> None:
        """Start again when a store has joined, before anything is sent: it then gets what this batch has for all.

        Somebody may also write under the name of a store that there is not; that is looked up once.
        """
        self._stores |= strangers
        if strangers and (joined := strangers & self._stores_now()):
            raise StartAgain("A store has joined", value=", ".join(sorted(joined)), remedy="It is taken in now.")

    def after_send(self, batch_id: int) -> None:
        """Between the Kafka commit and Spark's: nothing to do (tests crash here)."""

    def _is_sent(self, checkpoint: str, batch_id: int) -> bool:
        known = self._progress
        return known is not None and known.checkpoint == checkpoint and batch_id <= known.batch_id

    def _bring_forward(self, rows: list[Row]) -> None:
        if not rows:
            return
        columns = [
            [self._job] * len(rows),
            [row.store_id for row in rows],
            [self._generation.epoch] * len(rows),
            [row.step for row in rows],
            [msgspec.json.decode(row.key or b"", type=datetime) for row in rows],
            [row.value for row in rows],
        ]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, JOB_STATE, strict=True)]
        self._job_state.insert_new(pa.table(arrays, schema=JOB_STATE), key=JOB_STATE_KEY)
        for row in rows:
            log.info("store %s: state as of step %d brought forward", row.store_id, row.step)
            self._forget(row.store_id)

    def _forget(self, store_id: str) -> None:
        """Delete all but the last KEPT states of a store."""
        keys = self._job_state.rows(["job", "store_id", "step"]).to_pylist()
        steps = sorted({key["step"] for key in keys if (key["job"], key["store_id"]) == (self._job, store_id)})
        if len(steps) > KEPT:
            self._job_state.delete(f"job = '{self._job}' and store_id = '{store_id}' and step < {steps[-KEPT]}")

    def _send(self, rows: list[Row], checkpoint: str, batch_id: int) -> None:
        sent: JobProgress | None = None

        def fill(writer: TransactionalWriter) -> None:
            nonlocal sent
            offsets = _Offsets()
            for row in rows:
                if row.kind == "record" and row.topic is not None:
                    partition = self._partition(row.topic, row.store_id)
                    writer.produce(row.topic, row.value, row.key, partition, offsets.of(row.store_id, row.stage))
            writer.flush()
            for row in rows:
                if row.kind == "done":
                    done = Done(
                        store_id=row.store_id,
                        stage=row.stage,
                        k=row.step,
                        epoch=self._generation.epoch,
                        offsets=offsets.by_stage.get((row.store_id, row.stage), {}),
                        n=row.n,
                    )
                    partition = self._partition("world_tasks", row.store_id)
                    writer.produce("world_tasks", msgspec.json.encode(done), row.store_id, partition)
            sent = self._progress_after(rows, checkpoint, batch_id, offsets)
            writer.produce("job_progress", msgspec.json.encode(sent), key_json(JobProgress, sent))

        self._writer.transaction(fill)
        self._progress = sent

    def _partition(self, topic: str, store_id: str) -> int:
        return self._writer.partition_of(topic, store_id) if TOPICS[topic].by_store else 0

    def _progress_after(self, rows: list[Row], checkpoint: str, batch_id: int, offsets: _Offsets) -> JobProgress:
        known = self._progress
        cuts = {store: (step, known.cuts.get(store, 0)) for store, step in known.steps.items()} if known else {}
        is_going_on = known is not None and known.epoch == self._generation.epoch
        folded = dict(known.folded) if known and is_going_on else dict.fromkeys(self._generation.sent, -1)
        for row in rows:
            if row.kind == "step" and row.step >= 0:
                folded[row.store_id] = row.step
                # A rebuild comes from behind; what was sent stays sent.
                cuts[row.store_id] = max((row.step, row.n), cuts.get(row.store_id, (-1, 0)))
        reached = dict(self._progress.offsets) if self._progress else {}
        for by_topic in offsets.by_stage.values():
            for topic, partitions in by_topic.items():
                reached[topic] = _highest(reached.get(topic, {}), partitions)
        return JobProgress(
            job=self._job,
            epoch=self._generation.epoch,
            checkpoint=checkpoint,
            batch_id=batch_id,
            steps={store: step for store, (step, _) in cuts.items()},
            folded=folded,
            cuts={store: n for store, (_, n) in cuts.items() if n},
            stages=self._generation.stages,
            sent=self._generation.sent,
            now=self._generation.now,
            began=self._generation.began,
            offsets=reached,
            written_at=datetime.now(UTC),
        )


class _Offsets:
    """Collects where records went, by (store, stage), from delivery reports."""

    def __init__(self) -> None:
        self.by_stage: dict[tuple[str, str], Offsets] = {}

    def of(self, store_id: str, stage: str) -> Callable[[KafkaError | None, Message], None]:
        """The delivery report of a record of this store and stage."""
        offsets = self.by_stage.setdefault((store_id, stage), {})

        def delivered(error: KafkaError | None, message: Message) -> None:
            # A failed record fails the commit of its transaction.
            if error is None:
                partitions = offsets.setdefault(message.topic(), {})
                partition = str(message.partition())
                partitions[partition] = max(message.offset(), partitions.get(partition, -1))

        return delivered


def _highest(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    return {part: max(first.get(part, -1), second.get(part, -1)) for part in sorted(first.keys() | second.keys())}
