"""What holds for every seed, every slicing of time and every moment of a kill."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.scenarios import SCENARIOS
from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import Place
from smartshelf.domain.ledger import movements
from tests.memory import MemoryStore
from tests.worlds import (
    DAY_STEPS,
    START,
    STEP,
    hear_done,
    lived,
    log_of,
    opened,
    same_state,
    small_body,
    tasks_of_the_day,
)

SEEDS = st.integers(0, 2**63 - 1)
A_MORNING = 240
INSTANTS = st.lists(st.integers(1, A_MORNING * STEP - 1), max_size=25)
few = settings(max_examples=15, deadline=None)


@few
@given(SEEDS)
def test_units_are_conserved_and_never_negative(seed: int) -> None:
    store = opened(small_body(seed))
    world = lived(store, A_MORNING, tasks=tasks_of_the_day()).worlds["S01"]
    baskets = Counter[int]()
    for item in world.baskets():
        baskets[item.shelf] += item.quantity
    for index, shelf in enumerate(world.shelves):
        assert shelf.received == shelf.stock + shelf.in_backroom + baskets[index] + shelf.sold + shelf.wasted
        assert all(lot.quantity > 0 for lot in (*shelf.lots, *shelf.backroom))


@few
@given(SEEDS)
def test_the_facts_tell_what_physically_happened(seed: int) -> None:
    store = opened(small_body(seed))
    world = lived(store, A_MORNING, tasks=tasks_of_the_day()).worlds["S01"]
    balance = Counter[tuple[str, Place]]()
    for _, _, event in log_of(store):
        for move in movements(event):
            balance[move.shelf_id, move.origin] -= move.quantity
            balance[move.shelf_id, move.destination] += move.quantity
    for shelf in world.body.shelves:
        assert world.shelf(shelf.shelf_id).stock == 40 + balance[shelf.shelf_id, Place.SHELF]
        assert world.shelf(shelf.shelf_id).sold == balance[shelf.shelf_id, Place.SOLD]


@few
@given(SEEDS)
def test_nobody_pays_for_what_was_not_taken(seed: int) -> None:
    store = opened(small_body(seed))
    lived(store, A_MORNING)
    basket = Counter[tuple[str, str]]()
    for _, _, event in log_of(store):
        if isinstance(event, e.Pickup):
            basket[event.customer_id, event.shelf_id] += event.quantity
        elif isinstance(event, e.Putback):
            basket[event.customer_id, event.shelf_id] -= event.quantity
        elif isinstance(event, e.PosTransaction):
            for line in event.items:
                basket[event.customer_id, line.shelf_id] -= line.quantity
        assert min(basket.values(), default=0) >= 0
    inside = {event.customer_id for _, _, event in log_of(store) if isinstance(event, e.FootTraffic)}
    assert not [who for (who, _), units in basket.items() if units and who in inside], "left without paying"


@few
@given(SEEDS)
def test_facts_come_in_time_order_with_contiguous_numbers(seed: int) -> None:
    store = opened(small_body(seed), small_body(seed, store="S02", shelves=5))
    lived(store, A_MORNING)
    last: dict[tuple[str, str], int] = {}
    previous = None
    for stream, _, event in log_of(store):
        assert previous is None or event.timestamp >= previous
        previous = event.timestamp
        assert event.seq == last.get((event.source, stream), 0) + 1
        last[event.source, stream] = event.seq


@few
@given(SEEDS)
def test_the_same_seed_is_the_same_day_byte_for_byte(seed: int) -> None:
    once, again = opened(small_body(seed)), opened(small_body(seed))
    for store in (once, again):
        lived(store, A_MORNING)
    assert log_of(once) == log_of(again)
    assert same_state(once, again)


@few
@given(SEEDS, INSTANTS)
def test_the_clocks_slices_do_not_change_what_happens(seed: int, instants: list[int]) -> None:
    smooth, sliced = opened(small_body(seed)), opened(small_body(seed))
    lived(smooth, A_MORNING, tasks=tasks_of_the_day())
    lived(sliced, A_MORNING, tasks=tasks_of_the_day(), slices=instants)
    assert log_of(smooth) == log_of(sliced)
    assert same_state_of_store(smooth, sliced)


@few
@given(SEEDS, INSTANTS)
def test_a_world_killed_at_any_moment_goes_on_with_the_very_same_events(seed: int, instants: list[int]) -> None:
    smooth, killed = opened(small_body(seed)), opened(small_body(seed))
    lived(smooth, A_MORNING, tasks=tasks_of_the_day())
    lived(killed, 1, tasks=tasks_of_the_day())  # heard before the first kill, kept by the save
    for at in sorted(instants):
        lived(killed, 0, slices=[at])  # a new process each time: nothing but the saved state survives
    lived(killed, A_MORNING)
    assert log_of(smooth) == log_of(killed)
    assert same_state_of_store(smooth, killed)


SWITCHES = st.dictionaries(st.integers(1, A_MORNING - 1), st.sets(st.sampled_from(sorted(SCENARIOS))), max_size=4)


def switched_morning(seed: int, switches: dict[int, set[str]], instants: list[int]) -> MemoryStore:
    """A morning in which just those scenarios are on after those steps; killed at each of the instants."""
    store = opened(small_body(seed))
    lived(store, 1, tasks=tasks_of_the_day())
    for step in range(2, A_MORNING + 1):
        if step - 1 in switches:
            lived(store, 0).switch(switches[step - 1])
        for at in sorted(at for at in instants if (step - 1) * STEP < at < step * STEP):
            lived(store, 0, slices=[at])
        if step in switches or step == A_MORNING or any(step * STEP < at < (step + 1) * STEP for at in instants):
            lived(store, step)
    return store


@few
@given(SEEDS, SWITCHES, INSTANTS)
def test_scenarios_survive_kills_with_the_very_same_events(
    seed: int, switches: dict[int, set[str]], instants: list[int]
) -> None:
    smooth, killed = (switched_morning(seed, switches, kills) for kills in ([], instants))
    assert log_of(smooth) == log_of(killed)
    assert same_state_of_store(smooth, killed)


@few
@given(SEEDS, SWITCHES)
def test_with_any_scenarios_units_are_conserved_and_what_is_taken_is_paid_put_back_or_told(
    seed: int, switches: dict[int, set[str]]
) -> None:
    store = switched_morning(seed, switches, [])
    world = store.worlds(START, STEP).worlds["S01"]
    baskets = Counter[str]()
    for item in world.baskets():
        baskets[world.body.shelves[item.shelf].shelf_id] += item.quantity
    taken, told = Counter[str](), Counter[str]()
    for _, _, event in log_of(store):
        if isinstance(event, e.WorldTruth) and event.scenario in ("theft", "mis-scan"):
            told[event.shelf_id or ""] += event.quantity
        for move in movements(event):
            if Place.BASKET in (move.origin, move.destination):
                taken[move.shelf_id] += move.quantity if move.destination is Place.BASKET else -move.quantity
    for body, shelf in zip(world.body.shelves, world.shelves, strict=True):
        in_baskets = baskets[body.shelf_id]
        assert shelf.received == (
            shelf.stock + shelf.in_backroom + in_baskets + shelf.sold + shelf.wasted + shelf.unpaid
        )
        assert taken[body.shelf_id] == in_baskets + told[body.shelf_id]
        assert shelf.unpaid == told[body.shelf_id]
        assert all(lot.quantity > 0 for lot in (*shelf.lots, *shelf.backroom))


def same_state_of_store(one: object, other: object) -> bool:
    return one.hashes["world:S01"] == other.hashes["world:S01"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("stop", [DAY_STEPS - 480, DAY_STEPS - 477, DAY_STEPS - 333])
def test_the_clock_may_stop_in_the_middle_of_a_night_at_the_end_of_any_step(stop: int) -> None:
    store = opened()
    worlds = lived(store, stop)
    assert store.position.step == stop
    assert store.position.t_ms == START + stop * STEP
    marked = [k for mark in store.marks for k in range(mark.k_from, mark.k + 1)]
    assert marked == list(range(stop + 1))
    hear_done(worlds)
    assert not worlds.turn(store.target_ms)
