"""What the page reads: live shelf rows, profiles, alerts and the store's decisions from Postgres, the clock from Redis.

Every reading is taken once for all open pages (``last_known``).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple, Protocol, TypeVar

import redis
from psycopg2 import IntegrityError, InterfaceError, OperationalError
from psycopg2.errors import InsufficientPrivilege, UndefinedTable
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dashboard import business
from dashboard.business import ServiceLevel, Supply
from dashboard.last_known import LastKnown, Reading
from data.catalogue import expand, load_catalogue
from simulated_time.store import Clock, Status
from smartshelf.errors import BadInput, Unavailable
from smartshelf.io import people, postgres
from smartshelf.io.people import Answer, OpenAlert
from smartshelf.io.redis_stream import connect as connect_redis
from smartshelf.settings import Settings, settings

T = TypeVar("T")
log = logging.getLogger(__name__)

#: Real seconds between two readings of what people edit by hand.
PROFILES_EVERY = 20.0
#: Availability and waste change by the hour: one of so many refreshes reads them.
SERVICE_LEVEL_EVERY = 5
#: What to do about a server that does not answer.
WHAT_RUNS = "`smartshelf status` shows what runs."
#: Readings kept for the small trend lines and the rate of events.
TREND_LENGTH = 90
#: A longer gap between two readings ends a trend.
UNWATCHED = timedelta(seconds=30)

SHELVES_SQL = """
select shelf_id, current_stock, max_stock, in_baskets, on_the_way, shelf_weight, version, as_of_step, last_update_ts
from state.shelf_state where store_id = %(store_id)s
"""
PROFILES_SQL = """
select store_id, shelf_id, item_name, category, subcategory, aisle, storage_zone, item_weight, item_price,
       supplier_id, maximum_stock, standard_batch_size, shelf_life_days
from config.shelf_profiles
"""


class ShelfRow(NamedTuple):
    """A row of ``state.shelf_state``; units, weight in grams, time simulated."""

    shelf_id: str
    current_stock: int
    max_stock: int
    in_baskets: int
    on_the_way: int
    shelf_weight: float
    version: int
    as_of_step: int
    last_update_ts: datetime


class Profile(NamedTuple):
    """The product on a shelf (``config.shelf_profiles``); grams, EUR, units, days."""

    store_id: str
    shelf_id: str
    item_name: str
    category: str
    subcategory: str
    aisle: int
    storage_zone: str
    item_weight: float
    item_price: float
    supplier_id: str
    maximum_stock: int
    standard_batch_size: int
    shelf_life_days: int


@dataclass(frozen=True, eq=False)
class StoreState:
    """All live rows of one store, as read at one instant."""

    store_id: str
    rows: Mapping[str, ShelfRow]

    @cached_property
    def newest(self) -> datetime | None:
        """Simulated time of the newest row; None while there is none."""
        return max((row.last_update_ts for row in self.rows.values()), default=None)

    @cached_property
    def changes(self) -> int:
        """Number of inputs that the rows have counted so far; it only rises while the store lives."""
        return sum(row.version for row in self.rows.values())


@dataclass(frozen=True, eq=False)
class Profiles:
    """Products by shelf, by store."""

    by_store: Mapping[str, Mapping[str, Profile]]

    @property
    def stores(self) -> list[str]:
        return sorted(self.by_store)


class Trend(NamedTuple):
    """Totals of one reading: wall clock, and units or counts."""

    at: datetime
    on_shelves: int
    in_baskets: int
    available: int
    changes: int


class ClockControl(Protocol):
    """What the page may order; SmartShelfError with a sentence for a wish that cannot be granted."""

    def set_speed(self, multiplier: float) -> None: ...

    def auto(self) -> None: ...

    def pause(self, why: str = ...) -> datetime: ...

    def resume(self) -> None: ...

    def advance_to(self, moment: datetime) -> datetime: ...


class Source(Protocol):
    """Where readings come from. Every reading raises Unavailable with a sentence for the page."""

    @property
    def control(self) -> ClockControl: ...

    def shelves(self, store_id: str) -> StoreState: ...

    def profiles(self) -> Profiles: ...

    def clock(self) -> Status: ...

    def alerts(self, store_id: str) -> list[OpenAlert]: ...

    def supply(self, store_id: str) -> Supply: ...

    def service_level(self, store_id: str, since: date) -> ServiceLevel: ...

    def ask(self, store_id: str, who: str, what: Mapping[str, Any]) -> str:
        """Enter a command and return its id; BadInput when Postgres does not take it."""

    def answer(self, store_id: str, command_id: str) -> Answer | None: ...


class ServerSource:
    """The store's own servers: Postgres as the read-only analyst, the clock in Redis."""

    def __init__(self, config: Settings) -> None:
        self._config = config

    @cached_property
    def _engine(self) -> Engine:
        return postgres.engine(self._config, "analyst", "dashboard", pool_size=2, max_overflow=1)

    @cached_property
    def _writer(self) -> Engine:
        """Postgres as the role that may enter commands."""
        return postgres.engine(self._config, "app", "dashboard", pool_size=1, max_overflow=1)

    @cached_property
    def control(self) -> Clock:
        return Clock(connect_redis(self._config.redis_url))

    def shelves(self, store_id: str) -> StoreState:
        with readable_postgres(), self._engine.connect() as connection:
            rows = connection.exec_driver_sql(SHELVES_SQL, {"store_id": store_id}).all()
        return StoreState(store_id, {row[0]: ShelfRow(*row) for row in rows})

    def profiles(self) -> Profiles:
        with readable_postgres(), self._engine.connect() as connection:
            rows = connection.exec_driver_sql(PROFILES_SQL).all()
        return gathered(Profile(*row)._replace(item_price=float(row[8]), item_weight=float(row[7])) for row in rows)

    def alerts(self, store_id: str) -> list[OpenAlert]:
        with readable_postgres(), self._engine.connect() as connection:
            return people.open_alerts(connection, store_id)

    def supply(self, store_id: str) -> Supply:
        with readable_postgres(), self._engine.connect() as connection:
            return business.supply(connection, store_id)

    def service_level(self, store_id: str, since: date) -> ServiceLevel:
        with readable_postgres(), self._engine.connect() as connection:
            return business.service_level(connection, store_id, since)

    def ask(self, store_id: str, who: str, what: Mapping[str, Any]) -> str:
        with readable_postgres(), self._writer.begin() as connection:
            return people.enter(connection, store_id, who, what)

    def answer(self, store_id: str, command_id: str) -> Answer | None:
        with readable_postgres(), self._engine.connect() as connection:
            return people.answer(connection, store_id, command_id)

    def clock(self) -> Status:
        try:
            return self.control.status()
        except redis.RedisError as failed:
            raise Unavailable("Redis does not answer", value=str(failed), remedy=WHAT_RUNS) from failed


