"""A small store for tests of the world: a few crowded shelves, so that they run empty and lots mix."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import msgspec
from msgspec.structs import replace

from producers import body as bodies
from producers.body import Body, ZoneBody
from producers.shelf import Lot, put
from producers.world import World, moment
from producers.worlds import Worlds
from smartshelf.contracts import redis_keys as keys
from smartshelf.contracts.control import Done, Mark, Task
from smartshelf.contracts.events import Event
from smartshelf.contracts.rows import ShelfProfile
from smartshelf.contracts.stages import STAGES
from smartshelf.contracts.topics import STREAMS
from tests.memory import MemoryStore

#: 2026-01-01T07:00:00Z, a Thursday.
START = 1_767_250_800_000
STEP = 60_000
STORE = "S01"
DAY_STEPS = 1_440


def profile(number: int, store: str = STORE) -> ShelfProfile:
    shelf_id = f"TESTEN{number:04d}"
    return ShelfProfile(
        store_id=store,
        shelf_id=shelf_id,
        product_id=f"P-{shelf_id}",
        item_name=f"Thing {number}",
        category="THINGS" if number % 2 else "STUFF",
        subcategory="any",
        aisle=1 + number // 10,
        storage_zone="ambient",
        zone_id="Z-AMBIENT",
        item_weight=100.0 + number,
        item_price=1.0 + number / 10,
        item_cost=0.5,
        supplier_id="SUP",
        maximum_stock=60,
        warehouse_capacity=100,
        standard_batch_size=10,
        shelf_life_days=10,
        item_visibility=0.1,
    )


def small_body(seed: int = 1, *, shelves: int = 25, visits: float = 250.0, store: str = STORE) -> Body:
    body = bodies.simulated(
        store,
        seed,
        [profile(number, store) for number in range(shelves)],
        popularity={"THINGS": 70.0, "STUFF": 30.0},
        zones=[ZoneBody("Z-AMBIENT", 20.0, 18.0), ZoneBody("Z-COLD", 4.0, 6.0)],
        weekly={"2025-12-29": {"TESTEN0001": 0.25}},
        opens=date(2026, 1, 1),
    )
    return replace(body, visits_a_day=visits)


def small_world(body: Body) -> World:
    """With two lots of 25 and 15 units on each shelf and one of 30 in the backroom."""
    world = World(body, START, STEP)
    for shelf_body in body.shelves:
        shelf = world.shelf(shelf_body.shelf_id)
        put(shelf.lots, Lot(f"{shelf_body.shelf_id}-A", "2025-12-29", "2026-01-05", 25))
        put(shelf.lots, Lot(f"{shelf_body.shelf_id}-B", "2025-12-31", "2026-01-08", 15))
        put(shelf.backroom, Lot(f"{shelf_body.shelf_id}-C", "2025-12-31", "2026-01-09", 30))
        shelf.received = 70
    return world


def opened(*given: Body) -> MemoryStore:
    """A store after its opening, the clock still at T(0)."""
    store = MemoryStore(START)
    worlds = {body.store_id: small_world(body) for body in given or (small_body(),)}
    mark = Mark(epoch=1, k_from=0, k=0, t=moment(START), stores=tuple(worlds), streams={})
    changes = {keys.world(name): world.everything() for name, world in worlds.items()}
    assert store.save(epoch=1, step=-1, number=0, facts=[], changes=changes, until_ms=START, mark=mark) == "saved"
    return store


def tasks_of_the_day() -> list[Task]:
    """One of each kind; the first is asked for twice, one names a lot that is not there."""
    refill = Task(
        task_id="t-refill",
        kind="refill",
        store_id=STORE,
        step=10,
        do_at=120,
        shelf_id="TESTEN0001",
        batch_code="TESTEN0001-C",
        quantity=20,
        plan_id="plan-1",
    )
    return [
        refill,
        refill,
        replace(refill, task_id="t-ghost", do_at=121, batch_code="nowhere"),
        replace(
            refill,
            task_id="t-remove",
            kind="remove",
            do_at=200,
            shelf_id="TESTEN0002",
            batch_code="TESTEN0002-A",
            quantity=40,
        ),
        replace(
            refill,
            task_id="t-order",
            kind="order",
            do_at=300,
            batch_code="TESTEN0003-N",
            shelf_id="TESTEN0003",
            plan_id="o-1",
        ),
        replace(refill, task_id="t-price", kind="price", do_at=180, batch_code=None, discount=0.4),
    ]


def hear_done(worlds: Worlds, k: int | None = None) -> None:
    """Every stage of every store has decided all steps so far."""
    for store in worlds.worlds:
        for stage in STAGES:
            done = worlds.position.step if k is None else k
            worlds.hear(Done(store_id=store, stage=stage, k=done, epoch=1, offsets={}))


def lived(store: MemoryStore, until_step: int, *, slices: Iterable[int] = (), tasks: Iterable[Task] = ()) -> Worlds:
    """Live to the end of a step; the clock stops at each of ``slices`` (simulated ms after the start) on the way."""
    worlds = store.worlds(START, STEP)
    for task in tasks:
        worlds.hear(task)
    for target in [*(START + at for at in sorted(slices)), START + until_step * STEP]:
        store.target_ms = max(store.target_ms, target)
        hear_done(worlds)
        while worlds.turn(store.target_ms):
            hear_done(worlds)
    return worlds


def log_of(store: MemoryStore) -> list[tuple[str, str, Event]]:
    """Everything that was sent, without the wall clock."""
    return [(stream, key, replace(fact(stream, data), produced_at=None)) for stream, key, data in store.facts]


def fact(stream: str, data: bytes) -> Event:
    """Decoded by the contract: raises when the world breaks it."""
    decoded: Event = STREAMS[stream].decoder.decode(data)
    return decoded


def facts_of(store: MemoryStore, kind: type[Event]) -> list[Event]:
    return [event for _, _, event in log_of(store) if isinstance(event, kind)]


def same_state(one: MemoryStore, other: MemoryStore) -> bool:
    return msgspec.json.encode(one.hashes, order="sorted") == msgspec.json.encode(other.hashes, order="sorted")
