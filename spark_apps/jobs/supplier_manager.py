"""The supplier manager: proposals become one plan per shelf and cutoff, an order at the cutoff, a receipt at the dock.

| instant | what happens |
|---|---|
| a proposal for the next cutoff comes | the shelf's plan follows it up and down; nothing to order: it is canceled |
| the cutoff (settings CUTOFF_*) | pending plans are issued: an order, a task for the lorry, an ``ordered`` fact |
| the delivery (settings DELIVERY_*) | the first ``wh_in`` of an order closes it, short or not, and makes its receipt |
| two days after that | an order that brought nothing is canceled; if it comes after all, it is received |

A person's word counts over the model's, and the model's over the rule's. A person may order, take that back, or cancel
a plan until its cutoff. A plan that was canceled before its cutoff comes back under its own id when it is needed again:
there are never two for a shelf and a cutoff.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

import msgspec

from smartshelf.contracts import events as e
from smartshelf.contracts.commands import Asked, CancelSupplierPlan, OrderUnits
from smartshelf.contracts.events import ProposedBy
from smartshelf.contracts.ids import stable_id
from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import OrderProposal, PlanStatus, SupplierOrder, SupplierPlan, SupplierReceipt
from smartshelf.domain import ordering
from smartshelf.domain.calendar import Calendar
from smartshelf.domain.shelf import micros, moment
from spark_apps.runtime.books import FORGET_AFTER, Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Step
from spark_apps.runtime.writing import Deciding, Pen, gone, moment_name, outcome, row, task

PLANS, ORDERS, RECEIPTS, PROPOSALS = (
    "wh_supplier_plan",
    "wh_supplier_orders",
    "wh_supplier_receipts",
    "order_proposals",
)
#: Whose word counts, the strongest first.
PRECEDENCE: tuple[ProposedBy, ...] = ("person", "model", "rule")
#: An order that has not come so long after its delivery is given up.
GIVEN_UP_AFTER = timedelta(days=2)
#: A receipt never changes.
ONLY_VERSION = 1


class Wish(msgspec.Struct, array_like=True):
    """What one proposer wants to order of a product, and the figures it says so by."""

    qty: int
    why: str
    position: int | None = None
    point: int | None = None
    level: int | None = None


class Plan(msgspec.Struct, array_like=True):
    """A plan and its order; times are microseconds since 1970. ``version``s are those of the rows."""

    plan_id: str
    shelf_id: str
    cutoff: int
    delivery: int
    created: int
    batch: int
    qty: int
    source: ProposedBy
    status: PlanStatus
    wish: Wish
    version: int = 0
    order_version: int = 0
    supplier_id: str = ""
    received: int | None = None

    @property
    def order_id(self) -> str:
        return stable_id("order", self.plan_id)


class State(msgspec.Struct):
    pen: Pen = msgspec.field(default_factory=Pen)
    #: The cutoff that is planned for; microseconds since 1970, -1: none yet.
    cutoff: int = -1
    #: Shelf -> proposer -> what is wanted at that cutoff.
    wishes: dict[str, dict[ProposedBy, Wish]] = {}
    #: Shelf -> version of the row in which a person's wish stands.
    asked: dict[str, int] = {}
    #: Shelf -> plan for that cutoff, pending or canceled.
    plans: dict[str, Plan] = {}
    #: Order -> issued plan, until its receipt; those given up stay until they are forgotten.
    orders: dict[str, Plan] = {}
    #: Day (ISO) -> (plan, its status, whether it was ordered) closed then, whose rows leave the topics later.
    closed: dict[str, list[tuple[str, PlanStatus, bool]]] = {}
    #: Cutoff in the past -> shelves of persons' proposals, whose rows leave later.
    past: dict[str, list[str]] = {}


class SupplierManager(Deciding[State]):
    """Plans, orders and receipts of one store."""

    name: ClassVar = "supplier_manager"
    facts: ClassVar = frozenset({"proposals", "wh_events"})
    books: ClassVar = True
    config: ClassVar = frozenset({"shelf_profiles", "commands"})
    writes: ClassVar = frozenset({"proposals"})
    made: ClassVar = State

    def __init__(self, calendar: Calendar | None = None) -> None:
        self._calendar = calendar or Calendar()

    def advance(
        self, state: State, facts: Sequence[e.Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[State, list[Output]]:
        desk = Desk(state, self._calendar, config, step, books)
        desk.begin()
        outputs = desk.obey(config.commands_for(self.name))
        for fact in facts:
            if isinstance(fact, e.OrderRequest):
                desk.propose(fact)
            elif isinstance(fact, e.WhIn) and fact.order_id in state.orders:
                outputs += desk.receive(fact)
        outputs += desk.follow()
        if not step.n:
            outputs += desk.issue()
            outputs += desk.give_up()
            outputs += desk.forget()
        return state, outputs


class Desk:
    """One step's work for one store."""

    def __init__(self, state: State, calendar: Calendar, config: StoreConfig, step: Step, books: Books) -> None:
        self.state, self.calendar, self.config, self.step, self.books = state, calendar, config, step, books
        self.store_id, self.now = step.scope.store_id, micros(step.at)
        #: Shelves whose plan may have to follow, in order.
        self._changed: dict[str, None] = dict.fromkeys(
            shelf for shelf in (*config.changes.profiles, *config.changes.removed) if shelf in state.wishes
        )

    def begin(self) -> None:
        """The first cutoff of a new state."""
        if self.state.cutoff < 0:
            self.state.cutoff = micros(self.calendar.cutoff.after(self.step.at))

    # --- what is wanted ----------------------------------------------------------------------------

    def obey(self, commands: Sequence[Asked]) -> list[Output]:
        """Do what people asked; each command gets its outcome."""
        outputs: list[Output] = []
        for asked in commands:
            outputs += self._cancel_plan(asked) if isinstance(asked.what, CancelSupplierPlan) else self._order(asked)
        return outputs

    def _order(self, asked: Asked) -> list[Output]:
        wanted: OrderUnits = asked.what
        shelf_id, cutoff = wanted.shelf_id, moment(self.state.cutoff)
        if shelf_id not in self.config.profiles:
            return [outcome(self.step, asked, refused=f"There is no shelf {shelf_id}.")]
        if not wanted.qty:
            taken_back = self.withdraw(shelf_id)
            if not taken_back:
                return [outcome(self.step, asked, refused=f"No person has ordered anything of shelf {shelf_id}.")]
            return [*taken_back, outcome(self.step, asked, "Taken back: model and rule count again.")]
        room = self._room(shelf_id)
        units = ordering.in_batches(wanted.qty, self.config.profiles[shelf_id].standard_batch_size, room)
        if not units:
            return [
                outcome(self.step, asked, refused="No batch fits into the backroom beside what is there and ordered.")
            ]
        told = self.want(shelf_id, units, asked.who)
        return [*told, outcome(self.step, asked, f"{units} units go out with the orders of {cutoff:%Y-%m-%d %H:%M}.")]

    def _cancel_plan(self, asked: Asked) -> list[Output]:
        plan_id = asked.what.supplier_plan_id
        plan = next((plan for plan in self.state.plans.values() if plan.plan_id == plan_id), None)
        if plan is not None and plan.status == "pending":
            told = self.want(plan.shelf_id, 0, asked.who)
            return [*told, outcome(self.step, asked, "Nothing is ordered by this plan.")]
        closed = plan is not None or any(plan_id == name for plans in self.state.closed.values() for name, *_ in plans)
        if any(plan_id == issued.plan_id for issued in self.state.orders.values()):
            refused = f"Plan {plan_id} has gone out as an order."
        else:
            refused = f"Plan {plan_id} is closed." if closed else f"There is no plan {plan_id}."
        return [outcome(self.step, asked, refused=refused)]

    def _room(self, shelf_id: str) -> int:
        """Units that fit into the backroom beside what is there and on order."""
        book = self.books.shelves
        at = book.row_of[shelf_id]
        there = max(int(book.balances[at, Place.BACKROOM]), 0) + int(book.on_order[at])
        return self.config.profiles[shelf_id].warehouse_capacity - there

    def propose(self, request: e.OrderRequest) -> None:
        """A rule's or a model's word; one for a cutoff that has passed comes too late."""
        if micros(request.cutoff_ts) == self.state.cutoff:
            figures = request.inventory_position, request.reorder_point_qty, request.order_up_to_qty
            self._want(request.shelf_id, request.proposed_by, Wish(request.qty, request.why, *figures))

    def want(self, shelf_id: str, units: int, who: str) -> list[Output]:
        """A person's word for the next cutoff; 0: order none."""
        why = f"{who} orders {units} units." if units else f"{who} orders none."
        self._want(shelf_id, "person", Wish(units, why))
        return [self._told(shelf_id, units, why)]

    def withdraw(self, shelf_id: str) -> list[Output]:
        """A person's word is taken back: model and rule count again."""
        if "person" not in self.state.wishes.get(shelf_id, {}):
            return []
        del self.state.wishes[shelf_id]["person"]
        self._changed[shelf_id] = None
        return [self._told(shelf_id, 0, "Withdrawn: model and rule count again.")]

    def _want(self, shelf_id: str, proposed_by: ProposedBy, wish: Wish) -> None:
        self.state.wishes.setdefault(shelf_id, {})[proposed_by] = wish
        self._changed[shelf_id] = None

    def _told(self, shelf_id: str, quantity: int, why: str) -> Output:
        version = self.state.asked[shelf_id] = self.state.asked.get(shelf_id, 0) + 1
        proposal = self.step.scope.row(
            OrderProposal,
            version,
            shelf_id=shelf_id,
            cutoff_ts=moment(self.state.cutoff),
            source="person",
            qty=quantity,
            reason=why,
            created_at=self.step.at,
        )
        return row(PROPOSALS, proposal)

    # --- the plan until its cutoff -----------------------------------------------------------------

    def follow(self) -> list[Output]:
        """Plans follow what is wanted of their shelves now."""
        return [output for shelf_id in self._changed for output in self._follow(shelf_id)]

    def _follow(self, shelf_id: str) -> list[Output]:
        state = self.state
        wishes, plan = state.wishes.get(shelf_id, {}), state.plans.get(shelf_id)
        source = next((proposer for proposer in PRECEDENCE if proposer in wishes), None)
        profile = self.config.profiles.get(shelf_id)
        if profile is None:
            return self._cancel(plan, Wish(0, "The shelf is no longer in use.")) if plan else []
        if source is None:
            return self._cancel(plan, Wish(0, "Nobody wants it any more.")) if plan else []
        wish = wishes[source]
        quantity = ordering.in_batches(wish.qty, profile.standard_batch_size)
        if not quantity:
            return self._cancel(plan, wish) if plan else []
        if plan is None:
            plan = state.plans[shelf_id] = self._opened(shelf_id)
        if (plan.status, plan.qty, plan.source, plan.wish) == ("pending", quantity, source, wish):
            return []
        plan.status, plan.qty, plan.source, plan.wish = "pending", quantity, source, wish
        plan.batch, plan.supplier_id = profile.standard_batch_size, profile.supplier_id
        return [self._tell(plan)]

    def _opened(self, shelf_id: str) -> Plan:
        cutoff = moment(self.state.cutoff)
        return Plan(
            plan_id=stable_id("plan", self.store_id, shelf_id, "order", moment_name(self.step)),
            shelf_id=shelf_id,
            cutoff=self.state.cutoff,
            delivery=micros(self.calendar.delivery.after(cutoff)),
            created=self.now,
            batch=0,
            qty=0,
            source="rule",
            status="pending",
            wish=Wish(0, ""),
        )

    def _cancel(self, plan: Plan, wish: Wish) -> list[Output]:
        if plan.status == "canceled":
            return []
        plan.status, plan.wish = "canceled", wish
        return [self._tell(plan)]

    # --- the cutoff --------------------------------------------------------------------------------

    def issue(self) -> list[Output]:
        """At the cutoff what is pending is ordered, and the next one is planned for."""
        state, cutoff = self.state, self.state.cutoff
        if cutoff > self.now:
            return []
        outputs: list[Output] = []
        for plan in state.plans.values():
            if plan.status == "pending":
                outputs += self._issue(plan)
            else:
                self._close(plan)
        if state.asked:
            state.past[moment(cutoff).isoformat()] = list(state.asked)
        state.cutoff = micros(self.calendar.cutoff.after(self.step.at))
        state.wishes, state.plans, state.asked = {}, {}, {}
        return outputs

    def _issue(self, plan: Plan) -> list[Output]:
        plan.status = "issued"
        self.state.orders[plan.order_id] = plan
        lorry = task(
            self.step,
            "order",
            plan.order_id,
            when=moment(plan.delivery),
            shelf_id=plan.shelf_id,
            batch_code=delivered_lot(plan, 1),
            quantity=plan.qty,
            plan_id=plan.order_id,
        )
        return [self._tell(plan), self._tell_order(plan), self._ordered(plan, plan.qty), lorry]

    # --- the dock ----------------------------------------------------------------------------------

    def receive(self, delivery: e.WhIn) -> list[Output]:
        """The first delivery of an order closes it, whatever it brings."""
        plan = self.state.orders.pop(delivery.order_id or "")
        plan.status, plan.received = "completed", delivery.qty
        plan.wish = msgspec.structs.replace(plan.wish, why=f"{delivery.qty} of {plan.qty} units ordered have arrived.")
        self._close(plan)
        receipt = self.step.scope.row(
            SupplierReceipt,
            ONLY_VERSION,
            receipt_id=receipt_id(plan.order_id, 1),
            order_id=plan.order_id,
            shelf_id=plan.shelf_id,
            supplier_id=plan.supplier_id,
            batch_code=delivery.batch_code,
            qty=delivery.qty,
            difference=delivery.qty - plan.qty,
            received_date=delivery.received_date,
            expiry_date=delivery.expiry_date,
            standard_batch_size=plan.batch,
            received_ts=delivery.timestamp,
        )
        return [row(RECEIPTS, receipt), self._tell_order(plan), self._tell(plan)]

    def give_up(self) -> list[Output]:
        """Orders that nothing has come of in time: their units are expected no more."""
        state, outputs = self.state, list[Output]()
        last = self.now - GIVEN_UP_AFTER // timedelta(microseconds=1)
        # Orders stand in the order of their cutoffs, and so of their deliveries.
        for plan in state.orders.values():
            if plan.delivery > last:
                break
            if plan.status == "issued":
                plan.status = "canceled"
                plan.wish = msgspec.structs.replace(plan.wish, why=f"None of the {plan.qty} units ordered has arrived.")
                self._close(plan)
                outputs += [self._tell_order(plan), self._tell(plan), self._ordered(plan, 0)]
        return outputs

    # --- rows --------------------------------------------------------------------------------------

    def _ordered(self, plan: Plan, outstanding: int) -> Output:
        payload = {"shelf_id": plan.shelf_id, "order_id": plan.order_id, "qty": outstanding}
        return self.state.pen.fact(SupplierManager.name, self.step, "proposals", e.Ordered, **payload)

    def _tell(self, plan: Plan) -> Output:
        plan.version += 1
        told = self.step.scope.row(
            SupplierPlan,
            plan.version,
            supplier_plan_id=plan.plan_id,
            shelf_id=plan.shelf_id,
            suggested_qty=plan.qty,
            standard_batch_size=plan.batch,
            status=plan.status,
            source=plan.source,
            cutoff_ts=moment(plan.cutoff),
            delivery_ts=moment(plan.delivery),
            why=plan.wish.why,
            inventory_position=plan.wish.position,
            reorder_point_qty=plan.wish.point,
            order_up_to_qty=plan.wish.level,
            received_qty=plan.received,
            created_at=moment(plan.created),
            updated_at=self.step.at,
        )
        return row(PLANS, told)

    def _tell_order(self, plan: Plan) -> Output:
        plan.order_version += 1
        told = self.step.scope.row(
            SupplierOrder,
            plan.order_version,
            order_id=plan.order_id,
            supplier_id=plan.supplier_id,
            supplier_plan_id=plan.plan_id,
            shelf_id=plan.shelf_id,
            qty=plan.qty,
            status=plan.status,
            cutoff_ts=moment(plan.cutoff),
            expected_delivery_ts=moment(plan.delivery),
        )
        return row(ORDERS, told)

    # --- what is over ------------------------------------------------------------------------------

    def _close(self, plan: Plan) -> None:
        day = self.step.at.date().isoformat()
        self.state.closed.setdefault(day, []).append((plan.plan_id, plan.status, plan.order_version > 0))

    def forget(self) -> list[Output]:
        """What was closed long ago leaves the topics; once a day."""
        if self.step.at.date() == self.step.since.date():
            return []
        before = self.step.at - FORGET_AFTER
        outputs: list[Output] = []
        for day in [day for day in self.state.closed if day <= before.date().isoformat()]:
            for plan_id, status, was_ordered in self.state.closed.pop(day):
                outputs += self._forget(plan_id, status, was_ordered)
        for cutoff in [cutoff for cutoff in self.state.past if cutoff <= before.isoformat()]:
            for shelf_id in self.state.past.pop(cutoff):
                key = {"shelf_id": shelf_id, "cutoff_ts": cutoff.replace("+00:00", "Z"), "source": "person"}
                outputs.append(gone(PROPOSALS, OrderProposal, {"store_id": self.store_id, **key}))
        return outputs

    def _forget(self, plan_id: str, status: PlanStatus, was_ordered: bool) -> list[Output]:
        store, order_id = {"store_id": self.store_id}, stable_id("order", plan_id)
        if status == "canceled" and was_ordered and order_id not in self.state.orders:
            return []  # it came after all, and is forgotten as what it then became
        self.state.orders.pop(order_id, None)
        outputs = [gone(PLANS, SupplierPlan, {**store, "supplier_plan_id": plan_id})]
        if was_ordered:
            outputs.append(gone(ORDERS, SupplierOrder, {**store, "order_id": order_id}))
        if status == "completed":
            outputs.append(gone(RECEIPTS, SupplierReceipt, {**store, "receipt_id": receipt_id(order_id, 1)}))
        return outputs


def delivered_lot(plan: Plan, number: int) -> str:
    """The batch code that a delivery of an order gets; ``number``: which of its deliveries."""
    return f"{plan.shelf_id}-{plan.order_id[:8]}-{number}"


def receipt_id(order_id: str, number: int) -> str:
    return stable_id("receipt", order_id, number)
