"""Every fact of the store, with its envelope. One class per event type; the class name says what happened.

JSON on the wire, flat: the envelope's fields first, the payload's beside them. Unknown extra fields are
let through untouched (an outside system may add its own); missing or wrong ones are refused with a reason.
To add an event type: a class here, its name in the topic's ``events`` (topics.py), and, if it moves
units, a line in ledger.py.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from smartshelf.contracts.types import (
    ABSURD_QUANTITY,
    CalendarDate,
    Counter,
    Grams,
    Id,
    Moment,
    Money,
    Share,
    SignedUnits,
    Stock,
    Text,
    Units,
    WallMoment,
    Weight,
)

#: Newest version of every event type; a higher one comes from a newer sender and is dead-lettered.
SCHEMA_VERSION = 1
Version = Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)]
Weekday = Annotated[int, Meta(ge=0, le=6, description="0 = Monday")]
TimeSlot = Literal["morning", "midday", "afternoon", "evening"]
Location = Literal["store", "warehouse"]
#: Whose figure an order follows: a person's over the model's over the rule's.
ProposedBy = Literal["rule", "model", "person"]


class Event(Struct, kw_only=True, frozen=True, gc=False, tag_field="event_type"):
    """The envelope. ``event_id`` is deterministic: the same fact always has the same id."""

    event_id: Id
    schema_version: Version
    store_id: Id
    timestamp: Moment
    source: Id
    #: Contiguous per source and stream, from 1; an outside source may leave it out.
    seq: Annotated[int, Meta(ge=1)] | None = None
    #: Step in which the business decided this; None for what the world does.
    step: Counter | None = None
    produced_at: WallMoment | None = None


class FootTraffic(Event, tag="foot_traffic", kw_only=True, frozen=True):
    """A visit, told when it has ended."""

    customer_id: Id
    entry_time: Moment
    exit_time: Moment
    trip_duration_minutes: Annotated[float, Meta(ge=0)]
    weekday: Weekday
    time_slot: TimeSlot


class Entry(Event, tag="entry", kw_only=True, frozen=True):
    """Somebody came in through a door; a door sensor knows no customer."""

    door_id: Id
    time: Moment
    weekday: Weekday
    time_slot: TimeSlot


class Exit(Event, tag="exit", kw_only=True, frozen=True):
    """Somebody went out through a door."""

    door_id: Id
    time: Moment
    weekday: Weekday
    time_slot: TimeSlot


class Pickup(Event, tag="pickup", kw_only=True, frozen=True):
    """A customer took units from a shelf."""

    customer_id: Id
    shelf_id: Id
    quantity: Units
    item_weight: Weight


class Putback(Event, tag="putback", kw_only=True, frozen=True):
    """A customer put units back on their shelf."""

    customer_id: Id
    shelf_id: Id
    quantity: Units
    item_weight: Weight


class WeightChange(Event, tag="weight_change", kw_only=True, frozen=True):
    """What the shelf's scale saw; moves no units, sums into the shelf's weight."""

    shelf_id: Id
    delta_weight: Grams
    customer_id: Id | None = None
    reason: Text | None = None


class Refill(Event, tag="refill", kw_only=True, frozen=True):
    """Staff put units of a lot on the shelf, as a refill task asked."""

    shelf_id: Id
    batch_code: Id
    quantity: Units
    plan_id: Id | None = None


class Removal(Event, tag="removal", kw_only=True, frozen=True):
    """Staff took units of a lot off the shelf; ``quantity`` is what was really there."""

    shelf_id: Id
    batch_code: Id
    quantity: Annotated[int, Meta(ge=0, le=ABSURD_QUANTITY)]
    reason: Text
    location: Location = "store"


class Count(Event, tag="count", kw_only=True, frozen=True):
    """Somebody counted. Only ``adjustment`` moves units."""

    shelf_id: Id
    batch_code: Id | None = None
    received_date: CalendarDate | None = None
    expiry_date: CalendarDate | None = None
    quantity: Stock
    adjustment: SignedUnits
    reason: Literal["opening", "replay_assumed", "cycle", "correction"]
    location: Location = "store"


class Unpaid(Event, tag="unpaid", kw_only=True, frozen=True):
    """What was still in baskets after closing, booked from basket to lost."""

    shelf_id: Id
    quantity: SignedUnits


class ReceiptLine(Struct, kw_only=True, frozen=True, gc=False):
    """One line of a receipt."""

    line_no: Annotated[int, Meta(ge=1)]
    shelf_id: Id
    batch_code: Id | None = None
    quantity: Units
    unit_price: Money
    discount: Share = 0.0
    total_price: Money
    expiry_date: CalendarDate | None = None


class PosTransaction(Event, tag="pos_transaction", kw_only=True, frozen=True):
    """A customer paid at a till."""

    transaction_id: Id
    customer_id: Id
    till_id: Id
    items: Annotated[tuple[ReceiptLine, ...], Meta(min_length=1)]
    total_items: Counter
    total_amount: Money


class WhIn(Event, tag="wh_in", kw_only=True, frozen=True):
    """A delivered lot arrived at the dock."""

    shelf_id: Id
    batch_code: Id
    qty: Units
    order_id: Id | None = None
    received_date: CalendarDate
    expiry_date: CalendarDate
    transport_temperature_c: float | UnsetType = UNSET
    transport_kwh: float | UnsetType = UNSET


class WhOut(Event, tag="wh_out", kw_only=True, frozen=True):
    """Units of a lot left the backroom for the shelf."""

    shelf_id: Id
    batch_code: Id
    qty: Units
    plan_id: Id
    due_ts: Moment
    reason: Text | None = None


class WhAdjust(Event, tag="wh_adjust", kw_only=True, frozen=True):
    """The backroom's stock of a lot was corrected."""

    shelf_id: Id
    batch_code: Id
    qty: SignedUnits
    reason: Text


