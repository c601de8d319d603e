"""What the books had in the backroom and staff do not find: told, booked to the unknown, and no shelf waits for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import Place
from spark_apps.jobs.refill_bridge import RefillBridge
from spark_apps.jobs.restock_manager import RestockManager
from spark_apps.jobs.shelf_alerts import ShelfAlerts
from spark_apps.jobs.shrink import Shrink
from tests.loop import START, Loop
from tests.worlds import small_body

STAGES = (ShelfAlerts(), RestockManager(), RefillBridge(), Shrink())
SHELF = "TESTEN0003"


def take(loop: Loop, quantity: int) -> None:
    loop.tell(e.Pickup, customer_id="C", shelf_id=SHELF, quantity=quantity, item_weight=103.0)
    loop.tell(e.WeightChange, shelf_id=SHELF, delta_weight=-103.0 * quantity)


def stock(loop: Loop, place: Place) -> int:
    book = loop.books.shelves
    return int(book.balances[book.row_of[SHELF], place])


def at(hour: int, minute: int) -> datetime:
    return datetime(2026, 1, 1, hour, minute, tzinfo=UTC)


@pytest.fixture
def delivered() -> Loop:
    """A file told of 20 units that never came; the shelf needs 48, and 30 really are there.

    The plan is made in step 11, its units are due in step 20.
    """
    loop = Loop(STAGES, small_body(shelves=4, visits=0.0)).live(5)
    dates = {"received_date": "2026-01-01", "expiry_date": "2026-02-01"}
    loop.tell(e.WhIn, "wh_events", shelf_id=SHELF, batch_code="GHOST", qty=20, **dates)
    loop.live(9)
    take(loop, 40)
    return loop.live(139)


def test_what_does_not_come_to_its_shelf_in_two_hours_is_booked_to_the_unknown(delivered: Loop) -> None:
    assert (stock(delivered, Place.SHELF), stock(delivered, Place.ON_THE_WAY)) == (30, 18)
    delivered.live(142)
    (missed,) = [fact for fact in delivered.facts if isinstance(fact, e.WhAdjust)]
    assert (missed.batch_code, missed.qty, missed.reason) == ("GHOST", -18, "not_found")
    assert missed.timestamp == START + timedelta(minutes=140)
    assert not delivered.pending()
    places = (Place.BACKROOM, Place.ON_THE_WAY, Place.UNKNOWN)
    assert [stock(delivered, place) for place in places] == [2, 0, 18]
    assert (delivered.books.shelves.balances.sum(axis=1) == 0).all()


def test_its_plan_is_completed_and_the_shelf_is_looked_after_again(delivered: Loop) -> None:
    delivered.live(150)
    (plan,) = delivered.plans()
    assert (plan.status, plan.picked_qty) == ("completed", 48)
    take(delivered, 25)  # 5 are left, and the two that there may be are asked for
    delivered.live(170)
    assert [alert.status for alert in delivered.alerts("refill_request")] == ["resolved", "open"]
    assert len(delivered.plans()) == 2


def test_it_is_told_until_the_end_of_the_day_after(delivered: Loop) -> None:
    delivered.live(142)
    (alert,) = delivered.alerts("phantom_stock")
    assert (alert.status, alert.location, alert.batch_code, alert.likely_cause) == (
        "open", "warehouse", "GHOST", "unseen_loss",
    )  # fmt: skip
    assert (alert.suggested_qty, alert.current_stock, alert.created_at) == (18, 2, at(9, 21))
    delivered.live(16 * 60 + 5)
    assert [alert.status for alert in delivered.alerts("phantom_stock")] == ["resolved"]


def test_goods_that_come_in_time_are_missed_by_nobody() -> None:
    loop = Loop(STAGES, small_body(shelves=4, visits=0.0)).live(9)
    take(loop, 23)
    loop.live(300)
    assert not [fact for fact in loop.facts if isinstance(fact, e.WhAdjust)]
    assert not loop.alerts("phantom_stock")
