"""Which checkpoint the store query runs on, and what happens when it is lost, damaged or not ours.

A *generation* is one checkpoint folder ``v<epoch>`` with a description ``v<epoch>.json`` beside it, written
before the query first starts in it and never changed: a restart runs with the same parameters. What has been
sent is known from Kafka (``job_progress``, written in the transaction of the outputs), never from the disk.
The folders are local or on a shared volume.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from smartshelf.contracts.control import Offsets
from smartshelf.contracts.rows import JobProgress
from smartshelf.contracts.topics import TOPICS
from smartshelf.io import kafka
from spark_apps.runtime.cuts import Positions
from spark_apps.runtime.engine import RUNTIME, Runtime
from spark_apps.runtime.processor import unpack_carried

log = logging.getLogger(__name__)

#: In Spark's Kafka source: the partition's beginning.
EARLIEST = -2


class Generation(Struct, kw_only=True, frozen=True):
    """One life of the store query's state."""

    epoch: int
    because: str
    #: By store: steps up to this one were sent by an earlier generation.
    silent: dict[str, int] = {}
    #: By store: (epoch, step) of the brought-forward state it starts from.
    carried: dict[str, tuple[int, int]] = {}
    #: Spark's ``startingOffsets``.
    starting: str = "earliest"


class Checkpoints:
    """The generations of one job, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, epoch: int) -> Path:
        """Spark's checkpoint of a generation."""
        return self.folder / f"v{epoch}"

    def latest(self) -> Generation | None:
        """The generation with the highest epoch."""
        epochs = [
            int(found[1]) for path in self.folder.glob("v*.json") if (found := re.fullmatch(r"v(\d+)", path.stem))
        ]
        if not epochs:
            return None
        return msgspec.json.decode((self.folder / f"v{max(epochs)}.json").read_bytes(), type=Generation)

    def begin(self, generation: Generation) -> Generation:
        """Write a generation's description; it counts from then on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / f"v{generation.epoch}.json"
        draft = target.with_suffix(".new")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(generation)))
        draft.replace(target)
        return generation

    def set_aside(self, epoch: int) -> None:
        """Move a damaged checkpoint away, so that the next start finds it lost."""
        self.path(epoch).rename(self.folder / f"v{epoch}.damaged")


def checkpoint_id(folder: Path) -> str:
    """Spark's id of a checkpoint, which a query writes before its first batch."""
    identity: str = msgspec.json.decode((folder / "metadata").read_bytes())["id"]
    return identity


def last_batch(folder: Path, log_name: str) -> int:
    """The highest batch in a checkpoint's log (``offsets``: planned, ``commits``: done), -1 when none."""
    return max((int(path.name) for path in (folder / log_name).glob("*") if path.name.isdigit()), default=-1)


def committed_offsets(folder: Path) -> Offsets:
    """How far a query's committed batches have read: the next offset by topic and partition."""
    done = last_batch(folder, "commits")
    if done < 0:
        return {}
    lines = (folder / "offsets" / str(done)).read_text().splitlines()
    # Line 0 is the log's version, 1 the batch's settings, then one line per source.
    return msgspec.json.decode(lines[2], type=Offsets)


def all_progress(bootstrap: str) -> list[JobProgress]:
    """What each job has sent so far."""
    latest = kafka.read_latest(bootstrap, "job_progress").values()
    return [msgspec.json.decode(value, type=JobProgress) for value in latest]


def read_progress(bootstrap: str, job: str) -> JobProgress | None:
    """What a job has sent so far; call it after the job's writer has fenced its predecessor."""
    return next((row for row in all_progress(bootstrap) if row.job == job), None)


def trouble(folder: Path, generation: Generation, progress: JobProgress | None) -> str | None:
    """Why the checkpoint cannot be continued, or None."""
    committed = last_batch(folder, "commits")
    if progress is None or progress.epoch < generation.epoch:
        if committed >= 0:
            return "Kafka does not know the batches that its checkpoint has committed"
        return None
    if progress.epoch > generation.epoch:
        return f"Kafka holds results of epoch {progress.epoch}, the checkpoint is of epoch {generation.epoch}"
    if not (folder / "metadata").is_file():
        return "its checkpoint is gone"
    try:
        identity = checkpoint_id(folder)
    except (msgspec.DecodeError, KeyError):
        return "its checkpoint cannot be read"
    if identity != progress.checkpoint:
        return "its checkpoint is another one than that which Kafka's results come from"
    if progress.batch_id > last_batch(folder, "offsets"):
        return "its checkpoint is older than the results in Kafka"
    if committed > progress.batch_id:
        return "its checkpoint is newer than the results in Kafka"
    return None