class Restock(Event, tag="restock", kw_only=True, frozen=True):
    """A proposal: bring this shelf up to its target. The restock manager opens or refreshes its plan."""

    shelf_id: Id
    qty: Units
    why: Text


class WriteOff(Event, tag="write_off", kw_only=True, frozen=True):
    """A proposal: take an expired lot out of the backroom's books."""

    shelf_id: Id
    batch_code: Id
    qty: Units
    why: Text


class OrderRequest(Event, tag="order", kw_only=True, frozen=True):
    """A proposal: order so many units at a cutoff; 0: order none. The latest of each proposer counts.

    A rule tells the figures it follows from: position, reorder point and order-up-to level, in units.
    """

    shelf_id: Id
    qty: Stock
    cutoff_ts: Moment
    proposed_by: ProposedBy
    why: Text
    inventory_position: int | None = None
    reorder_point_qty: Stock | None = None
    order_up_to_qty: Stock | None = None


class Reserve(Event, tag="reserve", kw_only=True, frozen=True):
    """The shelf's open restock plan has so many units still to take from the backroom; 0: none any more.

    The latest one of a shelf counts.
    """

    shelf_id: Id
    plan_id: Id
    qty: Stock


class Ordered(Event, tag="ordered", kw_only=True, frozen=True):
    """So many units of an order are outstanding; 0: it was closed without them. A ``wh_in`` closes it as well."""

    shelf_id: Id
    order_id: Id
    qty: Stock


class Reading(Event, tag="reading", kw_only=True, frozen=True):
    """Temperature and energy of one cold zone over five simulated minutes."""

    zone_id: Id
    temperature_c: float
    kwh: Annotated[float, Meta(ge=0)]


class LostDemand(Event, tag="lost_demand", kw_only=True, frozen=True):
    """What a shopper wanted and did not find. Simulation truth: no decision may read it."""

    customer_id: Id
    shelf_id: Id
    quantity: Units


class WorldTruth(Event, tag="world_truth", kw_only=True, frozen=True):
    """What a scenario really did. Simulation truth: no decision may read it."""

    scenario: Id
    shelf_id: Id | None = None
    quantity: SignedUnits = 0
    detail: Text = ""


class DeadLetter(Struct, kw_only=True, frozen=True):
    """What could not be processed, whole, with its reason."""

    #: "stream/redis-id" or "topic/partition/offset": where it came from.
    origin: Id
    key: str | None = None
    #: The bytes as they were, base64 (they may be no text at all).
    raw: str
    reason: str
    #: Size of the original in bytes, when it is too large for the broker and ``raw`` holds only its beginning.
    truncated_from: int | None = None
    store_id: str | None = None
    source: str | None = None
    seq: int | None = None
    first_seen: WallMoment
    #: None = open; an operator's `replay` or `drop` adds a record with the same origin.
    resolution: Literal["replayed", "dropped"] | None = None


class Evidence:
    """Names of sources whose ``seq`` is contiguous, as opposed to outside systems'."""

    INIT: ClassVar[str] = "init"
    DEAD_LETTERS: ClassVar[str] = "deadletters"
    WORLD_PREFIX: ClassVar[str] = "world:"
    JOB_PREFIX: ClassVar[str] = "job:"
    INGEST_PREFIX: ClassVar[str] = "ingest:"

    @classmethod
    def is_own(cls, source: str) -> bool:
        """Whether this source numbers its events without gap (ours do, foreign ones need not)."""
        return source.startswith(cls.INGEST_PREFIX) or not cls.is_outside(source)

    @classmethod
    def is_outside(cls, source: str) -> bool:
        """Whether the simulated world knows nothing of what this source tells: files and foreign systems."""
        return source not in (cls.INIT, cls.DEAD_LETTERS) and not source.startswith((cls.WORLD_PREFIX, cls.JOB_PREFIX))
