"""Goods are ordered before each cutoff and come with the lorry: the supply side's stages against the pure world."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pytest

from smartshelf.contracts import events as e
from smartshelf.contracts.control import Task
from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import Alert, OrderProposal, SupplierOrder, SupplierPlan, SupplierReceipt, WhPolicy
from smartshelf.domain import ordering
from smartshelf.domain.calendar import Calendar, Timetable
from spark_apps.jobs.expired_removal import ExpiredRemoval
from spark_apps.jobs.refill_bridge import RefillBridge
from spark_apps.jobs.restock_manager import RestockManager
from spark_apps.jobs.shelf_alerts import ShelfAlerts
from spark_apps.jobs.supplier_manager import Desk, State, SupplierManager
from spark_apps.jobs.warehouse_alerts import WarehouseAlerts
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.rates import Opening
from spark_apps.runtime.stage import Scope, Step
from tests.loop import START, Loop
from tests.worlds import small_body

SHELF, OTHER = "TESTEN0003", "TESTEN0004"
#: Six a day of one product, next to nothing of the others.
RATES = {f"TESTEN{n:04d}": (6.0 if n == 3 else 0.1, 0.0) for n in range(5)}
STAGES = (WarehouseAlerts(), SupplierManager())


def quiet(stages: tuple = STAGES, learnt: Opening = RATES, **options: object) -> Loop:
    """Nobody comes in. 40 units on a shelf of 60, 30 in a backroom for 100, batches of 10, ten days of life.

    On Thursday at noon an order must last 92 hours: 6 x 92 / 24 + 6 x 2 days of safety = 35 is the reorder point, 35 +
    6 x 7 / 3 = 49 the level.
    """
    return Loop(stages, small_body(shelves=5, visits=0.0), learnt=learnt, **options)


def at(day: int, hour: int, minute: int = 0) -> int:
    """The step that ends at this time of January 2026; the 1st is a Thursday."""
    return int((datetime(2026, 1, day, hour, minute, tzinfo=UTC) - START) / timedelta(minutes=1))


def backroom_counted(loop: Loop, difference: int, shelf_id: str = SHELF) -> None:
    body = {"shelf_id": shelf_id, "location": "warehouse", "reason": "correction"}
    loop.tell(e.Count, **body, quantity=30 + max(difference, 0), adjustment=difference)


def plans(loop: Loop) -> list[SupplierPlan]:
    return [row for row in loop.rows["wh_supplier_plan"].values() if row is not None]


def orders(loop: Loop) -> list[SupplierOrder]:
    return [row for row in loop.rows["wh_supplier_orders"].values() if row is not None]


def said(loop: Loop, shelf_id: str = SHELF) -> list[tuple[str, int]]:
    """Everything told of a shelf's plans, in order."""
    return [(plan.status, plan.suggested_qty) for plan in loop.sent(SupplierPlan) if plan.shelf_id == shelf_id]


def muted(loop: Loop) -> list[Task]:
    """The world hears of no order; what it would have heard is in the list."""
    hear, unheard = loop.worlds.hear, list[Task]()

    def filtered(message: object, *where: object) -> None:
        if isinstance(message, Task) and message.kind == "order":
            unheard.append(message)
        else:
            hear(message, *where)  # type: ignore[arg-type]

    loop.worlds.hear = filtered  # type: ignore[method-assign]
    return unheard


@pytest.fixture(scope="module")
def ordered() -> Loop:
    """To the Friday morning on which the first order comes."""
    return quiet().live(at(2, 8, 2))


@pytest.fixture(scope="module")
def busy() -> Loop:
    """Five days of a small store that lives on its orders, while every other lorry is late or brings too little."""
    stages = (ShelfAlerts(), WarehouseAlerts(), RestockManager(), RefillBridge(), SupplierManager(), ExpiredRemoval())
    loop = Loop(stages, small_body(visits=150.0))
    assert loop.worlds.switch({"late-delivery", "short-delivery"})
    return loop.live(at(6, 9))


# --- from the reorder point to the receipt --------------------------------------------------------------------------


def test_a_product_at_its_reorder_point_is_ordered_at_the_cutoff_in_whole_batches(ordered: Loop) -> None:
    (plan,) = plans(ordered)
    assert (plan.shelf_id, plan.suggested_qty, plan.source) == (SHELF, 10, "rule")
    assert (plan.inventory_position, plan.reorder_point_qty, plan.order_up_to_qty) == (30, 35, 49)
    assert said(ordered) == [("pending", 10), ("issued", 10), ("completed", 10)]
    issued = next(plan for plan in ordered.sent(SupplierPlan) if plan.status == "issued")
    assert issued.updated_at == issued.cutoff_ts == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert issued.delivery_ts == datetime(2026, 1, 2, 8, tzinfo=UTC)