def choose(
    checkpoints: Checkpoints,
    progress: JobProgress | None,
    carried: Callable[[], Iterable[Mapping[str, Any]]],
    *,
    epoch: int,
    starting: str,
    partitions: Mapping[str, int],
) -> Generation:
    """The generation to run: the last one, or a new one when it cannot be continued or ``epoch`` was raised.

    ``carried``: reads the rows of ops/job_state; ``partitions``: of the topics that the query reads.
    """
    latest = checkpoints.latest()
    if latest is None and progress is None:
        return checkpoints.begin(Generation(epoch=epoch, because="first start", starting=starting))
    known = max(latest.epoch if latest else 0, progress.epoch if progress else 0)
    if latest is None:
        reason: str | None = "its checkpoint is gone"
    elif epoch > known:
        reason = f"the epoch was raised to {epoch}"
    else:
        reason = trouble(checkpoints.path(latest.epoch), latest, progress)
    if reason is None and latest is not None:
        return latest
    new = max(epoch, known + 1)
    log.warning("the state of the store query is rebuilt as epoch %d: %s", new, reason)
    return checkpoints.begin(_rebuild(new, reason or "", progress, carried(), partitions))


def _rebuild(
    epoch: int,
    because: str,
    progress: JobProgress | None,
    carried: Iterable[Mapping[str, Any]],
    partitions: Mapping[str, int],
) -> Generation:
    if progress is None:
        # Nothing was sent to this Kafka: what was brought forward belongs to another one.
        return Generation(epoch=epoch, because=because)
    origins = last_carried(carried, progress.steps)
    complete = origins.keys() >= progress.steps.keys()
    starting = _starting(origins, partitions) if complete and origins else "earliest"
    for store_id, step in sorted(progress.steps.items()):
        begin = f"step {origins[store_id]['step']}, brought forward" if store_id in origins else "the beginning"
        log.warning("store %s: from %s; steps up to %d were sent before", store_id, begin, step)
    return Generation(
        epoch=epoch,
        because=because,
        silent=dict(progress.steps),
        carried={store_id: (row["epoch"], row["step"]) for store_id, row in origins.items()},
        starting=starting,
    )


def last_carried(carried: Iterable[Mapping[str, Any]], steps: Mapping[str, int]) -> dict[str, Mapping[str, Any]]:
    """By store the state brought forward last at or before a step; a store without one is left out.

    A later one than what was sent was written by a batch whose outputs never left.
    """
    origins: dict[str, Mapping[str, Any]] = {}
    for row in sorted(carried, key=lambda row: (row["step"], row["epoch"])):
        if row["step"] <= steps.get(row["store_id"], -1):
            origins[row["store_id"]] = row
    return origins


def positions_of(origins: Mapping[str, Mapping[str, Any]]) -> dict[str, Positions]:
    """By store how far the state that was brought forward had read."""
    return {store: Runtime.load(unpack_carried(row["state"])[RUNTIME]).positions for store, row in origins.items()}


def needed_from(seen: Mapping[str, Positions], topic: str, count: int) -> dict[str, int]:
    """The first offset of each partition that a store has not seen; 0 where one has seen nothing, or none lives there.

    What a store further on has seen already it leaves out itself.
    """
    by_store = TOPICS[topic].by_store
    return {
        str(part): min(
            (
                positions.at(topic, part) + 1
                for store, positions in seen.items()
                if not by_store or kafka.partition_for_store(store, count) == part
            ),
            default=0,
        )
        for part in range(count)
    }


def _starting(origins: Mapping[str, Mapping[str, Any]], partitions: Mapping[str, int]) -> str:
    """Where to read from so that no store misses a record."""
    seen = positions_of(origins)
    start = {
        # A store that had nothing there yet has its first record still to come, or not.
        topic: {part: offset or EARLIEST for part, offset in needed_from(seen, topic, count).items()}
        for topic, count in partitions.items()
    }
    return msgspec.json.encode(start).decode()


def states_to_start_from(generation: Generation, carried: Iterable[Mapping[str, Any]]) -> list[tuple[str, bytes]]:
    """(store_id, state) of a generation that was rebuilt; needed until its first batch is committed."""
    return [
        (row["store_id"], row["state"])
        for row in carried
        if generation.carried.get(row["store_id"]) == (row["epoch"], row["step"])
    ]


def is_damage(message: str) -> bool:
    """Whether Spark's error says that files of the checkpoint are broken or missing."""
    return any(sign in message for sign in _DAMAGE)


#: Error conditions of Spark 4.2 (and its older wording) for state and logs that cannot be read.
_DAMAGE = (
    "CANNOT_LOAD_STATE_STORE",
    "CANNOT_READ_STATE_FILE",
    "STATE_STORE_",
    "Incomplete log file",
    "Failed to read log file",
    "MALFORMED_LOG_FILE",
    "Error reading delta file",
    "Error reading snapshot file",
)
