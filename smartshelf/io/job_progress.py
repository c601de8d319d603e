"""How far the stages have come: topic ``job_progress``, and which job is in charge of a stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from smartshelf.contracts.control import Done
from smartshelf.contracts.rows import JobProgress
from smartshelf.contracts.stages import STAGES
from smartshelf.contracts.topics import TOPICS
from smartshelf.io import kafka

TOPIC, MARKS = "job_progress", "world_tasks"
#: Step and number of an extra cut after it.
Cut = tuple[int, int]


def read(bootstrap: str) -> dict[str, JobProgress]:
    """The row of every job that has ever sent something, by its name; those of a former split stay."""
    rows = [msgspec.json.decode(value, type=JobProgress) for value in kafka.read_latest(bootstrap, TOPIC).values()]
    if any(not row.stages for row in rows):
        first = _first_marks(bootstrap)
        rows = [row if row.stages else msgspec.structs.replace(row, stages=told_by_marks(row, first)) for row in rows]
    return {row.job: row for row in rows}


def told_by_marks(row: JobProgress, first: Mapping[str, int]) -> tuple[str, ...]:
    """The stages of a job whose row an earlier version wrote, which did not name them.

    They were those of the job's name, or all that there were. ``first``: stage -> the epoch of its first done mark;
    a stage without one in this epoch or before was not there yet.
    """
    _, _, names = row.job.partition(":")
    possible = tuple(names.split("+")) if names else STAGES
    return tuple(stage for stage in possible if first.get(stage, row.epoch + 1) <= row.epoch)


def _first_marks(bootstrap: str) -> dict[str, int]:
    first: dict[str, int] = {}
    for message in kafka.read_all(bootstrap, MARKS):
        mark = TOPICS[MARKS].decoder.decode(message.value())
        if isinstance(mark, Done):
            first[mark.stage] = min(mark.epoch, first.get(mark.stage, mark.epoch))
    return first


def in_charge(rows: Iterable[JobProgress]) -> dict[str, JobProgress]:
    """Stage -> the row of its job: when stages were spread over other jobs, these began with a higher epoch."""
    found: dict[str, JobProgress] = {}
    for row in sorted(rows, key=lambda row: row.epoch):
        found |= dict.fromkeys(row.stages, row)
    return found


def sent(rows: Iterable[JobProgress], stages: Iterable[str]) -> dict[str, dict[str, Cut]]:
    """Store -> stage -> the last cut whose decisions stand in the log; without stages that have none there."""
    jobs = in_charge(rows)
    found: dict[str, dict[str, Cut]] = {}
    for stage in stages:
        if (row := jobs.get(stage)) is None:
            continue
        for store, step in row.steps.items():
            cut, before = (step, row.cuts.get(store, 0)), row.sent.get(store, {}).get(stage)
            if before is not None:
                found.setdefault(store, {})[stage] = max(cut, (before[0], before[1]))
            elif cut >= row.now.get(store, cut):
                found.setdefault(store, {})[stage] = cut
    return found


def reached(rows: Iterable[JobProgress]) -> dict[str, int]:
    """Store -> the step as of which the states of every configured stage stand, -1 before the first."""
    jobs = in_charge(rows)
    stands = {stage: row.steps | row.folded for stage, row in jobs.items()}
    return {
        store: min(stands.get(stage, {}).get(store, -1) for stage in STAGES)
        for store in {store for row in jobs.values() for store in row.steps}
    }
