"""What people ask for is done once, with the cut that names it, and every command is answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import Alert, Command, CommandOutcome
from spark_apps.jobs.expired_removal import ExpiredRemoval
from spark_apps.jobs.refill_bridge import RefillBridge
from spark_apps.jobs.restock_manager import RestockManager
from spark_apps.jobs.shelf_aggregator import ShelfAggregator
from spark_apps.jobs.shelf_alerts import ShelfAlerts
from spark_apps.jobs.shrink import Shrink
from spark_apps.runtime.config import REMEMBERED_DAYS, StoreConfig
from spark_apps.runtime.records import Record
from tests.loop import START, Loop
from tests.worlds import small_body

STAGES = (ShelfAggregator(), ShelfAlerts(), RestockManager(), RefillBridge(), ExpiredRemoval(), Shrink())
SHELF = "TESTEN0003"
LOT = f"{SHELF}-A"


def quiet() -> Loop:
    """Nobody comes in. 40 units on a shelf of 60, 30 in the backroom."""
    return Loop(STAGES, small_body(shelves=5, visits=0.0))


def take(loop: Loop, quantity: int) -> None:
    """Seen by the sensor alone; the world does not know."""
    loop.tell(e.Pickup, customer_id="C", shelf_id=SHELF, quantity=quantity, item_weight=103.0)


def put_back(loop: Loop, quantity: int) -> None:
    loop.tell(e.Putback, customer_id="C", shelf_id=SHELF, quantity=quantity, item_weight=103.0)


def low() -> tuple[Loop, Alert]:
    """An empty shelf with an empty backroom: its alert is open, its plan waits."""
    loop = quiet().live(3)
    for lot in loop.books.lots.in_backroom(SHELF):
        loop.command(kind="count", shelf_id=SHELF, batch_code=lot.batch_code, quantity=0, location="warehouse")
    loop.live(9)
    take(loop, 40)
    loop.live(30)
    (alert,), (plan,) = loop.alerts("refill_request"), loop.plans()
    assert (alert.status, plan.status) == ("open", "pending")
    return loop, alert


def half_served() -> Loop:
    """An empty shelf, for which all 30 of 48 units have left the backroom and are on their way."""
    loop = quiet().live(9)
    take(loop, 40)
    return loop.live(13)


def stock(loop: Loop, place: Place = Place.SHELF) -> int:
    book = loop.books.shelves
    return int(book.balances[book.row_of[SHELF], place])


def asked(loop: Loop, **what: Any) -> CommandOutcome:
    """The outcome of a command after one more step."""
    command_id = loop.command(**what)
    loop.live(loop.worlds.position.step + 1)
    return loop.outcome(command_id)


# --- alerts --------------------------------------------------------------------------------------------------------


def test_an_acknowledged_alert_names_who_and_when_and_stays_so_until_it_is_resolved() -> None:
    loop, alert = low()
    answer = asked(loop, kind="ack_alert", alert_id=alert.alert_id)
    now = START + timedelta(minutes=31)
    assert (answer.outcome, answer.at) == ("done", now)
    (told,) = loop.alerts("refill_request")
    assert (told.status, told.acknowledged_by, told.acknowledged_at) == ("ack", "ANNA", now)
    assert (told.version, told.seq) == (alert.version + 1, alert.seq + 1)
    put_back(loop, 35)
    loop.live(40)
    (told,) = loop.alerts("refill_request")
    assert (told.status, told.acknowledged_by) == ("resolved", "ANNA")


def test_new_figures_of_an_acknowledged_alert_do_not_open_it_again() -> None:
    loop, alert = low()
    asked(loop, kind="ack_alert", alert_id=alert.alert_id)
    loop.live(10 + 60)  # the cooldown is over
    take(loop, 1)
    loop.live(75)
    assert [a.status for a in loop.alerts("refill_request")] == ["ack"]


def test_an_alert_can_be_assigned_before_and_after_somebody_has_seen_it() -> None:
    loop, alert = low()
    asked(loop, kind="assign_alert", alert_id=alert.alert_id, assigned_to="BEN")
    asked(loop, kind="ack_alert", alert_id=alert.alert_id)
    asked(loop, kind="assign_alert", alert_id=alert.alert_id, assigned_to="CEM")
    (told,) = loop.alerts("refill_request")
    assert (told.status, told.assigned_to, told.acknowledged_by) == ("ack", "CEM", "ANNA")


def test_a_dismissed_alert_is_quiet_until_its_condition_has_cleared_and_come_back() -> None:
    loop, alert = low()
    assert asked(loop, kind="dismiss_alert", alert_id=alert.alert_id).outcome == "done"
    loop.live(100)
    take(loop, 1)
    loop.live(110)
    assert [a.status for a in loop.alerts("refill_request")] == ["dismissed"]
    put_back(loop, 41)  # well again ...
    loop.live(111)
    take(loop, 40)  # ... and low once more
    loop.live(180)
    first, second = loop.alerts("refill_request")
    assert (first.alert_id, first.status) == (alert.alert_id, "dismissed")
    assert second.status == "open"


@pytest.mark.parametrize("kind", ["ack_alert", "dismiss_alert"])
def test_what_was_done_to_an_alert_is_not_done_twice(kind: str) -> None:
    loop, alert = low()
    asked(loop, kind=kind, alert_id=alert.alert_id)
    told = loop.sent(Alert)
    answer = asked(loop, kind=kind, alert_id=alert.alert_id)
    assert answer.outcome == "refused"
    assert alert.alert_id in answer.reason
    assert loop.sent(Alert) == told


def test_an_alert_that_is_over_is_refused() -> None:
    loop, alert = low()
    put_back(loop, 40)
    loop.live(32)
    answer = asked(loop, kind="ack_alert", alert_id=alert.alert_id)
    assert (answer.outcome, answer.reason) == ("refused", f"There is no open alert {alert.alert_id}.")


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"kind": "ack_alert", "alert_id": "shelf_alerts-0"}, "There is no open alert shelf_alerts-0."),
        ({"kind": "dismiss_alert", "alert_id": "nonsense"}, "There is no alert nonsense."),
        ({"kind": "cancel_plan", "plan_id": "P"}, "There is no plan P."),
        ({"kind": "count", "shelf_id": "NOWHERE", "quantity": 3}, "There is no shelf NOWHERE."),
        ({"kind": "count", "shelf_id": SHELF, "batch_code": "B9", "quantity": 3}, f"Shelf {SHELF} has no lot B9."),
        (
            {"kind": "count", "shelf_id": "NOWHERE", "quantity": 3, "location": "warehouse"},
            "There is no shelf NOWHERE.",
        ),
        ({"kind": "count", "shelf_id": SHELF, "quantity": -1}, "quantity"),
        ({"kind": "count", "shelf_id": SHELF}, "quantity"),
        ({"kind": "count", "shelf_id": SHELF, "quantity": 1, "shelf": "X"}, "shelf"),
        ({"kind": "sing"}, 'There is no command "sing". There are: ack_alert,'),
        ({}, "There is no command null."),
    ],
)
def test_a_command_that_cannot_be_followed_is_refused_with_a_readable_reason(what: dict[str, Any], reason: str) -> None:
    answer = asked(quiet().live(3), **what)
    assert answer.outcome == "refused"
    assert reason in answer.reason


def test_a_command_that_is_no_object_is_refused_like_any_other() -> None:
    loop = quiet().live(3)
    row = Command(store_id="S01", command_id="c", who="ANNA", what="[1]", at=START)
    loop._waiting.append(loop._record("commands", row))
    loop.live(4)
    assert loop.outcome("c").outcome == "refused"


# --- plans ---------------------------------------------------------------------------------------------------------


def test_a_canceled_plan_takes_nothing_more_and_its_shelf_gets_no_other_during_the_cooldown() -> None:
    loop = half_served()
    (plan,) = loop.plans()
    assert (plan.status, plan.suggested_qty, plan.picked_qty) == ("issued", 48, 30)
    answer = asked(loop, kind="cancel_plan", plan_id=plan.plan_id)
    assert (answer.outcome, answer.reason) == ("done", "18 units will not be taken any more.")
    loop.deliver(SHELF, "NEW", 100, "2026-02-01")
    take(loop, 20)
    loop.live(14 + 59)
    (told,) = loop.plans()
    assert (told.status, told.picked_qty) == ("completed", 30)
    assert told.why == "30 of 48 units were taken from the backroom; the rest was canceled by a person."
    assert loop.books.shelves.reserved[loop.books.shelves.row_of[SHELF]] == 0
    loop.live(14 + 130)
    assert len(loop.plans()) == 2


def test_a_plan_of_which_nothing_was_taken_is_canceled() -> None:
    loop, _ = low()
    (plan,) = loop.plans()
    assert asked(loop, kind="cancel_plan", plan_id=plan.plan_id).outcome == "done"
    assert [plan.status for plan in loop.plans()] == ["canceled"]
    answer = asked(loop, kind="cancel_plan", plan_id=plan.plan_id)
    assert (answer.outcome, answer.reason) == ("refused", f"Plan {plan.plan_id} is closed.")


def test_a_plan_is_canceled_once() -> None:
    loop = quiet().live(9)
    take(loop, 24)  # 16 of 60 are left; 30 of 32 are there
    loop.live(13)
    (plan,) = loop.plans()
    first = loop.command(kind="cancel_plan", plan_id=plan.plan_id)
    answer = asked(loop, kind="cancel_plan", plan_id=plan.plan_id)
    assert loop.outcome(first).outcome == "done"
    assert (answer.outcome, answer.reason) == (
        "refused",
        f"Plan {plan.plan_id} waits for nothing that could be canceled.",
    )


# --- counts --------------------------------------------------------------------------------------------------------


def test_a_count_books_what_was_counted_one_step_later_against_the_unknown() -> None:
    loop = quiet().live(3)
    answer = asked(loop, kind="count", shelf_id=SHELF, quantity=37, reason="correction")
    assert (answer.outcome, answer.reason) == ("done", "Counted 37 units: -3 against the books.")
    loop.live(5)
    (count,) = [f for f in loop.facts if isinstance(f, e.Count) and f.source == "job:shelf_aggregator"]
    assert (count.quantity, count.adjustment, count.reason, count.step, count.seq) == (37, -3, "correction", 4, 1)
    assert (stock(loop), stock(loop, Place.UNKNOWN)) == (37, 3)


def test_a_count_of_a_lot_leaves_out_what_baskets_hold_first_expiring_first() -> None:
    loop = quiet().live(3)
    take(loop, 3)
    loop.live(4)
    lots = {lot.batch_code: lot.quantity for lot in loop.books.lots.in_store(SHELF)}
    on_the_shelf = lots[LOT] - 3
    asked(loop, kind="count", shelf_id=SHELF, batch_code=LOT, quantity=on_the_shelf - 2)
    loop.live(6)
    (count,) = [f for f in loop.facts if isinstance(f, e.Count) and f.source == "job:shelf_aggregator"]
    assert count.adjustment == -2
    assert (stock(loop), stock(loop, Place.BASKET)) == (40 - 3 - 2, 3)


def test_two_counts_of_one_step_and_of_an_extra_cut_do_not_correct_twice() -> None:
    loop = quiet().live(3)
    for quantity in (37, 38):
        loop.command(kind="count", shelf_id=SHELF, quantity=quantity)
    loop.live(4)
    loop.command(kind="count", shelf_id=SHELF, quantity=36)
    loop.cut_again()
    loop.live(5)
    assert stock(loop) == 36


def test_the_backrooms_count_is_booked_by_the_restock_manager() -> None:
    loop = quiet().live(3)
    lot = loop.books.lots.in_backroom(SHELF)[0]
    asked(
        loop, kind="count", shelf_id=SHELF, batch_code=lot.batch_code, quantity=lot.quantity + 4, location="warehouse"
    )
    loop.live(5)
    (adjusted,) = [f for f in loop.facts if isinstance(f, e.WhAdjust)]
    assert (adjusted.batch_code, adjusted.qty, adjusted.source) == (lot.batch_code, 4, "job:restock_manager")
    assert stock(loop, Place.BACKROOM) == 34


# --- once, at the cut ----------------------------------------------------------------------------------------------


def test_a_command_counts_in_the_step_whose_cut_names_it() -> None:
    loop, alert = low()
    command_id = loop.command(kind="ack_alert", alert_id=alert.alert_id)
    loop.live(35)
    answer, (told,) = loop.outcome(command_id), loop.alerts("refill_request")
    assert (answer.as_of_step, told.as_of_step) == (31, 31)


def test_while_the_clock_stands_a_command_takes_effect_at_once() -> None:
    loop = half_served()
    (plan,), (alert,) = loop.plans(), loop.alerts("refill_request")
    acked = loop.command(kind="ack_alert", alert_id=alert.alert_id)
    canceled = loop.command(kind="cancel_plan", plan_id=plan.plan_id)
    loop.cut_again()
    assert loop.worlds.position.step == 13
    for command_id in (acked, canceled):
        assert (loop.outcome(command_id).outcome, loop.outcome(command_id).at) == (
            "done",
            START + timedelta(minutes=13),
        )
    assert [a.status for a in loop.alerts("refill_request")] == ["ack"]
    loop.live(40)
    assert [plan.status for plan in loop.plans()] == ["completed"]


def test_a_repeated_command_asks_for_nothing() -> None:
    loop, alert = low()
    for _ in range(2):
        loop.command(command_id="one", kind="assign_alert", alert_id=alert.alert_id, assigned_to="BEN")
        loop.live(loop.worlds.position.step + 1)
    assert loop.outcome("one").outcome == "done"
    (told,) = loop.alerts("refill_request")
    assert told.version == alert.version + 1


def record(offset: int, command_id: str, day: int) -> Record:
    what = '{"kind":"count","shelf_id":"X","quantity":1}'
    row = Command(store_id="S01", command_id=command_id, who="ANNA", what=what, at=START + timedelta(days=day))
    return Record("commands", 0, offset, 0, b"", msgspec.json.encode(row))


def test_commands_are_known_again_after_the_state_was_stored_and_forgotten_after_a_while() -> None:
    config = StoreConfig()
    config.apply([record(0, "first", 0), record(1, "second", REMEMBERED_DAYS - 1)])
    assert [asked.command_id for asked in config.commands_for("shelf_aggregator")] == ["first", "second"]
    config = StoreConfig.load(config.dump())
    config.apply([record(2, "first", 0), record(3, "second", REMEMBERED_DAYS - 1)])
    assert config.changes.commands == ()
    config.apply([record(4, "third", 2 * REMEMBERED_DAYS), record(5, "first", 0)])
    assert [asked.command_id for asked in config.changes.commands] == ["third"]


def test_a_deleted_command_asks_for_nothing_and_one_that_is_no_row_is_a_dead_letter() -> None:
    config = StoreConfig()
    gone = Record("commands", 0, 0, 0, b'{"store_id":"S01","command_id":"x"}', None)
    bad = Record("commands", 0, 1, 0, b"{}", b'{"who":"ANNA"}')
    (refused,) = config.apply([gone, bad])
    assert refused.reason.startswith("not a commands row")
    assert config.changes.commands == ()
