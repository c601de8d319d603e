"""Every fact moves units between two places, or none at all."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import MOVEMENTS, Place
from smartshelf.contracts.topics import FACTS
from smartshelf.domain import ledger

ENVELOPE = {
    "event_id": "id",
    "schema_version": 1,
    "store_id": "S01",
    "timestamp": datetime(2026, 1, 1, 8, tzinfo=UTC),
    "source": "test",
}


def test_a_pickup_goes_from_shelf_to_basket() -> None:
    fact = e.Pickup(**ENVELOPE, customer_id="c", shelf_id="A", quantity=2, item_weight=500.0)
    assert ledger.movements(fact) == [ledger.Moved("A", None, Place.SHELF, Place.BASKET, 2)]


def test_every_line_of_a_receipt_goes_from_basket_to_sold() -> None:
    lines = tuple(
        e.ReceiptLine(line_no=n, shelf_id=shelf, batch_code=f"L{n}", quantity=n, unit_price=1.0, total_price=1.0 * n)
        for n, shelf in enumerate(("A", "B"), start=1)
    )
    fact = e.PosTransaction(
        **ENVELOPE, transaction_id="t", customer_id="c", till_id="T1", items=lines, total_items=3, total_amount=3.0
    )
    assert ledger.movements(fact) == [
        ledger.Moved("A", "L1", Place.BASKET, Place.SOLD, 1),
        ledger.Moved("B", "L2", Place.BASKET, Place.SOLD, 2),
    ]


@pytest.mark.parametrize(
    ("reason", "location", "origin", "destination"),
    [
        ("opening", "store", Place.SUPPLIER, Place.SHELF),
        ("opening", "warehouse", Place.SUPPLIER, Place.BACKROOM),
        ("cycle", "store", Place.UNKNOWN, Place.SHELF),
        ("replay_assumed", "store", Place.UNKNOWN, Place.SHELF),
    ],
)
def test_only_the_adjustment_of_a_count_moves_units(
    reason: str, location: str, origin: Place, destination: Place
) -> None:
    fact = e.Count(**ENVELOPE, shelf_id="A", quantity=40, adjustment=-3, reason=reason, location=location)
    assert ledger.movements(fact) == [ledger.Moved("A", None, origin, destination, -3)]


def test_a_weight_change_moves_no_units() -> None:
    assert ledger.movements(e.WeightChange(**ENVELOPE, shelf_id="A", delta_weight=-500.0)) == []


def test_every_rule_of_the_ledger_belongs_to_an_event_that_exists() -> None:
    tags = {event.__struct_config__.tag for topic in FACTS for event in topic.events}
    assert set(MOVEMENTS) <= tags


def test_movements_keep_the_sum_over_all_places_at_zero() -> None:
    balances = ledger.empty(2)
    moved = [
        ledger.Moved("A", None, Place.SUPPLIER, Place.SHELF, 40),
        ledger.Moved("B", None, Place.SHELF, Place.BASKET, 7),
    ]
    ledger.apply(balances, [0, 1], moved)
    assert balances.sum(axis=1).tolist() == [0, 0]
    assert balances[0, Place.SHELF] == 40
    assert balances[1, Place.BASKET] == 7
    assert balances.dtype == np.int64


def test_what_happened_before_the_last_count_no_longer_moves_the_shelf() -> None:
    pickup = ledger.Moved("A", None, Place.SHELF, Place.BASKET, 2)
    assert ledger.as_counted(pickup, late=False) == pickup
    assert ledger.as_counted(pickup, late=True) == ledger.Moved("A", None, Place.UNKNOWN, Place.BASKET, 2)