@contextmanager
def readable_postgres() -> Iterator[None]:
    """Turn what the driver raises into a sentence for the page."""
    try:
        yield
    except DBAPIError as failed:
        if isinstance(failed.orig, UndefinedTable):
            raise Unavailable("The tables are not there yet: the store is being set up") from failed
        if isinstance(failed.orig, InsufficientPrivilege):
            raise Unavailable("The read-only role may not read the live tables yet") from failed
        if isinstance(failed.orig, IntegrityError):
            raise BadInput(str(failed.orig).splitlines()[0]) from failed
        if isinstance(failed.orig, OperationalError | InterfaceError):
            raise Unavailable("Postgres does not answer", remedy=WHAT_RUNS) from failed
        log.exception("Postgres refused a query of the page")
        remedy = "`smartshelf logs dashboard` shows why."
        raise Unavailable("Postgres refused a query of the page", remedy=remedy) from failed
    except PoolTimeout as failed:
        raise Unavailable("Postgres is too slow to answer", remedy=WHAT_RUNS) from failed


def gathered(profiles: Iterator[Profile] | Sequence[Profile]) -> Profiles:
    """Profiles by store and shelf."""
    by_store: dict[str, dict[str, Profile]] = {}
    for profile in profiles:
        by_store.setdefault(profile.store_id, {})[profile.shelf_id] = profile
    return Profiles(by_store)


def catalogue_profiles(store_id: str, scale: float) -> dict[str, Profile]:
    """The store as the catalogue has it: the floor to show before Postgres has any row."""
    columns = expand(load_catalogue(), scale).columns()
    names = Profile._fields[1:]
    return {
        str(values[0]): Profile(store_id, *values)
        for values in zip(*(columns[name].tolist() for name in names), strict=True)
    }


