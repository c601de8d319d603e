"""What an operator reads of a store."""

from __future__ import annotations

import pytest

from smartshelf.settings import load
from smartshelf.stack import status
from smartshelf.stack.supervision import ProcessInfo


def test_what_waits_is_told_by_hop_with_the_place_where_most_of_it_is() -> None:
    lag = {"redis:marks": 1, "redis:shelf_events": 2_400, "connect:sink-alerts": 0, "connect:sink-pos_lines": 7}
    assert status.waiting(lag) == "2,401 for the bridge (most: shelf_events 2,400), 7 for Postgres (most: pos_lines 7)"


def test_a_store_in_which_nothing_waits_says_so() -> None:
    assert status.waiting({"redis:marks": 0, "connect:sink-alerts": 0}) == "nothing"


@pytest.mark.parametrize(
    ("state", "exit_code", "told"),
    [("EXITED", 0, "done"), ("EXITED", 2, "failed (2)"), ("STOPPED", 0, "stopped"), ("RUNNING", 0, "running")],
)
def test_the_one_shot_is_done_failed_stopped_or_running(state: str, exit_code: int, told: str) -> None:
    assert status._state(load({}), ProcessInfo("init", state, 1, 0.0, exit_code, "")) == told


def test_what_is_wrong_with_a_service_stands_behind_its_figures() -> None:
    connect = {"name": "connect", "state": "unhealthy: connector sink-a is not there", "pid": 7, "rss_mb": 306.4}
    told = status.as_text(
        {"services": [connect | {"since": "2026-01-01T07:00:00Z"}], "urls": {}, "clock": {}, "lag": {}, "counts": {}}
        | {"capture": {}, "jobs": []}
    )
    assert told.splitlines()[1].split(maxsplit=5) == [
        *("connect", "unhealthy", "7", "306", "2026-01-01T07:00:00Z"),
        "connector sink-a is not there",
    ]
