"""Which checkpoint the store query runs on, and what happens when it is lost, damaged or not ours.

A *generation* is one checkpoint folder ``v<epoch>`` with a description ``v<epoch>.json`` beside it, written
before the query first starts in it and never changed: a restart runs with the same parameters. What has been
sent is known from Kafka (``job_progress``, written in the transaction of the outputs), never from the disk.
The folders are local or on a shared volume.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from smartshelf.contracts.control import Offsets
from smartshelf.contracts.rows import JobProgress
from smartshelf.contracts.topics import TOPICS
from smartshelf.io import job_progress, kafka
from spark_apps.runtime import handover
from spark_apps.runtime.cuts import Positions
from spark_apps.runtime.engine import NO_CUT, RUNTIME, Cut, Past, Runtime
from spark_apps.runtime.processor import pack_values, unpack_values
from spark_apps.runtime.stage import Stage

log = logging.getLogger(__name__)

#: In Spark's Kafka source: the partition's beginning.
EARLIEST = -2


class Generation(Struct, kw_only=True, frozen=True):
    """One life of the store query's state."""

    epoch: int
    because: str
    stages: tuple[str, ...] = ()
    #: By store and stage: what was decided up to this cut was sent by an earlier generation, or by another job.
    sent: dict[str, dict[str, Cut]] = {}
    #: By store: how far it had come without stages that are new to it.
    now: dict[str, Cut] = {}
    #: By store: (job, epoch, step) of the brought-forward states it starts from.
    origins: dict[str, list[tuple[str, int, int]]] = {}
    #: Spark's ``startingOffsets``.
    starting: str = "earliest"

    def past(self) -> dict[str, Past]:
        """By store: what is not to be said again."""
        return {
            store: Past(self.sent.get(store, {}), self.now.get(store, NO_CUT))
            for store in self.sent.keys() | self.now.keys()
        }


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


@dataclass(frozen=True)
class Known:
    """What can be found out about a store's jobs before one of them starts.

    ``jobs``: the row of every job that has ever sent something; ``carried``: reads the rows of ops/job_state;
    ``ticks``: reads the last cut of every store; ``partitions``: of the topics that the job reads.
    """

    jobs: Mapping[str, JobProgress]
    carried: Callable[[], Iterable[Mapping[str, Any]]]
    ticks: Callable[[], Mapping[str, Cut]]
    partitions: Mapping[str, int]
    lead_steps: int

    def sent(self, stages: Iterable[str]) -> dict[str, dict[str, Cut]]:
        """Store -> stage -> the last cut whose decisions stand in the log."""
        return job_progress.sent(self.jobs.values(), stages)

    def others(self, job: str, stages: Iterable[str]) -> list[str]:
        """Other jobs that are in charge of some of these stages: the split has changed."""
        charge = job_progress.in_charge(self.jobs.values())
        return sorted({charge[stage].job for stage in stages if stage in charge} - {job})


def choose(
    checkpoints: Checkpoints, job: str, stages: Sequence[Stage[Any]], known: Known, *, epoch: int, starting: str
) -> Generation:
    """The generation to run: the last one, or a new one when it cannot be continued or ``epoch`` was raised."""
    names = tuple(stage.name for stage in stages)
    latest, sent = checkpoints.latest(), known.sent(names)
    if latest is None and not sent:
        now = _now(known) if known.jobs else {}
        return checkpoints.begin(
            Generation(epoch=epoch, because="first start", stages=names, now=now, starting=starting)
        )
    mine = known.jobs.get(job)
    charge = job_progress.in_charge(known.jobs.values())
    reached = max([row.epoch for stage, row in charge.items() if stage in names] + [mine.epoch if mine else 0])
    highest = max(latest.epoch if latest else 0, reached)
    if latest is not None and epoch > highest:
        reason: str | None = f"the epoch was raised to {epoch}"
    else:
        reason = _changed(job, names, known, latest, reached)
        if reason is None:
            reason = "its checkpoint is gone" if latest is None else None
        if reason is None and latest is not None:
            reason = trouble(checkpoints.path(latest.epoch), latest, mine)
    if reason is None and latest is not None:
        return latest
    new = max(epoch, highest + 1)
    log.warning("the state of the query %s is rebuilt as epoch %d: %s", job, new, reason)
    return checkpoints.begin(_rebuild(new, reason or "", stages, known))


def _changed(job: str, names: tuple[str, ...], known: Known, latest: Generation | None, reached: int) -> str | None:
    """What is other than when the stages of this job were run last, in a sentence; None when nothing is."""
    if latest is not None and latest.epoch > reached and latest.stages == names and latest.sent == known.sent(names):
        return None  # begun for just this, and killed before its first batch
    charge = job_progress.in_charge(known.jobs.values())
    if others := known.others(job, names):
        before = "; ".join(f"{other}: {', '.join(job_progress.stages_of(known.jobs[other]))}" for other in others)
        return f"the stages were split over other jobs before ({before})"
    if new := [name for name in names if name not in charge]:
        return f"new stages: {', '.join(new)}"
    mine = known.jobs.get(job)
    if mine is not None and job_progress.stages_of(mine) != names:
        return f"its stages were {', '.join(job_progress.stages_of(mine))} before"
    return None


