"""The clock service on a real Redis, with a world that does nothing but live time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from simulated_time.clock import from_ms, to_ms
from simulated_time.store import Clock, Status
from smartshelf.contracts import redis_keys as keys
from smartshelf.contracts.control import Mark
from smartshelf.contracts.topics import STREAMS
from smartshelf.errors import BadInput, Unavailable
from smartshelf.io import redis_stream
from smartshelf.io.step_save import UNBORN, read_position, save
from smartshelf.settings import CHECKOUT
from tests.integration.servers import Servers, eventually, running

pytestmark = pytest.mark.servers

START = datetime(2026, 1, 1, 7, tzinfo=UTC)
STEP = timedelta(seconds=60)


class World(threading.Thread):
    """Lives whatever the clock allows, in pieces of at most ``piece_ms``, and marks every step."""

    def __init__(self, client: redis.Redis, piece_ms: int = 20_000, step_ms: int = 60_000) -> None:
        super().__init__(daemon=True)
        self.client, self.piece_ms, self.step_ms = client, piece_ms, step_ms
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            try:
                if not self.live():
                    time.sleep(0.005)
            except redis.RedisError:
                time.sleep(0.1)

    def live(self) -> bool:
        at, target = read_position(self.client), int(self.client.get(keys.TARGET) or 0)
        assert at.t_ms is not None
        ends = to_ms(START) + (at.step + 1) * self.step_ms
        until = min(at.t_ms + self.piece_ms, ends, target)
        if until <= at.t_ms:
            return False
        ended = mark(at.step + 1, until) if until == ends else None
        return save_time(self.client, at.step, at.number, until, ended) == "saved"


def mark(k: int, t_ms: int) -> Mark:
    return Mark(epoch=1, k_from=k, k=k, t=from_ms(t_ms), stores=("S01",), streams={})


def save_time(client: redis.Redis, step: int, number: int, until_ms: int, ended: Mark | None) -> str:
    return save(client, epoch=1, step=step, number=number, facts=(), changes={}, until_ms=until_ms, mark=ended)


class Store:
    """A store with a clock only: start and kill its clock service, look at its Redis."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.client = redis_stream.connect(servers.config.redis_url)
        self.clock = Clock(self.client)
        self.world: World | None = None
        self._services: list[subprocess.Popen[bytes]] = []

    def open(self, start: datetime = START) -> None:
        """What init does last: step 0."""
        self.client.sadd(keys.STORES, "S01")
        assert save_time(self.client, UNBORN, 0, to_ms(start), mark(0, to_ms(start))) == "saved"

    def live(self, **how: int) -> World:
        self.world = World(self.client, **how)
        self.world.start()
        return self.world

    def service(self, **environ: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "simulated_time"]
        with self._log().open("wb") as log:
            started = subprocess.Popen(command, env=self.servers.env | environ, cwd=CHECKOUT, stderr=log)
        self._services.append(started)
        return started

    def said(self, service: subprocess.Popen[bytes]) -> str:
        """Waits for the service's end and returns what it logged."""
        service.wait(timeout=20)
        return self._log(self._services.index(service)).read_text()

    def _log(self, number: int | None = None) -> Path:
        return self.servers.home / f"clock-{len(self._services) if number is None else number}.log"

    def running(self, **environ: str) -> subprocess.Popen[bytes]:
        """A clock service that has taken its lease and given a sign of life."""
        before = self.client.get(keys.LEASE)
        service = self.service(**environ)
        eventually(lambda: self.client.get(keys.LEASE) != before and self.alive(), "the clock service", timeout=20)
        return service

    def alive(self) -> bool:
        try:
            return self.clock.status().alive
        except Unavailable:
            return False

    def until(self, condition: Callable[[Status], bool], what: str, timeout: float = 20) -> Status:
        eventually(lambda: condition(self.clock.status()), what, timeout)
        return self.clock.status()

    def marks(self) -> list[dict]:
        return [json.loads(entry[1][b"data"]) for entry in self.client.xrange(keys.MARKS)]

    def close(self) -> None:
        if self.world:
            self.world.done.set()
            self.world.join()
        for service in self._services:
            service.kill()
            service.wait()
        self.client.close()


