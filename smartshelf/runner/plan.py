"""Which runs are due (pure): no clock, no database; both times are arguments.

``scheduled_for`` is simulated time; when a failed run is tried again counts in real seconds, since its cause is real.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from smartshelf.domain.calendar import Timetable

Status = Literal["running", "succeeded", "failed", "skipped"]

#: Real seconds until the second attempt; doubled for each one after it.
RETRY_SECONDS = 5.0


class Outcome(NamedTuple):
    """What is known of one run; ``finished`` is wall-clock time."""

    status: Status
    attempts: int = 0
    finished: datetime | None = None


#: Job -> due time -> what came of it.
Past = Mapping[str, Mapping[datetime, Outcome]]


@dataclass(frozen=True)
class Schedule:
    """When a job is due and what it waits for; ``when`` None: once, when the store has opened."""

    name: str
    when: Timetable | None
    #: Jobs whose last due time at or before this one's must have succeeded first.
    after: tuple[str, ...] = ()
    attempts: int = 4
    #: After a stop only the newest missed run is made up: it does the work of the others.
    newest_only: bool = False


class Run(NamedTuple):
    """Start this one now."""

    job: str
    scheduled_for: datetime
    attempt: int


class Skip(NamedTuple):
    """This one will never run, and why."""

    job: str
    scheduled_for: datetime
    why: str


def due(schedules: Iterable[Schedule], past: Past, since: datetime, now: datetime, clock: datetime) -> list[Run | Skip]:
    """What to do at simulated ``now``, at most one step per job, in the order of due times; [] when nothing is.

    ``since`` is when the store opened: nothing was due before. ``clock`` is the wall clock. A job's runs go in order:
    a run that may still be tried again holds back the job's later ones.
    """
    known = {schedule.name: schedule for schedule in schedules}
    steps = [step for schedule in known.values() if (step := _next(schedule, known, past, since, now, clock))]
    return sorted(steps, key=lambda step: (step.scheduled_for, list(known).index(step.job)))


def settled(schedule: Schedule, outcome: Outcome | None) -> bool:
    """Whether nothing more will happen to a run."""
    if outcome is None or outcome.status == "running":
        return False
    return outcome.status != "failed" or outcome.attempts >= schedule.attempts


def failures_until(schedule: Schedule, runs: Mapping[datetime, Outcome], at: datetime) -> list[datetime]:
    """Due times of the runs up to ``at`` that failed for good since the last success before it; oldest first."""
    failed: list[datetime] = []
    for instant, outcome in sorted(runs.items()):
        if instant > at:
            break
        if outcome.status == "succeeded" and instant < at:
            failed = []
        elif outcome.status == "failed" and settled(schedule, outcome):
            failed.append(instant)
    return failed


def _next(
    schedule: Schedule, known: Mapping[str, Schedule], past: Past, since: datetime, now: datetime, clock: datetime
) -> Run | Skip | None:
    runs = past.get(schedule.name, {})
    closed = max((at for at, outcome in runs.items() if settled(schedule, outcome)), default=None)
    waiting = _instants(schedule, since, closed, now)
    if not waiting:
        return None
    first = waiting[0]
    if schedule.newest_only and len(waiting) > 1:
        return Skip(schedule.name, first, f"the run of {waiting[-1]:%Y-%m-%d %H:%M} does its work")
    for name in schedule.after:
        blocked = _waits_for(known[name], past, since, first)
        if blocked is not None:
            return Skip(schedule.name, first, blocked) if blocked else None
    before = runs.get(first, Outcome("running"))
    if before.status == "failed" and before.finished is not None:
        pause = timedelta(seconds=RETRY_SECONDS * 2 ** (before.attempts - 1))
        if clock < before.finished + pause:
            return None
    return Run(schedule.name, first, before.attempts + 1)


def _instants(schedule: Schedule, since: datetime, closed: datetime | None, now: datetime) -> list[datetime]:
    """Due times after ``closed``, or of a store open ``since``, up to ``now``."""
    if schedule.when is None:
        return [since] if closed is None else []
    return schedule.when.within(closed or since, now)


def _waits_for(other: Schedule, past: Past, since: datetime, at: datetime) -> str | None:
    """None: go ahead. "": wait. Otherwise why the run that needs ``other`` cannot be."""
    its = _instants(other, since, None, at)
    if not its:
        return None
    outcome = past.get(other.name, {}).get(its[-1])
    if not settled(other, outcome):
        return ""
    failed = outcome is not None and outcome.status == "failed"
    return f"{other.name} failed" if failed else None