def test_the_lorry_comes_at_the_delivery_with_a_lot_of_the_products_shelf_life(ordered: Loop) -> None:
    (task,) = [task for task in ordered.sent(Task) if task.kind == "order"]
    (delivery,) = [fact for fact in ordered.facts if isinstance(fact, e.WhIn)]
    assert task.do_at == at(2, 8) + 1
    assert datetime(2026, 1, 2, 8, tzinfo=UTC) < delivery.timestamp < datetime(2026, 1, 2, 8, 1, tzinfo=UTC)
    assert (delivery.qty, delivery.received_date, delivery.expiry_date) == (10, "2026-01-02", "2026-01-12")


def test_the_first_delivery_closes_the_order_with_a_receipt(ordered: Loop) -> None:
    (order,), (receipt,) = orders(ordered), ordered.sent(SupplierReceipt)
    assert (order.status, order.qty, order.supplier_id) == ("completed", 10, "SUP")
    assert (receipt.order_id, receipt.qty, receipt.difference) == (order.order_id, 10, 0)
    assert receipt.expiry_date == "2026-01-12"
    book = ordered.books.shelves
    assert (book.on_order.sum(), book.balances[book.row_of[SHELF], Place.BACKROOM]) == (0, 40)


def test_what_is_ordered_is_on_order_until_it_comes() -> None:
    loop = quiet().live(at(1, 12, 1))
    book = loop.books.shelves
    assert book.on_order[book.row_of[SHELF]] == book.on_order.sum() == 10


def test_the_alert_closes_when_the_order_is_out_and_opens_no_second_time(ordered: Loop) -> None:
    told = [alert for alert in ordered.sent(Alert) if alert.event_type == "supplier_request"]
    assert [(alert.status, alert.suggested_qty) for alert in told] == [("open", 10), ("resolved", 10)]
    assert told[0].alert_id == told[1].alert_id
    assert told[1].updated_at == datetime(2026, 1, 1, 12, 1, tzinfo=UTC)


# --- until the cutoff -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def followed() -> Loop:
    """The backroom goes down to 15, up to 75 and down to 25 again within the first morning."""
    loop = quiet().live(9)
    for difference in (-15, 60, -50):
        backroom_counted(loop, difference)
        loop.live(loop.worlds.position.step + 10)
    return loop


def test_a_pending_plan_follows_the_position_down_and_up_and_keeps_its_id(followed: Loop) -> None:
    loop = followed
    assert said(loop) == [("pending", 10), ("pending", 30), ("canceled", 30), ("pending", 20)]
    assert len(plans(loop)) == 1
    assert [proposal.qty for proposal in loop.sent(OrderProposal)] == [10, 30, 0, 20]
    assert [proposal.version for proposal in loop.sent(OrderProposal)] == [1, 2, 3, 4]


def test_an_alert_stays_open_until_the_position_is_clearly_above_the_point() -> None:
    loop = quiet().live(9)
    backroom_counted(loop, 6)  # 36; well again from 37 on
    assert [alert.status for alert in loop.live(19).alerts("supplier_request")] == ["open"]
    assert said(loop) == [("pending", 10), ("canceled", 10)]
    backroom_counted(loop, 1)
    assert [alert.status for alert in loop.live(29).alerts("supplier_request")] == ["resolved"]


def test_after_the_cutoff_nothing_takes_an_order_back() -> None:
    loop = quiet().live(at(1, 12))
    backroom_counted(loop, 60)
    loop.live(at(1, 13))
    assert said(loop) == [("pending", 10), ("issued", 10)]
    assert [order.status for order in orders(loop)] == ["issued"]


def test_the_last_look_before_the_cutoff_sees_what_is_on_the_shelf() -> None:
    """Three a day sell 77 until a lot delivered tomorrow is old: none may be added to 40 and 30, but 40 to 30."""
    slow = {**RATES, SHELF: (3.0, 0.0)}
    policy = WhPolicy(policy_id="1", shelf_id=SHELF, reorder_point_qty=95, order_up_to_qty=100)
    loop = quiet(learnt=slow, policies=[policy]).live(at(1, 11))
    loop.tell(e.Pickup, customer_id="C", shelf_id=SHELF, quantity=40, item_weight=103.0)
    assert not said(loop.live(at(1, 11, 58)))
    assert said(loop.live(at(1, 12))) == [("pending", 40), ("issued", 40)]