def _now(known: Known) -> dict[str, Cut]:
    """How far each store had come without a stage that it never heard of; in its first steps it waits for all."""
    return {store: cut for store, cut in known.ticks().items() if cut[0] >= known.lead_steps}


def _rebuild(epoch: int, because: str, stages: Sequence[Stage[Any]], known: Known) -> Generation:
    names = tuple(stage.name for stage in stages)
    sent = known.sent(names)
    if not sent:
        # Nothing was sent to this Kafka: what was brought forward belongs to another one.
        return Generation(epoch=epoch, because=because, stages=names)
    is_new = any(name not in of_store for of_store in sent.values() for name in names)
    origins = _origins(stages, sent, known)
    complete = origins.keys() >= sent.keys()
    for store_id, of_store in sorted(sent.items()):
        begin = f"step {origins[store_id][0]['step']}, brought forward" if store_id in origins else "the beginning"
        log.warning("store %s: from %s; steps up to %d were sent before", store_id, begin, max(of_store.values())[0])
    return Generation(
        epoch=epoch,
        because=because,
        stages=names,
        sent=sent,
        now=_now(known) if is_new else {},
        origins={store: [(r["job"], r["epoch"], r["step"]) for r in rows] for store, rows in origins.items()},
        starting=_starting(origins, stages, known.partitions) if complete else "earliest",
    )


def _origins(
    stages: Sequence[Stage[Any]], sent: Mapping[str, Mapping[str, Cut]], known: Known
) -> dict[str, list[Mapping[str, Any]]]:
    """By store: the rows of the last step at which the states of all its stages were brought forward."""
    by_step: dict[tuple[str, int], dict[str, Mapping[str, Any]]] = {}
    for row in sorted(known.carried(), key=lambda row: (row["job"], row["epoch"])):
        job = known.jobs.get(row["job"])
        # A later one was written by a batch whose outputs never left.
        if job is not None and row["step"] <= job.steps.get(row["store_id"], -1):
            by_step.setdefault((row["store_id"], row["step"]), {})[row["job"]] = row
    origins: dict[str, list[Mapping[str, Any]]] = {}
    for (store_id, _), rows in sorted(by_step.items(), key=lambda item: item[0]):
        states = [unpack_values(row["state"]) for row in rows.values()]
        if store_id in sent and handover.holds(states, stages, tuple(sent[store_id])):
            origins[store_id] = list(rows.values())
    return origins


def last_carried(carried: Iterable[Mapping[str, Any]], steps: Mapping[str, int]) -> dict[str, Mapping[str, Any]]:
    """By store the state of one job brought forward last at or before a step; a store without one is left out."""
    origins: dict[str, Mapping[str, Any]] = {}
    for row in sorted(carried, key=lambda row: (row["step"], row["epoch"])):
        if row["step"] <= steps.get(row["store_id"], -1):
            origins[row["store_id"]] = row
    return origins


def positions_of(states: Mapping[str, Mapping[str, bytes]]) -> dict[str, Positions]:
    """By store how far a state that was brought forward had read."""
    return {store: Runtime.load(values[RUNTIME]).positions for store, values in states.items()}


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


def _starting(
    origins: Mapping[str, Sequence[Mapping[str, Any]]], stages: Sequence[Stage[Any]], partitions: Mapping[str, int]
) -> str:
    """Where to read from so that no store misses a record."""
    seen = positions_of({store: _values(rows, stages) for store, rows in origins.items()})
    start = {
        # A store that had nothing there yet has its first record still to come, or not.
        topic: {part: offset or EARLIEST for part, offset in needed_from(seen, topic, count).items()}
        for topic, count in partitions.items()
    }
    return msgspec.json.encode(start).decode()


def _values(rows: Sequence[Mapping[str, Any]], stages: Sequence[Stage[Any]]) -> dict[str, bytes]:
    return handover.merged([unpack_values(row["state"]) for row in rows], stages)


def states_to_start_from(
    generation: Generation, stages: Sequence[Stage[Any]], carried: Iterable[Mapping[str, Any]]
) -> list[tuple[str, bytes]]:
    """(store_id, state) of a generation that was rebuilt; needed until its first batch is committed."""
    rows = {(row["store_id"], row["job"], row["epoch"], row["step"]): row for row in carried}
    return [
        (store, pack_values(_values([rows[(store, *origin)] for origin in origins], stages)))
        for store, origins in sorted(generation.origins.items())
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
