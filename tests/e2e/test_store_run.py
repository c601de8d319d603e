"""The promises of the protocol on the real thing: kills cost nothing, speed and split decide nothing, books balance."""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.conftest import Store
from tests.integration.servers import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1200)]

START = datetime(2026, 1, 1, 7, tzinfo=UTC)
#: A day as fast as the store can, and then half an hour in each way of splitting the Spark jobs.
DAY, SPLIT, WHOLE = (START + timedelta(days=1, minutes=minutes) for minutes in (0, 30, 60))
#: Up to where the undisturbed run at another speed lives: two hours of shopping.
SHORT = START + timedelta(hours=2)
MORTAL = ("bridge", "spark", "producers", "connect", "kafka")
KILLS = int(os.environ.get("KILLS", len(MORTAL)))
SEED = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(2**32))


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def kills() -> list[tuple[datetime, str]]:
    """When which service is killed: moments of trading; every service once before any twice."""
    rng = random.Random(SEED)
    names = [name for _ in range(-(-KILLS // len(MORTAL))) for name in rng.sample(MORTAL, len(MORTAL))][:KILLS]
    moments = sorted(START + timedelta(minutes=rng.randrange(20, 15 * 60)) for _ in names)
    return list(zip(moments, names, strict=True))


@pytest.fixture(scope="module")
def disturbed(store: Store) -> dict[str, Any]:
    """The audit of a day in which processes are killed at random."""
    print(f"KILL_SEED={SEED}")
    store.env["TIME_MULTIPLIER"] = "60"
    store.run("up", timeout=600)
    advance = store.begin("clock", "advance", "--to", iso(DAY))
    for moment, name in kills():
        eventually(lambda at=moment: store.now() >= iso(at), f"the clock to pass {iso(moment)}", timeout=400)
        begun = time.monotonic()
        store.kill(name)
        eventually(lambda name=name: store.service(name)["state"] == "healthy", f"{name} to be well", timeout=240)
        print(f"{iso(moment)} {name} killed, well again after {time.monotonic() - begun:.1f} s")
    assert advance.wait(600) == 0
    return store.report("audit", "--timeout", "180", check=False)


def facts(store: Store, until: datetime) -> dict[str, Any]:
    """The same time lived in one process without servers."""
    return store.report("data", "facts", "--until", iso(until), "--out", str(store.folder / "facts"))


def test_every_unit_is_accounted_for_after_a_day_of_kills(disturbed: dict[str, Any]) -> None:
    assert disturbed["differences"] == []
    assert disturbed["balanced"] is True
    totals = disturbed["totals"]["kafka"]
    assert totals["sold"] > 1_000
    assert totals["shelf"] > 10_000


def test_one_process_without_servers_decides_the_very_same_as_a_day_of_kills(
    store: Store, disturbed: dict[str, Any]
) -> None:
    lived = facts(store, DAY)
    assert lived["step"] == disturbed["step"]
    assert lived["hash"] == disturbed["hash"], f"KILL_SEED={SEED}"
    assert lived["totals"]["sold"] == disturbed["totals"]["kafka"]["sold"]


def test_a_stopped_store_goes_on_where_it_stopped_and_split_and_whole_decides_the_very_same(
    store: Store, disturbed: dict[str, Any]
) -> None:
    before = store.now()
    store.run("down", timeout=180)
    store.env["SPARK_SPLIT"] = "rest/shelf_aggregator,batch_state,warehouse_aggregator,wh_batch_state,pos_flattener"
    store.run("up", timeout=300)
    assert store.now() == before
    assert store.report("audit", "--timeout", "120")["hash"] == disturbed["hash"]
    store.run("clock", "advance", "--to", iso(SPLIT), timeout=300)
    assert store.report("audit", "--timeout", "120")["balanced"] is True
    assert "split over other jobs before" in store.run("logs", "spark-2", "-n", "400").stdout

    store.run("down", timeout=180)
    store.env["SPARK_SPLIT"] = ""
    store.run("up", timeout=300)
    store.run("clock", "advance", "--to", iso(WHOLE), timeout=300)
    audit = store.report("audit", "--timeout", "120")
    assert audit["balanced"] is True
    assert audit["hash"] == facts(store, WHOLE)["hash"]


def test_status_says_that_everything_is_well(store: Store, disturbed: dict[str, Any]) -> None:
    status = store.report("status")
    assert status["healthy"] is True
    assert {service["name"] for service in status["services"]} >= {"redis", "kafka", "connect", "postgres", "spark"}


def test_an_undisturbed_run_at_another_speed_decides_the_very_same(store: Store, disturbed: dict[str, Any]) -> None:
    store.run("reset", "--yes", timeout=180)
    store.env["TIME_MULTIPLIER"] = "300"
    store.run("up", timeout=300)
    eventually(lambda: store.now() >= iso(SHORT - timedelta(minutes=10)), "two hours to pass", timeout=200)
    store.run("clock", "advance", "--to", iso(SHORT), timeout=300)
    audit = store.report("audit")
    assert audit["balanced"] is True
    assert audit["hash"] == facts(store, SHORT)["hash"]
