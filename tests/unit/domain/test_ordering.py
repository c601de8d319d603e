"""What is ordered from suppliers."""

from __future__ import annotations

from datetime import UTC, datetime, time

import numpy as np
import pytest

from smartshelf.domain import ordering
from smartshelf.domain.calendar import EVERY_DAY, Calendar, Timetable
from smartshelf.domain.policy import WAREHOUSE_DEFAULTS

N = np.array


@pytest.mark.parametrize(
    ("cutoff", "lead_hours", "protection_hours"),
    [("2026-01-04", 20, 68), ("2026-01-06", 20, 68), ("2026-01-01", 20, 92)],  # Sunday, Tuesday, Thursday
)
def test_an_order_must_last_until_the_delivery_after_its_own(
    cutoff: str, lead_hours: int, protection_hours: int
) -> None:
    interval = ordering.interval(datetime.fromisoformat(cutoff).replace(hour=12, tzinfo=UTC))
    assert interval.lead * 24 == pytest.approx(lead_hours)
    assert interval.protection * 24 == pytest.approx(protection_hours)


def test_the_position_is_on_hand_plus_on_order_minus_reserved() -> None:
    assert ordering.position(N([10, -3]), N([5, 5]), N([4, 0])).tolist() == [11, 5]


def test_the_reorder_point_covers_demand_and_the_larger_safety_stock() -> None:
    by_days = ordering.reorder_point(N([10.0]), N([0.0]), 3.0, 2.0, 0.95)
    by_service = ordering.reorder_point(N([10.0]), N([400.0]), 3.0, 2.0, 0.95)
    assert by_days.tolist() == [50]
    assert by_service.tolist() == [30 + 57]  # 1.645 x sqrt(1200)


def test_the_backroom_keeps_at_least_one_refill_of_what_keeps() -> None:
    assert ordering.reorder_point(N([1.0]), N([1.0]), 3.0, 2.0, 0.95, refill=N([40])).tolist() == [43]


def test_each_product_may_have_a_service_level_of_its_own() -> None:
    both = ordering.reorder_point(N([1.0, 1.0]), N([100.0, 100.0]), 4.0, 0.0, N([0.5, 0.99]))
    assert both.tolist() == [4, 51]


def test_the_order_up_to_level_is_the_policys_where_stated() -> None:
    level = ordering.order_up_to(N([20, 20]), N([6.0, 6.0]), 2.0, stated=N([np.nan, 99]))
    assert level.tolist() == [32, 99]


def test_nothing_is_ordered_above_the_reorder_point() -> None:
    assert ordering.batches(N([21, 20]), N([20, 20]), N([60, 60]), N([10, 10])).tolist() == [0, 4]


def test_orders_are_whole_batches_below_the_level_but_enough_to_pass_the_reorder_point() -> None:
    assert ordering.batches(N([0, 19]), N([20, 20]), N([45, 22]), N([20, 50])).tolist() == [2, 1]


def test_an_order_never_exceeds_the_room_in_the_backroom() -> None:
    assert ordering.batches(N([0, 0]), N([20, 20]), N([90, 90]), N([20, 20]), room=N([47, -5])).tolist() == [2, 0]


def test_no_more_of_a_perishable_is_ordered_than_may_still_be_stocked() -> None:
    assert ordering.batches(N([0, 0]), N([20, 20]), N([90, 90]), N([10, 10]), still_sells=N([35.0, 4.0])).tolist() == [
        3,
        0,
    ]
    assert ordering.sells_in_time(N([4.0]), N([9.0]), N([7]), 1.0).tolist() == [4 * (1 + ordering.LIVES_IN_STORE * 7)]


def test_of_goods_that_keep_a_good_week_of_a_slow_seller_fills_no_backroom() -> None:
    steady, lucky = ordering.sells_in_time(N([0.2, 0.2]), N([0.0, 0.5]), N([400, 400]), 1.0).tolist()
    assert steady == pytest.approx(0.2 * (1 + ordering.LIVES_IN_STORE_OF_KEEPING * 400))
    assert lucky < steady / 4
    assert ordering.sells_in_time(N([0.1]), N([1.0]), N([400]), 1.0).tolist() == [0]


