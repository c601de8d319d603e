"""A store in one process, without servers: the pure world and the stages, joined as bridge and Kafka join them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from producers.body import Body
from smartshelf.contracts import events as e
from smartshelf.contracts.control import Done, Task, Tick
from smartshelf.contracts.rows import (
    Alert,
    Command,
    CommandOutcome,
    RefillPending,
    RestockPlan,
    Row,
    ShelfPolicy,
    WhPolicy,
    key_json,
)
from smartshelf.contracts.topics import STREAMS, TOPICS
from smartshelf.domain.calendar import Calendar
from spark_apps.runtime.books import Books
from spark_apps.runtime.engine import StoreEngine
from spark_apps.runtime.rates import NOTHING, WEEK, Opening
from spark_apps.runtime.records import Record
from spark_apps.runtime.stage import Stage
from tests import worlds as small
from tests.memory import MemoryStore

START = datetime(2026, 1, 1, 7, tzinfo=UTC)
_POLICIES = {ShelfPolicy: "shelf_policies", WhPolicy: "wh_policies"}


class Loop:
    """``live(k)`` lives to step k. What readers of the topics would have seen is in ``rows`` and ``log``."""

    def __init__(
        self,
        stages: Sequence[Stage[Any]],
        body: Body | None = None,
        *,
        policies: Sequence[ShelfPolicy | WhPolicy] = (),
        learnt: Opening = NOTHING,
        calendar: Calendar = WEEK,
        seed: int = 0,
    ) -> None:
        self.stages, self.body = tuple(stages), body or small.small_body()
        self.store_id, self.learnt, self.calendar = self.body.store_id, learnt, calendar
        self.profiles = [small.profile(number, self.store_id) for number in range(len(self.body.shelves))]
        self.memory: MemoryStore = small.opened(self.body)
        self.worlds = self.memory.worlds(small.START, small.STEP)
        self.worlds.stages = tuple(stage.name for stage in stages)
        self.values: dict[str, bytes] = {}
        self.random = random.Random(seed)
        self.offsets: dict[str, int] = defaultdict(int)
        #: topic -> key -> last row
        self.rows: dict[str, dict[bytes, Any]] = defaultdict(dict)
        #: (step in which it was sent, topic, decoded value) of everything sent, in order
        self.log: list[tuple[int, str, Any]] = []
        self.facts: list[e.Event] = []
        #: What bridge and capture wrote, in order.
        self.records: list[Record] = []
        self._sent = self.extra_cuts = 0
        self._waiting: list[Record] = [self._record("shelf_profiles", each) for each in self.profiles]
        self._waiting += [self._record(_POLICIES[type(each)], each) for each in policies]
        self._waiting += [self._record("shelf_events", fact) for fact in self._opening()]
        self._end(0)

    # --- in ----------------------------------------------------------------------------------------

    def _record(self, topic: str, value: Any) -> Record:
        offset = self.offsets[topic]
        self.offsets[topic] += 1
        key = key_json(type(value), value) if isinstance(value, Row) else b"key"
        if isinstance(value, e.Event):
            self.facts.append(value)
        record = Record(topic, 0, offset, 0, key, msgspec.json.encode(value))
        self.records.append(record)
        return record

    def _opening(self) -> list[e.Event]:
        world, facts = self.worlds.worlds[self.store_id], []
        envelope = {"schema_version": 1, "store_id": self.store_id, "timestamp": START, "source": "init"}
        for profile in self.profiles:
            shelf = world.shelf(profile.shelf_id)
            for location, lots in (("store", shelf.lots), ("warehouse", shelf.backroom)):
                for lot in lots:
                    facts.append(
                        e.Count(
                            event_id=f"count-{lot.batch_code}-{location}",
                            **envelope,
                            shelf_id=profile.shelf_id,
                            batch_code=lot.batch_code,
                            received_date=lot.received_date,
                            expiry_date=lot.expiry_date,
                            quantity=lot.quantity,
                            adjustment=lot.quantity,
                            reason="opening",
                            location=location,
                        )
                    )
            facts.append(
                e.WeightChange(
                    event_id=f"weight-{profile.shelf_id}",
                    **envelope,
                    shelf_id=profile.shelf_id,
                    delta_weight=shelf.stock * profile.item_weight,
                    reason="opening",
                )
            )
        return facts

    def configure(self, policy: ShelfPolicy | WhPolicy) -> None:
        """A policy edit; it takes effect at the end of the running step."""
        self._waiting.append(self._record(_POLICIES[type(policy)], policy))

    def edit(self, policy: ShelfPolicy | WhPolicy) -> None:
        """A policy edit while the clock stands: the bridge cuts once more."""
        self.configure(policy)
        self.cut_again()

    def command(self, who: str = "ANNA", *, command_id: str | None = None, at: datetime = START, **what: Any) -> str:
        """What a person asks for, at the end of the running step; returns the command's id."""
        command_id = command_id or f"command-{self.offsets['commands']}"
        asked = msgspec.json.encode(what).decode()
        row = Command(store_id=self.store_id, command_id=command_id, who=who, what=asked, at=at)
        self._waiting.append(self._record("commands", row))
        return command_id

    def outcome(self, command_id: str) -> CommandOutcome:
        """What came of a command; exactly one row may tell it."""
        (answer,) = [row for row in self.sent(CommandOutcome) if row.command_id == command_id]
        return answer

    def cut_again(self) -> None:
        """While the clock stands, the bridge cuts once more for what people have entered."""
        self.extra_cuts += 1
        self._end(self.worlds.position.step, n=self.extra_cuts)

    def tell(self, kind: type[e.Event], topic: str = "shelf_events", **payload: Any) -> None:
        """A fact that no world lived, as from an outside system; it counts with the next step."""
        at = START + timedelta(seconds=60 * (self.worlds.position.step + 1))
        number = self.offsets[topic]
        envelope = {"schema_version": 1, "store_id": self.store_id, "timestamp": at, "source": "elsewhere"}
        self._waiting.append(self._record(topic, kind(event_id=f"{topic}-{number}", **envelope, **payload)))

    def deliver(self, shelf_id: str, batch_code: str, quantity: int, expiry_date: str) -> None:
        """A lorry, L steps from now."""
        k = self.worlds.position.step
        self.worlds.hear(
            Task(
                task_id=f"order-{batch_code}",
                kind="order",
                store_id=self.store_id,
                step=k,
                do_at=k + 8,
                shelf_id=shelf_id,
                batch_code=batch_code,
                quantity=quantity,
                plan_id=f"order-{batch_code}",
                expiry_date=expiry_date,
            )
        )

    def live(self, until: int) -> Loop:
        """Live to the end of step ``until``."""
        while self.worlds.position.step < until:
            k = self.worlds.position.step + 1
            self.memory.target_ms = small.START + k * small.STEP
            assert self.worlds.turn(self.memory.target_ms), f"the world waits at step {k}"
            for stream, _, data in self.memory.facts[self._sent :]:
                fact = STREAMS[stream].decoder.decode(data)
                self._waiting.append(self._record(STREAMS[stream].name, replace(fact, produced_at=None)))
            self._sent = len(self.memory.facts)
            self._end(k, last=k == until)
        return self

    def _end(self, k: int, last: bool = True, n: int = 0) -> None:
        def ends(kind: str) -> dict[str, dict[str, int]]:
            named = (topic for topic in self.offsets if TOPICS[topic].kind == kind)
            return {topic: {"0": self.offsets[topic] - 1} for topic in named}

        tick = Tick(
            store_id=self.store_id,
            epoch=1,
            k_from=k,
            k=k,
            t=START + timedelta(seconds=k * 60),
            cut=ends("fact"),
            config=ends("config"),
            n=n,
        )
        self._waiting.append(self._record("sim_ticks", tick))
        if not last and self.random.random() < 0.1:
            return  # the next batch brings more than one step
        self._batch(k)

    # --- out ---------------------------------------------------------------------------------------

    def _batch(self, k: int) -> None:
        engine = StoreEngine(
            self.store_id, self.stages, epoch=1, step_seconds=60, values=self.values, learnt=self.learnt,
            calendar=self.calendar,
        )  # fmt: skip
        records, self._waiting = self._waiting, []
        self.random.shuffle(records)
        result = engine.process(records)
        self.values |= engine.dump()
        for _, output in result.emitted:
            value = None if output.value is None else TOPICS[output.topic].decoder.decode(output.value)
            self.log.append((k, output.topic, value))
            self.rows[output.topic][output.key or b""] = value
            if isinstance(value, Task):
                self.worlds.hear(value)
            elif isinstance(value, e.Event):
                self.facts.append(value)
        for stage, done in result.done.items():
            self.worlds.hear(Done(store_id=self.store_id, stage=stage, k=done, epoch=1, offsets={}))

    # --- looking -----------------------------------------------------------------------------------

    @property
    def books(self) -> Books:
        return Books.load(self.values)

    def sent(self, kind: type) -> list[Any]:
        """Everything of a type that stages sent, in order."""
        return [value for _, _, value in self.log if isinstance(value, kind)]

    def alerts(self, rule: str) -> list[Alert]:
        """The latest row of every alert of a rule."""
        latest = {alert.alert_id: alert for alert in self.sent(Alert)}
        return [alert for alert in latest.values() if alert.event_type == rule]

    def opened_twice(self) -> list[Alert]:
        """Alerts that were opened while one of their rule and subject had not come to its end."""
        subjects: dict[tuple[object, ...], str] = {}
        found = []
        for alert in self.sent(Alert):
            # Of a balance below zero the sentence tells the place.
            place = alert.why.partition("units ")[2] if alert.event_type == "negative_balance" else alert.location
            subject = (alert.event_type, alert.shelf_id, alert.batch_code, place.partition(":")[0].partition(" now")[0])
            if subjects.get(subject, alert.alert_id) != alert.alert_id:
                found.append(alert)
            subjects[subject] = alert.alert_id
            if alert.status in ("resolved", "dismissed"):
                del subjects[subject]
        return found

    def plans(self) -> list[RestockPlan]:
        return [plan for plan in self.rows["shelf_restock_plan"].values() if plan is not None]

    def pending(self) -> list[RefillPending]:
        """Refill tasks that are not carried out yet, as their topic tells."""
        return [row for row in self.rows["shelf_refill_pending"].values() if row is not None]