@pytest.fixture(scope="module")
def redis_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with running(tmp_path_factory.mktemp("clock"), "redis") as servers:
        yield servers


@pytest.fixture
def store(redis_only: Servers) -> Iterator[Store]:
    store = Store(redis_only)
    store.client.flushall()
    yield store
    store.close()


def is_step_end(moment: datetime) -> bool:
    return (moment - START) % STEP == timedelta(0)


def test_an_advance_stops_exactly_at_the_step_end_and_leaves_no_step_out(store):
    store.open()
    store.live()
    store.running()
    goal = store.clock.advance_to(START + timedelta(hours=2, seconds=1))
    assert goal == START + timedelta(hours=2, minutes=1)
    reached = store.clock.wait_until(goal, timeout=30)
    assert reached.now == goal
    paused = store.until(lambda status: status.paused, "the pause after the advance")
    assert (paused.now, paused.target, paused.state) == (goal, goal, "paused")
    assert [entry["k"] for entry in store.marks()] == list(range(122))
    assert store.client.get(keys.NOW) == b"2026-01-01T09:01:00Z"


def test_after_an_advance_the_speed_is_the_one_before(store):
    store.open()
    store.live()
    store.running(TIME_MULTIPLIER="600")
    store.clock.wait_until(store.clock.advance_to(START + timedelta(hours=1)), timeout=30)
    store.until(lambda status: status.paused, "the pause after the advance")
    store.clock.resume()
    status = store.until(lambda status: status.now > START + timedelta(hours=1), "time to go on")
    assert (status.mode, status.speed, status.state) == ("running", 600.0, "running")


def test_a_killed_clock_goes_on_from_what_it_published_and_keeps_the_speed_people_set(store):
    store.open()
    store.live()
    first = store.running(TIME_MULTIPLIER="60")
    store.clock.set_speed(120)
    store.clock.wait_until(START + timedelta(minutes=2), timeout=20)
    first.send_signal(signal.SIGKILL)
    first.wait()
    published = store.clock.target_ms()
    eventually(lambda: not store.alive(), "the clock's silence to be noticed", timeout=20)
    assert store.clock.target_ms() == published
    assert store.clock.status().state == "stopped"
    started = time.monotonic()
    store.running(TIME_MULTIPLIER="7")
    lived = store.clock.target_ms() - published
    assert store.clock.status().speed == 120
    assert lived <= 120_000 * (time.monotonic() - started)
    store.until(lambda status: to_ms(status.target) > published, "time to go on")


def test_a_second_service_takes_over_and_the_first_ends_with_3(store):
    store.open()
    store.live()
    first = store.running()
    second = store.running()
    said = store.said(first)
    assert first.returncode == 3
    assert "Another clock service has taken over" in said
    assert "Traceback" not in said
    at = store.clock.target_ms()
    store.until(lambda status: to_ms(status.target) > at, "the second to move the time")
    assert second.poll() is None


def test_a_stopped_service_ends_with_0(store):
    store.open()
    service = store.running()
    service.send_signal(signal.SIGTERM)
    assert service.wait(timeout=10) == 0


def test_a_hold_nobody_renews_ends_by_itself_and_a_renewed_one_does_not(store):
    store.open()
    store.live()
    store.running(TIME_MULTIPLIER="600")
    held_at = store.clock.hold("backup", "copying", lease_s=1.0)
    with store.clock.holding("audit", "counting", lease_s=1.0) as unbroken:
        store.until(lambda status: [hold.name for hold in status.holds] == ["audit"], "the backup's lease to run out")
        renewed_for = time.monotonic() + 2.5
        while time.monotonic() < renewed_for:
            assert store.clock.target_ms() == to_ms(held_at)
            time.sleep(0.05)
        assert unbroken()
    store.until(lambda status: status.now > held_at, "time to go on after the audit")
    assert store.clock.status().holds == ()


def test_a_lost_hold_says_so_when_it_is_renewed(store):
    store.open()
    store.running()
    store.clock.hold("backup", "copying", lease_s=0.5)
    store.until(lambda status: not status.holds, "the lease to run out")
    with pytest.raises(Unavailable, match="lost"):
        store.clock.renew("backup", "copying", 0.5)


