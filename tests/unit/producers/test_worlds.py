from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from producers import body as bodies
from producers.worlds import JOINING
from smartshelf.contracts import redis_keys as keys
from smartshelf.contracts.control import Done
from smartshelf.contracts.events import Evidence
from smartshelf.contracts.stages import STAGES, lead_steps
from smartshelf.errors import Fenced
from tests.memory import MemoryStore
from tests.worlds import DAY_STEPS, START, STEP, hear_done, lived, log_of, opened, small_body

LEAD = lead_steps(60)


def test_the_world_is_never_more_than_l_steps_ahead_of_a_stage() -> None:
    store = opened()
    store.target_ms = START + 100 * STEP
    worlds = store.worlds(START, STEP)
    while worlds.turn(store.target_ms):
        pass
    assert store.position.step == LEAD - 1, "done(j) for j < 0 is given, done(0) is not"
    hear_done(worlds, 5)
    while worlds.turn(store.target_ms):
        pass
    assert store.position.step == LEAD + 5


def test_one_stage_that_lags_holds_all_stores() -> None:
    store = opened(small_body(), small_body(store="S02"))
    store.target_ms = START + 100 * STEP
    worlds = store.worlds(START, STEP)
    hear_done(worlds, 50)
    worlds.done["S02"][STAGES[0]] = 3
    while worlds.turn(store.target_ms):
        pass
    assert store.position.step == LEAD + 3


def test_the_world_lives_no_further_than_the_clock_says() -> None:
    store = opened()
    lived(store, 10, slices=[10 * STEP - 1])
    assert store.position.t_ms == START + 10 * STEP
    lived(store, 10, slices=[12 * STEP + 500])
    assert (store.position.step, store.position.t_ms) == (12, START + 12 * STEP + 500)
    assert all(event.timestamp.timestamp() * 1000 <= START + 12 * STEP + 500 for _, _, event in log_of(store))


def test_a_clock_set_back_under_the_worlds_feet_holds_it_without_loss() -> None:
    smooth, held = opened(), opened()
    lived(smooth, 30)
    worlds = lived(held, 20)
    held.target_ms = START + 20 * STEP
    assert not worlds.turn(START + 30 * STEP), "the save is refused"
    held.target_ms = START + 30 * STEP
    while worlds.turn(held.target_ms):
        hear_done(worlds)
    assert log_of(held) == log_of(smooth)
    assert held.hashes["world:S01"] == smooth.hashes["world:S01"]


def test_every_step_is_marked_once_and_nights_by_up_to_l_steps_at_once() -> None:
    store = opened()
    lived(store, DAY_STEPS)
    assert [k for mark in store.marks for k in range(mark.k_from, mark.k + 1)] == list(range(DAY_STEPS + 1))
    lengths = {mark.k - mark.k_from + 1 for mark in store.marks}
    assert max(lengths) == 5, "cold zones report every five steps"


def test_a_second_writer_is_noticed() -> None:
    store = opened()
    one, other = store.worlds(START, STEP), store.worlds(START, STEP)
    store.target_ms = START + STEP
    assert one.turn(store.target_ms)
    with pytest.raises(Fenced):
        other.turn(store.target_ms)


def test_what_was_heard_is_saved_with_the_step() -> None:
    store = opened()
    worlds = lived(store, 3)
    hear_done(worlds, 3)
    worlds.hear(Done(store_id="S01", stage=STAGES[0], k=3, epoch=1, offsets={}), partition=0, offset=41)
    store.target_ms = START + 4 * STEP
    assert worlds.turn(store.target_ms)
    again = store.worlds(START, STEP)
    assert again.offsets == {"0": 42}
    assert again.done == worlds.done


def test_a_store_joins_at_the_boundary_of_two_steps_and_lives_from_there() -> None:
    store = opened()
    newcomer = replace(small_body(store="S02"), rows={"shelf_profiles": 25})
    _asks_to_join(store, newcomer)
    store.target_ms = START + 20 * STEP
    worlds = lived(store, 20, slices=[19 * STEP + 1])
    assert worlds.position.step == 20
    store.target_ms = START + 20 * STEP + 1
    worlds.turn(store.target_ms)
    assert worlds.join(store.hashes[JOINING]) == [], "not within a step"
    store.target_ms = START + 21 * STEP
    worlds.turn(store.target_ms)
    assert worlds.join(store.hashes[JOINING]) == ["S02"]
    lived(store, 40)
    first = next(mark for mark in store.marks if "S02" in mark.stores)
    assert (first.k_from, first.rows) == (22, {"S02": {"shelf_profiles": 25}})
    assert {event.source for _, _, event in log_of(store)} == {Evidence.WORLD_PREFIX + name for name in ("S01", "S02")}
    assert store.hashes[JOINING] == {}


def test_the_gate_does_not_wait_for_a_store_from_before_it_joined() -> None:
    store = opened()
    worlds = lived(store, 20)
    worlds.join({"S02": bodies.pack(small_body(store="S02"))})
    worlds.done["S01"][STAGES[0]] = 100
    store.target_ms = START + 100 * STEP
    while worlds.turn(store.target_ms):
        pass
    assert store.position.step == 20 + LEAD, "done(j) for j < 21 is given to S02"


def _saved_without_the_last_stage(store: MemoryStore) -> dict[str, int]:
    """Done marks of a store that code without the last stage has saved, as today's code reads them."""
    done = msgspec.json.decode(store.hashes[keys.WORLD]["done"])
    for of_store in done.values():
        del of_store[STAGES[-1]]
    store.hashes[keys.WORLD]["done"] = msgspec.json.encode(done)
    of_store = store.worlds(START, STEP).done["S01"]
    assert of_store.keys() >= set(STAGES[:-1])
    return of_store


def test_a_stage_that_came_with_newer_code_is_waited_for_from_the_next_step_on() -> None:
    store = opened()
    lived(store, 3 * LEAD)
    assert _saved_without_the_last_stage(store)[STAGES[-1]] == store.position.step


def test_a_stage_that_a_new_store_has_not_heard_of_yet_is_waited_for() -> None:
    store = opened()
    lived(store, LEAD - 1)
    assert STAGES[-1] not in _saved_without_the_last_stage(store)


def _asks_to_join(store: MemoryStore, body: bodies.Body) -> None:
    store.hashes[JOINING] = {body.store_id: bodies.pack(body)}
