"""Shelves are refilled, expired goods leave, baskets are swept: the store side's stages against the pure world."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from smartshelf.contracts import events as e
from smartshelf.contracts.control import Task
from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import Alert, DailyDiscount, ShelfPolicy
from spark_apps.jobs.daily_discounts import DailyDiscounts
from spark_apps.jobs.expired_removal import ExpiredRemoval
from spark_apps.jobs.refill_bridge import RefillBridge
from spark_apps.jobs.restock_manager import RestockManager
from spark_apps.jobs.shelf_alerts import ShelfAlerts
from spark_apps.jobs.shrink import Shrink
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Scope, Step
from tests.loop import START, Loop
from tests.worlds import small_body

STAGES = (ShelfAlerts(), RestockManager(), RefillBridge(), DailyDiscounts(), ExpiredRemoval(), Shrink())
SHELF = "TESTEN0003"
L = 8


def quiet(**options: object) -> Loop:
    """Nobody comes in: only what a test says happens. 40 units on a shelf of 60, 30 in the backroom."""
    return Loop(STAGES, small_body(shelves=5, visits=0.0), **options)


def at(day: int, hour: int, minute: int = 0) -> int:
    """The step that ends at this time of January 2026."""
    return int((datetime(2026, 1, day, hour, minute, tzinfo=UTC) - START) / timedelta(minutes=1))


def sell(loop: Loop, quantity: int, shelf_id: str = SHELF) -> None:
    """Seen by sensor and till alone; the world does not know."""
    body = {"customer_id": "C", "shelf_id": shelf_id}
    loop.tell(e.Pickup, **body, quantity=quantity, item_weight=103.0)
    loop.tell(e.WeightChange, **body, delta_weight=-103.0 * quantity)
    line = e.ReceiptLine(
        line_no=1, shelf_id=shelf_id, batch_code=f"{shelf_id}-A", quantity=quantity, unit_price=1, total_price=1
    )
    loop.tell(
        e.PosTransaction, "pos_transactions", transaction_id=f"T{loop.offsets['pos_transactions']}", customer_id="C",
        till_id="T1", items=(line,), total_items=quantity, total_amount=1.0,
    )  # fmt: skip


def stock(loop: Loop, place: Place = Place.SHELF, shelf_id: str = SHELF) -> int:
    book = loop.books.shelves
    return int(book.balances[book.row_of[shelf_id], place])


@pytest.fixture(scope="module")
def busy() -> Loop:
    """Five days of a small store that nobody supplies, to the morning after its first lots have expired."""
    return Loop(STAGES, small_body(visits=150.0)).live(at(6, 9))


# --- refill --------------------------------------------------------------------------------------------------------


def test_a_low_shelf_is_refilled_to_its_target_l_steps_after_its_goods_left_the_backroom() -> None:
    loop = quiet().live(9)
    sell(loop, 23)  # 17 of 60 are left, 18 is the threshold; the target is 48
    loop.live(40)
    (proposal,), (out,), (refill,) = (
        [fact for fact in loop.facts if isinstance(fact, kind)] for kind in (e.Restock, e.WhOut, e.Refill)
    )
    (task,) = loop.sent(Task)
    assert (proposal.step, proposal.qty) == (10, 31)
    assert (out.step, out.qty, out.batch_code) == (11, 30, f"{SHELF}-C")
    assert (task.step, task.do_at, task.quantity, task.plan_id) == (12, 12 + L, 30, out.plan_id)
    assert START + timedelta(minutes=12 + L - 1) < refill.timestamp <= out.due_ts == START + timedelta(minutes=12 + L)
    assert (stock(loop), stock(loop, Place.ON_THE_WAY), stock(loop, Place.BACKROOM)) == (47, 0, 0)


def test_a_task_is_pending_from_the_pick_until_its_units_are_on_the_shelf() -> None:
    loop = quiet().live(9)
    sell(loop, 23)
    loop.live(12)
    (out,), (task,) = [fact for fact in loop.facts if isinstance(fact, e.WhOut)], loop.sent(Task)
    (pending,) = loop.pending()
    assert (pending.task_id, pending.plan_id, pending.batch_code) == (task.task_id, out.plan_id, out.batch_code)
    assert (pending.quantity, pending.picked_at, pending.due_at) == (30, out.timestamp, out.due_ts)
    loop.live(12 + L - 1)
    assert loop.pending() == [pending]
    loop.live(12 + L)
    assert loop.pending() == []


def test_what_staff_did_not_find_stays_pending_with_what_is_missing() -> None:
    loop = quiet().live(9)
    sell(loop, 23)
    loop.live(12)
    place = {"shelf_id": SHELF, "batch_code": f"{SHELF}-C"}
    loop.tell(e.Refill, **place, quantity=12)
    loop.tell(e.Refill, shelf_id=SHELF, batch_code="ANOTHER", quantity=5)
    loop.live(13)
    (pending,) = loop.pending()
    assert (pending.quantity, pending.version, pending.as_of_step) == (18, 2, 13)
    loop.tell(e.Refill, **place, quantity=40)
    loop.live(14)
    assert loop.pending() == []


def test_the_alert_of_a_low_shelf_is_resolved_when_its_stock_has_recovered() -> None:
    loop = quiet().live(9)
    sell(loop, 23)
    loop.live(40)
    (alert,) = loop.alerts("refill_request")
    assert (alert.status, alert.version, alert.current_stock) == ("resolved", 2, 47)
    assert (alert.created_at, alert.updated_at) == (START + timedelta(minutes=10), START + timedelta(minutes=12 + L))


def test_a_shelf_just_above_its_threshold_keeps_its_alert_until_it_is_well_above() -> None:
    loop = quiet().live(9)
    sell(loop, 23)
    loop.live(10)
    loop.tell(e.Putback, customer_id="C", shelf_id=SHELF, quantity=2, item_weight=103.0)
    loop.live(11)
    assert [alert.status for alert in loop.alerts("refill_request")] == ["open"]


def test_a_plan_served_in_part_says_so_and_continues_when_stock_arrives() -> None:
    loop = quiet().live(9)
    sell(loop, 40)  # nothing left; 48 are wanted and 30 there
    loop.live(40)
    (plan,) = loop.plans()
    assert (plan.status, plan.suggested_qty, plan.picked_qty) == ("issued", 48, 30)
    assert plan.why == "30 of 48 units are taken from the backroom; the rest follows when stock arrives."
    loop.deliver(SHELF, "NEW", 100, "2026-02-01")
    loop.live(70)
    (plan,) = loop.plans()
    assert (plan.status, plan.picked_qty) == ("completed", 48)
    assert (stock(loop), stock(loop, Place.BACKROOM)) == (48, 82)
    assert loop.books.shelves.reserved.sum() == 0


def test_what_a_plan_still_wants_is_reserved() -> None:
    loop = quiet().live(9)
    sell(loop, 40)
    book = loop.live(15).books.shelves
    assert book.reserved[book.row_of[SHELF]] == 18


def test_a_shelf_has_one_open_plan_which_grows_with_its_need() -> None:
    loop = quiet().live(9)
    sell(loop, 23)  # wants 31, gets 30
    loop.live(100)
    sell(loop, 40, SHELF)  # 7 are left
    loop.live(200)
    (plan,) = loop.plans()
    assert (plan.picked_qty, plan.suggested_qty, plan.status) == (30, 30 + 41, "issued")
    assert [alert.status for alert in loop.alerts("refill_request")] == ["resolved", "open"]


def test_a_plan_is_completed_when_its_goods_lie_on_the_shelf_and_not_before() -> None:
    loop = quiet()
    loop.deliver(SHELF, "NEW", 100, "2026-02-01")
    loop.live(19)
    sell(loop, 23)
    loop.live(21)
    assert [(plan.status, plan.picked_qty) for plan in loop.plans()] == [("issued", 31)]
    loop.live(29)
    assert [plan.status for plan in loop.plans()] == ["issued"]
    loop.live(31)
    assert [plan.status for plan in loop.plans()] == ["completed"]


def test_what_is_on_its_way_takes_room_on_the_shelf() -> None:
    loop = quiet().live(9)
    sell(loop, 40)  # 48 are wanted, 30 are on their way from step 12 to step 20
    loop.live(6 + 9)
    loop.tell(e.Putback, customer_id="C", shelf_id=SHELF, quantity=25, item_weight=103.0)
    dates = {"received_date": "2026-01-01", "expiry_date": "2026-02-01"}
    loop.tell(e.WhIn, "wh_events", shelf_id=SHELF, batch_code="NEW", qty=100, **dates)
    loop.live(18)
    assert [fact.qty for fact in loop.facts if isinstance(fact, e.WhOut)] == [30, 5]


def test_what_has_left_the_backroom_since_a_shelf_asked_for_more_is_part_of_what_it_needs() -> None:
    loop = quiet().live(9)
    sell(loop, 40)  # 48 are wanted, 30 come and 18 are waited for
    loop.live(91)
    loop.deliver(SHELF, "NEW", 100, "2026-02-01")
    loop.live(98)
    sell(loop, 30)  # 48 are asked for in the very step in which the 18 leave
    loop.live(130)
    (plan,) = loop.plans()
    assert (plan.suggested_qty, plan.picked_qty, plan.status) == (48 + 30, 48 + 30, "completed")
    assert stock(loop) == 48


def test_plans_are_served_in_the_order_in_which_they_were_opened() -> None:
    loop, other = quiet().live(9), "TESTEN0001"
    for shelf_id in (SHELF, other):
        loop.tell(
            e.Count, shelf_id=shelf_id, batch_code=f"{shelf_id}-C", location="warehouse", quantity=0, adjustment=-30,
            reason="correction",
        )  # fmt: skip
    sell(loop, 23)
    loop.live(12)
    sell(loop, 23, other)
    loop.live(20)
    for shelf_id in (other, SHELF):
        loop.deliver(shelf_id, f"NEW-{shelf_id}", 50, "2026-02-01")
    loop.live(30)
    assert [fact.shelf_id for fact in loop.facts if isinstance(fact, e.WhOut)] == [SHELF, other]


def test_what_a_step_has_taken_is_not_taken_again_while_the_clock_stands() -> None:
    loop = quiet().live(9)
    sell(loop, 40)  # 48 are wanted, 30 there
    loop.live(11)
    profile = next(each for each in loop.profiles if each.shelf_id == SHELF)
    loop._waiting.append(loop._record("shelf_profiles", msgspec.structs.replace(profile, item_name="Another")))
    loop.cut_again()
    loop.live(30)
    assert [fact.qty for fact in loop.facts if isinstance(fact, e.WhOut)] == [30]


def test_a_lot_that_has_left_the_backroom_is_not_written_off() -> None:
    loop = quiet().live(9)
    loop.tell(e.WriteOff, "proposals", shelf_id=SHELF, batch_code=f"{SHELF}-A", qty=5, why="It is in the store.")
    loop.live(12)
    assert not [fact for fact in loop.facts if isinstance(fact, e.WhAdjust)]
    assert not loop.sent(Task)


def test_a_plan_closed_two_weeks_ago_leaves_its_topic() -> None:
    loop = quiet().live(9)
    sell(loop, 22)
    sell(loop, 1)
    loop.live(19)
    loop.deliver(SHELF, "NEW", 100, "2026-02-01")
    loop.live(50)
    (plan,) = loop.plans()
    assert plan.status == "completed"
    manager, deleted = RestockManager(), []
    for days in (13, 14):
        midnight = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)
        step = Step(days * 1440, 0, midnight, midnight - timedelta(minutes=1), Scope("S01", 1, days * 1440))
        state, config = manager.load(loop.values["stage:restock_manager"]), StoreConfig.load(loop.values["config"])
        _, outputs = manager.advance(state, [], config, step, loop.books)
        deleted.append([msgspec.json.decode(output.key or b"")["plan_id"] for output in outputs if not output.value])
    assert deleted == [[], [plan.plan_id]]


def test_a_plan_that_waits_for_all_that_its_shelf_needs_is_not_asked_again() -> None:
    loop = quiet().live(9)
    sell(loop, 40)  # 48 are wanted, 30 there; 18 are waited for
    loop.live(100)
    sell(loop, 30)
    loop.live(110)  # 48 are needed: 30 more are asked for
    loop.live(200)
    loop.tell(e.Putback, customer_id="C", shelf_id=SHELF, quantity=1, item_weight=103.0)
    loop.tell(e.Pickup, customer_id="C", shelf_id=SHELF, quantity=1, item_weight=103.0)
    loop.live(210)
    assert [fact.qty for fact in loop.facts if isinstance(fact, e.Restock)] == [48, 48]
    assert [alert.version for alert in loop.sent(Alert) if alert.event_type == "refill_request"] == [1, 2, 1]


def test_a_plan_takes_the_first_expiring_lot_first_and_never_an_expired_one() -> None:
    loop = quiet()
    loop.deliver(SHELF, "OLD", 5, "2025-12-31")
    loop.deliver(SHELF, "SOON", 10, "2026-01-03")
    loop.live(19)
    sell(loop, 23)
    loop.live(21)
    picked = [(fact.batch_code, fact.qty) for fact in loop.facts if isinstance(fact, e.WhOut)]
    assert picked == [("SOON", 10), (f"{SHELF}-C", 21)]


def test_a_lot_on_its_last_day_goes_first_and_one_without_a_date_goes_last() -> None:
    loop = quiet()
    loop.deliver(SHELF, "TODAY", 5, "2026-01-01")
    loop.tell(
        e.Count, shelf_id=SHELF, batch_code="A-UNDATED", location="warehouse", quantity=9, adjustment=9,
        reason="correction",
    )  # fmt: skip
    loop.live(19)
    sell(loop, 40)
    loop.live(21)
    picked = [(fact.batch_code, fact.qty) for fact in loop.facts if isinstance(fact, e.WhOut)]
    assert picked == [("TODAY", 5), (f"{SHELF}-C", 30), ("A-UNDATED", 9)]


def test_a_plan_takes_no_more_than_the_backroom_holds_when_nobody_knows_which_lot_is_gone() -> None:
    loop = quiet().live(5)
    loop.tell(e.Count, shelf_id=SHELF, location="warehouse", quantity=18, adjustment=-12, reason="correction")
    loop.live(9)
    sell(loop, 40)
    loop.live(30)
    assert [fact.qty for fact in loop.facts if isinstance(fact, e.WhOut)] == [18]
    assert stock(loop, Place.BACKROOM) == 0


def test_a_second_alert_waits_for_the_cooldown_and_comes_by_itself() -> None:
    loop = quiet(policies=[ShelfPolicy(policy_id="1", cooldown_minutes=120)]).live(9)
    sell(loop, 23)
    loop.deliver(SHELF, "NEW", 100, "2026-02-01")
    loop.live(49)
    sell(loop, 40)
    loop.live(129)
    assert len(loop.alerts("refill_request")) == 1
    loop.live(130)
    first, second = loop.alerts("refill_request")
    assert second.created_at - first.created_at == timedelta(minutes=120)


def test_the_cooldown_does_not_end_at_midnight() -> None:
    loop = quiet().live(at(1, 23, 49))
    sell(loop, 23)
    loop.deliver(SHELF, "NEW", 100, "2026-02-01")
    loop.live(at(2, 0, 20))
    sell(loop, 40)
    loop.live(at(2, 0, 49))
    assert len(loop.alerts("refill_request")) == 1
    loop.live(at(2, 0, 50))
    assert len(loop.alerts("refill_request")) == 2


def test_a_policy_counts_from_the_step_that_names_it() -> None:
    loop = quiet().live(9)
    loop.configure(ShelfPolicy(policy_id="1", store_id="S01", shelf_id=SHELF, threshold_pct=70.0, target_pct=90.0))
    loop.live(10)
    (alert,) = loop.alerts("refill_request")
    assert (alert.shelf_id, alert.created_at, alert.suggested_qty) == (SHELF, START + timedelta(minutes=10), 14)


def test_a_policy_under_which_a_shelf_is_well_closes_its_alert_though_nothing_moves() -> None:
    loop = quiet().live(9)
    loop.tell(e.Count, shelf_id=SHELF, location="warehouse", quantity=0, adjustment=-30, reason="correction")
    sell(loop, 23)
    loop.live(29)
    assert [alert.status for alert in loop.alerts("refill_request")] == ["open"]
    loop.configure(ShelfPolicy(policy_id="1", shelf_id=SHELF, threshold_pct=10.0, target_pct=20.0))
    (alert,) = loop.live(30).alerts("refill_request")
    assert (alert.status, alert.updated_at) == ("resolved", START + timedelta(minutes=30))


def test_a_policy_edited_while_the_clock_stands_is_told_at_once_and_carried_out_when_it_goes_on() -> None:
    loop = quiet().live(9)
    loop.edit(ShelfPolicy(policy_id="1", shelf_id=SHELF, threshold_pct=70.0, target_pct=90.0))
    (alert,) = loop.alerts("refill_request")
    assert (alert.created_at, alert.status) == (START + timedelta(minutes=9), "open")
    assert not loop.plans()
    loop.edit(ShelfPolicy(policy_id="1", shelf_id=SHELF, threshold_pct=30.0, target_pct=90.0))
    loop.live(30)
    assert [fact.qty for fact in loop.facts if isinstance(fact, e.WhOut)] == [14]
    assert [fact.quantity for fact in loop.facts if isinstance(fact, e.Refill)] == [14]
    ids = [fact.event_id for fact in loop.facts]
    assert len(ids) == len(set(ids))


# --- lots ----------------------------------------------------------------------------------------------------------


def test_a_lot_close_to_its_date_is_told_once_at_midnight(busy: Loop) -> None:
    told = [alert for alert in busy.sent(Alert) if alert.event_type == "near_expiry" and alert.status == "open"]
    assert len({(alert.shelf_id, alert.batch_code) for alert in told}) == len(told) > 5
    # Ten days of life: a quarter is two days. Lot A expires on the 5th.
    assert {alert.created_at for alert in told if alert.batch_code.endswith("-A")} == {datetime(2026, 1, 3, tzinfo=UTC)}


def test_an_expired_lot_leaves_the_shelf_at_six_on_the_day_after(busy: Loop) -> None:
    removed = [fact for fact in busy.facts if isinstance(fact, e.Removal)]
    assert {fact.timestamp.replace(second=0, microsecond=0).time().hour for fact in removed} == {6}
    assert all(fact.timestamp - datetime(2026, 1, 6, 6, tzinfo=UTC) < timedelta(minutes=1) for fact in removed[:2])
    assert removed[0].batch_code.endswith("-A")
    assert {alert.status for alert in busy.alerts("expired_removal")} == {"resolved"}


def test_in_the_evening_mode_a_lot_leaves_at_half_past_eleven_on_its_last_day() -> None:
    loop = Loop((ExpiredRemoval("same_day_evening"),), small_body(shelves=2, visits=0.0)).live(at(6, 0))
    removed = [fact for fact in loop.facts if isinstance(fact, e.Removal)]
    assert {fact.batch_code for fact in removed} == {"TESTEN0000-A", "TESTEN0001-A"}
    assert {fact.timestamp.replace(second=0, microsecond=0) for fact in removed} == {
        datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
    }


def test_an_expired_lot_in_the_backroom_leaves_its_books_and_is_thrown_away() -> None:
    loop = quiet()
    loop.deliver(SHELF, "SHORT", 12, "2026-01-03")
    loop.live(at(4, 7))
    (adjusted,) = [fact for fact in loop.facts if isinstance(fact, e.WhAdjust)]
    (removed,) = [fact for fact in loop.facts if isinstance(fact, e.Removal)]
    assert (adjusted.batch_code, adjusted.qty, adjusted.timestamp.hour) == ("SHORT", -12, 5)
    assert (removed.batch_code, removed.quantity, removed.location) == ("SHORT", 12, "warehouse")
    assert (stock(loop, Place.BACKROOM), stock(loop, Place.UNKNOWN), stock(loop, Place.WASTED)) == (30, 0, 12)
    assert [(alert.location, alert.status) for alert in loop.alerts("expired_removal")] == [("warehouse", "resolved")]


def test_lots_on_their_last_two_days_are_cheaper_by_thirty_to_fifty_percent(busy: Loop) -> None:
    given = busy.sent(DailyDiscount)
    assert all(0.3 <= discount.discount <= 0.5 for discount in given)
    assert {d.discount_date for d in given if d.batch_code.endswith("-A")} == {"2026-01-04", "2026-01-05"}
    prices = [task for task in busy.sent(Task) if task.kind == "price"]
    assert [(t.shelf_id, t.batch_code, t.discount) for t in prices] == [
        (d.shelf_id, d.batch_code, d.discount) for d in given
    ]
    # Tills take off what was decided.
    named = {(d.batch_code, d.discount_date): d.discount for d in given}
    paid = [
        (named[key], line.discount)
        for fact in busy.facts
        if isinstance(fact, e.PosTransaction)
        for line in fact.items
        if (key := (line.batch_code, fact.timestamp.date().isoformat())) in named and line.shelf_id != "TESTEN0001"
    ]
    assert paid
    assert all(decided == taken_off for decided, taken_off in paid)


def test_the_offers_of_the_week_are_told_every_day_and_leave_after_two_weeks() -> None:
    offers = {"S01": {"2025-12-29": {SHELF: 0.25}, "2026-01-05": {"TESTEN0001": 0.1}}}
    loop = Loop((DailyDiscounts(offers),), small_body(shelves=5, visits=0.0)).live(at(16, 0))
    told = [d for d in loop.sent(DailyDiscount) if d.reason == "weekly"]
    assert [(d.shelf_id, d.batch_code, d.discount, d.discount_date) for d in told] == [
        *((SHELF, "*", 0.25, f"2026-01-{day:02d}") for day in range(1, 5)),
        *(("TESTEN0001", "*", 0.1, f"2026-01-{day:02d}") for day in range(5, 12)),
    ]
    deleted = {key for key, row in loop.rows["daily_discounts"].items() if row is None}
    assert {msgspec.json.decode(key)["discount_date"] for key in deleted} == {"2026-01-01", "2026-01-02"}


def arrived(loop: Loop, batch_code: str, quantity: int, expiry_date: str) -> None:
    """A lot that the books find in the store; no such units lie there."""
    loop.tell(
        e.Count, shelf_id=SHELF, batch_code=batch_code, received_date="2025-12-20", expiry_date=expiry_date,
        quantity=quantity, adjustment=quantity, reason="correction",
    )  # fmt: skip


def test_a_lot_that_comes_to_its_shelf_on_its_last_day_is_marked_down_once_and_not_at_the_days_end() -> None:
    loop = Loop((DailyDiscounts(),), small_body(shelves=5, visits=0.0)).live(60)
    arrived(loop, "TODAY", 5, "2026-01-01")
    loop.live(70)
    loop.tell(e.Pickup, customer_id="C", shelf_id=SHELF, quantity=1, item_weight=103.0)
    loop.live(at(1, 23, 54))
    arrived(loop, "TOO-LATE", 5, "2026-01-01")
    loop.live(at(1, 23, 59))
    assert [given.batch_code for given in loop.sent(DailyDiscount) if given.reason == "near_expiry"] == ["TODAY"]


def test_the_days_before_expiry_are_those_of_the_shelf_and_a_new_policy_counts_at_once() -> None:
    policies = [
        ShelfPolicy(policy_id="1", shelf_id=SHELF, near_expiry_days=1),
        ShelfPolicy(policy_id="2", shelf_id="TESTEN0004", near_expiry_days=0),
    ]
    loop = Loop((ShelfAlerts(),), small_body(shelves=5, visits=0.0), policies=policies).live(at(4, 10))
    loop.configure(ShelfPolicy(policy_id="2", shelf_id="TESTEN0004", near_expiry_days=5))
    loop.live(at(4, 10, 1))
    told = {alert.shelf_id: alert.created_at for alert in loop.alerts("near_expiry")}
    assert told == {
        **dict.fromkeys((f"TESTEN{n:04d}" for n in range(3)), datetime(2026, 1, 3, tzinfo=UTC)),
        SHELF: datetime(2026, 1, 4, tzinfo=UTC),
        "TESTEN0004": datetime(2026, 1, 4, 10, 1, tzinfo=UTC),
    }
    loop.live(at(6, 0))
    closed = [a for a in loop.alerts("near_expiry") if a.batch_code.endswith("-A") and a.status == "resolved"]
    assert {alert.updated_at for alert in closed} == {datetime(2026, 1, 6, tzinfo=UTC)}, "expired, and still there"
    assert len(closed) == 5


def test_what_staff_did_not_find_of_an_expired_lot_is_not_asked_for_again() -> None:
    loop = Loop((ExpiredRemoval(),), small_body(shelves=5, visits=0.0)).live(30)
    arrived(loop, "OLD", 2, "2025-12-30")
    loop.live(at(3, 7))
    assert [task.batch_code for task in loop.sent(Task)] == ["OLD"]
    assert [alert.version for alert in loop.sent(Alert)] == [1, 2]


# --- shrink --------------------------------------------------------------------------------------------------------


def test_what_is_in_baskets_after_closing_is_lost_and_told() -> None:
    loop = quiet().live(9)
    loop.tell(e.Pickup, customer_id="C", shelf_id=SHELF, quantity=3, item_weight=103.0)
    loop.tell(e.WeightChange, customer_id="C", shelf_id=SHELF, delta_weight=-309.0)
    loop.live(at(1, 23, 5))
    (unpaid,) = [fact for fact in loop.facts if isinstance(fact, e.Unpaid)]
    assert (unpaid.shelf_id, unpaid.quantity, unpaid.timestamp) == (SHELF, 3, datetime(2026, 1, 1, 23, tzinfo=UTC))
    assert (stock(loop, Place.BASKET), stock(loop, Place.LOST)) == (0, 3)
    (alert,) = loop.alerts("unpaid")
    assert (alert.shelf_id, alert.current_stock, alert.status) == (SHELF, 3, "open")
    assert alert.likely_cause == "theft", "the customer left without a receipt"


def test_one_unit_beside_a_receipt_was_missed_by_the_till_and_more_were_hidden() -> None:
    loop, other = quiet().live(9), "TESTEN0001"
    sell(loop, 2)
    loop.tell(e.Pickup, customer_id="D", shelf_id=SHELF, quantity=1, item_weight=103.0)
    sell(loop, 1)
    sell(loop, 2, other)
    loop.tell(e.Pickup, customer_id="E", shelf_id=other, quantity=3, item_weight=101.0)
    for customer, shelf_id in (("D", other), ("E", SHELF)):
        body = {"customer_id": customer, "shelf_id": shelf_id}
        loop.tell(e.Pickup, **body, quantity=1, item_weight=101.0)
        line = e.ReceiptLine(line_no=1, shelf_id=shelf_id, quantity=1, unit_price=1, total_price=1)
        loop.tell(
            e.PosTransaction, "pos_transactions", transaction_id=customer, customer_id=customer, till_id="T1",
            items=(line,), total_items=1, total_amount=1.0,
        )  # fmt: skip
    loop.live(at(1, 23, 5))
    told = {alert.shelf_id: (alert.current_stock, alert.likely_cause) for alert in loop.alerts("unpaid")}
    assert told == {SHELF: (1, "mis_scan"), other: (3, "theft")}


def test_a_scale_that_says_nothing_while_goods_move_is_told_as_such() -> None:
    loop = quiet().live(9)
    for _ in range(3):
        loop.tell(e.Pickup, customer_id="C", shelf_id=SHELF, quantity=1, item_weight=103.0)
    loop.live(at(1, 8))
    (alert,) = loop.alerts("phantom_stock")
    assert (alert.shelf_id, alert.likely_cause, alert.suggested_qty) == (SHELF, "scale_silent", None)
    loop.tell(e.WeightChange, shelf_id=SHELF, delta_weight=-309.0)
    loop.live(at(1, 9))
    assert [alert.status for alert in loop.alerts("phantom_stock")] == ["resolved"]


def test_refills_that_the_scale_does_not_feel_make_it_silent_and_that_is_told_before_its_drift() -> None:
    loop = quiet().live(9)
    loop.tell(e.WeightChange, shelf_id=SHELF, delta_weight=-45.0)
    for _ in range(3):
        loop.tell(e.Refill, shelf_id=SHELF, batch_code=f"{SHELF}-C", quantity=1)
    loop.live(at(1, 8))
    (alert,) = loop.alerts("phantom_stock")
    assert (alert.shelf_id, alert.likely_cause) == (SHELF, "scale_silent")


def test_a_scale_that_is_off_by_less_than_a_unit_drifts_and_nothing_is_missing() -> None:
    loop = quiet().live(9)
    loop.tell(e.WeightChange, shelf_id=SHELF, delta_weight=-45.0)
    loop.live(at(1, 8))
    (alert,) = loop.alerts("phantom_stock")
    assert (alert.likely_cause, alert.suggested_qty, alert.severity) == ("scale_drift", None, "info")


def test_units_that_the_scale_does_not_feel_are_told_until_they_are_found() -> None:
    loop = quiet().live(9)
    loop.tell(e.WeightChange, shelf_id=SHELF, delta_weight=-206.0)
    loop.live(at(1, 8))
    (alert,) = loop.alerts("phantom_stock")
    assert (alert.shelf_id, alert.suggested_qty, alert.status) == (SHELF, 2, "open")
    assert alert.likely_cause == "unseen_loss"
    assert alert.created_at == datetime(2026, 1, 1, 8, tzinfo=UTC), "once an hour they are compared"
    loop.tell(e.Count, shelf_id=SHELF, quantity=38, adjustment=-2, reason="cycle")
    loop.live(at(1, 9))
    assert [alert.status for alert in loop.alerts("phantom_stock")] == ["resolved"]


def test_the_scales_own_error_is_no_shrink(busy: Loop) -> None:
    assert not busy.alerts("phantom_stock")
    assert not busy.alerts("unpaid")


def test_books_below_zero_are_told_until_they_are_mended() -> None:
    loop = quiet().live(9)
    loop.tell(e.Pickup, customer_id="C", shelf_id=SHELF, quantity=43, item_weight=103.0)
    loop.live(10)
    (alert,) = loop.alerts("negative_balance")
    assert (alert.current_stock, alert.status, alert.location) == (-3, "open", "store")
    loop.tell(e.Putback, customer_id="C", shelf_id=SHELF, quantity=3, item_weight=103.0)
    loop.live(11)
    assert [alert.status for alert in loop.alerts("negative_balance")] == ["resolved"]


# --- all ------------------------------------------------------------------------------------------------------------


def test_an_alert_about_a_lot_names_its_date(busy: Loop) -> None:
    dated = [alert for alert in busy.sent(Alert) if alert.event_type in ("near_expiry", "expired_removal")]
    assert all(alert.expiry_date for alert in dated)
    assert all(alert.expiry_date in alert.why for alert in dated if alert.status == "open")