def test_two_commands_cannot_hold_under_one_name_and_one_cannot_release_the_others(store):
    store.open()
    store.running()
    other = Clock(store.client)
    store.clock.hold("audit", "first", lease_s=30)
    with pytest.raises(Unavailable, match="Another 'audit' holds the clock"):
        other.hold("audit", "second", lease_s=30)
    other.release("audit")
    assert [hold.why for hold in store.clock.status().holds] == ["first"]


def test_resume_ends_the_pause_but_not_the_hold_of_a_command(store):
    store.open()
    store.running()
    store.clock.hold("audit", "counting", lease_s=30)
    store.clock.pause()
    store.clock.resume()
    status = store.clock.status()
    assert [hold.name for hold in status.holds] == ["audit"]
    assert (status.state, status.target) == ("held", START)


@pytest.mark.parametrize("order", ["speed", "auto"])
def test_a_hold_stops_the_world_at_the_end_of_its_step_at_any_moment(store, order):
    store.open()
    store.live(piece_ms=7_000)
    store.running()
    store.clock.set_speed(6_000) if order == "speed" else store.clock.auto()
    holder = Clock(store.client)
    for round_ in range(15):
        time.sleep(0.01 * round_)
        held_at = holder.hold("audit", "counting", lease_s=30)
        assert is_step_end(held_at)
        reached = store.clock.wait_until(held_at, timeout=10)
        assert (reached.now, reached.target) == (held_at, held_at)
        time.sleep(0.12)
        assert store.clock.status().now == held_at
        holder.release("audit")
        store.until(lambda status, held_at=held_at: status.now > held_at, "time to go on")


def test_a_slow_step_is_finished_at_once_when_the_clock_is_paused(store):
    store.open()
    store.live(piece_ms=500)
    store.running(TIME_MULTIPLIER="1")
    store.clock.wait_until(START + timedelta(seconds=1), timeout=20)
    held_at = store.clock.pause()
    assert held_at == START + STEP
    assert store.clock.wait_until(held_at, timeout=5).now == held_at


def test_from_auto_to_a_speed_the_world_stops_running_away(store):
    store.open()
    store.live()
    store.running(TIME_MULTIPLIER="auto")
    store.clock.wait_until(START + timedelta(hours=1), timeout=20)
    store.clock.set_speed(1)
    status = store.clock.status()
    assert status.target - status.now <= STEP


def test_the_time_goes_on_after_redis_was_killed(store):
    store.open()
    store.live()
    service = store.running(TIME_MULTIPLIER="600")
    store.clock.wait_until(START + timedelta(minutes=5), timeout=20)
    store.servers.kill("redis")
    eventually(store.alive, "the clock to answer again", timeout=30)
    before = store.clock.now()
    store.until(lambda status: status.now > before + timedelta(minutes=5), "time to go on", timeout=30)
    assert service.poll() is None
    steps = [entry["k"] for entry in store.marks()]
    assert steps == list(range(len(steps)))


def test_the_simulation_ends_with_a_pause_that_says_so(store):
    store.open()
    store.live(step_ms=3_600_000, piece_ms=3_600_000)
    service = store.running(SIM_DAYS="1", STEP_SECONDS="3600", TIME_MULTIPLIER="auto")
    end = START + timedelta(days=1)
    status = store.until(lambda status: status.state == "ended", "the end")
    assert (status.now, status.target) == (end, end)
    store.until(lambda status: status.paused, "the pause at the end")
    with pytest.raises(BadInput, match="come to its end"):
        store.clock.resume()
    with pytest.raises(BadInput, match="come to its end"):
        store.clock.auto()
    service.send_signal(signal.SIGTERM)
    assert "paused at 2026-01-02T07:00:00Z: the end of the simulation" in store.said(service)


