"""A store in memory for the pages: same answers as the servers', every figure a function of its simulated time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dashboard.business import AisleHour, Order, Receipt, RestockPlan, ServiceLevel, SupplierPlan, Supply, Waste
from dashboard.queries import Feed, Profile, Profiles, ShelfRow, StoreState, catalogue_profiles
from simulated_time.store import Hold, Status
from smartshelf.errors import BadInput, Unavailable
from smartshelf.io.people import Answer, OpenAlert
from smartshelf.settings import Settings, load

START = datetime(2026, 1, 1, 7, tzinfo=UTC)
END = START + timedelta(days=365)


class TwinClock:
    """The clock's orders and status; time passes when told to, or with ``seconds`` (real) if that is given."""

    def __init__(self, seconds: Callable[[], float] = lambda: 0.0) -> None:
        self._seconds, self._seen = seconds, seconds()
        self.time, self.speed, self.mode = START, 60.0, "running"
        self.paused = False
        self.orders: list[str] = []
        self.problem: str | None = None

    def pass_time(self, minutes: float) -> None:
        """Let the store live on, unless it is paused."""
        if not self.paused:
            self.time = min(END, self.time + timedelta(minutes=minutes))

    def status(self) -> Status:
        self._fail()
        now = self._seconds()
        self.pass_time((now - self._seen) * (600 if self.mode == "auto" else self.speed) / 60)
        self._seen = now
        state = "paused" if self.paused else "auto" if self.mode == "auto" else "running"
        return Status(
            now=self.time.replace(second=0, microsecond=0),
            target=self.time,
            mode=self.mode,  # type: ignore[arg-type]
            speed=self.speed,
            achieved=None if self.paused else 612.0 if self.mode == "auto" else self.speed,
            state=state,  # type: ignore[arg-type]
            text="paused (paused on the page)" if self.paused else f"running at {self.speed:g}",
            goal=None,
            holds=(Hold("pause", "paused on the page", None),) if self.paused else (),
            step=int((self.time - START).total_seconds() // 60),
            step_seconds=60,
            sim_start=START,
            sim_end=END,
            epoch=1,
            alive=True,
        )

    def set_speed(self, multiplier: float) -> None:
        self._order(f"speed {multiplier:g}")
        self.speed, self.mode, self.paused = multiplier, "running", False

    def auto(self) -> None:
        self._order("auto")
        self.mode, self.paused = "auto", False

    def pause(self, why: str = "") -> datetime:
        self._order("pause")
        self.paused = True
        return self.time

    def resume(self) -> None:
        self._order("resume")
        self.paused = False

    def advance_to(self, moment: datetime) -> datetime:
        if moment <= self.time:
            raise BadInput("The clock cannot be set back", value=moment, remedy="Name a later time.")
        self._order(f"advance {moment:%Y-%m-%dT%H:%M}")
        self.time, self.paused = moment, True
        return moment

    def _order(self, order: str) -> None:
        self._fail()
        self.orders.append(order)

    def _fail(self) -> None:
        if self.problem:
            raise Unavailable(self.problem)


class TwinStore:
    """Postgres and Redis of a store in which shoppers have bought since START and nobody refills."""

    def __init__(self, clock: TwinClock | None = None, stores: tuple[str, ...] = ("S01",)) -> None:
        self.control = clock or TwinClock()
        self.products = {store: catalogue_profiles(store, 1.0) for store in stores}
        self.problem: str | None = None
        self.ready = True
        self.reads = 0
        self.inbox: dict[str, OpenAlert] = {}
        self.supplied = Supply()
        self.served: ServiceLevel | None = None
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.answers: dict[str, Answer] = {}
        self._habits = {shelf_id: self._habit(shelf_id) for shelf_id in self.products[stores[0]]}

    @staticmethod
    def _habit(shelf_id: str) -> tuple[float, float, float]:
        """(filled at START, units taken an hour, minute of the first) of a shelf."""
        chance = random.Random(shelf_id)
        return 0.55 + 0.45 * chance.random(), chance.paretovariate(1.1) * 0.28, 60 * chance.random()

    def clock(self) -> Status:
        return self.control.status()

    def profiles(self) -> Profiles:
        self._fail()
        return Profiles(self.products if self.ready else {})

    def shelves(self, store_id: str) -> StoreState:
        self._fail()
        self.reads += 1
        if not self.ready:
            return StoreState(store_id, {})
        minutes = (self.control.time - START).total_seconds() / 60
        return StoreState(
            store_id, {shelf_id: self._row(profile, minutes) for shelf_id, profile in self.products[store_id].items()}
        )

    def alerts(self, store_id: str) -> list[OpenAlert]:
        self._fail()
        return [alert for alert in self.inbox.values() if alert.store_id == store_id]

    def supply(self, store_id: str) -> Supply:
        self._fail()
        return self.supplied

    def service_level(self, store_id: str, since: date) -> ServiceLevel:
        self._fail()
        return self.served or ServiceLevel(since)

    def ask(self, store_id: str, who: str, what: Mapping[str, Any]) -> str:
        self._fail()
        self.asked.append((store_id, who, dict(what)))
        return str(len(self.asked))

    def answer(self, store_id: str, command_id: str) -> Answer | None:
        self._fail()
        return self.answers.get(command_id)

    def raise_alert(self, shelf_id: str, severity: str = "warning", **fields: Any) -> OpenAlert:
        """Let an alert of a shelf be open."""
        profile = self.products["S01"][shelf_id]
        alert = OpenAlert(
            "S01",
            f"shelf_alerts-{len(self.inbox)}",
            fields.get("event_type", "refill_request"),
            severity,
            fields.get("status", "open"),
            shelf_id,
            None,
            "store",
            "3 of 40 units are on the shelf.",
            None,
            fields.get("acknowledged_by"),
            START,
            profile.aisle,
            profile.item_name,
        )
        self.inbox[alert.alert_id] = alert
        return alert

    def _row(self, profile: Profile, minutes: float) -> ShelfRow:
        filled, rate, first = self._habits[profile.shelf_id]
        opening = round(filled * profile.maximum_stock)
        taken = min(opening, max(0, int((minutes - first) * rate / 60)))
        last = first + taken * 60 / rate if taken else 0.0
        stock = opening - taken
        return ShelfRow(
            profile.shelf_id,
            stock,
            profile.maximum_stock,
            1 if taken and minutes - last < 25 else 0,
            0,
            stock * profile.item_weight,
            1 + taken,
            int(last),
            min(self.control.time, START + timedelta(minutes=last)),
        )

    def _fail(self) -> None:
        if self.problem:
            raise Unavailable(self.problem)


def lively(store: TwinStore) -> TwinStore:
    """The store with a few alerts, plans, orders, receipts, availability and waste, for tests and for the eye."""
    products = list(store.products["S01"].values())
    shelves = products[:: len(products) // 40]
    for severity, each in zip(("critical", "warning", "info"), shelves, strict=False):
        store.raise_alert(each.shelf_id, severity)
    cutoff, delivery = START.replace(day=4, hour=12), START.replace(day=5, hour=8)
    store.supplied = Supply(
        tuple(
            RestockPlan(
                f"restock-{number}",
                each.shelf_id,
                each.item_name,
                each.aisle,
                30,
                10 * (number % 3),
                "issued",
                f"{10 * (number % 3)} of 30 units are taken from the backroom; the rest follows when stock arrives.",
                START,
            )
            for number, each in enumerate(shelves[:12])
        ),
        tuple(
            SupplierPlan(
                f"plan-{number}",
                each.shelf_id,
                each.item_name,
                each.supplier_id,
                60,
                72.0,
                "rule",
                40,
                44,
                cutoff,
                delivery,
                "On hand and on order, less what is reserved, are 40 units; the reorder point is 44: order 60.",
            )
            for number, each in enumerate(shelves[:20])
        ),
        tuple(
            Order(
                f"order-{number}",
                each.shelf_id,
                each.item_name,
                each.supplier_id,
                48,
                61.5,
                START + timedelta(hours=25),
            )
            for number, each in enumerate(shelves[20:])
        ),
        tuple(
            Receipt(
                f"receipt-{number}",
                each.shelf_id,
                each.item_name,
                each.supplier_id,
                f"{each.shelf_id}-0a1b2c3d-1",
                48,
                48 - 3 * (number == 0),
                date(2026, 2, 1),
                START.replace(hour=8),
            )
            for number, each in enumerate(shelves[:8])
        ),
    )
    aisles = sorted({each.aisle for each in products})
    store.served = ServiceLevel(
        START.date(),
        tuple(AisleHour(aisle, hour, 2400, 7 * aisle * max(0, hour - 12)) for aisle in aisles for hour in range(7, 21)),
        (Waste("MEAT", "expired", "store", 41, 143.5), Waste("FISH", "expired", "warehouse", 12, 96.0)),
        6183,
    )
    return store


def twin_feed(store: TwinStore | None = None, **settings: str) -> Feed:
    """A feed from the twin; ``settings`` as environment variables."""
    return Feed(store or TwinStore(), twin_settings(**settings))


def twin_settings(**settings: str) -> Settings:
    """Default settings, whatever the machine's environment says."""
    return load({"SMARTSHELF_HOME": "/nonexistent", **settings})
