"""What the store has decided and how well it served: open plans, orders, receipts, availability and waste.

Row types with their SQL; each function reads one store over an open connection. Units, EUR, simulated UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import NamedTuple

from sqlalchemy import Connection, text

#: Receipts shown, the newest first: more than any delivery day brings to a store of the default size.
RECEIPTS = 500

_RESTOCK = text("""
select r.plan_id, r.shelf_id, coalesce(p.item_name, r.shelf_id), p.aisle, r.suggested_qty, r.picked_qty, r.status,
       r.why, r.created_at
from ops.shelf_restock_plan r left join config.shelf_profiles p using (store_id, shelf_id)
where r.store_id = :store_id and r.status in ('pending', 'issued')
order by r.created_at, r.plan_id
""")
_PLANS = text("""
select w.supplier_plan_id, w.shelf_id, coalesce(p.item_name, w.shelf_id), coalesce(s.name, p.supplier_id, '?'),
       w.suggested_qty, (w.suggested_qty * coalesce(p.item_cost, 0))::float8, w.source, w.inventory_position,
       w.reorder_point_qty, w.cutoff_ts, w.delivery_ts, w.why
from ops.wh_supplier_plan w
left join config.shelf_profiles p using (store_id, shelf_id)
left join config.suppliers s using (supplier_id)
where w.store_id = :store_id and w.status = 'pending'
order by w.cutoff_ts, 6 desc, w.supplier_plan_id
""")
_ORDERS = text("""
select o.order_id, o.shelf_id, coalesce(p.item_name, o.shelf_id), coalesce(s.name, o.supplier_id), o.qty,
       (o.qty * coalesce(p.item_cost, 0))::float8, o.expected_delivery_ts
from ops.wh_supplier_orders o
left join config.shelf_profiles p using (store_id, shelf_id)
left join config.suppliers s on s.supplier_id = o.supplier_id
where o.store_id = :store_id and o.status = 'issued'
order by o.expected_delivery_ts, 4, o.shelf_id
""")
_RECEIPTS = text("""
select r.receipt_id, r.shelf_id, coalesce(p.item_name, r.shelf_id), coalesce(s.name, r.supplier_id), r.batch_code,
       r.qty - r.difference, r.qty, r.expiry_date, r.received_ts
from ops.wh_supplier_receipts r
left join config.shelf_profiles p using (store_id, shelf_id)
left join config.suppliers s on s.supplier_id = r.supplier_id
where r.store_id = :store_id
order by r.received_ts desc, abs(r.difference) desc, r.shelf_id
limit :limit
""")
_HOURS = text("""
select aisle, extract(hour from hour_ts at time zone 'UTC')::int, sum(open_minutes)::int, sum(out_minutes)::int
from analytics.availability_hourly
where store_id = :store_id and hour_ts >= :since
group by 1, 2
order by 1, 2
""")
_WASTE = text("""
select coalesce(p.category, '?'), m.reason, coalesce(m.location, 'store'), sum(m.quantity)::int,
       sum(m.quantity * coalesce(p.item_cost, 0))::float8
from ops.shelf_movements m left join config.shelf_profiles p using (store_id, shelf_id)
where m.store_id = :store_id and m.timestamp >= :since and m.event_type = 'removal' and m.quantity > 0
group by 1, 2, 3
order by 5 desc, 1, 2, 3
""")
_SOLD = text("""
select coalesce(sum(total_items), 0)::int from ops.pos_transactions where store_id = :store_id and timestamp >= :since
""")


class RestockPlan(NamedTuple):
    """An open plan to bring goods from the backroom to a shelf; ``aisle`` is None where the shelf has no profile."""

    plan_id: str
    shelf_id: str
    item_name: str
    aisle: int | None
    suggested_qty: int
    picked_qty: int
    status: str
    why: str
    created_at: datetime

    @property
    def waiting(self) -> int:
        """Units still to be taken from the backroom."""
        return max(0, self.suggested_qty - self.picked_qty)


class SupplierPlan(NamedTuple):
    """What will be ordered of a product at the next cutoff, as it stands now; a person's plan has no figures."""

    supplier_plan_id: str
    shelf_id: str
    item_name: str
    supplier: str
    qty: int
    cost: float
    source: str
    inventory_position: int | None
    reorder_point_qty: int | None
    cutoff_ts: datetime
    delivery_ts: datetime
    why: str


class Order(NamedTuple):
    """An order that has gone out and has not arrived."""

    order_id: str
    shelf_id: str
    item_name: str
    supplier: str
    qty: int
    cost: float
    expected_delivery_ts: datetime


class Receipt(NamedTuple):
    """What a lorry brought for an order."""

    receipt_id: str
    shelf_id: str
    item_name: str
    supplier: str
    batch_code: str
    ordered: int
    received: int
    expiry_date: date
    received_ts: datetime


@dataclass(frozen=True, eq=False)
class Supply:
    """Everything that is to come to shelves and backroom, and what came last."""

    restock: tuple[RestockPlan, ...] = ()
    plans: tuple[SupplierPlan, ...] = ()
    orders: tuple[Order, ...] = ()
    receipts: tuple[Receipt, ...] = ()


class AisleHour(NamedTuple):
    """Minutes of an aisle in one hour of the day, summed over its shelves and the days of the period."""

    aisle: int
    hour: int
    open_minutes: int
    out_minutes: int


class Waste(NamedTuple):
    """Units thrown away and what they had cost."""

    category: str
    reason: str
    location: str
    units: int
    cost: float


@dataclass(frozen=True, eq=False)
class ServiceLevel:
    """How well the store served from the beginning of the day ``since`` until now."""

    since: date
    hours: tuple[AisleHour, ...] = ()
    waste: tuple[Waste, ...] = ()
    sold: int = 0


def supply(connection: Connection, store_id: str) -> Supply:
    """Open plans, the oldest first; orders by delivery; the newest receipts, the largest difference first."""
    store = {"store_id": store_id}
    return Supply(
        tuple(RestockPlan(*row) for row in connection.execute(_RESTOCK, store)),
        tuple(SupplierPlan(*row) for row in connection.execute(_PLANS, store)),
        tuple(Order(*row) for row in connection.execute(_ORDERS, store)),
        tuple(Receipt(*row) for row in connection.execute(_RECEIPTS, store | {"limit": RECEIPTS})),
    )


def service_level(connection: Connection, store_id: str, since: date) -> ServiceLevel:
    """Availability in closed hours, waste and sales since midnight (UTC) of ``since``."""
    period = {"store_id": store_id, "since": datetime.combine(since, time(), UTC)}
    return ServiceLevel(
        since,
        tuple(AisleHour(*row) for row in connection.execute(_HOURS, period)),
        tuple(Waste(*row) for row in connection.execute(_WASTE, period)),
        connection.execute(_SOLD, period).scalar_one(),
    )
