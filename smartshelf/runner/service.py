"""The loop: read the clock, note what stages have done, run what is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime

import psycopg2
import redis

from smartshelf.contracts import redis_keys
from smartshelf.contracts.stages import STAGES, step_of
from smartshelf.errors import SmartShelfError
from smartshelf.io import postgres, redis_stream
from smartshelf.runner.alerting import Alerts
from smartshelf.runner.ledger import Ledger
from smartshelf.runner.marks import Marks
from smartshelf.runner.plan import Outcome, Run, Skip, due, failures_until, settled
from smartshelf.runner.registry import JOBS, Job, fired_stages
from smartshelf.service import Service
from smartshelf.settings import Settings, opens_at

#: What a server that goes away makes of any call, also in the middle of one.
_AWAY = (SmartShelfError, redis.RedisError, psycopg2.OperationalError, psycopg2.InterfaceError)
#: A job that takes longer (real seconds) hangs.
JOB_SECONDS = 3_600.0


class Runner:
    """What one turn of the loop needs. ``clock`` gives wall-clock time."""

    def __init__(
        self,
        config: Settings,
        ledger: Ledger,
        alerts: Alerts,
        jobs: Sequence[Job] = JOBS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config, self._ledger, self._alerts, self._clock = config, ledger, alerts, clock
        self._jobs = {job.schedule.name: job for job in jobs}
        self._opened = opens_at(config)
        self._stages = {name: when for name, when in fired_stages(config).items() if name in STAGES}

    def note_stages(self, marks: Marks, now: datetime) -> None:
        """Write a row for every instant at which the calendar fired a stage that has decided its step since."""
        for stage, when in self._stages.items():
            runs, reached = self._ledger.past.get(stage, {}), marks.done(stage)
            for instant in when.within(max(runs, default=self._opened), now):
                if reached < step_of(self._opened, self._config.step_seconds, instant):
                    break
                self._ledger.write(stage, instant, Outcome("succeeded", 1, self._clock()))

    def turn(self, now: datetime) -> bool:
        """Run the first thing that is due at simulated ``now``; False when nothing is."""
        schedules = [job.schedule for job in self._jobs.values()]
        steps = due(schedules, self._ledger.past, self._opened, now, self._clock())
        if not steps:
            return False
        first = steps[0]
        if isinstance(first, Skip):
            self._ledger.write(first.job, first.scheduled_for, Outcome("skipped"), error=first.why)
        else:
            self._run(first)
        return True

    def _run(self, run: Run) -> None:
        job, began = self._jobs[run.job], self._clock()
        self._ledger.write(run.job, run.scheduled_for, Outcome("running", run.attempt), started=began)
        rows, error = 0, ""
        try:
            with postgres.connect(self._config, "runner", run.job) as connection:
                rows = job.work(connection)
        except Exception as failed:  # noqa: BLE001 - whatever a job raises is the reason of its run
            error = f"{type(failed).__name__}: {failed}".strip()
        outcome = Outcome("failed" if error else "succeeded", run.attempt, self._clock())
        # First the alert: one that could not be sent is tried again with the run.
        runs = {**self._ledger.past[run.job], run.scheduled_for: outcome}
        failures = failures_until(job.schedule, runs, run.scheduled_for)
        if error and settled(job.schedule, outcome):
            self._alerts.failed(failures, run.job, error)
        elif not error:
            self._alerts.succeeded(failures, run.job, run.scheduled_for)
        told = {"error": error} if error else {"rows": rows}
        self._ledger.write(run.job, run.scheduled_for, outcome, started=began, **told)


def run(service: Service) -> None:
    """Until asked to stop. A server that is away is waited for: what was due meanwhile is made up."""
    config = service.settings
    client = redis_stream.connect(config.redis_url)
    marks = service.wait_for("Kafka", lambda: Marks(config.kafka_bootstrap, config.stores, config.epoch))
    ledger = service.wait_for("Postgres", lambda: Ledger(config))
    runner = Runner(config, ledger, Alerts(config))
    with closing(marks):
        while not service.stopping:
            service.beat()
            try:
                marks.follow()
                if (now := _now(client)) is None:
                    service.sleep(1.0)
                    continue
                runner.note_stages(marks, now)
                with service.patience(JOB_SECONDS):
                    while runner.turn(now) and not service.stopping:
                        service.beat()
            except _AWAY as away:
                service.log.warning("will try again: %s", str(away).strip())
                service.sleep(2.0)


def _now(client: redis.Redis) -> datetime | None:
    told = client.get(redis_keys.NOW)
    return datetime.fromisoformat(told.decode()) if isinstance(told, bytes) else None
