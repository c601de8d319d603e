"""Every sentence of every alert and plan, as a store really says it: its figures are fields of the row, by name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from smartshelf.contracts import events as e
from smartshelf.contracts.control import Task
from smartshelf.contracts.rows import Alert, OrderProposal, RestockPlan, SupplierPlan, WhPolicy
from smartshelf.runner.alerting import about
from smartshelf.settings import load
from spark_apps.jobs.expired_removal import ExpiredRemoval
from spark_apps.jobs.refill_bridge import RefillBridge
from spark_apps.jobs.restock_manager import RestockManager
from spark_apps.jobs.shelf_alerts import ShelfAlerts
from spark_apps.jobs.shrink import Shrink
from spark_apps.jobs.supplier_manager import SupplierManager
from spark_apps.jobs.warehouse_alerts import WarehouseAlerts
from tests.loop import START, Loop
from tests.worlds import small_body

POSITION = "On hand and on order, less what is reserved, are {inventory_position} units"
AT_THE_POINT = f"{POSITION}; the reorder point is {{reorder_point_qty}}"
ENOUGH = f"{POSITION}, above the reorder point of {{reorder_point_qty}}."
NO_ROOM = f"{AT_THE_POINT}, but no batch more fits into the backroom or would sell in time."
WITHOUT_PROFILE = "The shelf is no longer in use."
#: Places of a lot in the books.
OF_LOTS = tuple(f"of lot {{batch_code}} {place}" for place in ("in the store", "in the backroom", "on the way"))
UNPAID = "{current_stock} units left the shelf and were in no basket and on no receipt at closing"

#: What a row may say, with the names of the fields whose values stand in it.
SAID: dict[str, tuple[str, ...]] = {
    "refill_request": (
        "{current_stock} of {max_stock} units are on the shelf; {suggested_qty} more bring it back to its target.",
        "{current_stock} of {max_stock} units are on the shelf again.",
        WITHOUT_PROFILE,
    ),
    "near_expiry": (
        "{current_stock} units of lot {batch_code} in the store expire on {expiry_date}.",
        "{current_stock} units of lot {batch_code} in the backroom expire on {expiry_date}.",
        "Lot {batch_code} has left the store, or has expired.",
        "Lot {batch_code} has left the backroom, or has expired.",
    ),
    "supplier_request": (
        f"{AT_THE_POINT}: order {{suggested_qty}}.",
        f"Ordered: {AT_THE_POINT[0].lower()}{AT_THE_POINT[1:]}.",
        ENOUGH,
        NO_ROOM,
        WITHOUT_PROFILE,
    ),
    "expired_removal": (
        "{current_stock} units of lot {batch_code} with the expiry date {expiry_date} are taken away.",
        "What was left of lot {batch_code} has been taken away.",
    ),
    "unpaid": (
        "Baskets held {current_stock} units at closing: more was paid for than anybody was seen to take.",
        f"{UNPAID}.",
        f"{UNPAID}, probably hidden by shoppers.",
        f"{UNPAID}, probably missed by the till.",
        "Booked as lost; nothing is left to do.",
    ),
    "phantom_stock": (
        "The books hold {current_stock} units and the scale does not feel {suggested_qty} of them: probably taken "
        "without being seen, or scanned as something else. Count the shelf.",
        "The scale does not agree with the {current_stock} units of the books, and not by whole units: probably its "
        "zero wanders. Count the shelf and set the scale.",
        "Goods were moved and the scale said nothing; the books hold {current_stock} units. Look at the scale.",
        "Books and scale agree again: {current_stock} units.",
        "{suggested_qty} units of lot {batch_code} were to be brought to the shelf and never came; the books hold "
        "{current_stock} more in the backroom. Count them.",
        "Booked to the unknown; nothing is left to do.",
        WITHOUT_PROFILE,
    ),
    "negative_balance": tuple(
        f"The books hold {{current_stock}} units {place}{end}"
        for place in ("on the shelf", "in baskets", "in the backroom", "on the way", *OF_LOTS)
        for end in (": more went out than they knew of.", " now.")
    ),
    "job_failed": (
        "The run of refresh_views due at {updated_at:%Y-%m-%d %H:%M} failed: Full: no room on the disk",
        "The run of refresh_views due at {updated_at:%Y-%m-%d %H:%M} succeeded.",
    ),
    "restock plan": (
        "All {suggested_qty} units wanted are taken from the backroom, first-expiring first.",
        "{picked_qty} of {suggested_qty} units were taken from the backroom; the rest was canceled by a person.",
        "{picked_qty} of {suggested_qty} units were taken from the backroom; the shelf has no room for more.",
        "{picked_qty} of {suggested_qty} units are taken from the backroom; the rest follows when stock arrives.",
        "None of {suggested_qty} units is in the backroom; they follow when stock arrives.",
    ),
    "supplier plan": (
        f"{AT_THE_POINT}: order {{suggested_qty}}.",
        ENOUGH,
        NO_ROOM,
        "ADA orders {suggested_qty} units.",
        "ADA orders none.",
        "The shelf is no longer in use.",
        "Nobody wants it any more.",
        "{received_qty} of {suggested_qty} units ordered have arrived.",
        "None of the {suggested_qty} units ordered has arrived.",
    ),
    "order proposal": (
        f"{AT_THE_POINT}: order {{qty}}.",
        ENOUGH,
        NO_ROOM,
        "ADA orders {qty} units.",
        "ADA orders none.",
        "Withdrawn: model and rule count again.",
    ),
}  # fmt: skip


def shelf(number: int) -> str:
    return f"TESTEN{number:04d}"


def at(day: int, hour: int, minute: int = 0) -> int:
    """The step that ends at this time of January 2026; the 1st is a Thursday."""
    return int((datetime(2026, 1, day, hour, minute, tzinfo=UTC) - START) / timedelta(minutes=1))


#: Six a day of some products, next to nothing of the others.
RATES = {shelf(n): (6.0 if n in (0, 1, 2, 3, 6) else 0.1, 0.0) for n in range(10)}
STAGES = (
    ShelfAlerts(),
    WarehouseAlerts(),
    RestockManager(),
    RefillBridge(),
    SupplierManager(),
    ExpiredRemoval(),
    Shrink(),
)


def rows(loop: Loop) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Everything that was said of itself: kind, fields, sentence."""
    for alert in loop.sent(Alert):
        yield alert.event_type, msgspec.structs.asdict(alert), alert.why
    for plan in loop.sent(RestockPlan):
        yield "restock plan", msgspec.structs.asdict(plan), plan.why
    for order in loop.sent(SupplierPlan):
        yield "supplier plan", msgspec.structs.asdict(order), order.why
    for proposal in loop.sent(OrderProposal):
        yield "order proposal", msgspec.structs.asdict(proposal), proposal.reason


