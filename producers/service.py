"""The producers process: lives the worlds of all stores as fast as the clock and the business allow."""

from __future__ import annotations

import time
from collections.abc import Sequence

import redis

from producers.tasks import TaskReader
from producers.truth import fields
from producers.worlds import JOINING, Worlds, decode, open_worlds
from smartshelf.contracts import redis_keys as keys
from smartshelf.contracts.control import Mark
from smartshelf.contracts.topics import STREAMS
from smartshelf.errors import SettingError, SmartShelfError
from smartshelf.io import redis_stream, step_save
from smartshelf.io.step_save import Changes, Fact, Outcome, Position
from smartshelf.service import Service, Stopped
from smartshelf.settings import Settings

#: Entries that wait in Redis for the bridge: above the first the world slows down, above the second it stops.
SLOW_ABOVE, STOP_ABOVE = 200_000, 500_000
#: A stopped world goes on below this.
GO_ON_BELOW = 400_000
#: How often to look at the streams' lengths and for new stores, real seconds.
LOOK_EVERY = 0.5
#: Between two releases of facts while a step is running, real seconds; and when several steps pass in that time.
SLICE, FAST_SLICE = 0.2, 0.05
#: Longest wait for a done mark before looking at the clock again, real seconds.
PATIENCE = 0.2
#: Redis, once known, may be away this long (real seconds) before the process gives up.
REDIS_AWAY = 3_600.0


class RedisSaver:
    """The save that knows what to do when Redis is full or away; never writes anything twice."""

    def __init__(self, service: Service, client: redis.Redis) -> None:
        self._service, self._client = service, client

    def __call__(
        self,
        *,
        epoch: int,
        step: int,
        number: int,
        facts: Sequence[Fact],
        changes: Changes,
        until_ms: int,
        mark: Mark | None,
    ) -> Outcome:
        after = Position(epoch, mark.k if mark else step, number + 1, until_ms)
        while True:
            try:
                return step_save.save(
                    self._client,
                    epoch=epoch,
                    step=step,
                    number=number,
                    facts=facts,
                    changes=changes,
                    until_ms=until_ms,
                    mark=mark,
                )
            except (redis.ConnectionError, redis.TimeoutError) as lost:
                self._service.log.warning("Redis: %s", lost)
                found = self._position()
                if found == after:
                    return "saved"
                if found[:3] != (epoch, step, number):
                    return "conflict"
            except redis.ResponseError as refused:
                if not step_save.is_out_of_memory(refused):
                    raise
                self._wait_for_room()

    def _position(self) -> Position:
        """Where Redis stands, once it answers again."""
        self._service.wait_for("Redis", lambda: redis_stream.ping(self._client), timeout=REDIS_AWAY)
        return step_save.read_position(self._client)

    def _wait_for_room(self) -> None:
        self._service.log.warning("Redis has no memory left; waiting for the bridge to forward")
        self._service.beat()
        self._service.sleep(1.0)
        if self._service.stopping:
            raise Stopped(0)


class Brake:
    """Keeps the world from running away from the bridge."""

    def __init__(self, service: Service, client: redis.Redis) -> None:
        self._service, self._client = service, client
        self._looked, self._waiting, self.stopped = 0.0, 0, False

    def pause(self) -> float:
        """Real seconds to wait before the next turn; 0 when the bridge keeps up."""
        now = time.monotonic()
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._look()
        if self.stopped:
            return LOOK_EVERY
        return 0.05 if self._waiting > SLOW_ABOVE else 0.0

    def _look(self) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for stream in STREAMS:
            pipeline.xlen(stream)
        self._waiting = sum(pipeline.execute())
        stop = self._waiting > (GO_ON_BELOW if self.stopped else STOP_ABOVE)
        if stop != self.stopped:
            said = "stopped: %d entries wait for the bridge" if stop else "going on: %d entries wait for the bridge"
            self._service.log.warning(said, self._waiting)
        self.stopped = stop