def test_a_perishable_on_its_way_to_the_shelf_must_still_sell_like_the_others() -> None:
    slow = {**RATES, SHELF: (3.0, 0.0)}
    policy = WhPolicy(policy_id="1", shelf_id=SHELF, reorder_point_qty=95, order_up_to_qty=100)
    loop = quiet(learnt=slow, policies=[policy]).live(9)
    loop.tell(e.WhOut, "wh_events", shelf_id=SHELF, batch_code=f"{SHELF}-C", qty=30, plan_id="P", due_ts=START)
    assert not said(loop.live(30))


def test_what_is_on_its_last_day_when_the_lorry_comes_is_no_stock() -> None:
    loop = quiet()
    loop.deliver(SHELF, "SHORT", 20, "2026-01-02")
    assert said(loop.live(at(1, 12))) == [("pending", 10), ("issued", 10)]


def test_a_policy_that_states_the_levels_is_followed() -> None:
    loop = quiet(policies=[WhPolicy(policy_id="1", shelf_id=SHELF, reorder_point_qty=50, order_up_to_qty=80)]).live(5)
    (plan,) = plans(loop)
    assert (plan.suggested_qty, plan.reorder_point_qty, plan.order_up_to_qty) == (50, 50, 80)


def test_cutoffs_and_deliveries_are_those_of_the_settings() -> None:
    every_day = frozenset(range(7))
    calendar = Calendar(cutoff=Timetable(every_day, time(9, 30)), delivery=Timetable(every_day, time(15)))
    loop = quiet((WarehouseAlerts(calendar), SupplierManager(calendar)), calendar=calendar, policies=[
        WhPolicy(policy_id="1", shelf_id=SHELF, reorder_point_qty=31)
    ]).live(at(1, 15, 2))  # fmt: skip
    (receipt,) = loop.sent(SupplierReceipt)
    assert receipt.received_ts.replace(second=0, microsecond=0) == datetime(2026, 1, 1, 15, tzinfo=UTC)


def test_a_shelf_that_is_taken_out_of_use_is_not_ordered_for() -> None:
    loop = quiet().live(9)
    record = loop._record("shelf_profiles", next(p for p in loop.profiles if p.shelf_id == SHELF))
    loop._waiting.append(record._replace(value=None))
    loop.live(at(1, 12, 5))
    assert said(loop) == [("pending", 10), ("canceled", 10)]
    assert not orders(loop)


# --- who proposes ---------------------------------------------------------------------------------------------------


def proposed(loop: Loop, proposer: str, quantity: int, cutoff: datetime | None = None) -> None:
    loop.tell(
        e.OrderRequest, "proposals", shelf_id=SHELF, qty=quantity, proposed_by=proposer, why="Because.",
        cutoff_ts=cutoff or datetime(2026, 1, 1, 12, tzinfo=UTC),
    )  # fmt: skip


def test_the_model_counts_over_the_rule_and_a_person_over_both() -> None:
    loop = quiet().live(9)
    proposed(loop, "person", 20)
    proposed(loop, "model", 31)
    loop.live(10)
    assert [(plan.source, plan.suggested_qty) for plan in plans(loop)] == [("person", 20)]
    loop = quiet().live(9)
    proposed(loop, "model", 31)
    loop.live(10)
    assert [(plan.source, plan.suggested_qty) for plan in plans(loop)] == [("model", 40)]


def test_a_model_that_wants_nothing_cancels_the_rules_plan() -> None:
    loop = quiet().live(9)
    proposed(loop, "model", 0)
    assert said(loop.live(10)) == [("pending", 10), ("canceled", 10)]


def test_a_proposal_for_a_cutoff_that_has_passed_comes_too_late() -> None:
    loop = quiet().live(at(1, 12))
    proposed(loop, "model", 50)
    loop.live(at(1, 12, 10))
    assert said(loop) == [("pending", 10), ("issued", 10)]


def desk_of(loop: Loop) -> Desk:
    """The supplier manager's desk at the end of a loop, as a command finds it."""
    k = loop.worlds.position.step
    now = START + timedelta(minutes=k)
    step = Step(k, 1, now, now, Scope("S01", 1, k))
    state: State = SupplierManager().load(loop.values["stage:supplier_manager"])
    return Desk(state, Calendar(), StoreConfig.load(loop.values["config"]), step, Books.load(loop.values))