def lived() -> Loop:
    """A day and a delivery with thieves, tills that miss units, odd scales and late lorries."""
    loop = Loop(STAGES, small_body(shelves=10, visits=60.0), learnt=RATES)
    assert loop.worlds.switch(
        frozenset({"theft", "mis-scan", "sensor-drift", "sensor-silence", "late-delivery", "short-delivery"})
    )
    return loop.live(at(2, 9))


def told() -> Loop:
    """Nobody comes in; people, outside systems and lorries do what a store seldom sees."""
    loop = Loop(STAGES, small_body(shelves=10, visits=0.0), learnt=RATES)
    loop.deliver(shelf(5), "SHORT", 12, "2026-01-03")  # goes to its shelf
    loop.deliver(shelf(9), "SHORT", 12, "2026-01-03")  # stays in the backroom
    _without_lorries(loop)
    loop.live(30)
    _strange_facts(loop)
    loop.live(40)
    _people(loop)
    loop.live(at(1, 11))
    _gone(loop, shelf(0))
    loop.live(at(2, 0))
    _mended(loop)
    return loop.live(at(4, 8, 2))


def _without_lorries(loop: Loop) -> None:
    """No order is heard."""
    hear = loop.worlds.hear

    def filtered(message: object, *where: object) -> None:
        if not (isinstance(message, Task) and message.kind == "order"):
            hear(message, *where)  # type: ignore[arg-type]

    loop.worlds.hear = filtered  # type: ignore[method-assign]


def _take(loop: Loop, number: int, quantity: int, customer: str = "C") -> None:
    """The scale feels it too."""
    loop.tell(e.Pickup, customer_id=customer, shelf_id=shelf(number), quantity=quantity, item_weight=100.0 + number)
    loop.tell(e.WeightChange, shelf_id=shelf(number), delta_weight=-(100.0 + number) * quantity)


def _backroom(loop: Loop, number: int, difference: int) -> None:
    body = {"shelf_id": shelf(number), "batch_code": f"{shelf(number)}-C", "location": "warehouse"}
    dates = {"received_date": "2025-12-31", "expiry_date": "2026-01-09"}
    quantity = 30 + difference
    loop.tell(e.Count, **body, **dates, quantity=quantity, adjustment=difference, reason="correction")


def _pay(loop: Loop, number: int, quantity: int, batch: str, customer: str = "D") -> None:
    line = e.ReceiptLine(
        line_no=1, shelf_id=shelf(number), batch_code=batch, quantity=quantity, unit_price=1, total_price=1
    )
    loop.tell(
        e.PosTransaction, "pos_transactions", transaction_id=f"T{loop.offsets['pos_transactions']}",
        customer_id=customer, till_id="T1", items=(line,), total_items=quantity, total_amount=1.0,
    )  # fmt: skip