@pytest.mark.parametrize("life", [5, 400])
def test_a_product_that_is_nowhere_gets_a_batch_however_slowly_it_sold(life: int) -> None:
    def ordered(on_shelf: int = 0, backroom: int = 0, on_order: int = 0, capacity: int = 90) -> int:
        goods = ordering.Goods(N([40]), N([life]), N([50]), N([capacity]))
        stock = ordering.Stock(N([on_shelf]), N([backroom]), N([0]), N([on_order]))
        cutoff = ordering.interval(datetime(2026, 1, 1, 12, tzinfo=UTC))
        return int(ordering.review(goods, WAREHOUSE_DEFAULTS, N([0.01]), N([0.01]), stock, cutoff).batches[0])

    assert ordered() == 1
    assert ordered(capacity=15) == 0  # 20 units would go to the shelf
    assert [ordered(on_shelf=1), ordered(backroom=1), ordered(on_order=40)] == [0, 0, 0]


def test_what_a_policy_states_replaces_the_reorder_point() -> None:
    point = ordering.reorder_point(N([10.0, 10.0]), N([0.0, 0.0]), 3.0, 2.0, 0.95, stated=N([np.nan, 7]))
    assert point.tolist() == [50, 7]


@pytest.mark.parametrize(("units", "room", "whole"), [(0, 99, 0), (1, 99, 10), (20, 99, 20), (25, 29, 20), (25, -3, 0)])
def test_a_wish_is_rounded_up_to_whole_batches_as_far_as_there_is_room(units: int, room: float, whole: int) -> None:
    assert ordering.in_batches(units, 10, room) == whole


def reviewed(calendar: Calendar | None = None, **stock: int) -> ordering.Review:
    """A product that keeps and one that does not; six a day of each sell, without variance; Thursday's cutoff."""
    goods = ordering.Goods(N([10, 10]), N([365, 10]), N([60, 60]), N([500, 500]))
    columns = {"on_shelf": 40, "backroom": 30, "perishing": 0, "on_order": 0, "reserved": 0} | stock
    units = ordering.Stock(**{name: N([value] * 2) for name, value in columns.items()})
    cutoff = ordering.interval(datetime(2026, 1, 1, 12, tzinfo=UTC), calendar)
    return ordering.review(goods, WAREHOUSE_DEFAULTS, N([6.0] * 2), N([0.0] * 2), units, cutoff, calendar)


def test_goods_that_keep_are_held_in_reserve_and_ordered_for_longer() -> None:
    said = reviewed()
    assert said.point.tolist() == [23 + 105, 35]  # 1.75 shelves of 60; 2 days of safety
    assert said.level.tolist() == [23 + 105 + 105, 35 + 14]
    assert said.batches.tolist() == [20, 1]


def test_units_that_perish_before_the_order_comes_are_no_stock() -> None:
    assert reviewed(perishing=25).position.tolist() == [5, 5]


@pytest.mark.parametrize(
    ("on_shelf", "room"),
    [(60, 0), (29, 0), (20, 9), (0, 29)],  # 24 are to be there when the lorry is unpacked, and 5 are sold until then
)
def test_what_a_shelf_will_take_from_the_backroom_makes_room_in_it(on_shelf: int, room: int) -> None:
    goods = ordering.Goods(N([1]), N([365]), N([60]), N([100]))
    stock = ordering.Stock(N([on_shelf]), N([80]), N([0]), N([0]))
    cutoff = ordering.interval(datetime(2026, 1, 1, 12, tzinfo=UTC))
    said = ordering.review(goods, WAREHOUSE_DEFAULTS, N([6.0]), N([0.0]), stock, cutoff)
    assert said.batches.tolist() == [100 - 80 + room]


def test_what_is_promised_or_ordered_counts_in_the_position() -> None:
    assert reviewed(on_order=20, reserved=7).position.tolist() == [43, 43]
    assert reviewed(on_order=20).batches.tolist() == [18, 0]


def test_goods_that_do_not_keep_are_ordered_from_one_cutoff_to_the_next() -> None:
    daily = Calendar(cutoff=Timetable(EVERY_DAY, time(12)), delivery=Timetable(EVERY_DAY, time(8)))
    said = reviewed(daily)
    assert (said.level - said.point).tolist() == [105, 6]


def test_the_demand_rate_follows_sales_but_is_not_misled_by_empty_shelves() -> None:
    mean, variance = ordering.smooth(N([10.0, 10.0, 10.0]), N([4.0] * 3), N([20, 0, 30]), N([True, False, False]))
    assert mean.tolist() == pytest.approx([11, 10, 12])
    assert variance[1] == 4.0
    assert variance[0] > 4.0