def test_a_person_orders_whole_batches_as_many_as_fit_into_the_backroom() -> None:
    loop = quiet().live(9)
    some = loop.command("ADA", kind="order", shelf_id=SHELF, qty=21)
    loop.live(10)
    many = loop.command("ADA", kind="order", shelf_id=SHELF, qty=500)
    loop.live(at(1, 12))
    assert loop.outcome(some).reason == "30 units go out with the orders of 2026-01-01 12:00."
    assert loop.outcome(many).reason == "70 units go out with the orders of 2026-01-01 12:00."
    assert said(loop) == [("pending", 10), ("pending", 30), ("pending", 70), ("issued", 70)]
    (plan,) = plans(loop)
    assert (plan.source, plan.why) == ("person", "ADA orders 70 units.")
    persons = [(row.qty, row.version) for row in loop.sent(OrderProposal) if row.source == "person"]
    assert persons == [(30, 1), (70, 2)]


def test_a_person_cancels_a_plan_until_its_cutoff_and_may_take_that_back() -> None:
    loop = quiet().live(9)
    (plan,) = plans(loop)
    canceled = loop.command(kind="cancel_supplier_plan", supplier_plan_id=plan.supplier_plan_id)
    loop.live(19)
    backroom_counted(loop, -15)  # the rule wants more now, but a person has spoken
    loop.live(29)
    assert said(loop) == [("pending", 10), ("canceled", 10)]
    back = loop.command(kind="order", shelf_id=SHELF, qty=0)
    loop.live(at(1, 12, 5))
    assert said(loop) == [("pending", 10), ("canceled", 10), ("pending", 30), ("issued", 30)]
    late = loop.command(kind="cancel_supplier_plan", supplier_plan_id=plan.supplier_plan_id)
    loop.live(at(1, 12, 6))
    assert [loop.outcome(name).outcome for name in (canceled, back, late)] == ["done", "done", "refused"]
    assert loop.outcome(late).reason == f"Plan {plan.supplier_plan_id} has gone out as an order."


def test_a_command_while_the_clock_stands_changes_the_plan_at_once() -> None:
    loop = quiet().live(9)
    loop.command("ADA", kind="order", shelf_id=SHELF, qty=40)
    loop.cut_again()
    assert said(loop) == [("pending", 10), ("pending", 40)]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"kind": "order", "shelf_id": "NOWHERE", "qty": 5}, "There is no shelf NOWHERE."),
        ({"kind": "order", "shelf_id": SHELF, "qty": 0}, f"No person has ordered anything of shelf {SHELF}."),
        ({"kind": "cancel_supplier_plan", "supplier_plan_id": "none"}, "There is no plan none."),
    ],
)
def test_what_cannot_be_ordered_or_canceled_is_refused_with_its_reason(what: dict[str, object], reason: str) -> None:
    loop = quiet().live(9)
    asked = loop.command(**what)
    answer = loop.live(10).outcome(asked)
    assert (answer.outcome, answer.reason) == ("refused", reason)


def test_nothing_is_ordered_into_a_full_backroom() -> None:
    loop = quiet().live(9)
    backroom_counted(loop, 65)
    loop.live(10)
    asked = loop.command(kind="order", shelf_id=SHELF, qty=10)
    assert loop.live(11).outcome(asked).outcome == "refused"


def test_an_alert_to_order_can_be_acknowledged() -> None:
    loop = quiet().live(9)
    (alert,) = loop.alerts("supplier_request")
    loop.command("ADA", kind="ack_alert", alert_id=alert.alert_id)
    (alert,) = loop.live(10).alerts("supplier_request")
    assert (alert.status, alert.acknowledged_by) == ("ack", "ADA")


# --- lorries that are late, bring too little, or never come -----------------------------------------------------------


def test_late_and_short_deliveries_close_their_orders_with_what_came(busy: Loop) -> None:
    receipts = busy.sent(SupplierReceipt)
    expected = {order.order_id: order for order in orders(busy)}
    assert any(receipt.difference < 0 for receipt in receipts)
    assert any(r.received_ts - expected[r.order_id].expected_delivery_ts > timedelta(hours=4) for r in receipts)
    for receipt in receipts:
        order, came = expected[receipt.order_id], receipt.received_ts.date()
        assert (order.status, receipt.difference) == ("completed", receipt.qty - order.qty)
        assert receipt.received_date == came.isoformat()
        assert date.fromisoformat(receipt.expiry_date) - came == timedelta(days=10)
    assert len({receipt.order_id for receipt in receipts}) == len(receipts)


def test_the_books_hold_what_lorries_really_brought(busy: Loop) -> None:
    book, world = busy.books.shelves, busy.worlds.worlds["S01"]
    outstanding = {order.order_id: (order.shelf_id, order.qty) for order in orders(busy) if order.status == "issued"}
    assert book.orders == outstanding
    assert (book.balances.sum(axis=1) == 0).all()
    for shelf_id, row in book.row_of.items():
        assert book.balances[row, [Place.BACKROOM, Place.ON_THE_WAY]].sum() == world.shelf(shelf_id).in_backroom


