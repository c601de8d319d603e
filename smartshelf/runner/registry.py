"""The jobs, one line each. A job's work gets a connection as ``smartshelf_runner`` and tells how many rows it wrote.

Work must be repeatable: a killed run is run again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import time

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

from smartshelf.domain.calendar import EVERY_DAY, Timetable
from smartshelf.runner.plan import Schedule
from smartshelf.settings import Settings, settings

#: Rows by (connection); raises what it likes: the run then failed with that reason.
Work = Callable[[Connection], int]

#: Simulated days for which receipts, cold-chain readings and closed alerts stay in Postgres.
KEEP_DAYS = 400


@dataclass(frozen=True)
class Job:
    """A schedule and its work."""

    schedule: Schedule
    work: Work


def _calls(statement: str, *values: object) -> Work:
    def work(connection: Connection) -> int:
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            row = cursor.fetchone()
        return int(row[0]) if row else 0

    return work


def _load_history(connection: Connection) -> int:
    # Loaded late: it brings libraries that this small process otherwise needs nothing of.
    from smartshelf.runner import history

    return history.load(connection, settings().data_dir)


#: At night: the last receipt of the day before is hours old, so the sinks have long written it, at any speed.
JOBS: tuple[Job, ...] = (
    Job(Schedule("load_history", None), _load_history),
    Job(
        Schedule("star_schema", Timetable(EVERY_DAY, time(4)), newest_only=True),
        _calls("select analytics.refresh_star()"),
    ),
    Job(
        Schedule("weekly_views", Timetable(frozenset({0}), time(5)), after=("star_schema",), newest_only=True),
        _calls("select analytics.refresh_weekly()"),
    ),
    Job(
        Schedule("prune", Timetable(frozenset({6}), time(3)), newest_only=True),
        _calls("select ops.prune(%s)", KEEP_DAYS),
    ),
)


def fired_stages(config: Settings) -> dict[str, Timetable]:
    """Stages that the calendar fires inside their step, and when; the runner only learns that they are done."""
    removal = {"next_day": time(6), "same_day_evening": time(23, 30)}
    midnight = Timetable(EVERY_DAY, time(0))
    return {
        "supplier_manager": config.calendar.cutoff,
        "daily_discounts": midnight,
        "expired_removal": Timetable(EVERY_DAY, removal[config.remove_mode]),
        "daily_features": midnight,
    }