def _strange_facts(loop: Loop) -> None:
    _backroom(loop, 0, -30)
    _take(loop, 0, 30)  # nothing is there to bring
    loop.tell(e.WeightChange, shelf_id=shelf(0), delta_weight=-200.0)
    _take(loop, 1, 43)  # more than there was; 30 of 48 come
    _pay(loop, 2, 2, f"{shelf(2)}-A")  # never taken from the shelf
    out = {"batch_code": f"{shelf(3)}-C", "qty": 50, "plan_id": "elsewhere", "due_ts": START}
    loop.tell(e.WhOut, "wh_events", shelf_id=shelf(3), **out)
    loop.tell(e.Refill, shelf_id=shelf(4), batch_code=f"{shelf(4)}-C", quantity=5)
    _take(loop, 5, 40)
    _take(loop, 6, 1)
    _pay(loop, 6, 1, f"{shelf(6)}-C")  # a lot that is in the backroom
    loop.tell(e.WeightChange, shelf_id=shelf(7), delta_weight=-214.0)
    loop.tell(e.WeightChange, shelf_id=shelf(8), delta_weight=-45.0)
    for _ in range(3):
        loop.tell(e.Pickup, customer_id="C", shelf_id=shelf(9), quantity=1, item_weight=109.0)
    for number in (4, 8):
        _take(loop, number, 1, "E")
    _pay(loop, 4, 1, f"{shelf(4)}-A", "E")  # the other unit was not seen by the till


def _people(loop: Loop) -> None:
    (short,) = [plan for plan in loop.plans() if plan.shelf_id == shelf(5)]
    loop.command("ADA", kind="cancel_plan", plan_id=short.plan_id)
    loop.tell(e.Putback, customer_id="C", shelf_id=shelf(1), quantity=40, item_weight=101.0)
    for number in (7, 8, 9):
        loop.command("ADA", kind="order", shelf_id=shelf(number), qty=21)
    loop.configure(WhPolicy(policy_id="much", shelf_id=shelf(2), reorder_point_qty=100, order_up_to_qty=200))
    loop.live(50)
    (asked,) = [row for row in loop.sent(SupplierPlan) if row.shelf_id == shelf(8)]
    loop.command("ADA", kind="cancel_supplier_plan", supplier_plan_id=asked.supplier_plan_id)
    loop.command("ADA", kind="order", shelf_id=shelf(9), qty=0)
    _backroom(loop, 2, 68)  # no batch fits beside them
    _backroom(loop, 6, 60)


def _gone(loop: Loop, shelf_id: str) -> None:
    """The shelf is taken out of use."""
    record = loop._record("shelf_profiles", next(p for p in loop.profiles if p.shelf_id == shelf_id))
    loop._waiting.append(record._replace(value=None))


def _mended(loop: Loop) -> None:
    loop.tell(e.Count, shelf_id=shelf(7), quantity=38, adjustment=-2, reason="cycle")
    _backroom(loop, 3, 20)
    loop.tell(e.WhOut, "wh_events", shelf_id=shelf(4), batch_code=f"{shelf(4)}-C", qty=5, plan_id="P", due_ts=START)
    loop.tell(e.Count, shelf_id=shelf(6), batch_code=f"{shelf(6)}-C", quantity=0, adjustment=1, reason="cycle")


def failed() -> Iterator[tuple[str, dict[str, Any], str]]:
    """The runner's alert about a job."""
    due = datetime(2026, 1, 5, 0, 30, tzinfo=UTC)
    why = f"The run of refresh_views due at {due:%Y-%m-%d %H:%M} "
    config = load({})
    for version, status, end in ((1, "open", "failed: Full: no room on the disk"), (2, "resolved", "succeeded.")):
        row = about(config, "S01", "refresh_views", due, due, version, status, why + end)  # type: ignore[arg-type]
        yield row.event_type, msgspec.structs.asdict(row), row.why


@pytest.fixture(scope="module")
def stores() -> list[Loop]:
    return [told(), lived()]


@pytest.fixture(scope="module")
def everything(stores: list[Loop]) -> list[tuple[str, dict[str, Any], str]]:
    return [*(said for store in stores for said in rows(store)), *failed()]


def test_nothing_opens_twice(stores: list[Loop]) -> None:
    assert [store.opened_twice() for store in stores] == [[], []]


def meant(kind: str, fields: dict[str, Any], why: str) -> list[str]:
    """The sentences of a kind that say ``why`` with the row's own fields."""
    return [sentence for sentence in SAID[kind] if sentence.format(**fields) == why]


def test_every_figure_in_a_why_is_the_field_that_it_names(everything: list[tuple[str, dict[str, Any], str]]) -> None:
    assert {(kind, why) for kind, fields, why in everything if len(meant(kind, fields, why)) != 1} == set()


def test_every_rule_and_every_sentence_is_really_said(everything: list[tuple[str, dict[str, Any], str]]) -> None:
    heard = {(kind, sentence) for kind, fields, why in everything for sentence in meant(kind, fields, why)}
    assert {(kind, sentence) for kind, sentences in SAID.items() for sentence in sentences} - heard == set()
    assert {kind for kind, _ in heard} >= set(get_args(get_type_hints(Alert)["event_type"]))


@pytest.mark.parametrize("kind", [RestockPlan, SupplierPlan])
def test_every_status_of_a_plan_has_its_sentence(
    everything: list[tuple[str, dict[str, Any], str]], kind: type[msgspec.Struct]
) -> None:
    named = {RestockPlan: "restock plan", SupplierPlan: "supplier plan"}[kind]
    seen = {fields["status"] for name, fields, _ in everything if name == named}
    assert seen == set(get_args(get_type_hints(kind)["status"]))
