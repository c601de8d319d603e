"""A day of the year of history, told as events to the stage that makes the rows of live days."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from data import history
from data.catalogue import Profiles
from smartshelf.contracts import events as e
from smartshelf.contracts.control import Tick
from smartshelf.contracts.rows import ShelfProfile, key_json
from spark_apps.jobs.daily_features import DailyFeatures
from spark_apps.runtime.engine import StoreEngine
from spark_apps.runtime.rates import NOTHING, Opening
from spark_apps.runtime.records import Record

STORE = "S01"
MINUTE = timedelta(minutes=1)
#: Shelf (row) and the day on which the lot was received.
Lot = tuple[int, int]


# --- a store that lives what it is told ------------------------------------------------------------------------------


class Told:
    """One store and the stage alone; steps of a minute, its state saved and loaded between batches."""

    def __init__(
        self, start: datetime, profiles: list[ShelfProfile], stage: DailyFeatures, *, learnt: Opening = NOTHING,
        every: int = 60, seed: int = 0,
    ) -> None:  # fmt: skip
        """``every``: steps in a batch; ``seed`` mixes the records of one."""
        self.start, self.stage, self.every, self.random = start, stage, every, random.Random(seed)
        self.learnt = learnt
        self.values: dict[str, bytes] = {}
        self.offsets: dict[str, int] = defaultdict(int)
        self.facts: dict[int, list[tuple[str, e.Event]]] = defaultdict(list)
        #: topic -> key -> last row, None for a tombstone
        self.rows: dict[str, dict[tuple[Any, ...], dict[str, Any] | None]] = defaultdict(dict)
        self.step = -1
        self._waiting: list[Record] = []
        self._numbers = 0
        for profile in profiles:
            self.configure(profile)

    def tell(self, at: datetime, topic: str, kind: type[e.Event], **payload: Any) -> None:
        """Something that happens in the step that ends at ``at``."""
        self._numbers += 1
        fact = kind(
            event_id=f"f{self._numbers}", schema_version=1, store_id=STORE, timestamp=at, source="test", **payload
        )
        self.facts[(at - self.start) // MINUTE].append((topic, fact))

    def count(self, shelf_id: str, units: int, batch: str, received: str, expiry: str, location: str = "store") -> None:
        self.tell(
            self.start, "shelf_events", e.Count, shelf_id=shelf_id, batch_code=batch, received_date=received,
            expiry_date=expiry, quantity=units, adjustment=units, reason="opening", location=location,
        )  # fmt: skip

    def sell(self, at: datetime, shelf_id: str, units: int, batch: str | None = None) -> None:
        self.tell(at, "shelf_events", e.Pickup, customer_id="C", shelf_id=shelf_id, quantity=units, item_weight=1.0)
        line = e.ReceiptLine(
            line_no=1, shelf_id=shelf_id, batch_code=batch, quantity=units, unit_price=1, total_price=1
        )
        self.tell(
            at, "pos_transactions", e.PosTransaction, transaction_id=f"T{self._numbers}", customer_id="C", till_id="T",
            items=(line,), total_items=units, total_amount=1.0,
        )  # fmt: skip

    def refill(self, at: datetime, shelf_id: str, units: int, batch: str) -> None:
        self.tell(at, "wh_events", e.WhOut, shelf_id=shelf_id, batch_code=batch, qty=units, plan_id="P", due_ts=at)
        self.tell(at, "shelf_events", e.Refill, shelf_id=shelf_id, batch_code=batch, quantity=units, plan_id="P")

    def configure(self, profile: ShelfProfile) -> None:
        """A shelf comes or changes; it counts with the next step."""
        self._waiting.append(self._record("shelf_profiles", key_json(ShelfProfile, profile), profile))

    def live(self, until: datetime) -> Told:
        for k in range(self.step + 1, (until - self.start) // MINUTE + 1):
            self._waiting += [self._record(topic, b"key", fact) for topic, fact in self.facts.pop(k, [])]
            cut = {
                topic: {"0": n - 1} for topic, n in self.offsets.items() if topic not in ("sim_ticks", "shelf_profiles")
            }
            tick = Tick(
                store_id=STORE, epoch=1, k_from=k, k=k, t=self.start + k * MINUTE, cut=cut,
                config={"shelf_profiles": {"0": self.offsets["shelf_profiles"] - 1}},
            )  # fmt: skip
            self._waiting.append(self._record("sim_ticks", b"key", tick))
            self.step = k
            if k % self.every == 0 or self.start + k * MINUTE == until:
                self._batch()
        return self

    def _batch(self) -> None:
        engine = StoreEngine(STORE, (self.stage,), epoch=1, step_seconds=60, values=self.values, learnt=self.learnt)
        records, self._waiting = self._waiting, []
        self.random.shuffle(records)
        for _, output in engine.process(records).emitted:
            assert output.topic != "dead_letters", output.value
            key = tuple(msgspec.json.decode(output.key or b"").values())
            self.rows[output.topic][key] = None if output.value is None else msgspec.json.decode(output.value)
        self.values |= engine.dump()

    def _record(self, topic: str, key: bytes, value: Any) -> Record:
        offset = self.offsets[topic]
        self.offsets[topic] += 1
        return Record(topic, 0, offset, 0, key, msgspec.json.encode(value))

    def day(self, shelf_id: str, day: str) -> dict[str, Any]:
        found = self.rows["shelf_daily_features"][STORE, shelf_id, day]
        assert found is not None
        return found


# --- a day of history, told as events --------------------------------------------------------------------------------


@dataclass
class Lived:
    """What the generator did on one day: lots before and after it by (shelf, received day), and every hour."""

    day: date
    shelf: Counter[Lot]
    backroom: Counter[Lot]
    pending: np.ndarray
    #: Units a day and their variance, as known in the morning.
    rate: np.ndarray
    variance: np.ndarray
    #: At the beginning of every hour: stock before and after the refill, minutes out and alerts so far.
    hours: list[dict[str, np.ndarray]] = field(default_factory=list)
    after: Lived | None = None
    people: int = 0


class Watched(history._Store):
    """The generator's store, looked at while it lives."""

    lived: list[Lived]

    def live(self, day: date, weekly: Any, *, fill: bool, last: bool) -> Any:
        if not hasattr(self, "lived"):
            type(self).lived = self.lived = []
        now = Lived(
            day,
            self._units("shelf"),
            self._units("backroom"),
            self.pending.copy(),
            self.rate.copy(),
            self.variance.copy(),
        )
        if self.lived:
            self.lived[-1].after = now
        self.lived.append(now)
        today = super().live(day, weekly, fill=fill, last=last)
        now.people = today.people
        return today

    def bring(self, needed: Any, today: Any) -> None:
        hour = {"before": self.stock.copy(), "out": today.minutes.copy(), "alerts": today.alerts.copy()}
        super().bring(needed, today)
        self.lived[-1].hours.append(hour | {"after": self.stock.copy(), "alerted": today.alerts - hour["alerts"]})

    def book(self, today: Any) -> None:
        self.lived[-1].hours.append({"before": self.stock.copy(), "out": today.minutes.copy()})
        super().book(today)

    def _units(self, place: str) -> Counter[Lot]:
        units = getattr(self.lots, place)
        return Counter(
            {
                (row, int(self.lots.received[row, at])): int(units[row, at])
                for row, at in np.argwhere(units > 0).tolist()
            }
        )


