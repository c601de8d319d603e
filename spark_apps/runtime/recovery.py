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
from smartshelf.errors import SmartShelfError
from smartshelf.io import job_progress, kafka
from spark_apps.runtime import codec, handover
from spark_apps.runtime.cuts import Positions
from spark_apps.runtime.engine import NO_CUT, RUNTIME, Cut, Past, Runtime
from spark_apps.runtime.processor import FORMAT as PACKED
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
    #: In which format it keeps each of its state values; nothing when an earlier version began it.
    formats: dict[str, int] = {}
    #: By store and stage: what was decided up to this cut was sent by an earlier generation, or by another job.
    sent: dict[str, dict[str, Cut]] = {}
    #: By store: how far it had come without stages that are new to it.
    now: dict[str, Cut] = {}
    #: By store and stage: the cut up to which it lived without the stage, in this generation or an earlier one.
    began: dict[str, dict[str, Cut]] = {}
    #: By store: (job, epoch, step) of the brought-forward states it starts from.
    origins: dict[str, list[tuple[str, int, int]]] = {}
    #: Spark's ``startingOffsets``.
    starting: str = "earliest"

    def past(self) -> dict[str, Past]:
        """By store: what is not to be said again."""
        return {
            store: Past(self.sent.get(store, {}), self.now.get(store, NO_CUT), self.began.get(store, {}))
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
    ``ticks``: reads the last cut of every store; ``partitions``: of the topics that the job reads; ``starts``: reads
    the first offset that Kafka still holds, of facts and ticks.
    """

    jobs: Mapping[str, JobProgress]
    carried: Callable[[], Iterable[Mapping[str, Any]]]
    ticks: Callable[[], Mapping[str, Cut]]
    partitions: Mapping[str, int]
    lead_steps: int
    starts: Callable[[], Offsets]

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
    """The generation to run: the last one, or a new one when it cannot be continued or ``epoch`` was raised.

    SmartShelfError when a new one would have to be built from facts that Kafka no longer holds.
    """
    names = tuple(stage.name for stage in stages)
    latest = checkpoints.latest()
    if latest is None and not known.sent(names) and not _now(known):
        first = Generation(epoch=epoch, because="first start", stages=names, formats=handover.formats(stages))
        return checkpoints.begin(msgspec.structs.replace(first, starting=starting))
    mine = known.jobs.get(job)
    charge = job_progress.in_charge(known.jobs.values())
    reached = max([row.epoch for stage, row in charge.items() if stage in names] + [mine.epoch if mine else 0])
    highest = max(latest.epoch if latest else 0, reached)
    if latest is not None and epoch > highest:
        reason: str | None = f"the epoch was raised to {epoch}"
    else:
        reason = _changed(job, stages, known, latest, reached)
        if reason is None:
            reason = "its checkpoint is gone" if latest is None else None
        if reason is None and latest is not None:
            reason = trouble(checkpoints.path(latest.epoch), latest, mine)
    if reason is None and latest is not None:
        return latest
    new = max(epoch, highest + 1)
    log.warning("the state of the query %s is rebuilt as epoch %d: %s", job, new, reason)
    return checkpoints.begin(_rebuild(new, reason or "", stages, known))


def _changed(
    job: str, stages: Sequence[Stage[Any]], known: Known, latest: Generation | None, reached: int
) -> str | None:
    """What is other than when the stages of this job were run last, in a sentence; None when nothing is."""
    names, formats = tuple(stage.name for stage in stages), handover.formats(stages)
    if latest is not None and latest.epoch > reached and latest.stages == names and latest.sent == known.sent(names):
        # Begun for just this, and killed before its first batch.
        return _other_formats(latest, formats)
    charge = job_progress.in_charge(known.jobs.values())
    if others := known.others(job, names):
        before = "; ".join(f"{other}: {', '.join(known.jobs[other].stages)}" for other in others)
        return f"the stages were split over other jobs before ({before})"
    if new := [name for name in names if name not in charge]:
        return f"new stages: {', '.join(new)}"
    mine = known.jobs.get(job)
    if mine is not None and mine.stages != names:
        return f"its stages were {', '.join(mine.stages)} before"
    return _other_formats(latest, formats) if latest is not None else None


def _other_formats(latest: Generation, formats: Mapping[str, int]) -> str | None:
    if not latest.formats:
        return "an earlier version of the code kept its states"
    changed = {name: newest for name, newest in formats.items() if latest.formats.get(name) != newest}
    told = [f"{name} {latest.formats.get(name, 'none')}, now {newest}" for name, newest in changed.items()]
    return f"its states are in other formats ({'; '.join(told)})" if told else None


def _now(known: Known) -> dict[str, Cut]:
    """How far each store had come without a stage that it never heard of; in its first steps it waits for all."""
    ticks = known.ticks() if known.jobs else {}
    return {store: cut for store, cut in ticks.items() if cut[0] >= known.lead_steps}


def _rebuild(epoch: int, because: str, stages: Sequence[Stage[Any]], known: Known) -> Generation:
    names = tuple(stage.name for stage in stages)
    sent = known.sent(names)
    is_new = not sent or any(name not in of_store for of_store in sent.values() for name in names)
    # Where nothing was sent to this Kafka, what was brought forward belongs to another one.
    now = _now(known) if is_new else {}
    stores = sorted(sent.keys() | now.keys())
    carried = [row for row in known.carried() if _is_sent(row, known)]
    origins = _origins(stages, {store: tuple(sent.get(store, ())) for store in stores}, readable(carried, stages))
    seen = positions_of({store: _values(rows, stages) for store, rows in origins.items()})
    # Records go only when every store has been brought forward: one that never was has joined since.
    joined = set(stores) - {row["store_id"] for row in carried} if carried else set()
    if gone := _gone({store: seen.get(store, Positions()) for store in stores if store not in joined}, known.starts()):
        raise _refusal(because, gone, carried, stages)
    for store in stores:
        begin = f"step {origins[store][0]['step']}, brought forward" if store in origins else "the beginning"
        until = max([*sent.get(store, {}).values(), now.get(store, NO_CUT)])[0]
        log.warning("store %s: from %s; steps up to %d were lived before", store, begin, until)
    return Generation(
        epoch=epoch,
        because=because,
        stages=names,
        formats=handover.formats(stages),
        sent=sent,
        now=now,
        began={store: _began(names, store, sent.get(store, {}), now, known) for store in stores},
        origins={store: [(r["job"], r["epoch"], r["step"]) for r in rows] for store, rows in origins.items()},
        starting=_starting(seen, known.partitions) if stores and origins.keys() >= set(stores) else "earliest",
    )


def _began(
    names: Iterable[str], store: str, sent: Mapping[str, Cut], now: Mapping[str, Cut], known: Known
) -> dict[str, Cut]:
    charge = job_progress.in_charge(known.jobs.values())
    began = {name: charge[name].began.get(store, {}).get(name) for name in names if name in charge}
    before: dict[str, Cut] = {name: (cut[0], cut[1]) for name, cut in began.items() if cut}
    return before | {name: now[store] for name in names if store in now and name not in sent}


def _is_sent(row: Mapping[str, Any], known: Known) -> bool:
    """Whether a state brought forward was written by a batch whose outputs have left."""
    job = known.jobs.get(row["job"])
    return job is not None and row["step"] <= job.steps.get(row["store_id"], -1)


def readable(carried: Iterable[Mapping[str, Any]], stages: Sequence[Stage[Any]]) -> list[Mapping[str, Any]]:
    """The rows of ops/job_state from which a job with these stages can go on, as to their formats."""
    return [
        row
        for row in carried
        if codec.version_of(row["state"]) == PACKED and not handover.unreadable(unpack_values(row["state"]), stages)
    ]


def _origins(
    stages: Sequence[Stage[Any]], stores: Mapping[str, tuple[str, ...]], carried: Iterable[Mapping[str, Any]]
) -> dict[str, list[Mapping[str, Any]]]:
    """By store: the rows of the last step at which the states of all its stages were brought forward.

    ``stores``: the stages that each of them has had.
    """
    by_step: dict[tuple[str, int], dict[str, Mapping[str, Any]]] = {}
    for row in sorted(carried, key=lambda row: (row["job"], row["epoch"])):
        by_step.setdefault((row["store_id"], row["step"]), {})[row["job"]] = row
    origins: dict[str, list[Mapping[str, Any]]] = {}
    for (store_id, _), rows in sorted(by_step.items(), key=lambda item: item[0]):
        states = [unpack_values(row["state"]) for row in rows.values()]
        if store_id in stores and handover.holds(states, stages, stores[store_id]):
            origins[store_id] = list(rows.values())
    return origins


def _gone(seen: Mapping[str, Positions], starts: Offsets) -> list[str]:
    """What is not to be read any more, as a phrase for each store and topic. ``seen``: how far each has read."""
    return [
        f"{store}: {topic} begins with record {first}, needed from {positions.at(topic, int(part)) + 1}"
        for store, positions in sorted(seen.items())
        for topic, parts in sorted(starts.items())
        for part, first in parts.items()
        if kafka.partition_for_store(store, len(parts)) == int(part) and positions.at(topic, int(part)) + 1 < first
    ]


def _refusal(
    because: str, gone: Sequence[str], carried: Iterable[Mapping[str, Any]], stages: Sequence[Stage[Any]]
) -> SmartShelfError:
    newest = handover.formats(stages)
    old = {
        f"{name} is in format {version} (this version reads {newest[name]})"
        for row in carried
        for name, version in handover.unreadable(unpack_values(row["state"]), stages).items()
    }
    brought = f"; of what was brought forward {', '.join(sorted(old))}" if old else ""
    return SmartShelfError(
        f"The states have to be built anew ({because}), and Kafka no longer holds the facts that it takes{brought}",
        value="; ".join(gone),
        remedy="Start the version of the code that wrote them; if delta/ops/job_state was lost, bring it back; "
        "or begin a new store: make reset.",
    )


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


def _starting(seen: Mapping[str, Positions], partitions: Mapping[str, int]) -> str:
    """Where to read from so that no store misses a record. ``seen``: how far each has read."""
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
