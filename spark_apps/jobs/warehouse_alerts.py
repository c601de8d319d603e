"""The warehouse alert engine: what is to be ordered by the next cutoff, and lots in the backroom close to expiry.

| rule | opens | closes |
|---|---|---|
| supplier_request | the position is at or below the reorder point, and an order is possible | ordered, or recovered |
| near_expiry | a lot in the backroom comes close to its date, once per lot | it has left the backroom or expired |

What the rule wants to order (``ordering.review``) is proposed at once and follows the position up and down until the
cutoff: a row of ``order_proposals`` and the fact in ``proposals`` by which the supplier manager hears of it. Demand is
learnt from closed days; a store opens with the rates that its year of history has ended with (``io.closing``), so that
its orders run on without a jump. History leaves no order in the pipe: what was on order came in on its last evening.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, ClassVar, NamedTuple

import msgspec
import numpy as np

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import OrderProposal
from smartshelf.domain import alerts, ordering
from smartshelf.domain.calendar import Calendar
from smartshelf.domain.lots import LotPlace, day_of
from smartshelf.domain.shelf import micros, moment
from spark_apps.jobs import near_expiry
from spark_apps.runtime.books import FORGET_AFTER, Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Step
from spark_apps.runtime.writing import AlertBook, Deciding, Pen, gone, row

REQUEST = "supplier_request"
TOPIC = "order_proposals"
#: Facts after which a product's position may be another.
_MOVES = (e.WhIn, e.WhOut, e.WhAdjust, e.Reserve, e.Ordered)


class State(msgspec.Struct):
    """Times are microseconds since 1970, days are counted from there."""

    pen: Pen = msgspec.field(default_factory=Pen)
    alerts: AlertBook = msgspec.field(default_factory=AlertBook)
    #: As near_expiry.Memory.
    told: dict[str, int] = {}
    day: int = -1
    #: The cutoff that is proposed for; -1: none yet.
    cutoff: int = -1
    #: Shelf -> units proposed for it, and version of the row.
    proposed: dict[str, tuple[int, int]] = {}
    #: Cutoff in the past -> shelves whose rows leave the topic later.
    past: dict[str, list[str]] = {}


class WarehouseAlerts(Deciding[State]):
    """Looks at a product when its backroom, its orders or its reservation changed; at all of them when a day or a
    cutoff has passed, when policies change, and once more in the last step before a cutoff.
    """

    name: ClassVar = "warehouse_alerts"
    facts: ClassVar = frozenset({"shelf_events", "wh_events", "proposals"})
    books: ClassVar = True
    config: ClassVar = frozenset({"shelf_profiles", "wh_policies", "commands"})
    writes: ClassVar = frozenset({"proposals"})
    made: ClassVar = State
    version: ClassVar = 2

    def __init__(self, calendar: Calendar | None = None) -> None:
        self._calendar = calendar or Calendar()

    def advance(
        self, state: State, facts: Sequence[e.Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[State, list[Output]]:
        moved = [shelf for fact in facts if (shelf := _moved(fact)) is not None]
        touched = sorted({*moved, *config.changes.profiles, *config.changes.removed})
        watch = near_expiry.Watch(near_expiry.BACKROOM, self.name, state, config, step, books)
        outputs = state.alerts.obey(state.pen, self.name, config, step)
        outputs += watch.look(touched)
        if 0 <= state.cutoff <= micros(step.at) and (step.n or state.cutoff > micros(step.since)):
            # What is ordered at this moment is in the books one step later; then all is looked at again.
            return state, outputs
        desk = _Desk(state, self._calendar, config, step, books)
        is_new = desk.begin()
        if step.closes_day:
            outputs += desk.forget()
        if is_new or step.closes_day or config.changes.policies or desk.is_last():
            touched = sorted({*config.profiles, *config.changes.removed})
        return state, outputs + desk.look(touched)


class _Found(NamedTuple):
    """What the rule finds of a product; units."""

    position: int
    point: int
    level: int
    quantity: int
    backroom: int
    on_order: int

    @property
    def why(self) -> str:
        if self.quantity:
            return alerts.order_needed(self.position, self.point, self.quantity)
        return alerts.no_order_needed(self.position, self.point)


class _Desk:
    """One step's look at one store."""

    def __init__(self, state: State, calendar: Calendar, config: StoreConfig, step: Step, books: Books) -> None:
        self.state, self.calendar, self.config, self.step, self.books = state, calendar, config, step, books

    def begin(self) -> bool:
        """Turn to the next cutoff when there is none to propose for; True when there was none."""
        state = self.state
        if state.cutoff > micros(self.step.at):
            return False
        if state.proposed:
            state.past[moment(state.cutoff).isoformat()] = list(state.proposed)
        state.cutoff, state.proposed = micros(self.calendar.cutoff.after(self.step.at)), {}
        return True

    def is_last(self) -> bool:
        """Whether the cutoff comes in the step after this one: what is proposed now is what is ordered."""
        step = self.step
        return moment(self.state.cutoff) <= step.at + (step.at - step.since)

    def forget(self) -> list[Output]:
        """Proposals for cutoffs long past leave the topic."""
        last = (self.step.at - FORGET_AFTER).isoformat()
        return [
            gone(TOPIC, OrderProposal, self._key(shelf_id, cutoff))
            for cutoff in [cutoff for cutoff in self.state.past if cutoff <= last]
            for shelf_id in self.state.past.pop(cutoff)
        ]

    def _key(self, shelf_id: str, cutoff: str) -> dict[str, str]:
        store_id = self.step.scope.store_id
        return {
            "store_id": store_id,
            "shelf_id": shelf_id,
            "cutoff_ts": cutoff.replace("+00:00", "Z"),
            "source": "rule",
        }

    def look(self, shelves: Sequence[str]) -> list[Output]:
        """Propose, and tell of, what is to be ordered of some products."""
        outputs: list[Output] = []
        for shelf_id in [shelf for shelf in shelves if shelf not in self.config.profiles]:
            outputs += self._close(shelf_id, alerts.without_profile())
        shelves = [shelf for shelf in shelves if shelf in self.config.profiles]
        for shelf_id, found in zip(shelves, self._review(shelves) if shelves else (), strict=True):
            if found.quantity != self.state.proposed.get(shelf_id, (0, 0))[0]:
                outputs += self._propose(shelf_id, found)
                outputs += [self._raise(shelf_id, found)] if found.quantity else []
            elif found.quantity and not self.state.alerts.has(REQUEST, shelf_id):
                outputs.append(self._raise(shelf_id, found))
            if not found.quantity and self.state.alerts.has(REQUEST, shelf_id):
                outputs += self._well(shelf_id, found)
        return outputs

    def _review(self, shelves: Sequence[str]) -> list[_Found]:
        book, rules = self.books.shelves, self.config.rules
        ruled = [rules.row_of[shelf] for shelf in shelves]
        rows = [book.row_of[shelf] for shelf in shelves]
        cutoff = moment(self.state.cutoff)
        there = np.maximum(book.balances[rows], 0)
        stock = ordering.Stock(
            on_shelf=there[:, Place.SHELF] + there[:, Place.ON_THE_WAY],
            backroom=there[:, Place.BACKROOM],
            perishing=self._perishing(shelves, self.calendar.delivery.after(cutoff).date()),
            on_order=book.on_order[rows],
            reserved=book.reserved[rows],
        )
        goods = rules.goods.take(ruled)
        policy = {name: column[ruled] for name, column in rules.warehouse.items()}
        rates = self.books.demand.mean[rows], self.books.demand.variance[rows]
        said = ordering.review(goods, policy, *rates, stock, ordering.interval(cutoff, self.calendar), self.calendar)
        columns = (said.position, said.point, said.level, said.batches * goods.batch, stock.backroom, stock.on_order)
        return [_Found(*units) for units in zip(*(column.tolist() for column in columns), strict=True)]

    def _perishing(self, shelves: Sequence[str], delivery: date) -> ordering.Units:
        """Units in the backroom that are on their last day when the order comes, or past it."""
        lots, last = self.books.lots, day_of(delivery.isoformat())
        place = {shelf: at for at, shelf in enumerate(shelves)}
        units = np.zeros(len(shelves), dtype=np.int64)
        if len(shelves) < len(self.config.profiles):
            rows = [lot for shelf in shelves for lot in lots.index.rows_of.get(shelf, ())]
            rows = [lot for lot in rows if lots.expiry_day[lot] <= last]
        else:
            rows = np.flatnonzero(lots.expiry_day <= last).tolist()
        for lot in rows:
            if (at := place.get(lots.shelf_ids[lot])) is not None:
                units[at] += max(int(lots.units[lot, LotPlace.BACKROOM]), 0)
        return units

    def _well(self, shelf_id: str, found: _Found) -> list[Output]:
        """Close the alert when it is ordered, clearly above the point again, or nothing more can be ordered."""
        well = alerts.position_recovered(found.point, found.level)
        if not found.on_order and found.point < found.position < well:
            return []
        why = alerts.order_is_out(found.position, found.point) if found.on_order else found.why
        return self._close(
            shelf_id,
            why,
            current_stock=found.backroom,
            inventory_position=found.position,
            reorder_point_qty=found.point,
        )

    def _propose(self, shelf_id: str, found: _Found) -> list[Output]:
        state, step, cutoff = self.state, self.step, moment(self.state.cutoff)
        version = state.proposed.get(shelf_id, (0, 0))[1] + 1
        state.proposed[shelf_id] = found.quantity, version
        figures: dict[str, Any] = {
            "inventory_position": found.position,
            "reorder_point_qty": found.point,
            "order_up_to_qty": found.level,
        }
        proposal = OrderProposal(
            epoch=step.scope.epoch,
            version=version,
            as_of_step=step.k,
            store_id=step.scope.store_id,
            shelf_id=shelf_id,
            cutoff_ts=cutoff,
            source="rule",
            qty=found.quantity,
            reason=found.why,
            created_at=step.at,
            **figures,
        )
        payload = {"shelf_id": shelf_id, "qty": found.quantity, "cutoff_ts": cutoff, "why": found.why, **figures}
        name = WarehouseAlerts.name
        return [
            row(TOPIC, proposal),
            state.pen.fact(name, step, "proposals", e.OrderRequest, proposed_by="rule", **payload),
        ]

    def _raise(self, shelf_id: str, found: _Found) -> Output:
        return self.state.alerts.raise_(
            self.state.pen,
            WarehouseAlerts.name,
            self.step,
            REQUEST,
            shelf_id,
            shelf_id=shelf_id,
            location="warehouse",
            current_stock=found.backroom,
            max_stock=self.config.profiles[shelf_id].warehouse_capacity,
            suggested_qty=found.quantity,
            inventory_position=found.position,
            reorder_point_qty=found.point,
            severity=alerts.severity(found.backroom),
            why=found.why,
        )

    def _close(self, shelf_id: str, why: str, **fields: object) -> list[Output]:
        return self.state.alerts.resolve(self.state.pen, self.step, REQUEST, shelf_id, why, **fields)


def _moved(fact: e.Event) -> str | None:
    """The shelf whose backroom a fact changes, or what is promised of it."""
    if isinstance(fact, _MOVES) or (isinstance(fact, e.Count) and fact.location == "warehouse"):
        return fact.shelf_id
    return None
