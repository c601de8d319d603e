"""The restock manager: the only one that takes goods out of the backroom (``shelf_restock_plan``, ``wh_events``).

A ``restock`` proposal opens a shelf's plan, unless it has one. A plan takes the first-expiring lots, never one that
would expire on its way, and waits with the rest until stock arrives. A ``write_off`` takes an expired lot out.
What has left the backroom by the books and does not come to its shelf was not found: it is booked to the unknown.
People may cancel what a plan still waits for (its shelf then gets no new one during the policy's cooldown), and
count what the backroom holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import ClassVar

import msgspec
import numpy as np

from smartshelf.contracts import events as e
from smartshelf.contracts.commands import Asked, CancelPlan, CountShelf
from smartshelf.contracts.ids import stable_id
from smartshelf.contracts.ledger import EXPIRED, NOT_FOUND, Place
from smartshelf.contracts.rows import RestockPlan
from smartshelf.domain import fefo, restock
from smartshelf.domain.lots import UNKNOWN_LOT, LotPlace
from smartshelf.domain.shelf import micros
from spark_apps.runtime.books import FORGET_AFTER, Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Step
from spark_apps.runtime.writing import Adjusted, Deciding, Pen, gone, lead, outcome, row, task

TOPIC = "shelf_restock_plan"


class Plan(msgspec.Struct):
    """An open plan. ``taken``: units out of the backroom, ``placed``: of these, on the shelf."""

    row: RestockPlan
    opened: int
    taken: int = 0
    placed: int = 0
    #: Units still to be taken, as the books were last told.
    reserved: int = 0
    #: Status, taken and wanted units as the row was last sent.
    told: tuple[str, int, int] = ("", 0, 0)
    #: Who canceled the rest of it.
    canceled_by: str = ""

    @property
    def waiting(self) -> int:
        """Units still to be taken from the backroom."""
        return 0 if self.canceled_by else self.row.suggested_qty - self.taken


class Under(msgspec.Struct, array_like=True):
    """Units on their way to a shelf, and when they are due there; microseconds since 1970."""

    units: int
    due: int


class State(msgspec.Struct):
    pen: Pen = msgspec.field(default_factory=Pen)
    #: Shelf -> its open plan.
    plans: dict[str, Plan] = {}
    #: Day (ISO) -> plans closed then, whose rows leave the topic later.
    closed: dict[str, list[str]] = {}
    #: Shelf whose plan somebody canceled -> until when it gets no other, microseconds since 1970.
    canceled: dict[str, int] = {}
    adjusted: Adjusted = msgspec.field(default_factory=Adjusted)
    #: (shelf, batch, plan) -> what is on its way.
    under_way: dict[tuple[str, str, str], Under] = {}


class RestockManager(Deciding[State]):
    """Plans are served in the order in which they were opened; equal steps by plan id."""

    name: ClassVar = "restock_manager"
    version: ClassVar = 2
    facts: ClassVar = frozenset({"proposals", "shelf_events", "wh_events"})
    config: ClassVar = frozenset({"shelf_profiles", "shelf_policies", "commands"})
    books: ClassVar = True
    writes: ClassVar = frozenset({"wh_events", "proposals"})
    made: ClassVar = State

    def advance(
        self, state: State, facts: Sequence[e.Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[State, list[Output]]:
        desk = _Desk(state, config, step, books)
        outputs = desk.obey(config.commands_for(self.name))
        if step.n:
            # What step k has taken is not in the books yet: nothing more is picked.
            return state, outputs
        outputs += desk.forget()
        outputs += desk.write_off([fact for fact in facts if isinstance(fact, e.WriteOff)])
        desk.send([fact for fact in facts if isinstance(fact, e.WhOut)])
        desk.place([fact for fact in facts if isinstance(fact, e.Refill)])
        outputs += desk.miss()
        desk.open([fact for fact in facts if isinstance(fact, e.Restock)])
        return state, outputs + desk.serve()


class _Desk:
    """One step's work for one store."""

    def __init__(self, state: State, config: StoreConfig, step: Step, books: Books) -> None:
        self.state, self.config, self.step, self.books = state, config, step, books
        self.store_id = step.scope.store_id
        #: Shelves whose plan may have something new to do.
        self.looked_at = {shelf for shelf in books.touched if shelf in state.plans}

    def obey(self, commands: Sequence[Asked]) -> list[Output]:
        """Do what people asked; each command gets its outcome."""
        outputs: list[Output] = []
        for asked in commands:
            outputs += self._cancel(asked) if isinstance(asked.what, CancelPlan) else self._count(asked)
        return outputs

    def _cancel(self, asked: Asked) -> list[Output]:
        plan_id = asked.what.plan_id
        plan = next((plan for plan in self.state.plans.values() if plan.row.plan_id == plan_id), None)
        if plan is None:
            closed = any(plan_id in plans for plans in self.state.closed.values())
            refused = f"Plan {plan_id} is closed." if closed else f"There is no plan {plan_id}."
            return [outcome(self.step, asked, refused=refused)]
        if plan.canceled_by or not plan.waiting:
            return [outcome(self.step, asked, refused=f"Plan {plan_id} waits for nothing that could be canceled.")]
        left = plan.waiting
        plan.canceled_by, plan.told = asked.who, ("", 0, 0)
        shelf_id = plan.row.shelf_id
        rules = self.config.rules
        if shelf_id in rules.row_of:
            minutes = int(rules.shelf["cooldown_minutes"][rules.row_of[shelf_id]])
            self.state.canceled[shelf_id] = micros(self.step.at + timedelta(minutes=minutes))
        return [*self._serve(plan), outcome(self.step, asked, f"{left} units will not be taken any more.")]

    def _count(self, asked: Asked) -> list[Output]:
        count: CountShelf = asked.what
        shelf_id, batch_code = count.shelf_id, count.batch_code
        if shelf_id not in self.config.profiles:
            return [outcome(self.step, asked, refused=f"There is no shelf {shelf_id}.")]
        if batch_code is None:
            return [outcome(self.step, asked, refused="A count of the backroom must name its lot (batch_code).")]
        lots = self.books.lots
        if batch_code == UNKNOWN_LOT or (shelf_id, batch_code) not in lots.row_of:
            return [outcome(self.step, asked, refused=f"Shelf {shelf_id} has no lot {batch_code}.")]
        expected = int(lots.units[lots.row_of[shelf_id, batch_code], LotPlace.BACKROOM])
        difference = self.state.adjusted.difference(self.step, f"{shelf_id}|{batch_code}", expected, count)
        done = outcome(self.step, asked, f"Counted {count.quantity} units: {difference:+d} against the books.")
        if not difference:
            return [done]
        payload = {"shelf_id": shelf_id, "batch_code": batch_code, "qty": difference, "reason": f"{count.reason} count"}
        return [self._fact("wh_events", e.WhAdjust, **payload), done]

    def open(self, proposals: Sequence[e.Restock]) -> None:
        """A plan for every proposed shelf that has none; an open one is asked for more."""
        now, canceled = micros(self.step.at), self.state.canceled
        for proposal in proposals:
            shelf_id = proposal.shelf_id
            if canceled.get(shelf_id, now) > now:
                continue
            canceled.pop(shelf_id, None)
            self.looked_at.add(shelf_id)
            if shelf_id in self.state.plans:
                self._extend(self.state.plans[shelf_id], proposal.qty)
                continue
            self.state.plans[shelf_id] = Plan(
                opened=self.step.k,
                row=self.step.scope.row(
                    RestockPlan,
                    version=0,
                    plan_id=stable_id("plan", self.store_id, shelf_id, "restock", self.step.k),
                    shelf_id=shelf_id,
                    suggested_qty=proposal.qty,
                    picked_qty=0,
                    status="pending",
                    why="",
                    created_at=self.step.at,
                    updated_at=self.step.at,
                ),
            )

    def _extend(self, plan: Plan, needed: int) -> None:
        """The shelf needs ``needed`` units by now; what has left the backroom since then is part of them."""
        row = self.books.shelves.row_of[plan.row.shelf_id]
        missing = max(needed - int(self.books.shelves.balances[row, Place.ON_THE_WAY]), 0)
        plan.row.suggested_qty = max(plan.row.suggested_qty, plan.taken + missing)

    def send(self, picks: Sequence[e.WhOut]) -> None:
        """Units have left the backroom, by this stage or by an outside system."""
        for pick in picks:
            name = (pick.shelf_id, pick.batch_code, pick.plan_id)
            under_way = self.state.under_way.setdefault(name, Under(0, 0))
            under_way.units += pick.qty
            under_way.due = max(under_way.due, micros(pick.due_ts))

    def miss(self) -> list[Output]:
        """What is long overdue was not found: nobody waits for it any more."""
        last = micros(self.step.at - restock.NOT_FOUND_AFTER)
        overdue = [(name, each.units) for name, each in self.state.under_way.items() if each.due <= last]
        outputs: list[Output] = []
        for name, units in overdue:
            del self.state.under_way[name]
            shelf_id, batch_code, plan_id = name
            plan = self.state.plans.get(shelf_id)
            if plan is not None and plan.row.plan_id == plan_id:
                plan.placed += units
                self.looked_at.add(shelf_id)
            payload = {"shelf_id": shelf_id, "batch_code": batch_code, "qty": -units, "reason": NOT_FOUND}
            outputs.append(self._fact("wh_events", e.WhAdjust, **payload))
        return outputs

    def place(self, refills: Sequence[e.Refill]) -> None:
        """Staff have put units on the shelf."""
        for refill in refills:
            self._arrived(refill)
            plan = self.state.plans.get(refill.shelf_id)
            if plan is not None and refill.plan_id == plan.row.plan_id:
                plan.placed += refill.quantity

    def _arrived(self, refill: e.Refill) -> None:
        name = (refill.shelf_id, refill.batch_code, refill.plan_id or "")
        under_way = self.state.under_way.get(name)
        if under_way is not None:
            under_way.units -= refill.quantity
            if under_way.units <= 0:
                del self.state.under_way[name]

    def serve(self) -> list[Output]:
        """What the plans looked at can do now."""
        plans = sorted(
            (self.state.plans[shelf] for shelf in self.looked_at), key=lambda plan: (plan.opened, plan.row.plan_id)
        )
        return [output for plan in plans for output in self._serve(plan)]

    def _serve(self, plan: Plan) -> list[Output]:
        shelf_id, before = plan.row.shelf_id, plan.told
        outputs: list[Output] = []
        room = self._room(shelf_id)
        if plan.waiting and room:
            outputs = self._pick(plan, min(plan.waiting, room, self._there(shelf_id)))
        is_full = plan.waiting > 0 and not room
        status = _status(plan, is_full)
        if status in ("completed", "canceled"):
            self._close(plan)
        waiting = 0 if status in ("completed", "canceled") or is_full else plan.waiting
        if waiting != plan.reserved:
            plan.reserved = waiting
            outputs.append(self._fact("proposals", e.Reserve, shelf_id=shelf_id, plan_id=plan.row.plan_id, qty=waiting))
        if (status, plan.taken, plan.row.suggested_qty) != before:
            outputs.append(self._tell(plan, status, is_full))
        return outputs

    def _room(self, shelf_id: str) -> int:
        """Units that still fit on the shelf beside what is there and on its way; 0 when it is no longer in use."""
        book, profile = self.books.shelves, self.config.profiles.get(shelf_id)
        if profile is None:
            return 0
        balances = book.balances[book.row_of[shelf_id]]
        return max(profile.maximum_stock - max(int(balances[Place.SHELF]), 0) - int(balances[Place.ON_THE_WAY]), 0)

    def _there(self, shelf_id: str) -> int:
        """Units in the backroom: fewer than its lots hold when some are gone of which nobody knows the lot."""
        book = self.books.shelves
        return max(int(book.balances[book.row_of[shelf_id], Place.BACKROOM]), 0)

    def _pick(self, plan: Plan, wanted: int) -> list[Output]:
        # The refill bridge hears of it one step later, and staff are done L steps after that.
        due = self.step.at + (lead(self.step) + 1) * (self.step.at - self.step.since)
        lots = [lot for lot in self.books.lots.in_backroom(plan.row.shelf_id) if _may_go(lot.expiry_date, due)]
        taken = fefo.allocate(np.array([wanted]), np.array([[lot.quantity for lot in lots]], dtype=np.int64))[0]
        outputs = []
        for lot, units in zip(lots, taken.tolist(), strict=True):
            if units:
                plan.taken += units
                outputs.append(
                    self._fact(
                        "wh_events",
                        e.WhOut,
                        shelf_id=plan.row.shelf_id,
                        batch_code=lot.batch_code,
                        qty=units,
                        plan_id=plan.row.plan_id,
                        due_ts=due,
                        reason="restock",
                    )
                )
        return outputs

    def _close(self, plan: Plan) -> None:
        del self.state.plans[plan.row.shelf_id]
        self.looked_at.discard(plan.row.shelf_id)
        self.state.closed.setdefault(self.step.at.date().isoformat(), []).append(plan.row.plan_id)

    def _tell(self, plan: Plan, status: str, is_full: bool) -> Output:
        plan.row = self.step.scope.next(
            plan.row,
            picked_qty=plan.taken,
            status=status,
            why=_why(plan, is_full),
            updated_at=self.step.at,
        )
        plan.told = status, plan.taken, plan.row.suggested_qty
        return row(TOPIC, plan.row)

    def write_off(self, proposals: Sequence[e.WriteOff]) -> list[Output]:
        """Expired lots leave the books of the backroom, and staff throw away what is there."""
        outputs: list[Output] = []
        lots = self.books.lots
        for shelf_id, batch_code in dict.fromkeys((fact.shelf_id, fact.batch_code) for fact in proposals):
            at = lots.row_of.get((shelf_id, batch_code))
            units = 0 if at is None else int(lots.units[at, LotPlace.BACKROOM])
            if units <= 0:
                continue
            outputs.append(
                self._fact(
                    "wh_events", e.WhAdjust, shelf_id=shelf_id, batch_code=batch_code, qty=-units, reason=EXPIRED
                )
            )
            outputs.append(
                task(
                    self.step,
                    "remove",
                    f"{shelf_id}|{batch_code}|warehouse",
                    shelf_id=shelf_id,
                    batch_code=batch_code,
                    quantity=units,
                    location="warehouse",
                    reason=EXPIRED,
                )
            )
        return outputs

    def forget(self) -> list[Output]:
        """Plans closed long ago leave the topic; once a day."""
        if self.step.at.date() == self.step.since.date():
            return []
        last = (self.step.at - FORGET_AFTER).date().isoformat()
        old = [day for day in self.state.closed if day <= last]
        return [
            gone(TOPIC, RestockPlan, {"store_id": self.store_id, "plan_id": plan_id})
            for day in old
            for plan_id in self.state.closed.pop(day)
        ]

    def _fact(self, topic: str, kind: type[e.Event], **payload: object) -> Output:
        return self.state.pen.fact(RestockManager.name, self.step, topic, kind, **payload)


def _may_go(expiry: date | None, due: datetime) -> bool:
    """A lot that expires before it lies on the shelf stays; one whose date nobody knows goes last."""
    return expiry is None or expiry >= due.date()


def _status(plan: Plan, is_full: bool) -> str:
    if (is_full or plan.canceled_by) and not plan.taken:
        return "canceled"
    if (is_full or not plan.waiting) and plan.placed >= plan.taken:
        return "completed"
    return "issued" if plan.taken else "pending"


def _why(plan: Plan, is_full: bool) -> str:
    """Its figures are ``suggested_qty`` and ``picked_qty`` of the row."""
    wanted, taken = plan.row.suggested_qty, plan.taken
    if taken >= wanted:
        return f"All {wanted} units wanted are taken from the backroom, first-expiring first."
    if plan.canceled_by:
        return f"{taken} of {wanted} units were taken from the backroom; the rest was canceled by a person."
    if is_full:
        return f"{taken} of {wanted} units were taken from the backroom; the shelf has no room for more."
    if taken:
        return f"{taken} of {wanted} units are taken from the backroom; the rest follows when stock arrives."
    return f"None of {wanted} units is in the backroom; they follow when stock arrives."
