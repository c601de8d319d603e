"""Each switch does what it says, tells the truth about it, and does nothing once it is off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from producers.scenarios import SCENARIOS
from smartshelf.contracts import events as e
from smartshelf.contracts.control import Task
from tests.memory import MemoryStore
from tests.worlds import START, STEP, STORE, facts_of, lived, log_of, opened, small_body, tasks_of_the_day

FIRST, LAST, END = 60, 240, 300
ORDERS = [
    replace(
        tasks_of_the_day()[4],
        task_id=f"order-{number}",
        plan_id=f"plan-{number}",
        do_at=100,
        shelf_id=f"TESTEN{number:04d}",
        batch_code=f"NEW-{number}",
    )
    for number in range(20)
]


def switched(
    *names: str, seed: int = 7, visits: float = 600, tasks: Iterable[Task] = (), off: bool = True
) -> MemoryStore:
    """Five hours with scenarios on from step FIRST + 1 to step LAST."""
    store = opened(small_body(seed, visits=visits))
    worlds = lived(store, FIRST, tasks=tasks)
    assert worlds.switch(names) is bool(names)
    lived(store, LAST)
    if off and names:
        worlds = lived(store, LAST)
        assert worlds.switch(())
    lived(store, END)
    return store


@pytest.fixture(scope="module")
def usual() -> MemoryStore:
    return switched(tasks=ORDERS)


def truth(store: MemoryStore, name: str) -> list[e.WorldTruth]:
    return [fact for fact in facts_of(store, e.WorldTruth) if fact.scenario == name]


def minutes(fact: e.Event) -> float:
    return (fact.timestamp.timestamp() * 1000 - START) / STEP


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_differs_before_a_switch_is_turned_on_and_the_truth_tells_when(name: str, usual: MemoryStore) -> None:
    store = switched(name, tasks=ORDERS)
    before = [line for line in log_of(store) if minutes(line[2]) <= FIRST]
    assert before == [line for line in log_of(usual) if minutes(line[2]) <= FIRST]
    assert log_of(store) != log_of(usual)
    told = [fact for fact in truth(store, name) if fact.detail in ("on", "off")]
    assert [(fact.detail, int(minutes(fact))) for fact in told] == [("on", FIRST), ("off", LAST)]


def test_without_switches_nothing_is_told(usual: MemoryStore) -> None:
    assert not facts_of(usual, e.WorldTruth)


def unpaid(store: MemoryStore) -> Counter[str]:
    """Units by shelf that people who have left took and neither paid nor put back."""
    inside = {fact.customer_id for fact in facts_of(store, e.FootTraffic)}
    left: Counter[str] = Counter()
    for _, _, fact in log_of(store):
        if getattr(fact, "customer_id", None) not in inside:
            continue
        if isinstance(fact, e.Pickup):
            left[fact.shelf_id] += fact.quantity
        elif isinstance(fact, e.Putback):
            left[fact.shelf_id] -= fact.quantity
        elif isinstance(fact, e.PosTransaction):
            left.subtract({line.shelf_id: 0 for line in fact.items})
            for line in fact.items:
                left[line.shelf_id] -= line.quantity
    return +left


@pytest.mark.parametrize("name", ["theft", "mis-scan"])
def test_what_leaves_without_being_paid_is_told_to_the_unit(name: str) -> None:
    store = switched(name, visits=1_500)
    told: Counter[str] = Counter()
    for fact in truth(store, name):
        told[fact.shelf_id or ""] += fact.quantity
    assert +told == unpaid(store)
    assert told.total() > 0
    world = store.worlds(START, STEP).worlds[STORE]
    assert sum(shelf.unpaid for shelf in world.shelves) == told.total()


def test_about_one_shopper_in_25_steals() -> None:
    thieves, visitors = 0, 0
    for store in (switched("theft", seed=seed, visits=1_000) for seed in (1, 2, 3)):
        thieves += len({fact.detail.split()[0] for fact in truth(store, "theft") if fact.shelf_id})
        visitors += sum(FIRST < minutes(fact) <= LAST for fact in facts_of(store, e.FootTraffic))
    assert 0.01 < thieves / visitors < 0.08


def test_a_drifting_scale_is_wrong_in_the_same_way_at_every_movement(usual: MemoryStore) -> None:
    store = switched("sensor-drift")
    drift = {fact.shelf_id: float(fact.detail.split()[0]) for fact in truth(store, "sensor-drift") if fact.shelf_id}
    assert drift
    wrong = {fact.event_id: fact for fact in facts_of(store, e.WeightChange)}
    right = {fact.event_id: fact for fact in facts_of(switched(), e.WeightChange)}
    assert wrong.keys() == right.keys()
    for event_id, fact in wrong.items():
        expected = drift.get(fact.shelf_id, 0.0) if FIRST < minutes(fact) <= LAST else 0.0
        assert fact.delta_weight - right[event_id].delta_weight == pytest.approx(expected, abs=0.11)


def test_a_silent_scale_sends_no_weights_while_people_go_on_shopping() -> None:
    store = switched("sensor-silence", off=False)
    silent = {fact.shelf_id for fact in truth(store, "sensor-silence") if fact.shelf_id}
    assert silent
    after = [fact for fact in facts_of(store, e.WeightChange | e.Pickup) if minutes(fact) > FIRST]  # type: ignore[arg-type]
    assert not [fact for fact in after if isinstance(fact, e.WeightChange) and fact.shelf_id in silent]
    assert [fact for fact in after if isinstance(fact, e.Pickup) and fact.shelf_id in silent]


def test_late_orders_come_hours_later_and_once(usual: MemoryStore) -> None:
    on_time = {fact.order_id for fact in facts_of(usual, e.WhIn)}
    store = switched("late-delivery", tasks=ORDERS, off=False)
    arrived = {fact.order_id for fact in facts_of(store, e.WhIn)}
    late = {fact.detail.split()[0] for fact in truth(store, "late-delivery") if fact.shelf_id}
    assert late
    assert arrived == on_time - {order for order in late if order in on_time - arrived}
    lived(store, LAST + 29 * 60)
    after = Counter(fact.order_id for fact in facts_of(store, e.WhIn))
    assert after == Counter(on_time), "every order comes once"
    for fact in facts_of(store, e.WhIn):
        assert (minutes(fact) > 100 + 4 * 60 - 1) is (fact.order_id in late)


def test_short_orders_bring_less_and_the_truth_tells_how_much() -> None:
    store = switched("short-delivery", tasks=ORDERS)
    missing = {
        fact.shelf_id: fact.quantity for fact in truth(store, "short-delivery") if fact.detail.endswith("comes short")
    }
    assert 0 < len(missing) < len(ORDERS)
    for fact in facts_of(store, e.WhIn):
        assert fact.qty == 20 - missing.get(fact.shelf_id, 0)


def test_a_rush_hour_brings_more_than_twice_as_many_people(usual: MemoryStore) -> None:
    many, few = (
        sum(FIRST < minutes(fact) <= LAST for fact in facts_of(store, e.Entry))
        for store in (switched("rush-hour"), usual)
    )
    assert 2 <= many / few <= 3


def test_a_broken_compressor_warms_one_zone_which_is_cold_again_when_mended(usual: MemoryStore) -> None:
    store = switched("cold-chain-failure")
    (zone,) = {fact.detail.split()[0] for fact in truth(store, "cold-chain-failure")} - {"on", "off"}
    readings = {(fact.zone_id, fact.timestamp): fact for fact in facts_of(usual, e.Reading)}
    for fact in facts_of(store, e.Reading):
        was = readings[fact.zone_id, fact.timestamp]
        if fact.zone_id != zone or not FIRST < minutes(fact) <= LAST:
            assert (fact.temperature_c, fact.kwh) == (was.temperature_c, was.kwh)
        else:
            assert fact.temperature_c > was.temperature_c
            assert fact.kwh < 0.1 * was.kwh
    warmest = max(fact.temperature_c for fact in facts_of(store, e.Reading) if fact.zone_id == zone)
    assert warmest > 8


def test_a_viral_promotion_sells_a_product_of_the_weekly_offers(usual: MemoryStore) -> None:
    store = switched("viral-promotion")
    (shelf,) = {fact.shelf_id for fact in truth(store, "viral-promotion")} - {None}
    assert shelf == "TESTEN0001", "the one that is on offer"

    def wanted(of: MemoryStore) -> int:
        found = [*facts_of(of, e.Pickup), *facts_of(of, e.LostDemand)]
        return sum(fact.quantity for fact in found if fact.shelf_id == shelf)

    assert wanted(store) > 1.4 * wanted(usual)


def test_a_switch_waits_for_the_end_of_the_running_step() -> None:
    store = opened()
    worlds = lived(store, 3, slices=[2 * STEP + 30_000])
    store.target_ms = START + 3 * STEP + 30_000
    assert worlds.turn(store.target_ms)
    assert worlds.running is not None
    assert not worlds.switch({"theft"})
    worlds = lived(store, 4)
    assert worlds.switch({"theft"})
    assert not worlds.switch({"theft"}), "it is on already"
    assert worlds.worlds[STORE].switches.past == {"theft": [(5, None)]}


def test_a_name_that_nobody_knows_changes_nothing() -> None:
    worlds = lived(opened(), 3)
    assert not worlds.switch({"no-such-scenario"})


def test_what_is_taken_back_before_its_step_was_never_on_or_never_off() -> None:
    store = opened()
    worlds = lived(store, 3)
    assert worlds.switch({"theft"})
    assert worlds.switch(())
    assert worlds.worlds[STORE].switches.past == {}
    assert worlds.switch({"theft"})
    worlds = lived(store, 5)
    assert worlds.switch(())
    assert worlds.switch({"theft"})
    assert worlds.worlds[STORE].switches.past == {"theft": [(4, None)]}
    lived(store, 8)
    assert [fact.detail for fact in truth(store, "theft") if not fact.shelf_id] == ["on"]
