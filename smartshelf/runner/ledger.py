"""``ops.job_runs``: one row per job and due time, written again as the run goes on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from smartshelf.io import postgres
from smartshelf.runner.plan import Outcome
from smartshelf.settings import Settings

#: Longest reason that is kept, characters.
REASON = 2_000

_UPSERT = """
    insert into ops.job_runs (job, scheduled_for, started, finished, status, attempts, rows, error)
    values (%(job)s, %(scheduled_for)s, %(started)s, %(finished)s, %(status)s, %(attempts)s, %(rows)s, %(error)s)
    on conflict (job, scheduled_for) do update
    set (started, finished, status, attempts, rows, error)
      = (coalesce(excluded.started, job_runs.started), excluded.finished, excluded.status, excluded.attempts,
         excluded.rows, excluded.error)
"""


class Ledger:
    """The runs so far, read once and kept: this process is the table's only writer."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self.past: dict[str, dict[datetime, Outcome]] = {}
        with postgres.connect(config, "runner", "runner") as connection, connection.cursor() as cursor:
            cursor.execute("select job, scheduled_for, status, attempts, finished from ops.job_runs")
            for job, scheduled_for, *outcome in cursor.fetchall():
                self.past.setdefault(job, {})[scheduled_for] = Outcome(*outcome)

    def write(self, job: str, scheduled_for: datetime, outcome: Outcome, **told: Any) -> None:
        """Keep what came of a run; ``told``: started (wall clock), rows, error. Raises Unavailable."""
        row = {"started": None, "rows": None, "error": None} | told
        row |= {"job": job, "scheduled_for": scheduled_for, **outcome._asdict()}
        with postgres.connect(self._config, "runner", "runner") as connection, connection.cursor() as cursor:
            cursor.execute(_UPSERT, row | {"error": (row["error"] or "")[:REASON] or None})
        self.past.setdefault(job, {})[scheduled_for] = outcome
