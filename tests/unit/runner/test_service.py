"""The loop of scheduled jobs on a ledger in memory: rows of runs and of stages, alerts of failures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

import psycopg2
import pytest

from smartshelf.contracts.stages import STAGES, step_of
from smartshelf.domain.calendar import EVERY_DAY, Timetable
from smartshelf.io import postgres
from smartshelf.runner import alerting, registry, service
from smartshelf.runner.plan import Outcome, Schedule
from smartshelf.settings import load
from spark_apps.jobs.expired_removal import INSTANTS

CONFIG = load({"SMARTSHELF_HOME": "/nowhere", "STORES": "S01,S02"})
DAY = timedelta(days=1)
FOUR = datetime(2026, 1, 2, 4, tzinfo=UTC)


class Ledger:
    """``ledger.Ledger`` without a database."""

    def __init__(self) -> None:
        self.past: dict[str, dict[datetime, Outcome]] = {}
        self.told: list[dict[str, Any]] = []

    def write(self, job: str, scheduled_for: datetime, outcome: Outcome, **told: Any) -> None:
        self.past.setdefault(job, {})[scheduled_for] = outcome
        self.told.append({"job": job, "at": scheduled_for, "status": outcome.status} | told)


class Marks:
    def __init__(self, done: dict[str, int]) -> None:
        self._done = done

    def done(self, stage: str) -> int:
        return self._done.get(stage, -1)


class Alerts:
    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def failed(self, failures: Sequence[datetime], job: str, error: str) -> None:
        self.said.append(("failed", job, len(failures), error))

    def succeeded(self, failures: Sequence[datetime], job: str, scheduled_for: datetime) -> None:
        if failures:
            self.said.append(("succeeded", job, len(failures)))


class Work:
    """Fails as often as it is told to, then writes seven rows."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def __call__(self, connection: object) -> int:
        self.failures -= 1
        if self.failures >= 0:
            raise ValueError("no space left")
        return 7


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Connected:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(postgres, "connect", lambda *_: Connected())
    wall = iter(datetime(2026, 11, 21, tzinfo=UTC) + timedelta(hours=n) for n in range(10_000))

    def build(failures: int) -> tuple[service.Runner, Ledger, Alerts]:
        ledger, alerts = Ledger(), Alerts()
        jobs = [registry.Job(Schedule("job", Timetable(EVERY_DAY, time(4)), attempts=2), Work(failures))]
        made = service.Runner(CONFIG, ledger, alerts, jobs, lambda: next(wall))  # type: ignore[arg-type]
        return made, ledger, alerts

    return build


def until_idle(runner: service.Runner, now: datetime) -> None:
    while runner.turn(now):
        pass


def test_a_run_leaves_a_row_with_what_it_wrote(runner: Any) -> None:
    made, ledger, alerts = runner(0)
    until_idle(made, FOUR)
    assert [(row["status"], row.get("rows")) for row in ledger.told] == [("running", None), ("succeeded", 7)]
    assert not made.turn(FOUR)
    assert alerts.said == []


def test_a_run_that_succeeds_at_its_second_attempt_raises_no_alert(runner: Any) -> None:
    made, ledger, alerts = runner(1)
    until_idle(made, FOUR)
    assert [row["status"] for row in ledger.told] == ["running", "failed", "running", "succeeded"]
    assert ledger.told[1]["error"] == "ValueError: no space left"
    assert alerts.said == []


def test_runs_that_fail_for_good_raise_one_alert_that_the_next_success_resolves(runner: Any) -> None:
    made, _, alerts = runner(4)
    for days in range(4):
        until_idle(made, FOUR + days * DAY)
    assert alerts.said == [
        ("failed", "job", 1, "ValueError: no space left"),
        ("failed", "job", 2, "ValueError: no space left"),
        ("succeeded", "job", 2),
    ]


def test_the_alert_of_a_job_is_one_alert_over_its_life() -> None:
    opened = alerting.about(CONFIG, "S01", "job", FOUR, FOUR, 1, "open", "why")
    resolved = alerting.about(CONFIG, "S01", "job", FOUR, FOUR + DAY, 2, "resolved", "why")
    assert opened.alert_id == resolved.alert_id
    assert opened.event_id != resolved.event_id
    assert opened.version < resolved.version
    assert alerting.about(CONFIG, "S02", "job", FOUR, FOUR, 1, "open", "why").alert_id != opened.alert_id


def test_an_instant_of_a_stage_has_its_row_once_the_stage_has_decided_its_step(runner: Any) -> None:
    made, ledger, _ = runner(0)
    midnight = datetime(2026, 1, 2, tzinfo=UTC)
    k = step_of(CONFIG.sim_start, CONFIG.step_seconds, midnight)
    for reached, rows in ((k - 1, 0), (k, 1), (k + 5, 1), (k + 1440, 2)):
        made.note_stages(Marks({"daily_discounts": reached}), midnight + 2 * DAY)
        assert len(ledger.told) == rows
    assert ledger.past["daily_discounts"].keys() == {midnight, midnight + DAY}


def test_the_noted_stages_are_fired_when_they_say() -> None:
    for mode, (when, _) in INSTANTS.items():
        fired = registry.fired_stages(CONFIG.model_copy(update={"remove_mode": mode}))
        assert fired["expired_removal"].at == when
    assert "daily_discounts" in STAGES


def test_jobs_depend_only_on_jobs_and_have_names_of_their_own() -> None:
    names = [job.schedule.name for job in registry.JOBS]
    assert len(set(names)) == len(names)
    assert {name for job in registry.JOBS for name in job.schedule.after} <= set(names)
    assert not set(names) & registry.fired_stages(CONFIG).keys()


class Stage:
    """``service.Service`` that is asked to stop when it has slept once."""

    settings, log = CONFIG, logging.getLogger("runner")
    stopping = False

    def wait_for(self, what: str, attempt: Callable[[], Any]) -> Any:
        return attempt()

    def beat(self) -> None: ...

    def sleep(self, seconds: float) -> None:
        self.stopping = True


class Following(Marks):
    closed = False

    def follow(self) -> None: ...

    def close(self) -> None:
        self.closed = True


def test_a_database_that_goes_away_in_the_middle_of_a_write_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise psycopg2.OperationalError("server closed the connection unexpectedly\n")

    marks, stage = Following({}), Stage()
    monkeypatch.setattr(service, "Marks", lambda *_: marks)
    monkeypatch.setattr(service, "Ledger", lambda *_: Ledger())
    monkeypatch.setattr(service, "_now", lambda _: FOUR)
    monkeypatch.setattr(service.Runner, "note_stages", lost)
    service.run(stage)  # type: ignore[arg-type]
    assert stage.stopping
    assert marks.closed
