"""The producers process on a real Redis and Kafka, killed at random moments, against the same days lived in memory."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from data.build import Order, build
from producers import replay
from producers.service import Brake
from producers.truth import shelves_of_the_world
from smartshelf.contracts import events as e
from smartshelf.contracts import redis_keys as keys
from smartshelf.contracts.control import Done, Mark, Task
from smartshelf.contracts.stages import STAGES
from smartshelf.contracts.topics import STREAMS
from smartshelf.contracts.types import encode
from smartshelf.init import opening
from smartshelf.init.__main__ import ensure_topics
from smartshelf.io import redis_stream, step_save
from smartshelf.io.kafka import TransactionalWriter
from smartshelf.service import Service
from smartshelf.settings import CHECKOUT, Settings, load
from tests.integration.servers import Servers, eventually
from tests.memory import MemoryStore
from tests.worlds import START, STEP, fact

pytestmark = pytest.mark.servers

STORES = ("P01", "P02")
STEPS = 240
KILLS = 8
MARKS = msgspec.json.Decoder(Mark)


class Store:
    """A store of its own beside those of other tests: its own Redis database, its own store ids."""

    def __init__(self, servers: Servers, folder: Path, database: int, stores: tuple[str, ...]) -> None:
        base = servers.config.redis_url.rsplit("/", 1)[0]
        self.env = servers.env | {
            "SMARTSHELF_REDIS_URL": f"{base}/{database}",
            "SMARTSHELF_DATA": str(folder / "data"),
            "STORES": ",".join(stores),
        }
        self.config: Settings = load(self.env)
        self.redis = redis_stream.connect(self.config.redis_url)
        self.redis.flushdb()
        build(self.config.data_dir, Order(stores, 0.1, self.config.seed, self.config.sim_start))

    def open(self) -> int:
        return opening.publish_opening(self.config, self.redis, {store: {"shelf_profiles": 114} for store in STORES})

    def allow(self, until_ms: int) -> None:
        self.redis.set(keys.TARGET, until_ms)

    @property
    def step(self) -> int:
        return step_save.read_position(self.redis).step

    def log(self) -> dict[str, list[Any]]:
        """Facts by stream, without the wall clock; decoding checks the contract."""
        return {stream: [_bare(stream, entry[b"data"]) for _, entry in self._entries(stream)] for stream in STREAMS}

    def marked(self) -> list[int]:
        marks = [MARKS.decode(entry[b"data"]) for _, entry in self._entries(keys.MARKS)]
        return [k for mark in marks for k in range(mark.k_from, mark.k + 1)]

    def _entries(self, stream: str) -> list[Any]:
        return self.redis.xrange(stream)  # type: ignore[return-value]


def _bare(stream: str, data: bytes) -> Any:
    return msgspec.structs.replace(fact(stream, data), produced_at=None)


class Business(threading.Thread):
    """Stands in for the stages: answers every mark with done marks, and asks for a few tasks."""

    def __init__(self, store: Store, tasks: list[Task]) -> None:
        super().__init__(daemon=True)
        self._store, self._tasks, self._done = store, tasks, threading.Event()
        self._writer = TransactionalWriter(store.config.kafka_bootstrap, f"business-{STORES[0]}")

    def run(self) -> None:
        client, at = redis_stream.connect(self._store.config.redis_url), "0-0"
        while not self._done.is_set():
            found: Any = client.xrange(keys.MARKS, min=f"({at}", count=100)
            for entry_id, entry in found:
                self._answer(MARKS.decode(entry[b"data"]))
                at = entry_id.decode()
            time.sleep(0.002)

    def _answer(self, mark: Mark) -> None:
        def fill(writer: TransactionalWriter) -> None:
            for task in [task for task in self._tasks if mark.k_from <= task.step <= mark.k]:
                self._send(writer, task)
            for store in mark.stores:
                for stage in STAGES:
                    self._send(writer, Done(store_id=store, stage=stage, k=mark.k, epoch=1, offsets={}))

        self._writer.transaction(fill)

    @staticmethod
    def _send(writer: TransactionalWriter, message: Task | Done) -> None:
        partition = writer.partition_of("world_tasks", message.store_id)
        writer.produce("world_tasks", encode(message), message.store_id, partition)

    def stop(self) -> None:
        self._done.set()
        self.join()
        self._writer.close()


def _nudge(store: Store, chance: random.Random) -> step_save.Position:
    """Allow an odd piece more than what is lived: most kills come in the middle of a step."""
    at = step_save.read_position(store.redis)
    store.allow(min((at.t_ms or 0) + chance.randrange(1, 50_000), START + (STEPS - 1) * STEP))
    return at


def some_tasks(config: Settings) -> list[Task]:
    """Refills of the first lots in the backrooms, decided at different steps."""
    lots = [lot for lot in opening.read_lots(config.data_dir / "db_csv") if lot.location == "warehouse"]
    return [
        Task(
            task_id=f"refill-{number}",
            kind="refill",
            store_id=lot.store_id,
            step=5 * number,
            do_at=5 * number + 8,
            shelf_id=lot.shelf_id,
            batch_code=lot.lot.batch_code,
            quantity=3,
        )
        for number, lot in enumerate(lots[:20])
    ]


def in_memory(config: Settings, tasks: list[Task], steps: int) -> dict[str, list[Any]]:
    """The same steps lived in one process without servers: facts of the world by stream."""
    folder = config.data_dir / "db_csv"
    worlds = opening.opened_worlds(config, opening.read_profiles(folder), opening.read_lots(folder), config.sim_start)
    store = MemoryStore(START + steps * STEP)
    mark = Mark(epoch=1, k_from=0, k=0, t=config.sim_start, stores=tuple(worlds), streams={})
    changes = {keys.world(name): world.everything() for name, world in worlds.items()}
    store.save(epoch=1, step=-1, number=0, facts=[], changes=changes, until_ms=START, mark=mark)
    lived = store.worlds(START, STEP)
    lived.stages = ()
    for task in tasks:
        lived.hear(task)
    while lived.turn(store.target_ms):
        pass
    log: dict[str, list[Any]] = {stream: [] for stream in STREAMS}
    for stream, _, data in store.facts:
        log[stream].append(_bare(stream, data))
    return log


@contextmanager
def producers(store: Store) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "producers"], env=store.env, cwd=CHECKOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def store(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Store:
    ensure_topics(Service("init", servers.config))
    return Store(servers, tmp_path_factory.mktemp("producers"), 5, STORES)


def test_an_opening_that_was_killed_goes_on_without_repeating_a_fact(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "FACTS_PER_SAVE", 100)
    facts = len(opening.opening_facts(*_files(store.config), store.config.sim_start))
    saves = iter(range(3))

    def dies(*arguments: Any, **named: Any) -> str:
        if next(saves, None) is None:
            raise KeyboardInterrupt
        return step_save.save(*arguments, **named)

    monkeypatch.setattr(opening, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        store.open()
    assert (store.redis.xlen("shelf_events"), store.step) == (300, step_save.UNBORN)
    monkeypatch.setattr(opening, "save", step_save.save)
    assert store.open() == facts - 300
    assert store.open() == 0
    events = store.log()["shelf_events"]
    assert [event.seq for event in events] == list(range(1, facts + 1))
    assert store.marked() == [0]


def test_a_world_killed_at_random_moments_writes_the_log_of_an_undisturbed_one(store: Store) -> None:
    store.open()
    tasks = some_tasks(store.config)
    business = Business(store, tasks)
    business.start()
    chance = random.Random(5)
    inside = 0
    try:
        for _ in range(KILLS):
            with producers(store) as process:
                # Some saves later, whatever the speed of this machine.
                enough = step_save.read_position(store.redis).number + chance.randrange(8, 40)
                eventually(lambda: _nudge(store, chance).number >= enough, "the world to live on")  # noqa: B023
                time.sleep(chance.uniform(0.0, 0.02))
                process.kill()
                process.wait()
                inside += (step_save.read_position(store.redis).t_ms or 0) % STEP != 0
        with producers(store) as process:
            store.allow(START + STEPS * STEP)
            eventually(lambda: store.step == STEPS, "the world to live all steps")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    finally:
        business.stop()
    assert inside > KILLS / 2, "kills between steps prove little"
    expected = in_memory(store.config, tasks, STEPS)
    found = {stream: [event for event in log if event.source != "init"] for stream, log in store.log().items()}
    for stream in STREAMS:
        # Stores share a stream; order matters within one.
        for name in STORES:
            one, other = ([event for event in log[stream] if event.store_id == name] for log in (found, expected))
            assert one == other, (stream, name)
    assert store.marked() == list(range(STEPS + 1))


def test_the_truth_is_what_the_facts_add_up_to(store: Store) -> None:
    moved = {"refill": 1, "count": 1, "putback": 1, "pickup": -1}
    for name in STORES:
        stock: dict[str, int] = {}
        for event in store.log()["shelf_events"]:
            sign = moved.get(type(event).__struct_config__.tag, 0)
            if event.store_id == name and sign and getattr(event, "location", "store") == "store":
                stock[event.shelf_id] = stock.get(event.shelf_id, 0) + sign * event.quantity
        truth = shelves_of_the_world(store.redis, name)
        assert {shelf: found.on_shelf for shelf, found in truth.items()} == stock


def test_a_replayed_store_joins_a_running_process_and_stays_over_a_kill(store: Store, tmp_path: Path) -> None:
    store.open()
    lines = [
        "store_id,product_id,date,hour,units",
        *(f"9,{product},2024-03-28,{hour},4" for product in "ab" for hour in range(24)),
    ]
    path = tmp_path / "sales.csv"
    path.write_text("\n".join(lines))
    feed = replay.read_feed(path, replay.Reading(columns=replay.Columns(sales="units", hour="hour")))
    replay.check_free(store.redis, feed.stores)
    until = store.step + 90
    business = Business(store, [])
    business.start()
    try:
        with producers(store) as process:
            store.allow(START + until * STEP)
            replay.ask_to_join(store.redis, replay.make_bodies(feed, START, 1, {}))
            eventually(lambda: replay.have_joined(store.redis, feed.stores), "the store to be taken in")
            process.kill()
        with producers(store):
            store.allow(START + (until + 90) * STEP)
            eventually(lambda: store.step == until + 90, "the world to live on")
    finally:
        business.stop()
    assert store.redis.sismember(keys.STORES, "R9")
    sold = [event for event in store.log()["pos_transactions"] if event.store_id == "R9"]
    assert sum(receipt.total_items for receipt in sold) >= 8
    truth = shelves_of_the_world(store.redis, "R9")
    taken = sum(found.on_shelf + found.in_baskets for found in truth.values()) + sum(r.total_items for r in sold)
    counted = [event for event in store.log()["shelf_events"] if event.store_id == "R9" and isinstance(event, e.Count)]
    assert taken == sum(count.adjustment for count in counted)


class TestSave:
    """The script and its twin in memory mean the same."""

    @pytest.fixture(params=["redis", "memory"])
    def save(self, request: pytest.FixtureRequest, servers: Servers) -> Any:
        if request.param == "memory":
            memory = MemoryStore(START + 60_000)
            return memory.save
        client = redis_stream.connect(servers.config.redis_url.rsplit("/", 1)[0] + "/6")
        client.flushdb()
        client.set(keys.TARGET, START + 60_000)
        return lambda **named: step_save.save(client, **named)

    def test_an_opening_asks_no_clock_and_later_saves_do(self, save: Any) -> None:
        born: dict[str, Any] = {"epoch": 3, "facts": [], "changes": {}}
        assert save(step=-1, number=0, until_ms=START + 10**9, mark=None, **born) == "saved"
        assert save(step=-1, number=1, until_ms=START, mark=_mark(0), **born) == "saved"
        assert save(step=0, number=2, until_ms=START + 60_001, mark=None, **born) == "held"
        assert save(step=0, number=2, until_ms=START + 60_000, mark=_mark(1), **born) == "saved"

    def test_another_epoch_step_or_number_is_a_conflict(self, save: Any) -> None:
        asked: dict[str, Any] = {"facts": [], "changes": {}, "until_ms": START, "mark": None}
        assert save(epoch=3, step=-1, number=0, **asked) == "saved"
        for epoch, step, number in ((3, -1, 0), (4, -1, 1), (3, 0, 1), (3, -1, 2)):
            assert save(epoch=epoch, step=step, number=number, **asked) == "conflict"


def test_the_mark_names_the_last_id_of_every_stream_also_of_trimmed_ones(servers: Servers) -> None:
    client = _fresh(servers)
    asked: dict[str, Any] = {"epoch": 1, "step": -1, "changes": {}, "until_ms": START}
    step_save.save(client, number=0, facts=[("shelf_events", "S01", b"{}")] * 3, mark=None, **asked)
    last = redis_stream.last_generated_id(client, "shelf_events")
    client.xtrim("shelf_events", maxlen=0, approximate=False)
    step_save.save(client, number=1, facts=[("cold_chain", "S01", b"{}")], mark=_mark(0), **asked)
    mark = MARKS.decode(client.xrange(keys.MARKS)[0][1][b"data"])
    assert set(mark.streams) == set(STREAMS)
    assert mark.streams["shelf_events"] == last
    assert mark.streams["cold_chain"] == redis_stream.last_generated_id(client, "cold_chain")
    assert mark.streams["wh_events"] == "0-0"


def test_a_save_without_memory_writes_nothing_and_says_why(servers: Servers) -> None:
    client = _fresh(servers)
    limit = client.config_get("maxmemory")["maxmemory"]
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.ResponseError) as refused:
            step_save.save(
                client,
                epoch=1,
                step=-1,
                number=0,
                facts=[("cold_chain", "S01", b"{}")],
                changes={},
                until_ms=START,
                mark=None,
            )
        assert step_save.is_out_of_memory(refused.value)
    finally:
        client.config_set("maxmemory", limit)
    assert step_save.read_position(client).number == 0
    assert not client.exists("cold_chain")


def test_now_is_published_at_the_end_of_what_the_clock_allows(servers: Servers) -> None:
    client = _fresh(servers)
    asked: dict[str, Any] = {"epoch": 1, "facts": [], "changes": {}}
    step_save.save(client, step=-1, number=0, until_ms=START, mark=_mark(0), **asked)
    client.set(keys.TARGET, START + 90_000)
    step_save.save(client, step=0, number=1, until_ms=START + 60_000, mark=_mark(1), **asked)
    step_save.save(client, step=1, number=2, until_ms=START + 90_000, mark=None, **asked)
    assert client.get(keys.NOW) == b"2026-01-01T07:01:30Z"
    assert client.get(keys.TODAY) == b"2026-01-01"


def test_the_brake_stops_a_world_that_runs_away_from_the_bridge(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from producers import service as module

    client = _fresh(servers)
    for name, limit in (("SLOW_ABOVE", 2), ("STOP_ABOVE", 5), ("GO_ON_BELOW", 4), ("LOOK_EVERY", 0.0)):
        monkeypatch.setattr(module, name, limit)
    brake = Brake(Service("producers", servers.config), client)
    pauses = []
    for waiting in (0, 3, 6, 5, 4, 0):
        client.delete("cold_chain")
        for _ in range(waiting):
            client.xadd("cold_chain", {"key": "k", "data": "{}"})
        brake.pause()
        pauses.append((brake.pause() > 0 or brake.stopped, brake.stopped))
    assert pauses == [(False, False), (True, False), (True, True), (True, True), (True, False), (False, False)]


def _fresh(servers: Servers) -> redis.Redis:
    client = redis_stream.connect(servers.config.redis_url.rsplit("/", 1)[0] + "/6")
    client.flushdb()
    return client


def _mark(k: int) -> Mark:
    moment = load({}).sim_start
    return Mark(epoch=1, k_from=k, k=k, t=moment, stores=("S01",), streams={})


def _files(config: Settings) -> tuple[Any, Any]:
    folder = config.data_dir / "db_csv"
    return opening.read_profiles(folder), opening.read_lots(folder)