def test_more_days_let_an_ended_simulation_go_on(store):
    store.open()
    store.live(step_ms=3_600_000, piece_ms=3_600_000)
    store.running(SIM_DAYS="1", STEP_SECONDS="3600", TIME_MULTIPLIER="auto")
    store.until(lambda status: status.paused, "the pause at the end")
    store.running(SIM_DAYS="2", STEP_SECONDS="3600")
    store.clock.resume()
    store.clock.wait_until(START + timedelta(days=2), timeout=20)


@pytest.mark.parametrize(
    ("name", "value"), [("SIM_START", "2026-01-02T07:00:00Z"), ("STEP_SECONDS", "30"), ("USE_SIMULATED_TIME", "0")]
)
def test_what_is_fixed_until_reset_is_refused_in_a_sentence(store, name, value):
    store.open()
    store.running().kill()
    service = store.service(**{name: value})
    said = store.said(service)
    assert service.returncode == 2
    assert f"{name} is fixed until `smartshelf reset`" in said
    assert "Traceback" not in said


def test_the_clock_is_not_set_back(store):
    store.open()
    store.live()
    store.running(TIME_MULTIPLIER="6000")
    store.clock.wait_until(START + timedelta(minutes=10), timeout=20)
    with pytest.raises(BadInput, match="cannot be set back"):
        store.clock.advance_to(START + timedelta(minutes=5))
    with pytest.raises(BadInput, match="The simulation ends at 2027-01-01T07:00:00Z"):
        store.clock.advance_to(START + timedelta(days=400))


def test_waiting_in_vain_says_where_the_store_stands(store):
    store.open()
    store.running()
    with pytest.raises(Unavailable, match=r"did not reach 2026-01-01T08:00:00Z within 0.3 s: it stands at .*07:00:00Z"):
        store.clock.wait_until(START + timedelta(hours=1), timeout=0.3)


def test_on_a_real_feed_the_clock_marks_the_steps_and_names_what_has_arrived(store):
    store.open()
    service = store.running(SMARTSHELF_WORLD="feed", TIME_MULTIPLIER="600")
    stream = next(iter(STREAMS))
    arrived = store.client.xadd(stream, {"key": "S01", "data": "{}"}).decode()
    eventually(lambda: store.marks()[-1]["streams"].get(stream) == arrived, "a mark that names the fact", timeout=20)
    store.clock.wait_until(START + timedelta(minutes=10), timeout=20)
    for wish in (store.clock.auto, lambda: store.clock.advance_to(START + timedelta(days=1))):
        with pytest.raises(BadInput, match="real feed"):
            wish()
    held_at = store.clock.pause()
    eventually(lambda: store.marks()[-1]["t"] == held_at.strftime("%Y-%m-%dT%H:%M:%SZ"), "the last mark", timeout=5)
    service.kill()
    store.running(SMARTSHELF_WORLD="feed")
    store.clock.set_speed(600)
    store.clock.wait_until(held_at + timedelta(minutes=10), timeout=20)
    marks = store.marks()
    assert [after["k_from"] for after in marks[1:]] == [before["k"] + 1 for before in marks[:-1]]
    assert all(entry["stores"] == ["S01"] for entry in marks)


def test_without_simulated_time_the_target_is_the_wall_clock(store):
    opened = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=3)
    store.open(opened)
    store.running(USE_SIMULATED_TIME="0", SMARTSHELF_WORLD="feed")
    status = store.until(lambda status: status.now > opened + 3 * STEP, "the present")
    assert (status.sim_start, status.sim_end) == (opened, None)
    assert abs(datetime.now(UTC) - status.target) < timedelta(seconds=2)
    with pytest.raises(BadInput, match="wall clock"):
        store.clock.set_speed(60)


def test_orders_from_many_sides_at_once_leave_the_last_one_in_force(store):
    store.open()
    store.live()
    store.running()
    threads = [threading.Thread(target=Clock(store.client).set_speed, args=(speed,)) for speed in range(1, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.clock.set_speed(600)
    begun = store.clock.now()
    store.clock.wait_until(begun + timedelta(minutes=10), timeout=20)
    assert store.clock.status().speed == 600


def test_a_clock_that_was_never_started_says_so(store):
    for wish in (store.clock.status, store.clock.pause, store.clock.resume, store.clock.auto):
        with pytest.raises(Unavailable, match="never been started"):
            wish()
