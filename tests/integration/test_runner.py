"""Scheduled jobs on real servers: rows of their runs, the alert of a job that fails, its end, and a restart."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

from smartshelf.domain.calendar import EVERY_DAY, Timetable
from smartshelf.io import postgres
from smartshelf.runner.alerting import Alerts
from smartshelf.runner.ledger import Ledger
from smartshelf.runner.plan import Schedule
from smartshelf.runner.registry import JOBS, Job
from smartshelf.runner.service import Runner
from tests.integration.databases import ask
from tests.integration.servers import Servers, eventually

pytestmark = [pytest.mark.servers]

FOUR = datetime(2026, 1, 2, 4, tzinfo=UTC)


def broken(connection: Connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("select no_such_function()")
    return 0


def works(connection: Connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("select 7")
        return int((cursor.fetchone() or (0,))[0])


def runs(servers: Servers, job: str) -> list[tuple[Any, ...]]:
    return ask(
        servers.config,
        "select scheduled_for, status, attempts, rows, error is null from ops.job_runs where job = %s order by 1",
        job,
        role="analyst",
    )


def alerts(servers: Servers, job: str) -> list[tuple[Any, ...]]:
    query = "select store_id, status, why from ops.alerts where event_type = 'job_failed' and why like %s order by 1"
    return ask(servers.config, query, f"The run of {job} %", role="analyst")


def test_a_job_that_fails_raises_an_alert_in_every_store_until_it_succeeds(connected: Servers) -> None:
    def runner(work: Any) -> Runner:
        job = Job(Schedule("fragile", Timetable(EVERY_DAY, time(4)), attempts=1), work)
        return Runner(connected.config, Ledger(connected.config), Alerts(connected.config), [job])

    assert runner(broken).turn(FOUR)
    assert runs(connected, "fragile") == [(FOUR, "failed", 1, None, False)]
    opened = eventually(lambda: len(found := alerts(connected, "fragile")) == 2 and found, "the alerts")
    assert [(store, status) for store, status, _ in opened] == [("S01", "open"), ("S02", "open")]
    assert "no_such_function() does not exist" in opened[0][2]

    # A restart knows of the failure.
    assert runner(works).turn(FOUR + timedelta(days=1))
    assert runs(connected, "fragile")[1:] == [(FOUR + timedelta(days=1), "succeeded", 1, 7, True)]
    eventually(lambda: {status for _, status, _ in alerts(connected, "fragile")} == {"resolved"}, "the end")


def test_the_stores_own_jobs_run_as_the_runner_and_once(connected: Servers) -> None:
    monday = datetime(2026, 1, 5, 5, tzinfo=UTC)
    runner = Runner(connected.config, Ledger(connected.config), Alerts(connected.config))
    while runner.turn(monday):
        pass
    names = [job.schedule.name for job in JOBS]
    told = ask(connected.config, "select job, status, error from ops.job_runs where job = any(%s)", names)
    assert {job for job, _, _ in told} == set(names)
    assert {(status, error) for _, status, error in told if status != "skipped"} == {("succeeded", None)}
    assert not Runner(connected.config, Ledger(connected.config), Alerts(connected.config)).turn(monday)


def test_a_run_that_was_killed_is_found_running_and_run_again(connected: Servers) -> None:
    with postgres.connect(connected.config, "runner") as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into ops.job_runs (job, scheduled_for, status, attempts) values ('killed', %s, 'running', 1)",
            (FOUR,),
        )
    job = Job(Schedule("killed", Timetable(EVERY_DAY, time(4))), works)
    assert Runner(connected.config, Ledger(connected.config), Alerts(connected.config), [job]).turn(FOUR)
    assert runs(connected, "killed") == [(FOUR, "succeeded", 2, 7, True)]