def open_from_redis(client: redis.Redis, service: Service) -> Worlds:
    """The worlds as they were saved last. Raises SettingError when the time line is another one."""
    shared = fields(client, keys.WORLD)
    start_ms, step_ms = int(shared["start_ms"]), int(shared["step_ms"])
    _same_time_line(service.settings, start_ms, step_ms)
    stores = decode(shared["stores"])
    client.sadd(keys.STORES, *stores)
    hashes = {store: fields(client, keys.world(store)) for store in stores}
    position = step_save.read_position(client)
    return open_worlds(start_ms, step_ms, position, shared, hashes, RedisSaver(service, client))


def live(service: Service) -> None:
    """Until asked to stop. Raises Fenced when somebody else lives this store's time."""
    config = service.settings
    if config.world == "feed":
        raise SmartShelfError("This store runs on a real feed and has no world", remedy="Stop the service producers.")
    client = redis_stream.connect(config.redis_url)
    service.wait_for("Redis", lambda: redis_stream.ping(client))
    service.wait_for("init to open the store", lambda: step_save.read_position(client).step > step_save.UNBORN or None)
    worlds = open_from_redis(client, service)
    tasks = service.wait_for("Kafka", lambda: TaskReader(config.kafka_bootstrap, worlds.offsets))
    service.log.info("%s at step %d", ", ".join(sorted(worlds.worlds)), worlds.position.step)
    try:
        Loop(service, client, worlds, tasks).run()
    finally:
        tasks.close()


class Loop:
    """One turn: hear the business, look at the clock, live as far as both allow."""

    def __init__(self, service: Service, client: redis.Redis, worlds: Worlds, tasks: TaskReader) -> None:
        self._service, self._client, self._worlds, self._tasks = service, client, worlds, tasks
        self._brake = Brake(service, client)
        self._looked = 0.0
        self._step = worlds.position.step

    def run(self) -> None:
        while not self._service.stopping:
            self._service.beat()
            try:
                self._turn()
            except (redis.ConnectionError, redis.TimeoutError) as lost:
                self._service.log.warning("Redis: %s", lost)
                self._service.wait_for("Redis", lambda: redis_stream.ping(self._client), timeout=REDIS_AWAY)

    def _turn(self) -> None:
        if pause := self._brake.pause():
            self._service.sleep(pause)
        self._hear(0.0)
        self._look_around()
        target = int(self._client.get(keys.TARGET) or 0)
        moved = self._worlds.turn(target)
        if moved and self._worlds.running is None:
            return
        if (self._worlds.position.t_ms or 0) >= target:
            passed, self._step = self._worlds.position.step - self._step, self._worlds.position.step
            self._service.sleep(FAST_SLICE if passed > 1 else SLICE)
        else:
            self._hear(PATIENCE)

    def _hear(self, timeout: float) -> None:
        for heard in self._tasks.poll(timeout):
            self._worlds.hear(heard.message, heard.partition, heard.offset)

    def _look_around(self) -> None:
        """Scenarios that were switched, and stores that `smartshelf replay` has prepared; between two steps."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY or self._worlds.running is not None:
            return
        wanted = fields(self._client, keys.SCENARIOS)
        if self._worlds.switch(wanted.keys()):
            self._service.log.info(
                "scenarios from step %d on: %s", self._worlds.position.step + 1, ", ".join(wanted) or "none"
            )
        newcomers = fields(self._client, JOINING)
        if not newcomers:
            self._looked = now
        elif taken := self._worlds.join(newcomers):
            self._client.sadd(keys.STORES, *taken)
            self._service.log.info("%s from step %d on", ", ".join(taken), self._worlds.position.step + 1)


def _same_time_line(config: Settings, start_ms: int, step_ms: int) -> None:
    if config.step_seconds * 1000 != step_ms:
        raise SettingError(
            "STEP_SECONDS is fixed until reset",
            value=config.step_seconds,
            remedy=f"Set it to {step_ms // 1000}, or run `smartshelf reset`.",
        )
    if config.use_simulated_time and int(config.sim_start.timestamp() * 1000) != start_ms:
        raise SettingError(
            "SIM_START is fixed until reset",
            value=config.sim_start.isoformat(),
            remedy="Set it back, or run `smartshelf reset`.",
        )
