"""The store side and the world together, for any seed: nothing is lost, doubled or promised twice."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from smartshelf.contracts import events as e
from smartshelf.contracts.control import Task
from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import Alert, DailyDiscount, RefillPending, RestockPlan
from spark_apps.jobs.daily_discounts import DailyDiscounts
from spark_apps.jobs.expired_removal import ExpiredRemoval
from spark_apps.jobs.refill_bridge import RefillBridge
from spark_apps.jobs.restock_manager import RestockManager
from spark_apps.jobs.shelf_alerts import ShelfAlerts
from spark_apps.jobs.shrink import Shrink
from tests.loop import Loop
from tests.worlds import small_body

STAGES = (ShelfAlerts(), RestockManager(), RefillBridge(), DailyDiscounts(), ExpiredRemoval(), Shrink())
DECIDED = (Alert, RestockPlan, RefillPending, DailyDiscount, Task, e.Event)
#: 05:00, when nothing is on its way.
NIGHT = 1_320
seeds = st.integers(0, 2**32)


def lived(seed: int, steps: int, batches: int = 0) -> Loop:
    """Six crowded shelves; lorries bring lots of any size and date, some expired already."""
    loop = Loop(STAGES, small_body(seed, shelves=6, visits=300.0), seed=batches)
    for number in range(6):
        for part in range(seed % 4):
            loop.deliver(
                f"TESTEN{number:04d}", f"NEW-{number}-{part}", 5 + seed % 17, f"2026-01-{1 + (seed + part) % 5:02d}"
            )
        seed //= 3
    return loop.live(steps)


@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_the_books_are_what_physically_is_there_and_no_lot_is_promised_twice(seed: int) -> None:
    loop = lived(seed, 1_500)
    book, world = loop.books.shelves, loop.worlds.worlds["S01"]
    assert (book.balances.sum(axis=1) == 0).all()
    for shelf_id, row in book.row_of.items():
        places, real = book.balances[row], world.shelf(shelf_id)
        assert places[[Place.SHELF, Place.BASKET, Place.BACKROOM, Place.ON_THE_WAY, Place.UNKNOWN]].min() >= 0
        assert (places[Place.SHELF], places[Place.BACKROOM] + places[Place.ON_THE_WAY]) == (
            real.stock,
            real.in_backroom,
        )
    there: Counter[tuple[str, str]] = Counter()
    for fact in loop.facts:
        if isinstance(fact, e.Count) and fact.location == "warehouse":
            there[fact.shelf_id, fact.batch_code or ""] += fact.adjustment
        elif isinstance(fact, e.WhIn):
            there[fact.shelf_id, fact.batch_code] += fact.qty
        elif isinstance(fact, e.WhOut | e.WhAdjust):
            there[fact.shelf_id, fact.batch_code] -= abs(fact.qty)
            assert there[fact.shelf_id, fact.batch_code] >= 0


@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_what_leaves_the_backroom_reaches_its_shelf_once_and_no_shelf_has_two_open_plans(seed: int) -> None:
    loop = lived(seed, NIGHT)
    picked = Counter((f.plan_id, f.batch_code, f.qty) for f in loop.facts if isinstance(f, e.WhOut))
    placed = Counter((f.plan_id, f.batch_code, f.quantity) for f in loop.facts if isinstance(f, e.Refill))
    assert placed == picked
    assert not loop.books.shelves.balances[:, Place.ON_THE_WAY].any()
    no_lot_goes_before_one_that_expires_earlier(loop)
    open_plan: dict[str, str] = {}
    for plan in loop.sent(RestockPlan):
        assert open_plan.setdefault(plan.shelf_id, plan.plan_id) == plan.plan_id
        if plan.status in ("completed", "canceled"):
            del open_plan[plan.shelf_id]
        assert plan.picked_qty <= plan.suggested_qty


def no_lot_goes_before_one_that_expires_earlier(loop: Loop) -> None:
    """Of those that may still be sold when they lie on the shelf."""
    there: Counter[tuple[str, str]] = Counter()
    goes: dict[str, tuple[str, str]] = {}
    kinds = (e.Count, e.WhIn, e.WhOut, e.WhAdjust)
    moves = [fact for fact in loop.facts if isinstance(fact, kinds) and getattr(fact, "location", "") != "store"]
    for fact in sorted(moves, key=lambda fact: (fact.timestamp, isinstance(fact, e.WhOut), fact.seq or 0)):
        batch = fact.batch_code or ""
        match fact:
            case e.Count() | e.WhIn():
                there[fact.shelf_id, batch] += fact.qty if isinstance(fact, e.WhIn) else fact.adjustment
                goes[batch] = (fact.expiry_date or "", batch)
            case e.WhAdjust():
                there[fact.shelf_id, batch] += fact.qty
            case e.WhOut():
                due = fact.due_ts.date().isoformat()
                others = [lot for (shelf, lot), units in there.items() if shelf == fact.shelf_id and units > 0]
                assert not [lot for lot in others if goes[lot] < goes[batch] and goes[lot][0] >= due]
                there[fact.shelf_id, batch] -= fact.qty


@settings(max_examples=3, deadline=None)
@given(seed=seeds)
def test_what_is_pending_is_what_is_on_the_way_at_every_step(seed: int) -> None:
    loop, seen = lived(seed, 1), 0
    for step in range(2, 400):
        book = loop.live(step).books.shelves
        pending = Counter[str]()
        for task in loop.pending():
            pending[task.shelf_id] += task.quantity
        assert pending == Counter({s: int(book.balances[row, Place.ON_THE_WAY]) for s, row in book.row_of.items()})
        seen += pending.total()
    assert seen


@settings(max_examples=4, deadline=None)
@given(seed=seeds, batches=st.integers(1, 2**32))
def test_cutting_and_shuffling_of_batches_changes_no_decision(seed: int, batches: int) -> None:
    def decisions(loop: Loop) -> list[object]:
        return [value for _, _, value in loop.log if isinstance(value, DECIDED)]

    one, other = lived(seed, 700), lived(seed, 700, batches)
    assert decisions(one) == decisions(other)
    assert {name: value for name, value in one.values.items() if name != "runtime"} == {
        name: value for name, value in other.values.items() if name != "runtime"
    }


@settings(max_examples=3, deadline=None)
@given(seed=seeds)
def test_own_facts_are_numbered_without_gap_and_alerts_live_forward(seed: int) -> None:
    loop = lived(seed, 1_500)
    seen: Counter[tuple[str, str]] = Counter()
    for _, topic, value in loop.log:
        if isinstance(value, e.Event | Alert):
            seen[topic, value.source] += 1
            assert value.seq == seen[topic, value.source]
    ids = [fact.event_id for fact in loop.facts]
    assert len(ids) == len(set(ids))
    last: dict[str, Alert] = {}
    for alert in loop.sent(Alert):
        before = last.get(alert.alert_id)
        assert alert.version == (before.version + 1 if before else 1)
        assert before is None or before.status == "open"
        last[alert.alert_id] = alert
    assert loop.opened_twice() == []
