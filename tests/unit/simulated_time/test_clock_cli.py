from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from simulated_time import cli as clock_cli
from simulated_time.store import Hold, Status
from smartshelf import cli
from smartshelf.errors import BadInput
from smartshelf.settings import settings

NOW = datetime(2026, 1, 1, 7, 30, tzinfo=UTC)
STATUS = Status(
    now=NOW,
    target=NOW + timedelta(minutes=2),
    mode="running",
    speed=60.0,
    achieved=59.4,
    state="held",
    text="held by audit (counting)",
    goal=None,
    holds=(Hold("audit", "counting", datetime(2026, 11, 21, 9, tzinfo=UTC)),),
    step=30,
    step_seconds=60.0,
    sim_start=datetime(2026, 1, 1, 7, tzinfo=UTC),
    sim_end=datetime(2027, 1, 1, 7, tzinfo=UTC),
    epoch=1,
    alive=True,
)


class FakeClock:
    """Stands still at STATUS and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def status(self) -> Status:
        return STATUS

    def now(self) -> datetime:
        return NOW

    def set_speed(self, multiplier: float) -> None:
        self.told.append(multiplier)

    def advance_to(self, moment: datetime) -> datetime:
        self.told.append(moment)
        return moment

    def wait_until(self, moment: datetime, progress: Callable[[Status], None]) -> Status:
        progress(replace(STATUS, now=moment))
        return replace(STATUS, now=moment)


@pytest.fixture
def clock(monkeypatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(clock_cli, "_clock", lambda: fake)
    return fake


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["clock", *arguments])
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T12:00:00Z", datetime(2026, 1, 2, 12, tzinfo=UTC)),
        ("2026-01-02T12:00", datetime(2026, 1, 2, 12, tzinfo=UTC)),
        ("2026-01-02T13:00+01:00", datetime(2026, 1, 2, 12, tzinfo=UTC)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("12:00", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("7:30", datetime(2026, 1, 2, 7, 30, tzinfo=UTC)),
        ("+2h30m", NOW + timedelta(hours=2, minutes=30)),
        ("+1d", NOW + timedelta(days=1)),
    ],
)
def test_a_time_may_be_named_as_people_name_it(text, expected):
    assert clock_cli.parse_time(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-13-01", "+", "2h", "+-3m", "+999999999999d"])
def test_what_is_no_time_is_refused_with_examples(text):
    with pytest.raises(BadInput, match=r"Use 2026-01-02T12:00"):
        clock_cli.parse_time(text, NOW)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("cutoff", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("delivery", datetime(2026, 1, 2, 8, tzinfo=UTC)),
        ("opening", datetime(2026, 1, 2, 7, tzinfo=UTC)),
        ("closing", datetime(2026, 1, 1, 22, tzinfo=UTC)),
    ],
)
def test_advance_knows_the_next_instant_of_the_week(clock, event, expected, capsys):
    assert run("advance", "--next", event) == 0
    assert clock.told == [expected]
    assert capsys.readouterr().out.startswith(f"paused at {expected:%Y-%m-%dT%H:%M:%SZ}")


def test_advance_without_waiting_only_gives_the_order(clock, capsys):
    assert run("advance", "--to", "12:00", "--no-wait") == 0
    assert capsys.readouterr().out == "advancing to 2026-01-01T12:00:00Z\n"


@pytest.mark.parametrize("arguments", [(), ("--to", "12:00", "--next", "cutoff")])
def test_advance_wants_one_destination(clock, arguments, capsys):
    assert run("advance", *arguments) == 2
    assert "in one way" in capsys.readouterr().err
    assert clock.told == []


def test_status_as_json_has_what_other_tools_read(clock, capsys):
    assert run("status", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["now"], found["speed"], found["state"]) == ("2026-01-01T07:30:00Z", 60.0, "held")
    assert found["holds"] == [{"name": "audit", "why": "counting", "until": "2026-11-21T09:00:00Z"}]


def test_status_for_people_names_the_day_the_holder_and_the_speed_achieved(clock, capsys):
    assert run("status") == 0
    said = capsys.readouterr().out
    for part in ("2026-01-01T07:30:00Z (Thursday), step 30", "achieved 59x", "audit: counting"):
        assert part in said


def test_a_speed_that_is_no_number_is_refused(clock, capsys):
    assert run("speed", "fast") == 2
    assert "smartshelf clock auto" in capsys.readouterr().err
    assert clock.told == []


def test_without_a_running_store_every_command_says_so_in_a_sentence(monkeypatch, capsys):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SMARTSHELF_REDIS_URL", f"redis://127.0.0.1:{unused.getsockname()[1]}/0")
        settings.cache_clear()
        try:
            for command in (["status"], ["speed", "60"], ["auto"], ["pause"], ["resume"], ["advance", "--to", "12:00"]):
                assert run(*command) == 2
                said = capsys.readouterr().err
                assert said.startswith("smartshelf: Redis does not answer. Found: ")
                assert "Is the store up?" in said
                assert said.count("\n") == 1
        finally:
            settings.cache_clear()


@pytest.mark.parametrize("speed", ["0", "nan", "inf", "100001"])
def test_a_speed_out_of_bounds_is_refused_before_anything_is_asked(speed, capsys):
    assert run("speed", speed) == 2
    assert "above 0 and at most 100000" in capsys.readouterr().err
