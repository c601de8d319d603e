"""How far the stages have come: topic ``job_progress``, and which job is in charge of a stage."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from smartshelf.contracts.rows import JobProgress
from smartshelf.contracts.stages import STAGES
from smartshelf.io import kafka

TOPIC = "job_progress"
#: Step and number of an extra cut after it.
Cut = tuple[int, int]


def read(bootstrap: str) -> dict[str, JobProgress]:
    """The row of every job that has ever sent something, by its name; those of a former split stay."""
    rows = (msgspec.json.decode(value, type=JobProgress) for value in kafka.read_latest(bootstrap, TOPIC).values())
    return {row.job: row for row in rows}


def stages_of(row: JobProgress) -> tuple[str, ...]:
    """The stages of a job; its name tells them where an earlier version has written the row."""
    if row.stages:
        return row.stages
    _, _, names = row.job.partition(":")
    return tuple(names.split("+")) if names else STAGES


def in_charge(rows: Iterable[JobProgress]) -> dict[str, JobProgress]:
    """Stage -> the row of its job: when stages were spread over other jobs, these began with a higher epoch."""
    found: dict[str, JobProgress] = {}
    for row in sorted(rows, key=lambda row: row.epoch):
        found |= dict.fromkeys(stages_of(row), row)
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
