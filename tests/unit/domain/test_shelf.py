"""The shelf book's rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import Place
from smartshelf.domain.shelf import ShelfBook, micros, moment

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
A, B = "MILKAA0001", "MILKAA0002"


def envelope(at: datetime = NOON) -> dict[str, object]:
    return {"event_id": "x", "schema_version": 1, "store_id": "S01", "timestamp": at, "source": "world:S01"}


def count(units: int, at: datetime = NOON, **more: object) -> e.Count:
    fields = {"reason": "cycle", "location": "store"} | more
    return e.Count(**envelope(at), shelf_id=A, quantity=units, adjustment=units, **fields)


def pickup(units: int, at: datetime = NOON) -> e.Pickup:
    return e.Pickup(**envelope(at), customer_id="C", shelf_id=A, quantity=units, item_weight=1.0)


def weight(grams: float) -> e.WeightChange:
    return e.WeightChange(**envelope(), shelf_id=A, delta_weight=grams)


def book(*facts: e.Event) -> ShelfBook:
    made = ShelfBook()
    made.fold(facts)
    return made


def test_every_row_sums_to_zero() -> None:
    assert book(count(9), pickup(4)).balances.sum() == 0


def test_a_balance_below_zero_is_kept() -> None:
    assert book(pickup(4)).balances[0, Place.SHELF] == -4


def test_a_weight_change_moves_no_units_and_weights_add_up_exactly() -> None:
    weighed = book(*[weight(0.1)] * 10)
    assert weighed.weight[0] == 1000
    assert not weighed.balances.any()


def test_a_receipt_with_two_lines_of_a_shelf_is_one_input_of_its_row() -> None:
    lines = tuple(
        e.ReceiptLine(line_no=n, shelf_id=shelf, quantity=1, unit_price=1.0, total_price=1.0)
        for n, shelf in enumerate((A, A, B), 1)
    )
    receipt = e.PosTransaction(
        **envelope(), transaction_id="T", customer_id="C", till_id="T1", items=lines, total_items=3, total_amount=3.0
    )
    sold = book(receipt)
    assert dict(zip(sold.shelf_ids, sold.version.tolist(), strict=True)) == {A: 1, B: 1}
    assert sold.balances[sold.row_of[A], Place.SOLD] == 2


@pytest.mark.parametrize(
    "fact",
    [
        count(5, location="warehouse"),
        weight(0.0),
        e.Removal(**envelope(), shelf_id=A, batch_code="B", quantity=0, reason="expired"),
        e.WhAdjust(**envelope(), shelf_id=A, batch_code="B", qty=3, reason="count"),
    ],
)
def test_what_changes_nothing_that_the_row_shows_does_not_raise_its_version(fact: e.Event) -> None:
    assert not book(fact).version.any()


def test_a_late_fact_counts_but_leaves_the_shelf_that_was_counted_since_alone() -> None:
    late = book(count(10), pickup(2, NOON - timedelta(minutes=5)))
    assert late.balances[0, Place.SHELF] == 10
    assert late.balances[0, Place.BASKET] == 2
    assert late.balances[0, Place.UNKNOWN] == -10 - 2
    assert late.version[0] == 2


def test_an_older_count_that_comes_late_does_not_open_the_shelf_to_late_facts_again() -> None:
    minutes = [NOON - timedelta(minutes=ago) for ago in (20, 10)]
    late = book(count(10), count(0, minutes[0]), pickup(2, minutes[1]))
    assert (late.balances[0, Place.SHELF], late.balances[0, Place.BASKET]) == (10, 2)


def test_a_fact_of_the_instant_of_the_count_is_not_late() -> None:
    assert book(count(10), pickup(2)).balances[0, Place.SHELF] == 8


def test_the_last_update_is_the_latest_moment_whatever_the_order() -> None:
    early, late = pickup(1), pickup(1, NOON + timedelta(hours=1))
    assert book(late, early).updated[0] == book(early, late).updated[0] == micros(late.timestamp)


def test_a_shelf_whose_profile_comes_and_goes_keeps_its_units() -> None:
    gone = book(count(3))
    gone.configure([A], NOON)
    gone.configure([A, B], NOON)
    assert (gone.balances[0, Place.SHELF], gone.version.tolist()) == (3, [3, 1])


def test_a_copy_is_folded_alone() -> None:
    original = book(count(3))
    copied = original.copy()
    copied.fold([pickup(1), e.Pickup(**envelope(), customer_id="C", shelf_id=B, quantity=1, item_weight=1.0)])
    assert original.shelf_ids == [A]
    assert np.array_equal(original.balances, book(count(3)).balances)


def test_a_moment_survives_as_microseconds() -> None:
    odd = datetime(2026, 3, 29, 2, 30, 0, 123457, tzinfo=UTC)
    assert moment(micros(odd)) == odd