class StoreFeed:
    """The live rows of one store with their recent past, as seen by this page server."""

    def __init__(self, source: Source, store_id: str, ttl: float) -> None:
        self._source, self._store_id = source, store_id
        self._known = LastKnown(self._fetch, ttl)
        self.trend: deque[Trend] = deque(maxlen=TREND_LENGTH)
        #: Wall clock of the last reading that differed from the one before.
        self.changed_at: datetime | None = None

    def get(self) -> Reading[StoreState]:
        return self._known.get()

    def _fetch(self) -> StoreState:
        state = self._source.shelves(self._store_id)
        rows, now = state.rows.values(), datetime.now(UTC)
        if self.trend and (state.changes < self.trend[-1].changes or now - self.trend[-1].at > UNWATCHED):
            self.trend.clear()  # the store was reset, or nobody was looking meanwhile
        if not self.trend or state.changes != self.trend[-1].changes:
            self.changed_at = now
        self.trend.append(
            Trend(
                now,
                sum(row.current_stock for row in rows),
                sum(row.in_baskets for row in rows),
                sum(row.current_stock > 0 for row in rows),
                state.changes,
            )
        )
        return state


class Feed:
    """Everything the pages read, shared by all of them."""

    def __init__(self, source: Source, config: Settings) -> None:
        self.source, self.config = source, config
        self.control = source.control
        # A little less than the pages' period: each refresh of a single page finds something new.
        self.ttl = 0.9 * config.dash_refresh_ms / 1000
        self.clock = LastKnown(source.clock, self.ttl)
        self.profiles = LastKnown(source.profiles, PROFILES_EVERY)
        self._stores: dict[str, StoreFeed] = {}
        self._known: dict[tuple[Any, ...], LastKnown[Any]] = {}
        self._lock = threading.Lock()

    def store(self, store_id: str) -> StoreFeed:
        """The live rows of a store."""
        with self._lock:
            if store_id not in self._stores:
                self._stores[store_id] = StoreFeed(self.source, store_id, self.ttl)
            return self._stores[store_id]

    def alerts(self, store_id: str) -> LastKnown[list[OpenAlert]]:
        """The alerts of a store that still need somebody."""
        return self._shared("alerts", self.source.alerts, store_id)

    def supply(self, store_id: str) -> LastKnown[Supply]:
        """Open plans, orders and the newest receipts of a store."""
        return self._shared("supply", self.source.supply, store_id)

    def service_level(self, store_id: str, days: int) -> LastKnown[ServiceLevel]:
        """Availability and waste of a store: today and the ``days`` - 1 days before it, by the store's clock."""
        return self._shared("service_level", self._service_level, store_id, days, every=SERVICE_LEVEL_EVERY)

    def _service_level(self, store_id: str, days: int) -> ServiceLevel:
        clock = self.clock.get()
        if clock.value is None:
            raise Unavailable(clock.problem or "The clock has not started yet")
        return self.source.service_level(store_id, clock.value.now.date() - timedelta(days=days - 1))

    def _shared(self, name: str, fetch: Callable[..., T], *key: Any, every: int = 1) -> LastKnown[T]:
        """The one reading of ``fetch(*key)`` for all pages."""
        with self._lock:
            if (name, *key) not in self._known:
                self._known[name, *key] = LastKnown(partial(fetch, *key), every * self.ttl)
            return self._known[name, *key]

    def forget_decisions(self, store_id: str) -> None:
        """Read alerts and plans anew at the next look: a command may have changed them."""
        self.alerts(store_id).forget()
        self.supply(store_id).forget()

    def stores(self) -> list[str]:
        """Ids of all stores that have profiles, else those of the settings."""
        known = self.profiles.get().value
        return (known.stores if known else []) or list(self.config.stores)

    def products(self, store_id: str) -> Mapping[str, Profile]:
        """Products by shelf: Postgres' profiles, the catalogue's while there are none."""
        known = self.profiles.get().value
        found = known.by_store.get(store_id) if known else None
        return found or _planned(store_id, self.config.scale)


@lru_cache(maxsize=4)
def _planned(store_id: str, scale: float) -> Mapping[str, Profile]:
    return catalogue_profiles(store_id, scale)


_installed: Feed | None = None
_install_lock = threading.Lock()


def feed() -> Feed:
    """The feed of this process, from the store's servers unless another was installed by ``use``."""
    global _installed
    with _install_lock:
        if _installed is None:
            config = settings()
            _installed = Feed(ServerSource(config), config)
        return _installed


def use(other: Feed | None) -> None:
    """Let the pages of this process read from ``other``; None returns to the servers."""
    global _installed
    with _install_lock:
        _installed = other
