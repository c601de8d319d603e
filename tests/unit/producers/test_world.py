from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest
from msgspec.structs import replace

from smartshelf.contracts import events as e
from tests.worlds import DAY_STEPS, STORE, facts_of, lived, log_of, opened, small_body, tasks_of_the_day


@pytest.fixture(scope="module")
def day():
    store = opened(small_body(7))
    worlds = lived(store, DAY_STEPS, tasks=tasks_of_the_day())
    return store, worlds.worlds[STORE]


def test_every_fact_fits_the_contract_and_carries_the_wall_clock(day) -> None:
    store, _ = day
    assert all(b'"produced_at":"20' in data for _, _, data in store.facts)
    assert {event.source for _, _, event in log_of(store)} == {f"world:{STORE}"}


def test_weight_follows_every_movement_at_a_shelf(day) -> None:
    store, _ = day
    events = [event for stream, _, event in log_of(store) if stream == "shelf_events"]
    for event, weighed in pairwise(events):
        if isinstance(event, e.Pickup | e.Putback):
            sign = -1 if isinstance(event, e.Pickup) else 1
            assert isinstance(weighed, e.WeightChange)
            assert weighed.delta_weight == pytest.approx(sign * event.quantity * event.item_weight, abs=6)


def test_three_to_eight_percent_of_pickups_go_back(day) -> None:
    store, _ = day
    taken, back = (sum(each.quantity for each in facts_of(store, kind)) for kind in (e.Pickup, e.Putback))
    assert 0.03 <= back / taken <= 0.08


def test_an_empty_shelf_is_lost_demand_not_a_sale(day) -> None:
    store, world = day
    assert facts_of(store, e.LostDemand)
    assert sum(shelf.sold for shelf in world.shelves) <= sum(shelf.received for shelf in world.shelves)


def test_the_store_is_empty_at_night_and_everybody_was_seen_at_the_doors(day) -> None:
    store, world = day
    assert not world.shoppers
    entries, exits, visits = (facts_of(store, kind) for kind in (e.Entry, e.Exit, e.FootTraffic))
    assert len(entries) == len(exits) == len(visits)
    assert max(visit.exit_time.strftime("%H:%M") for visit in visits) <= "22:45"
    assert all(10 <= visit.trip_duration_minutes <= 75 for visit in visits)


def test_receipts_add_up_line_by_line(day) -> None:
    store, _ = day
    receipts = facts_of(store, e.PosTransaction)
    assert receipts
    for receipt in receipts:
        assert receipt.total_items == sum(line.quantity for line in receipt.items)
        assert receipt.total_amount == pytest.approx(sum(line.total_price for line in receipt.items))
        assert len({(line.shelf_id, line.batch_code) for line in receipt.items}) == len(receipt.items)


def test_weekly_and_daily_discounts_combine_from_the_step_of_the_price_task_on(day) -> None:
    store, _ = day
    start = store.marks[0].t
    seen = {
        (line.discount, receipt.timestamp >= start + timedelta(minutes=179))
        for receipt in facts_of(store, e.PosTransaction)
        for line in receipt.items
        if line.shelf_id == "TESTEN0001" and receipt.timestamp < start + timedelta(hours=17)
    }
    assert seen == {(0.25, False), (0.55, True)}


def test_most_units_taken_are_those_that_expire_first() -> None:
    store = opened(small_body(3, visits=60))
    lived(store, 300)
    lots = Counter()
    for receipt in facts_of(store, e.PosTransaction):
        for line in receipt.items:
            lots[line.batch_code[-1]] += line.quantity
    assert 0.7 < lots["A"] / lots.total() < 0.9


def test_a_task_is_done_once_at_the_start_of_its_step(day) -> None:
    store, _ = day
    (refill,) = facts_of(store, e.Refill)
    assert (refill.batch_code, refill.quantity, refill.plan_id) == ("TESTEN0001-C", 20, "plan-1")
    assert refill.timestamp == store.marks[0].t + timedelta(minutes=119, milliseconds=1)


def test_a_removal_tells_what_was_really_there(day) -> None:
    store, world = day
    (removal,) = facts_of(store, e.Removal)
    assert removal.quantity < 40
    assert world.shelf("TESTEN0002").wasted == removal.quantity


def test_an_order_arrives_at_the_dock_with_its_dates(day) -> None:
    store, world = day
    (arrival,) = facts_of(store, e.WhIn)
    assert (arrival.order_id, arrival.batch_code, arrival.qty) == ("o-1", "TESTEN0003-N", 20)
    assert (arrival.received_date, arrival.expiry_date) == ("2026-01-01", "2026-01-11")
    assert world.shelf("TESTEN0003").in_backroom == 50


def test_zones_report_every_five_minutes_day_and_night(day) -> None:
    store, _ = day
    readings = facts_of(store, e.Reading)
    assert len(readings) == 2 * DAY_STEPS // 5
    assert {event.timestamp.minute % 5 for event in readings} == {0}


@pytest.mark.parametrize("kind", ["refill", "remove", "order", "price"])
def test_a_task_for_a_shelf_that_the_world_has_not_is_passed_over(kind: str) -> None:
    store = opened(small_body(3))
    task = replace(tasks_of_the_day()[0], task_id="t-new", kind=kind, do_at=3, shelf_id="NEWSHELF01")
    assert lived(store, 5, tasks=[task]).position.step == 5
