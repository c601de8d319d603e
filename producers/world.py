"""The world of one store: what people, sensors, tills, staff and lorries do, one step at a time.

Pure: no clock, no servers. ``live(k)`` makes the facts of step k in time order and changes the state; the state
of a step's beginning always gives the same facts. Times are integer simulated ms since 1970.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from heapq import heappop, heappush
from math import prod
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from producers import body as bodies
from producers.body import Body
from producers.pos import Item, combined, line, queue
from producers.randomness import SENSORS, STAFF, numbers, store_key
from producers.sales import Sales
from producers.scenarios import Scenario, Switches
from producers.shelf import Lot, Shelf, choose, put, take
from producers.shoppers import DAY, MINUTE, SCALE_ERROR, TAKE, Action, Plan, Shoppers, iso_date, time_slot, weekday
from smartshelf.contracts import events as e
from smartshelf.contracts.control import Task
from smartshelf.contracts.events import SCHEMA_VERSION, Event, Evidence
from smartshelf.contracts.ids import fact_id
from smartshelf.contracts.types import ABSURD_QUANTITY
from smartshelf.domain.demand import MARKDOWN_ELASTICITY, SUBSTITUTES, substitutes, uplift

log = logging.getLogger(__name__)

#: The zones' thermometers report this often, simulated ms.
READING_EVERY = 5 * MINUTE
#: From the till to the door.
TO_THE_DOOR = 30_000
#: Facts of staff come first in their step.
STAFF_AT = 1
#: Marks an order that scenarios have made late.
LATE = "late"
#: How long the world remembers a task it has done, so that it is not done twice; simulated ms.
REMEMBERED = 8 * DAY

EPOCH_1970 = datetime(1970, 1, 1, tzinfo=UTC)
encode, decode = msgspec.json.encode, msgspec.json.decode


class Emitted(NamedTuple):
    """A fact, when it happens, and where it goes."""

    at: int
    stream: str
    key: str
    fact: Event


class Shopper(Struct, array_like=True):
    """Somebody in the store. ``done``: actions of the plan carried out; the plan itself is made again when needed."""

    enters: int
    done: int = 0
    basket: list[Item] = msgspec.field(default_factory=list)
    till: int = 0
    #: When the customer pays; 0 before the till is reached.
    pays: int = 0


class Price(Struct, array_like=True):
    """A discount of the day (ISO date) on a shelf or one of its lots."""

    day: str
    discount: float


Name = tuple[int, int]  # (step of entry, number within the step)


class World:
    """One store. ``changes()`` gives the fields that differ from what was last ``saved()``."""

    def __init__(self, body: Body, start_ms: int, step_ms: int, saved: Mapping[str, bytes] | None = None) -> None:
        self.body, self.store_id = body, body.store_id
        self.source = Evidence.WORLD_PREFIX + body.store_id
        self._start, self._step_ms = start_ms, step_ms
        self._random = store_key(body.seed, body.store_id)
        self._people: Shoppers | Sales = (
            Sales(body, self._random) if body.kind == "replayed" else Shoppers(body, self._random)
        )
        self._index = {shelf.shelf_id: index for index, shelf in enumerate(body.shelves)}
        self._neighbours = _neighbours(body)
        self.shelves = [Shelf() for _ in body.shelves]
        self.shoppers: dict[Name, Shopper] = {}
        self.tasks: dict[str, Task] = {}
        self._tills = [0] * body.tills
        self._prices: dict[str, Price] = {}
        self._done_tasks: dict[str, int] = {}
        self._seq: dict[str, int] = {}
        self._plans: dict[Name, Plan] = {}
        self.switches = Switches(body)
        #: Scenarios of the running step, each with the step since which it is on.
        self._on: list[tuple[Scenario, int]] = []
        self._agenda: list[tuple[int, int, int]] = []
        self._facts: list[Emitted] = []
        self._dirty: set[str] = set()
        if saved:
            self._load(saved)

    # --- one step ------------------------------------------------------------------------------

    def live(self, k: int) -> list[Emitted]:
        """Live step k, the one after the last: its facts in time order."""
        since, until = self._start + (k - 1) * self._step_ms, self._start + k * self._step_ms
        self._facts = []
        self._on = self.switches.on(k)
        self._tell_switches(k, since + STAFF_AT)
        self._work(k, since + STAFF_AT)
        self._open(since, until)
        crowd = prod(scenario.crowd() for scenario, _ in self._on)
        for number, enters in enumerate(self._people.arrivals(k, since, until, crowd)):
            heappush(self._agenda, (enters, k, number))
        for at in range(since - since % READING_EVERY + READING_EVERY, until + 1, READING_EVERY):
            if self.body.zones:
                heappush(self._agenda, (at, -1, 0))
        while self._agenda and self._agenda[0][0] <= until:
            at, step, number = heappop(self._agenda)
            if step < 0:
                self._read_zones(at)
            else:
                self._next((step, number), at)
        return self._facts

    # --- shoppers ------------------------------------------------------------------------------

    def _next(self, name: Name, at: int) -> None:
        """The shopper's next move is due."""
        shopper = self.shoppers.get(name)
        if shopper is None:
            shopper = self.shoppers[name] = Shopper(at)
            plan = self._plan(name)
            self._door("entry", plan, at)
        else:
            plan = self._plan(name)
            self._act(name, shopper, plan, at)
        if name in self.shoppers:
            self._dirty.add(f"shopper:{name[0]}-{name[1]}")
            heappush(self._agenda, (self._due(shopper, plan), *name))

    def _act(self, name: Name, shopper: Shopper, plan: Plan, at: int) -> None:
        if shopper.done < len(plan.actions):
            action = plan.actions[shopper.done]
            shopper.done += 1
            if action.kind == TAKE:
                self._take(name, shopper, action)
            else:
                self._put_back(name, shopper, action)
        elif not shopper.pays and shopper.basket:
            self._slip_past(name, shopper, at)
            if not shopper.basket:
                return
            shopper.till, shopper.pays = queue(self._tills, at, sum(item.quantity for item in shopper.basket))
            self._dirty.add("tills")
        elif shopper.basket:
            self._pay(name, shopper, at)
        else:
            self._leave(name, shopper, plan, at)

    def _due(self, shopper: Shopper, plan: Plan) -> int:
        if shopper.done < len(plan.actions):
            return plan.actions[shopper.done].at
        if not shopper.pays:
            return plan.to_till if shopper.basket else plan.to_till + TO_THE_DOOR
        return shopper.pays if shopper.basket else shopper.pays + TO_THE_DOOR

    def _take(self, name: Name, shopper: Shopper, action: Action) -> None:
        wanted = action.quantity + self._tempted(action)
        missed = wanted - self._pick(name, shopper, action, action.shelf, wanted)
        if not missed:
            return
        self._emit_of(
            action.shelf, "lost_demand", e.LostDemand, action.at, customer_id=_customer(name), quantity=missed
        )
        instead = self._neighbours[action.shelf]
        if action.mood is not None and instead != action.shelf:
            self._pick(name, shopper, action, instead, int(SUBSTITUTES * missed + action.mood))

    def _tempted(self, action: Action) -> int:
        """Units more than planned because the price is reduced for a near date."""
        if not self._prices or action.mood is None:
            return 0
        shelf, shelf_id, day = self.shelves[action.shelf], self.body.shelves[action.shelf].shelf_id, iso_date(action.at)
        whole = self._of_the_day(day, shelf_id, "*")
        reduced = sum(
            combined(whole, self._of_the_day(day, shelf_id, lot.batch_code)) * lot.quantity for lot in shelf.lots
        )
        more = float(uplift(reduced / max(shelf.stock, 1), MARKDOWN_ELASTICITY)) - 1
        return int(more * action.quantity + action.mood)

    def _pick(self, name: Name, shopper: Shopper, action: Action, index: int, wanted: int) -> int:
        """Up to ``wanted`` units go from a shelf into the basket; returns how many there were."""
        shelf, grams = self.shelves[index], self.body.shelves[index].item_weight
        taken = 0
        while taken < wanted and shelf.lots:
            # What the plan did not foresee is chosen by numbers that follow from the mood.
            planned = taken < len(action.choices)
            choice = action.choices[taken] if planned else (action.mood or 0.0) * (taken + 2) % 1
            unit = take(shelf.lots, choose(shelf.lots, choice), 1)
            assert unit is not None, "a lot on a shelf is never empty"
            _collect(shopper.basket, Item(index, unit.batch_code, unit.received_date, unit.expiry_date, 1))
            taken += 1
        if taken:
            self._at_shelf(e.Pickup, action.at, index, _customer(name), taken, -taken * grams + action.error)
        return taken

    def _put_back(self, name: Name, shopper: Shopper, action: Action) -> None:
        """Whatever of the product is in the basket goes back to where it came from."""
        returned = [item for item in shopper.basket if item.shelf == action.shelf]
        if not returned:
            return
        shopper.basket = [item for item in shopper.basket if item.shelf != action.shelf]
        shelf = self.shelves[action.shelf]
        for item in returned:
            put(shelf.lots, Lot(item.batch_code, item.received_date, item.expiry_date, item.quantity))
        units = sum(item.quantity for item in returned)
        grams = units * self.body.shelves[action.shelf].item_weight + action.error
        self._at_shelf(e.Putback, action.at, action.shelf, _customer(name), units, grams)

    def _at_shelf(
        self, kind: type[e.Pickup | e.Putback], at: int, index: int, customer: str, units: int, grams: float
    ) -> None:
        weight = self.body.shelves[index].item_weight
        self._touch(index)
        self._emit_of(index, "shelf_events", kind, at, customer_id=customer, quantity=units, item_weight=weight)
        self._weigh(at, index, grams, customer_id=customer)

    def _weigh(self, at: int, index: int, grams: float, **why: Any) -> None:
        for scenario, _ in self._on:
            said = scenario.weighed(index, grams)
            if said is None:
                return
            grams = said
        self._emit_of(index, "shelf_events", e.WeightChange, at, delta_weight=round(grams, 1), **why)

    def _slip_past(self, name: Name, shopper: Shopper, at: int) -> None:
        """What scenarios let pass the till unpaid leaves the basket before it gets there."""
        for scenario, _ in self._on:
            slipped = scenario.unpaid(*name, shopper.basket)
            for item, units in zip(shopper.basket, slipped, strict=True):
                if units:
                    item.quantity -= units
                    self.shelves[item.shelf].unpaid += units
                    self._touch(item.shelf)
                    self._tell(scenario, at, item.shelf, units, f"{_customer(name)} {item.batch_code}")
            shopper.basket = [item for item in shopper.basket if item.quantity]

    def _pay(self, name: Name, shopper: Shopper, at: int) -> None:
        day = iso_date(at)
        offers = self.body.weekly.get(iso_date(at - weekday(at) * DAY), {})
        lines: list[e.ReceiptLine] = []
        for item in shopper.basket:
            body = self.body.shelves[item.shelf]
            discount = combined(
                offers.get(body.shelf_id, 0.0),
                self._of_the_day(day, body.shelf_id, "*"),
                self._of_the_day(day, body.shelf_id, item.batch_code),
            )
            lines.append(line(len(lines) + 1, item, body.shelf_id, body.item_price, discount))
            self.shelves[item.shelf].sold += item.quantity
            self._touch(item.shelf)
        shopper.basket = []
        till = f"T{shopper.till + 1}"
        self._emit(
            "pos_transactions",
            f"{self.store_id}|{till}",
            e.PosTransaction,
            at,
            transaction_id=f"R-{self.store_id}-{name[0]}-{name[1]}",
            customer_id=_customer(name),
            till_id=till,
            items=tuple(lines),
            total_items=sum(each.quantity for each in lines),
            total_amount=round(sum(each.total_price for each in lines), 2),
        )

    def _of_the_day(self, day: str, shelf_id: str, batch_code: str) -> float:
        price = self._prices.get(f"{shelf_id}|{batch_code}")
        return price.discount if price and price.day == day else 0.0

    def _leave(self, name: Name, shopper: Shopper, plan: Plan, at: int) -> None:
        self._door("exit", plan, at)
        if plan.door:
            self._emit(
                "foot_traffic",
                _customer(name),
                e.FootTraffic,
                at,
                customer_id=_customer(name),
                entry_time=moment(shopper.enters),
                exit_time=moment(at),
                trip_duration_minutes=round((at - shopper.enters) / MINUTE, 2),
                weekday=weekday(shopper.enters),
                time_slot=time_slot(shopper.enters),
            )
        del self.shoppers[name]
        self._plans.pop(name, None)
        self._dirty.add(f"shopper:{name[0]}-{name[1]}")

    def _door(self, way: str, plan: Plan, at: int) -> None:
        if not plan.door:  # a replayed customer: nobody saw the doors
            return
        door = f"D{plan.door}"
        kind = e.Entry if way == "entry" else e.Exit
        self._emit(
            "foot_traffic:realistic",
            f"{self.store_id}|{door}",
            kind,
            at,
            door_id=door,
            time=moment(at),
            weekday=weekday(at),
            time_slot=time_slot(at),
        )

    def _plan(self, name: Name) -> Plan:
        plan = self._plans.get(name)
        if plan is None:
            craved = [scenario.craved(self._begin_of(since)) for scenario, since in self.switches.on(name[0])]
            first = next((shelf for shelf in craved if shelf is not None), None)
            plan = self._plans[name] = self._people.plan(name[0], name[1], self.shoppers[name].enters, first)
        return plan

    # --- sensors -------------------------------------------------------------------------------

    def _read_zones(self, at: int) -> None:
        """Thermometers and meters of all zones, day and night."""
        random = numbers(self._random, at // READING_EVERY, SENSORS)
        hours = READING_EVERY / 3_600_000
        for zone, (warmth, work) in zip(self.body.zones, random.normal(0, 1, (len(self.body.zones), 2)), strict=True):
            reading = (
                zone.target_c + 0.3 * float(warmth),
                max(zone.power_kw * hours * (1 + 0.05 * float(work)), 0.0),
            )
            for scenario, since in self._on:
                reading = scenario.reading(zone, self._begin_of(since), at, reading)
            self._emit(
                "cold_chain",
                f"{self.store_id}|{zone.zone_id}",
                e.Reading,
                at,
                zone_id=zone.zone_id,
                temperature_c=round(reading[0], 2),
                kwh=round(reading[1], 4),
            )

    # --- what the business asked for -----------------------------------------------------------

    def hear(self, task: Task) -> None:
        """A task has been read; it is done at the start of its step, once."""
        if task.task_id in self._done_tasks or task.task_id in self.tasks:
            return
        if task.shelf_id not in self._index:
            log.warning("task %s names a shelf that store %s has not: %s", task.task_id, self.store_id, task.shelf_id)
            return
        self.tasks[task.task_id] = task
        self._dirty.add(f"task:{task.task_id}")

    def _work(self, k: int, at: int) -> None:
        """All tasks that are due, in the order of their ids."""
        due = sorted(task_id for task_id, task in self.tasks.items() if task.do_at <= k)
        if not due:
            return
        errors = (numbers(self._random, k, STAFF).standard_normal(len(due)) * SCALE_ERROR).tolist()
        do: dict[str, Callable[[Task, int, float], None]] = {
            "refill": self._refill,
            "remove": self._remove,
            "order": self._deliver,
            "price": self._price,
        }
        for task_id, error in zip(due, errors, strict=True):
            task = self.tasks.pop(task_id)
            if task.kind == "order" and (later := self._later(task, at)):
                self.tasks[task_id] = msgspec.structs.replace(task, do_at=k + later, reason=LATE)
                self._dirty.add(f"task:{task_id}")
                continue
            if task.do_at < k:
                log.warning("task %s for step %d came late, done at step %d", task_id, task.do_at, k)
            do[task.kind](task, at, error)
            self._done_tasks[task_id] = k
            self._dirty |= {f"task:{task_id}", f"done:{task_id}"}
        self._forget(k)

    def _forget(self, k: int) -> None:
        oldest = k - REMEMBERED // self._step_ms
        for task_id in [task_id for task_id, done in self._done_tasks.items() if done < oldest]:
            del self._done_tasks[task_id]
            self._dirty.add(f"done:{task_id}")

    def _refill(self, task: Task, at: int, error: float) -> None:
        index, wanted = self._index[str(task.shelf_id)], task.quantity or 0
        shelf, body = self.shelves[index], self.body.shelves[index]
        moved = take(shelf.backroom, task.batch_code or "", wanted)
        if moved is None or moved.quantity < wanted:
            found = moved.quantity if moved else 0
            log.warning("refill %s: %d of %d units of lot %s found", task.task_id, found, wanted, task.batch_code)
        if moved is None:
            return
        units = moved.quantity
        put(shelf.lots, moved)
        self._touch(index)
        self._emit_of(
            index,
            "shelf_events",
            e.Refill,
            at,
            batch_code=task.batch_code,
            quantity=units,
            plan_id=task.plan_id,
        )
        self._weigh(at, index, units * body.item_weight + error, reason="refill")

    def _remove(self, task: Task, at: int, error: float) -> None:
        """The lot leaves, as much of it as really is there."""
        index = self._index[str(task.shelf_id)]
        shelf, body = self.shelves[index], self.body.shelves[index]
        place = shelf.lots if task.location == "store" else shelf.backroom
        gone = take(place, task.batch_code or "", task.quantity if task.quantity is not None else ABSURD_QUANTITY)
        units = gone.quantity if gone else 0
        shelf.wasted += units
        self._touch(index)
        self._emit_of(
            index,
            "shelf_events",
            e.Removal,
            at,
            batch_code=task.batch_code,
            quantity=units,
            reason=task.reason or "expired",
            location=task.location,
        )
        if units and task.location == "store":
            self._weigh(at, index, -units * body.item_weight + error, reason="removal")

    def _later(self, task: Task, at: int) -> int:
        """Steps by which scenarios make an order late; it is late only once."""
        if task.reason == LATE:
            return 0
        index, steps = self._index[str(task.shelf_id)], 0
        for scenario, _ in self._on:
            if delay := scenario.late(_number_of(task)) // self._step_ms:
                steps += delay
                self._tell(scenario, at, index, task.quantity or 0, f"{task.plan_id} comes {delay} steps late")
        return steps

    def _deliver(self, task: Task, at: int, _: float) -> None:
        """The lorry is at the dock."""
        for scenario, _since in self._on:
            ordered = task.quantity or 0
            if missing := ordered - scenario.delivered(_number_of(task), ordered):
                task = msgspec.structs.replace(task, quantity=ordered - missing)
                self._tell(scenario, at, self._index[str(task.shelf_id)], missing, f"{task.plan_id} comes short")
        index = self._index[str(task.shelf_id)]
        body, day = self.body.shelves[index], iso_date(at)
        lot = Lot(
            task.batch_code or f"{body.shelf_id}-{task.task_id}",
            task.received_date or day,
            task.expiry_date or iso_date(at + body.life_days * DAY),
            task.quantity or 0,
        )
        if lot.quantity < 1:
            return
        self.shelves[index].received += lot.quantity
        self._touch(index)
        self._emit_of(
            index,
            "wh_events",
            e.WhIn,
            at,
            batch_code=lot.batch_code,
            qty=lot.quantity,
            order_id=task.plan_id,
            received_date=lot.received_date,
            expiry_date=lot.expiry_date,
        )
        put(self.shelves[index].backroom, lot)

    def _price(self, task: Task, at: int, _: float) -> None:
        name, day = f"{task.shelf_id}|{task.batch_code or '*'}", iso_date(at)
        for old in [old for old, price in self._prices.items() if price.day < day]:
            del self._prices[old]
            self._dirty.add(f"price:{old}")
        self._prices[name] = Price(day, task.discount or 0.0)
        self._dirty.add(f"price:{name}")

    # --- scenarios -----------------------------------------------------------------------------

    def switch(self, switches: Switches) -> None:
        """Other scenarios are on from the next step; to be saved before that step is lived."""
        self.switches = switches
        self._dirty.add("switches")

    def _tell_switches(self, k: int, at: int) -> None:
        for scenario, on in self.switches.turned_at(k):
            self._tell(scenario, at, None, 0, "on" if on else "off")
            for effect in scenario.effects(self._begin_of(k)) if on else ():
                self._tell(scenario, at, effect.shelf, 0, effect.detail)

    def _tell(self, scenario: Scenario, at: int, index: int | None, units: int, detail: str) -> None:
        """Ground truth, for scoring what the business finds out."""
        shelf_id = None if index is None else self.body.shelves[index].shelf_id
        self._emit(
            "world_truth",
            f"{self.store_id}|{shelf_id or '*'}",
            e.WorldTruth,
            at,
            scenario=scenario.name,
            shelf_id=shelf_id,
            quantity=units,
            detail=detail,
        )

    def _begin_of(self, k: int) -> int:
        return self._start + (k - 1) * self._step_ms

    # --- a replayed store: stock is assumed ----------------------------------------------------

    def _open(self, since: int, until: int) -> None:
        """At its opening a replayed store's shelves are as full as the file says, or full."""
        if not isinstance(self._people, Sales):
            return
        first = not self._seq
        for index, lot in self._people.opening(since, until, [shelf.stock for shelf in self.shelves], first):
            self._count(index, lot, since + STAFF_AT)

    def _count(self, index: int, lot: Lot, at: int) -> None:
        shelf, body = self.shelves[index], self.body.shelves[index]
        adjusted = lot.quantity
        if adjusted > 0:
            put(shelf.lots, lot)
        too_many = max(-adjusted, 0)
        while too_many and (gone := take(shelf.lots, shelf.lots[0].batch_code, too_many)):
            too_many -= gone.quantity
        shelf.received += adjusted
        self._touch(index)
        self._emit_of(
            index,
            "shelf_events",
            e.Count,
            at,
            batch_code=lot.batch_code if adjusted > 0 else None,
            received_date=lot.received_date if adjusted > 0 else None,
            expiry_date=lot.expiry_date if adjusted > 0 else None,
            quantity=shelf.stock,
            adjustment=adjusted,
            reason="replay_assumed",
        )
        self._weigh(at, index, adjusted * body.item_weight, reason="replay_assumed")

    # --- facts and state -----------------------------------------------------------------------

    def _emit(self, stream: str, key: str, kind: type[Event], at: int, **payload: Any) -> None:
        seq = self._seq[stream] = self._seq.get(stream, 0) + 1
        self._dirty.add("seq")
        fact = kind(
            event_id=fact_id(self.source, stream, seq),
            schema_version=SCHEMA_VERSION,
            store_id=self.store_id,
            timestamp=moment(at),
            source=self.source,
            seq=seq,
            **payload,
        )
        self._facts.append(Emitted(at, stream, key, fact))

    def _emit_of(self, index: int, stream: str, kind: type[Event], at: int, **payload: Any) -> None:
        """A fact about a shelf or its product."""
        shelf_id = self.body.shelves[index].shelf_id
        self._emit(stream, f"{self.store_id}|{shelf_id}", kind, at, shelf_id=shelf_id, **payload)

    def _touch(self, index: int) -> None:
        self._dirty.add(f"shelf:{self.body.shelves[index].shelf_id}")

    def changes(self) -> dict[str, bytes | None]:
        """Fields of the store's hash to write (None: delete) since it was last saved."""
        return {name: self._field(name) for name in sorted(self._dirty)}

    def saved(self) -> None:
        """The changes have been written."""
        self._dirty.clear()

    @property
    def changed(self) -> bool:
        return bool(self._dirty)

    def everything(self) -> dict[str, bytes | None]:
        """All fields, for a store that is written for the first time."""
        self._dirty |= {"body", "seq", "tills", *(f"shelf:{shelf.shelf_id}" for shelf in self.body.shelves)}
        return self.changes()

    def _field(self, name: str) -> bytes | None:
        kind, _, which = name.partition(":")
        found: Any
        match kind:
            case "body":
                return bodies.pack(self.body)
            case "seq":
                found = self._seq
            case "tills":
                found = self._tills
            case "switches":
                found = self.switches.past
            case "shelf":
                found = self.shelves[self._index[which]]
            case "shopper":
                step, _, number = which.partition("-")
                found = self.shoppers.get((int(step), int(number)))
            case "task":
                found = self.tasks.get(which)
            case "done":
                found = self._done_tasks.get(which)
            case _:
                found = self._prices.get(which)
        return None if found is None else encode(found)

    def _load(self, saved: Mapping[str, bytes]) -> None:
        for name, value in saved.items():
            kind, _, which = name.partition(":")
            match kind:
                case "seq":
                    self._seq = decode(value)
                case "tills":
                    self._tills = decode(value)
                case "switches":
                    past = decode(value, type=dict[str, list[tuple[int, int | None]]])
                    self.switches = Switches(self.body, past)
                case "shelf":
                    self.shelves[self._index[which]] = decode(value, type=Shelf)
                case "shopper":
                    step, _, number = which.partition("-")
                    self.shoppers[int(step), int(number)] = decode(value, type=Shopper)
                case "task":
                    self.tasks[which] = decode(value, type=Task)
                case "done":
                    self._done_tasks[which] = decode(value)
                case "price":
                    self._prices[which] = decode(value, type=Price)
        for name_of, shopper in self.shoppers.items():
            heappush(self._agenda, (self._due(shopper, self._plan(name_of)), *name_of))

    def shelf(self, shelf_id: str) -> Shelf:
        """What physically is on a shelf and in its part of the backroom."""
        return self.shelves[self._index[shelf_id]]

    def baskets(self) -> Iterator[Item]:
        """Everything in the baskets of the people in the store."""
        for shopper in self.shoppers.values():
            yield from shopper.basket


def moment(at: int) -> datetime:
    return EPOCH_1970 + timedelta(milliseconds=at)


def _number_of(task: Task) -> int:
    """A number that belongs to a task, below those of staff and sensors."""
    return int.from_bytes(blake2b(task.task_id.encode(), digest_size=2).digest(), "little")


def _neighbours(body: Body) -> list[int]:
    """For every shelf the one whose product people take when it is empty; itself where there is none."""
    kinds = [
        (shelf.category, shelf.subcategory) if shelf.subcategory else index for index, shelf in enumerate(body.shelves)
    ]
    number = {kind: code for code, kind in enumerate(dict.fromkeys(kinds))}
    group = np.array([number[kind] for kind in kinds], dtype=np.int64)
    neighbours: list[int] = substitutes(group, np.array([shelf.item_price for shelf in body.shelves])).tolist()
    return neighbours


def _customer(name: Name) -> str:
    return f"C{name[0]}-{name[1]}"


def _collect(basket: list[Item], unit: Item) -> None:
    for item in basket:
        if item.shelf == unit.shelf and item.batch_code == unit.batch_code:
            item.quantity += unit.quantity
            return
    basket.append(unit)
