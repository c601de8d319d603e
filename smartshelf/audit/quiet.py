"""Bringing a running store to rest: hold the clock, then wait hop by hop.

Hops: world at T(K) -> bridge's tick K -> every stage's step K -> raw archive at the tick's cut -> mirrors
at the rows the stages have sent. A hop that does not arrive in time is named.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import redis

from smartshelf.audit import sources
from smartshelf.audit.books import Key, Rows
from smartshelf.audit.cut import Cut, read_cut
from smartshelf.contracts import redis_keys as keys
from smartshelf.contracts.tables import Table
from smartshelf.errors import SmartShelfError
from smartshelf.io import delta, job_progress, redis_stream
from smartshelf.io.step_save import read_position
from smartshelf.settings import Settings


class NotQuiet(SmartShelfError):
    """The store did not come to rest, or did not stay so."""


def wait_until_quiet(config: Settings, client: redis.Redis, timeout: float) -> Cut:
    """Wait for each hop in the order of the flow and return the cut at which everything rests.

    Raises NotQuiet naming the hop that did not arrive within ``timeout`` real seconds in all.
    """
    deadline = time.monotonic() + timeout

    def wait(hop: str, arrived: Callable[[], bool]) -> None:
        while not arrived():
            if time.monotonic() > deadline:
                raise NotQuiet(
                    f"The store did not come to rest within {timeout:.0f} s: {hop} did not arrive",
                    remedy="See `smartshelf status`; a larger --timeout helps a busy machine.",
                )
            time.sleep(0.1)

    wait("the world at the end of its step", lambda: _world_rests(client))
    step = read_position(client).step
    wait(f"the bridge's tick of step {step}", lambda: read_cut(config.kafka_bootstrap).step >= step)
    cut = read_cut(config.kafka_bootstrap)
    wait(f"step {step} of the Spark stages", lambda: stages_at(config, cut))
    wait("the raw archive in Delta", lambda: archive_has(config, cut))
    for table in sources.MIRRORED:
        rows = sources.rows_in_kafka(config, table)
        if table.delta:
            wait(f"{table.delta} in Delta", partial(_has_arrived, rows, sources.rows_in_delta, config, table))
        wait(f"{table.full_name} in Postgres", partial(_has_arrived, rows, sources.rows_in_postgres, config, table))
    for table in sources.RECORDED:
        ids = sources.ids_in_kafka(config, table)
        wait(f"{table.full_name} in Postgres", partial(_are_recorded, ids, config, table))
    return cut


def _are_recorded(ids: set[str], config: Settings, table: Table) -> bool:
    return ids <= sources.ids_in_postgres(config, table)


def _has_arrived(rows: Rows, read: Callable[[Settings, Table], Rows], config: Settings, table: Table) -> bool:
    return not rows_behind(rows, read(config, table))


def _world_rests(client: redis.Redis) -> bool:
    target, position = client.get(keys.TARGET), read_position(client)
    return target is not None and position.t_ms is not None and position.t_ms >= int(target)


def stages_at(config: Settings, cut: Cut) -> bool:
    """Whether every configured stage has sent its effects up to the cut's step."""
    steps = job_progress.reached(job_progress.read(config.kafka_bootstrap).values())
    return all(steps.get(store, -1) >= tick.k for store, tick in cut.ticks.items())


def archive_has(config: Settings, cut: Cut) -> bool:
    """Whether the raw tables hold every fact of the cut."""
    for name in sources.BOOKED:
        reached = delta.max_offsets(config.delta_root / "raw" / name).get(name, {})
        for tick in cut.ticks.values():
            if any(reached.get(part, -1) < offset for part, offset in tick.cut.get(name, {}).items()):
                return False
    return True


def rows_behind(rows: Rows, mirror: Rows) -> set[Key]:
    """Rows that a mirror does not have yet, or only an older version of."""
    return {
        key
        for key, row in rows.items()
        if key not in mirror or sources.version_of(mirror[key]) < sources.version_of(row)
    }


def connect(config: Settings) -> redis.Redis:
    """Redis, or Unavailable with a sentence."""
    client = redis_stream.connect(config.redis_url)
    redis_stream.ping(client)
    return client
