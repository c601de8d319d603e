"""The bridge on real servers: killed, fenced, cut off, fed with rubbish."""

from __future__ import annotations

import base64
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator

import msgspec
import pytest

from bridge.dead_letter import DeadLetters
from smartshelf.contracts.control import Mark
from smartshelf.contracts.redis_keys import MARKS, TARGET
from smartshelf.contracts.rows import ShelfPolicy, ShelfProfile
from smartshelf.contracts.types import encode
from smartshelf.io import kafka
from tests.integration.bridge_store import STORES, BridgeStore, at, event, kill, pause_before_kill
from tests.integration.servers import Servers, eventually, running

pytestmark = pytest.mark.servers

#: For a long run: BRIDGE_KILLS=50 BRIDGE_KILL_SECONDS=600.
KILLS = int(os.environ.get("BRIDGE_KILLS", "15"))
KILL_SECONDS = float(os.environ.get("BRIDGE_KILL_SECONDS", "25"))
OUTAGE = float(os.environ.get("BRIDGE_OUTAGE_SECONDS", "20"))


@pytest.fixture(scope="module")
def bridge_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Redis and Kafka of our own: these tests stop them and take their data away."""
    with running(tmp_path_factory.mktemp("bridge servers"), "redis", "kafka") as servers:
        kafka.ensure_topics(servers.config.kafka_bootstrap, fact_partitions=2)
        yield servers


@pytest.fixture
def store(bridge_servers: Servers) -> BridgeStore:
    return BridgeStore(bridge_servers)


def test_killed_at_any_moment_every_event_arrives_once_in_order_and_every_step_has_its_tick(store: BridgeStore) -> None:
    moments, kills, end = random.Random(7), 0, time.monotonic() + KILL_SECONDS
    with store.living(steps_per_second=40):
        while kills < KILLS and (kills < 3 or time.monotonic() < end):
            process = store.bridge()
            store.until_healthy(process)
            pause_before_kill(moments.uniform(0, 0.8))
            kill(process)
            kills += 1
    with store.bridging():
        store.drained()
    print(f"{kills} kills, {store.step} steps, {len(store.events('shelf_events'))} events")
    store.assert_exactly_once()
    assert not store.letters()


def test_a_second_bridge_fences_the_first_which_ends_with_3(store: BridgeStore) -> None:
    first = store.bridge()
    store.until_healthy(first)
    with store.living(steps_per_second=20):
        eventually(lambda: store.records("sim_ticks"), "the first bridge to work")
        with store.bridging():
            assert first.wait(30) == 3
            reached = store.step
            eventually(lambda: store.step > reached + 5, "the world to go on")
    with store.bridging():
        store.drained()
    store.assert_exactly_once()


def test_while_kafka_is_away_nothing_is_lost(store: BridgeStore) -> None:
    with store.living(steps_per_second=10):
        process = store.bridge()
        store.until_healthy(process)
        store.servers.run("stop", "kafka")
        pause_before_kill(OUTAGE)
        store.servers.run("start", "kafka")
        reached = store.step
        process = _supervised(store, process, reached)
    assert _end(process) == 0
    with store.bridging():
        store.drained()
    store.assert_exactly_once()


def _supervised(store: BridgeStore, process: subprocess.Popen[str], reached: int) -> subprocess.Popen[str]:
    """Start the bridge anew when it gives up with 3, as the supervisor does, until it has forwarded a step."""
    deadline = time.monotonic() + 120
    while not any(tick.k >= reached for tick in store.ticks("S01")):
        assert time.monotonic() < deadline, "the bridge did not recover"
        if process.poll() is not None:
            assert process.returncode in (2, 3), process.communicate()[1]
            process = store.bridge()
        time.sleep(0.5)
    return process


def _end(process: subprocess.Popen[str]) -> int:
    process.terminate()
    return process.wait(30)


def test_redis_that_comes_back_older_is_gone_on_with_and_nothing_is_sent_twice(store: BridgeStore) -> None:
    folder = store.servers.home / "state" / "redis"
    backup = folder.with_name("redis.backup")
    with store.bridging() as process:
        store.live(until=3)
        store.drained()
        store.servers.run("stop", "redis")
        shutil.copytree(folder, backup, dirs_exist_ok=True)
        store.servers.run("start", "redis")
        store.live(until=6)
        store.drained()
        store.servers.run("stop", "redis")
        shutil.rmtree(folder)
        backup.rename(folder)
        store.servers.run("start", "redis")
        assert store.step == 3
        eventually(lambda: process.poll() is None and _said(process, "came back older"), "the bridge to notice")
        store.live(until=9)
        store.drained()
    store.assert_exactly_once()


def _said(process: subprocess.Popen[str], words: str) -> bool:
    """Read the log up to a line with these words (waits for it)."""
    assert process.stderr is not None
    return any(words in line for line in process.stderr)


GOOD = event("shelf_events", "S01", 0, 1)
BAD = {
    "no JSON": (b"hello", "is not JSON .* Found: 'hello'"),
    "cut off": (b'{"event_type":', "is not JSON"),
    "not UTF-8": (b'{"event_type":"\xff"}', "is not JSON"),
    "no object": (b"[1]", "not a JSON object"),
    "bottomless": (b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "nested too deeply"),
    "no event type": ({**GOOD, "event_type": None}, "event_type"),
    "unknown event type": ({**GOOD, "event_type": "teleport"}, "event_type is unknown. Found: 'teleport'"),
    "other stream's event": ({**GOOD, "event_type": "reading"}, "Send it to cold_chain"),
    "future version": ({**GOOD, "schema_version": 2}, "newer than this store understands .* Found: 2"),
    "missing field": ({name: GOOD[name] for name in GOOD if name != "shelf_id"}, "'shelf_id' is missing"),
    "wrong type": ({**GOOD, "quantity": "three"}, "'quantity' is wrong: expected int, got str. Found: 'three'"),
    "absurd quantity": ({**GOOD, "quantity": 10_001}, "'quantity' is absurd: .* Found: 10001"),
    "no units": ({**GOOD, "quantity": 0}, "'quantity' is wrong: .* Found: 0"),
    "no zone": ({**GOOD, "timestamp": "2026-01-01T07:00:00"}, "'timestamp' is wrong: .*timezone"),
    "no number": ({name: GOOD[name] for name in GOOD if name != "seq"}, "'seq' is missing. world:S01 must number"),
    "too large": ({**GOOD, "source": "vendor", "note": "x" * 950_000}, "too large.*Only the first 600000 of its"),
}


def test_each_bad_entry_becomes_a_dead_letter_with_its_reason_and_the_next_goes_on(store: BridgeStore) -> None:
    expected = {}
    for number, (name, (entry, reason)) in enumerate(BAD.items(), start=1):
        if isinstance(entry, dict) and entry["source"] != "vendor":
            entry = entry if "seq" not in entry else {**entry, "seq": 2 * number}
        expected[f"shelf_events/{store.add('shelf_events', entry)}"] = (name, reason)
        store.add("shelf_events", event("shelf_events", "S01", 0, 1, source="vendor", event_id=f"after {name}"))
    for field in ("key", "data"):
        entry_id = store.client.xadd("shelf_events", {field: "x"})
        missing = {"key": "data", "data": "key"}[field]
        expected[f"shelf_events/{entry_id.decode()}"] = (f"only {field}", f"no field '{missing}'. Found: {field}")
    with store.bridging():
        store.drained()
    letters = {letter["origin"]: letter for letter in store.letters()}
    assert list(letters) == list(expected)
    for origin, (name, reason) in expected.items():
        assert re.search(reason, letters[origin]["reason"]), f"{name}: {letters[origin]['reason']}"
    assert base64.b64decode(letters[next(iter(expected))]["raw"]) == b"hello"
    assert [one["event_id"] for one in store.events("shelf_events")] == [f"after {name}" for name in BAD]


def test_a_broken_mark_becomes_a_dead_letter_and_the_next_makes_its_tick(store: BridgeStore) -> None:
    broken = [b"no JSON", encode(_mark(store, streams={"shelf_events": "not an id"}))]
    origins = [f"{MARKS}/{store.add(MARKS, data)}" for data in (*broken, encode(_mark(store, epoch=store.epoch + 1)))]
    store.live(until=1)
    with store.bridging():
        store.drained()
    assert [letter["origin"] for letter in store.letters()] == origins
    store.assert_exactly_once()


def _mark(store: BridgeStore, **changes: object) -> Mark:
    mark = Mark(epoch=store.epoch, k_from=0, k=0, t=at(0), stores=STORES, streams={})
    return msgspec.structs.replace(mark, **changes)


def test_an_outside_event_is_taken_once_in_eight_days_also_across_a_kill(store: BridgeStore) -> None:
    outside = event("shelf_events", "S01", 0, 1, source="vendor")
    process = store.bridge()
    store.until_healthy(process)
    store.add("shelf_events", outside)
    store.add(MARKS, encode(_mark(store)))
    store.drained()
    kill(process)
    store.add("shelf_events", outside)
    nine_days = 9 * 24 * 60
    with store.bridging():
        store.drained()
        assert len(store.events("shelf_events")) == 1
        store.add(MARKS, encode(_mark(store, k_from=1, k=nine_days, t=at(nine_days))))
        store.drained()
        store.add("shelf_events", outside)
        store.drained()
    assert len(store.events("shelf_events")) == 2
    with store.bridging():
        store.add("shelf_events", outside)
        store.drained()
    assert len(store.events("shelf_events")) == 2


def test_the_first_tick_waits_for_the_configuration_and_names_it(store: BridgeStore) -> None:
    bootstrap = store.config.kafka_bootstrap
    # This test's policies have stores of their own: the configuration topics have no epoch.
    mine, other = f"A{store.epoch}", f"B{store.epoch}"
    rows = {mine: {"shelf_profiles": 1, "shelf_policies": 2}}
    writer = kafka.TransactionalWriter(bootstrap, "bridge-test")

    def write(topic: str, key: dict[str, str], value: dict[str, object] | None) -> None:
        data = None if value is None else msgspec.json.encode(value)
        writer.transaction(lambda into: into.produce(topic, data, msgspec.json.encode(key)))

    def policy(name: str, store_id: str | None) -> None:
        write("shelf_policies", {"policy_id": name}, {"policy_id": name, "store_id": store_id})

    with store.bridging():
        policy("own", mine)
        store.add(MARKS, encode(_mark(store, stores=(mine, other), rows=rows)))
        key = {"store_id": mine, "shelf_id": "X"}
        write("shelf_profiles", key, key)
        pause_before_kill(1)
        assert not store.ticks(mine), "one policy is missing"
        policy("for all", None)
        policy("for the other", other)
        eventually(lambda: store.ticks(mine) and store.ticks(other), "the ticks")
    offsets = {
        message.key(): message.offset()
        for topic in (ShelfProfile, ShelfPolicy)
        for message in kafka.read_all(bootstrap, "shelf_profiles" if topic is ShelfProfile else "shelf_policies")
    }
    [tick] = store.ticks(mine)
    assert tick.config["shelf_policies"] == {"0": offsets[b'{"policy_id":"for all"}']}
    assert tick.config["shelf_profiles"] == {"0": offsets[msgspec.json.encode(key)]}
    writer.close()


def test_a_dead_letter_is_mended_and_replayed_once_and_another_dropped(store: BridgeStore) -> None:
    bad = store.add("shelf_events", {**GOOD, "quantity": 99_999})
    worse = store.add("shelf_events", b"hello")
    unknown = {**event("wh_events", "S01", 0, 1), "shelf_id": "NOBODY0001"}
    by_a_stage = {"origin": "wh_events/0/17", "key": "k", "raw": base64.b64encode(encode(unknown)).decode()}
    with store.bridging():
        store.drained()
        letters = DeadLetters(store.client, store.config.kafka_bootstrap)
        writer = kafka.TransactionalWriter(store.config.kafka_bootstrap, "bridge-test")
        record = encode({**by_a_stage, "reason": "unknown shelf", "first_seen": at(0)})
        writer.transaction(lambda into: into.produce("dead_letters", record, "wh_events/0/17"))
        writer.close()
        letters.replay(letters.get(f"shelf_events/{bad}"), {"quantity": 3})
        letters.replay(letters.get("wh_events/0/17"), {"shelf_id": "SHELFX0001"})
        letters.drop(letters.get(f"shelf_events/{worse}"), "a test")
        store.drained()
        # A replay that was killed before its resolution was written finds the event already sent.
        stale = next(one for one in letters.all().values() if one.letter.origin == f"shelf_events/{bad}")
        again = letters.replay(type(stale)(stale.letter), {"quantity": 3})
        assert f"replayed as shelf_events/{again}" == stale.resolution.reason
        store.drained()
    [event_again] = store.events("shelf_events")
    assert (event_again["event_id"], event_again["quantity"]) == (GOOD["event_id"], 3)
    assert (event_again["source"], event_again["seq"]) == ("deadletters", 1)
    assert [one["shelf_id"] for one in store.events("wh_events")] == ["SHELFX0001"]
    mine = {f"shelf_events/{bad}", f"shelf_events/{worse}", "wh_events/0/17"}
    assert not mine & {letter.letter.origin for letter in letters.open()}


def test_an_edit_while_the_clock_is_paused_makes_an_extra_tick_with_the_same_cut(store: BridgeStore) -> None:
    writer = kafka.TransactionalWriter(store.config.kafka_bootstrap, "bridge-test")
    key, value = b'{"policy_id":"paused"}', b'{"policy_id":"paused","store_id":"S01"}'
    with store.bridging():
        store.live(until=2)
        store.drained()
        before = {name: store.ticks(name) for name in STORES}
        writer.transaction(lambda into: into.produce("shelf_policies", value, key))
        pause_before_kill(2)
        assert store.ticks("S01") == before["S01"], "the clock runs: the next tick will name the edit"
        store.client.set(TARGET, int(at(2).timestamp() * 1000))
        eventually(lambda: len(store.ticks("S01")) == 4, "the extra tick")
        store.client.set(TARGET, 10**15)
        store.live(until=3)
        store.drained()
    first, extra, last = store.ticks("S01")[-3:]
    assert [(tick.k, tick.n) for tick in (first, extra, last)] == [(2, 0), (2, 1), (3, 0)]
    assert extra.cut == first.cut
    assert extra.config == last.config != first.config
    assert [(tick.k, tick.n) for tick in store.ticks("S02")] == [(k, 0) for k in range(4)]
    writer.close()