def iso(day: int) -> str:
    return (history.EPOCH + timedelta(days=day)).isoformat()


class Storyteller:
    """Tells a stage what the generator did on some days, lot by lot."""

    def __init__(self, told: Told, profiles: Profiles) -> None:
        self.told, self.profiles = told, profiles
        self.shelf_ids = profiles.shelf_id.tolist()

    def open(self, first: Lived) -> None:
        for location, lots in (("store", first.shelf), ("warehouse", first.backroom)):
            for (row, received), units in lots.items():
                self.told.count(
                    self.shelf_ids[row], units, iso(received), iso(received), iso(self._expiry(row, received)), location
                )
        self._order(self.told.start, first.pending)

    def _expiry(self, row: int, received: int) -> int:
        return received + int(self.profiles.shelf_life_days[row])

    def _order(self, at: datetime, pending: np.ndarray) -> None:
        for row in np.flatnonzero(pending).tolist():
            self.told.tell(
                at, "proposals", e.Ordered, shelf_id=self.shelf_ids[row], order_id=f"O{row}", qty=int(pending[row])
            )

    def tell(self, lived: Lived) -> None:
        assert lived.after
        midnight = datetime.combine(lived.day, datetime.min.time(), UTC)
        day = (lived.day - history.EPOCH).days
        shelf, backroom = lived.shelf.copy(), lived.backroom.copy()
        for row, received in [lot for lot in shelf | backroom if self._expiry(*lot) < day]:
            self._remove(midnight + timedelta(hours=6), row, received, shelf, backroom)
        self._deliver(midnight + timedelta(hours=8), lived, backroom)
        for _ in range(lived.people):
            self._visit(midnight + timedelta(hours=12))
        moved = self._queues(backroom - lived.after.backroom)
        sold = self._queues(shelf + (backroom - lived.after.backroom) - lived.after.shelf)
        for hour in range(history.HOURS):
            self._hour(midnight + timedelta(hours=7 + hour), lived.hours[hour], lived.hours[hour + 1], moved, sold)
        if lived.day.weekday() in history.CALENDAR.cutoff.weekdays:
            self._order(midnight + timedelta(hours=12), lived.after.pending)

    def _remove(self, at: datetime, row: int, received: int, shelf: Counter[Lot], backroom: Counter[Lot]) -> None:
        lot = {"shelf_id": self.shelf_ids[row], "batch_code": iso(received)}
        if units := shelf.pop((row, received), 0):
            self.told.tell(at, "shelf_events", e.Removal, **lot, quantity=units, reason="expired")
        if units := backroom.pop((row, received), 0):
            self.told.tell(at, "wh_events", e.WhAdjust, **lot, qty=-units, reason="expired")
            self.told.tell(at, "shelf_events", e.Removal, **lot, quantity=units, reason="expired", location="warehouse")

    def _deliver(self, at: datetime, lived: Lived, backroom: Counter[Lot]) -> None:
        if lived.day.weekday() not in history.CALENDAR.delivery.weekdays:
            return
        today = (lived.day - history.EPOCH).days
        for row in np.flatnonzero(lived.pending).tolist():
            units = int(lived.pending[row])
            backroom[row, today] += units
            self.told.tell(
                at, "wh_events", e.WhIn, shelf_id=self.shelf_ids[row], batch_code=iso(today), qty=units,
                order_id=f"O{row}", received_date=iso(today), expiry_date=iso(self._expiry(row, today)),
            )  # fmt: skip

    def _visit(self, at: datetime) -> None:
        self.told.tell(
            at, "foot_traffic", e.FootTraffic, customer_id="C", entry_time=at - MINUTE, exit_time=at,
            trip_duration_minutes=1.0, weekday=at.weekday(), time_slot="midday",
        )  # fmt: skip

    def _queues(self, units: Counter[Lot]) -> dict[int, list[list[int]]]:
        """Lots of every shelf with the units that leave them on the day, oldest first."""
        queues: dict[int, list[list[int]]] = defaultdict(list)
        for (row, received), number in sorted(units.items()):
            queues[row].append([received, number])
        return queues

    def _hour(self, at: datetime, now: Any, then: Any, moved: Any, sold: Any) -> None:
        for row in np.flatnonzero(now["alerted"]).tolist():
            self.told.tell(at, "proposals", e.Restock, shelf_id=self.shelf_ids[row], qty=1, why="")
        for row in np.flatnonzero(now["after"] > now["before"]).tolist():
            for received, units in _take(moved[row], int(now["after"][row] - now["before"][row])):
                self.told.refill(at, self.shelf_ids[row], units, iso(received))
        empty = then["out"] - now["out"]
        for row in np.flatnonzero(now["after"] > then["before"]).tolist():
            # Just before the next hour's refill; after closing, nobody finds the shelf empty any more.
            minute = 60 + (at.hour == 21)
            if empty[row]:
                minute = max(round(60 - empty[row]), 1)
            for received, units in _take(sold[row], int(now["after"][row] - then["before"][row])):
                self.told.sell(at + minute * MINUTE, self.shelf_ids[row], units, iso(received))


def _take(queue: list[list[int]], units: int) -> Iterator[tuple[int, int]]:
    while units:
        taken = min(units, queue[0][1])
        yield queue[0][0], taken
        queue[0][1] -= taken
        units -= taken
        if not queue[0][1]:
            queue.pop(0)
