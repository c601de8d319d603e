"""Plans, orders and receipts as figures, tables and choices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from dashboard.business import Order, Receipt, RestockPlan, SupplierPlan, Supply
from dashboard.views.figures import Figure
from dashboard.views.text import duration, euros, moment, number, units
from smartshelf.domain.calendar import Calendar, Event

#: Who proposed a quantity, as people read it.
SOURCES = {"rule": "Reorder rule", "model": "Forecast", "person": "A person"}


def key_figures(supply: Supply | None, now: datetime | None, calendar: Calendar) -> list[Figure]:
    """What is open and by when; a dash where nothing is known. ``now``: simulated."""
    cutoff, delivery = (_until(event, now, calendar) for event in ("cutoff", "delivery"))
    known = supply or Supply()
    figures = [
        Figure("restock", "Open restock plans", number(len(known.restock)), _waiting(known.restock)),
        Figure("cutoff", "Next cutoff in", *cutoff),
        Figure("planned", "Planned for it", units(sum(plan.qty for plan in known.plans)), _worth(known.plans)),
        Figure("delivery", "Next delivery in", *delivery),
        Figure("on_order", "On the way", units(sum(order.qty for order in known.orders)), _worth(known.orders)),
        Figure("received", "Last delivery", *_last_delivery(known.receipts)),
    ]
    if supply is not None:
        return figures
    return [each if each.key in ("cutoff", "delivery") else Figure(each.key, each.label, "–") for each in figures]


def _until(event: Event, now: datetime | None, calendar: Calendar) -> tuple[str, str]:
    if now is None:
        return "–", ""
    then = calendar.next(event, now)
    return duration(then - now), moment(then)


def _waiting(plans: Sequence[RestockPlan]) -> str:
    return f"{units(sum(plan.waiting for plan in plans))} still to be picked" if plans else "every shelf is served"


def _worth(lines: Sequence[SupplierPlan] | Sequence[Order]) -> str:
    return f"{number(len(lines))} products · {euros(sum(line.cost for line in lines))}" if lines else "nothing"


def _last_delivery(receipts: Sequence[Receipt]) -> tuple[str, str]:
    if not receipts:
        return "–", "none yet"
    last = max(receipt.received_ts for receipt in receipts).date()
    came = [receipt for receipt in receipts if receipt.received_ts.date() == last]
    short = sum(receipt.received < receipt.ordered for receipt in came)
    told = f"{number(short)} of {number(len(came))} lots short" if short else "all as ordered"
    return units(sum(receipt.received for receipt in came)), f"{last:%a} {last.day} {last:%b}: {told}"


def restock_frame(plans: Sequence[RestockPlan], now: datetime | None) -> pd.DataFrame:
    """Open plans from the backroom to the shelves, the longest open first."""
    return pd.DataFrame(
        {
            "Product": [plan.item_name for plan in plans],
            "Shelf": [plan.shelf_id for plan in plans],
            "Aisle": [plan.aisle for plan in plans],
            "Wanted": [plan.suggested_qty for plan in plans],
            "Picked": [plan.picked_qty for plan in plans],
            "Open for": [duration(now - plan.created_at) if now else "" for plan in plans],
            "Why": [plan.why for plan in plans],
        }
    )


def plan_frame(plans: Sequence[SupplierPlan]) -> pd.DataFrame:
    """What will be ordered at the next cutoff, the most expensive first."""
    return pd.DataFrame(
        {
            "Product": [plan.item_name for plan in plans],
            "Shelf": [plan.shelf_id for plan in plans],
            "Supplier": [plan.supplier for plan in plans],
            "Units": [plan.qty for plan in plans],
            "Cost": [plan.cost for plan in plans],
            "Position": [plan.inventory_position for plan in plans],
            "Reorder at": [plan.reorder_point_qty for plan in plans],
            "Proposed by": [SOURCES.get(plan.source, plan.source) for plan in plans],
            "Why": [plan.why for plan in plans],
        }
    )


def order_frame(orders: Sequence[Order], now: datetime | None) -> pd.DataFrame:
    """Orders on the way, the next delivery first; ``Late by`` is empty for those that are not due yet."""
    return pd.DataFrame(
        {
            "Product": [order.item_name for order in orders],
            "Shelf": [order.shelf_id for order in orders],
            "Supplier": [order.supplier for order in orders],
            "Units": [order.qty for order in orders],
            "Cost": [order.cost for order in orders],
            "Expected": [order.expected_delivery_ts for order in orders],
            "Late by": [_late(order, now) for order in orders],
        }
    )


def _late(order: Order, now: datetime | None) -> str:
    return duration(now - order.expected_delivery_ts) if now and now > order.expected_delivery_ts else ""


def receipt_frame(receipts: Sequence[Receipt]) -> pd.DataFrame:
    """What came, the newest first; ``Difference`` is received minus ordered."""
    return pd.DataFrame(
        {
            "Received": [receipt.received_ts for receipt in receipts],
            "Product": [receipt.item_name for receipt in receipts],
            "Shelf": [receipt.shelf_id for receipt in receipts],
            "Supplier": [receipt.supplier for receipt in receipts],
            "Lot": [receipt.batch_code for receipt in receipts],
            "Ordered": [receipt.ordered for receipt in receipts],
            "Units": [receipt.received for receipt in receipts],
            "Difference": [receipt.received - receipt.ordered for receipt in receipts],
            "Expires": [receipt.expiry_date for receipt in receipts],
        }
    )


def cancelable_restock(plans: Sequence[RestockPlan]) -> dict[str, str]:
    """Plan id -> what to call it, of the plans that still wait for something."""
    waiting = [plan for plan in plans if plan.waiting]
    return {plan.plan_id: f"{plan.item_name} · {plan.shelf_id} · {units(plan.waiting)} waiting" for plan in waiting}


def cancelable_plans(plans: Sequence[SupplierPlan]) -> dict[str, str]:
    """Plan id -> what to call it."""
    return {plan.supplier_plan_id: f"{plan.item_name} · {plan.shelf_id} · {units(plan.qty)}" for plan in plans}