def test_an_order_that_brings_nothing_is_given_up_after_two_days_and_received_if_it_comes_after_all() -> None:
    loop = quiet()
    unheard = muted(loop)
    loop.live(at(4, 8, 1))
    book = loop.books.shelves
    assert [order.status for order in orders(loop)] == ["canceled"]
    assert (book.on_order.sum(), book.orders) == (0, {})
    assert plans(loop)[0].why == "None of the 10 units ordered has arrived."
    (task,) = unheard
    loop.tell(
        e.WhIn, "wh_events", shelf_id=SHELF, batch_code=task.batch_code, qty=8, order_id=task.plan_id,
        received_date="2026-01-04", expiry_date="2026-01-14",
    )  # fmt: skip
    loop.live(at(4, 8, 5))
    (receipt,) = loop.sent(SupplierReceipt)
    assert (receipt.qty, receipt.difference) == (8, -2)
    assert [order.status for order in orders(loop)] == ["completed"]


def test_what_was_closed_two_weeks_ago_leaves_the_topics() -> None:
    desk = desk_of(quiet().live(at(2, 8, 2)))
    closed = datetime(2026, 1, 2, tzinfo=UTC)
    deleted = []
    for days in (13, 14):
        midnight = closed + timedelta(days=days)
        desk.step = Step(1, 0, midnight, midnight - timedelta(minutes=1), Scope("S01", 1, 1))
        deleted.append([output.topic for output in desk.forget()])
    assert deleted == [[], ["wh_supplier_plan", "wh_supplier_orders", "wh_supplier_receipts"]]
    assert not desk.state.closed


# --- what the rule learns ---------------------------------------------------------------------------------------------


def learnt(loop: Loop, shelf_id: str = SHELF) -> tuple[float, float]:
    books = loop.books
    row = books.shelves.row_of[shelf_id]
    return float(books.demand.mean[row]), float(books.demand.variance[row])


def paid(loop: Loop, quantity: int) -> None:
    loop.tell(e.Pickup, customer_id="C", shelf_id=SHELF, quantity=quantity, item_weight=103.0)
    line = e.ReceiptLine(line_no=1, shelf_id=SHELF, quantity=quantity, unit_price=1, total_price=1)
    loop.tell(
        e.PosTransaction, "pos_transactions", transaction_id=f"T{loop.offsets['pos_transactions']}", customer_id="C",
        till_id="T1", items=(line,), total_items=quantity, total_amount=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(("sold", "usable"), [(16, True), (4, True), (40, False)])
def test_a_closed_day_is_smoothed_into_the_rate_as_history_does(sold: int, usable: bool) -> None:
    loop = quiet().live(30)
    paid(loop, sold)
    before = learnt(loop.live(at(1, 23, 59)))
    mean, variance = ordering.smooth(np.array([6.0]), np.array([0.0]), sold, usable)
    assert before == (6.0, 0.0)
    assert learnt(loop.live(at(2, 0))) == (mean[0], variance[0])


def test_a_day_with_an_empty_shelf_that_sold_less_than_usual_teaches_nothing() -> None:
    loop = quiet().live(30)
    loop.tell(e.Pickup, customer_id="C", shelf_id=SHELF, quantity=40, item_weight=103.0)
    loop.live(40)
    loop.tell(e.Putback, customer_id="C", shelf_id=SHELF, quantity=40, item_weight=103.0)
    assert learnt(loop.live(at(2, 0))) == (6.0, 0.0)
    assert learnt(loop, "TESTEN0001")[0] < 0.1


def test_a_product_without_a_past_is_taken_to_sell_a_tenth_of_a_shelf_a_day() -> None:
    loop = Loop((WarehouseAlerts(),), small_body(shelves=1, visits=0.0)).live(1)
    assert learnt(loop, "TESTEN0000") == (6.0, 6.0)


# --- lots in the backroom ---------------------------------------------------------------------------------------------


def test_a_lot_in_the_backroom_is_told_a_quarter_of_its_life_before_its_date() -> None:
    loop = quiet().live(at(7, 0))  # lot C expires on the 9th; ten days of life
    told = loop.alerts("near_expiry")
    assert len(told) == 5
    assert {(a.location, a.current_stock, a.created_at, a.status) for a in told} == {
        ("warehouse", 30, datetime(2026, 1, 7, tzinfo=UTC), "open")
    }
