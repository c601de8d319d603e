"""The promises of the protocol on the real thing: kills cost nothing, speed decides nothing, the books balance."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Store, eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

#: Simulated instant up to which both runs live: two hours of shopping.
UNTIL = "2026-01-01T09:00:00Z"
#: Instants at which a process is killed in the disturbed run.
KILLS = {"producers": "2026-01-01T07:20:00Z", "bridge": "2026-01-01T07:40:00Z", "spark": "2026-01-01T08:10:00Z"}


@pytest.fixture(scope="module")
def disturbed(store: Store) -> dict[str, object]:
    """A run at 300x in which world, bridge and Spark are killed once each; its audit."""
    store.env["TIME_MULTIPLIER"] = "300"
    store.run("up", timeout=600)
    for service, moment in KILLS.items():
        eventually(lambda at=moment: store.now() >= at, f"the clock to pass {moment}", timeout=180)
        store.kill(service)
    store.run("clock", "advance", "--to", UNTIL, timeout=300)
    return store.report("audit", check=False)


def test_every_unit_is_accounted_for_after_a_kill_of_each_process(disturbed: dict[str, object]) -> None:
    assert disturbed["differences"] == []
    assert disturbed["balanced"] is True


def test_shoppers_really_bought_something(disturbed: dict[str, object]) -> None:
    totals = disturbed["totals"]["kafka"]  # type: ignore[index]
    assert totals["sold"] > 100
    assert totals["shelf"] > 10_000


def test_a_stopped_store_goes_on_where_it_stopped(store: Store, disturbed: dict[str, object]) -> None:
    before = store.now()
    store.run("down", timeout=180)
    store.run("up", timeout=180)
    assert store.now() == before
    assert store.report("audit")["hash"] == disturbed["hash"]


def test_status_says_that_everything_is_well(store: Store, disturbed: dict[str, object]) -> None:
    status = store.report("status")
    assert status["healthy"] is True
    assert {service["name"] for service in status["services"]} >= {"redis", "kafka", "connect", "postgres", "spark"}


def test_an_undisturbed_run_at_another_speed_decides_the_very_same(store: Store, disturbed: dict[str, object]) -> None:
    store.run("reset", "--yes", timeout=180)
    store.env["TIME_MULTIPLIER"] = "auto"
    store.run("up", timeout=300)
    store.run("clock", "advance", "--to", UNTIL, timeout=300)
    audit = store.report("audit")
    assert audit["balanced"] is True
    assert audit["hash"] == disturbed["hash"]


def test_one_process_without_servers_decides_the_very_same(store: Store, disturbed: dict[str, object]) -> None:
    facts = store.report("data", "facts", "--until", UNTIL, "--out", str(store.folder / "facts"))
    assert facts["step"] == disturbed["step"]
    assert facts["hash"] == disturbed["hash"]
    assert facts["totals"]["sold"] == disturbed["totals"]["kafka"]["sold"]  # type: ignore[index]
