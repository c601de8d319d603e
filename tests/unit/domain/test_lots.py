"""Every movement finds its lot; lots of a shelf add up to the shelf; what is used up is forgotten in time."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from smartshelf.contracts import events as e
from smartshelf.domain.lots import NO_DATE, UNKNOWN_LOT, Lot, LotBook, LotPlace, Shows, day_of
from smartshelf.domain.shelf import micros, moment

START = datetime(2026, 1, 1, 7, tzinfo=UTC)
_number = itertools.count(1)


def fact(kind: type[e.Event], at: datetime = START, **payload: Any) -> Any:
    return kind(event_id=f"id{next(_number)}", schema_version=1, store_id="S01", timestamp=at, source="test", **payload)


def opening(batch: str | None, units: int, location: str = "store", expiry: str | None = "2026-01-09") -> e.Count:
    received = "2025-12-30" if expiry else None
    return fact(
        e.Count, shelf_id="A", batch_code=batch, received_date=received, expiry_date=expiry, quantity=units,
        adjustment=units, reason="opening", location=location,
    )  # fmt: skip


def sale(batch: str | None, units: int, at: datetime = START) -> e.PosTransaction:
    line = e.ReceiptLine(line_no=1, shelf_id="A", batch_code=batch, quantity=units, unit_price=1.0, total_price=units)
    return fact(
        e.PosTransaction, at, transaction_id="t", customer_id="c", till_id="T1", items=(line,), total_items=units,
        total_amount=1.0,
    )  # fmt: skip


def pickup(units: int, at: datetime = START) -> e.Pickup:
    return fact(e.Pickup, at, customer_id="c", shelf_id="A", quantity=units, item_weight=500.0)


def book(*facts: e.Event) -> LotBook:
    made = LotBook()
    made.fold(facts)
    return made


def test_units_of_a_lot_go_from_backroom_over_the_way_to_the_store_and_are_sold() -> None:
    later = START + timedelta(hours=1)
    lots = book(opening("L1", 30, "warehouse"))
    lots.fold([fact(e.WhOut, later, shelf_id="A", batch_code="L1", qty=12, plan_id="p", due_ts=later)])
    row = lots.row_of["A", "L1"]
    assert lots.units[row].tolist() == [18, 12, 0]
    lots.fold([fact(e.Refill, later, shelf_id="A", batch_code="L1", quantity=12, plan_id="p")])
    assert lots.units[row].tolist() == [18, 0, 12]
    lots.fold([pickup(5, later), sale("L1", 5, later)])
    assert lots.units[row].tolist() == [18, 0, 7]
    assert moment(int(lots.updated[row, Shows.EVERYWHERE])) == later


def test_a_pickup_is_no_input_of_any_lot() -> None:
    lots = book(opening("L1", 30))
    lots.fold([pickup(3), fact(e.Putback, customer_id="c", shelf_id="A", quantity=1, item_weight=500.0)])
    assert lots.version[lots.row_of["A", "L1"]].tolist() == [1, 1]
    assert ("A", UNKNOWN_LOT) not in lots.row_of


def test_a_movement_whose_lot_nobody_knows_books_on_the_unknown_lot_which_may_be_negative() -> None:
    lots = book(opening("L1", 30), fact(e.Unpaid, shelf_id="A", quantity=2), sale(None, 1))
    assert lots.units[lots.row_of["A", UNKNOWN_LOT], LotPlace.STORE] == -3
    assert lots.total("A", LotPlace.STORE) == 27


def test_an_item_sold_from_a_lot_the_shelf_does_not_hold_makes_that_lot_negative() -> None:
    lots = book(opening("L1", 30), sale("L9", 2))
    assert lots.units[lots.row_of["A", "L9"], LotPlace.STORE] == -2
    assert lots.in_store("A") == [Lot("L1", 30, date(2025, 12, 30), date(2026, 1, 9))]


def test_what_was_taken_before_the_last_count_only_fills_the_basket() -> None:
    lots = book(pickup(4, START - timedelta(minutes=5)))
    assert not lots.row_of
    counted = fact(e.Count, shelf_id="A", quantity=10, adjustment=10, reason="cycle")
    lots = book(counted, pickup(4, START - timedelta(minutes=5)))
    assert lots.total("A", LotPlace.STORE) == 14


def test_lots_are_told_by_expiry_then_batch_and_without_the_empty_and_the_unknown() -> None:
    lots = book(
        opening("L3", 1, expiry="2026-01-09"),
        opening("L2", 2, expiry="2026-01-09"),
        opening("L1", 3, expiry=None),
        opening("L0", 4, expiry="2026-01-02"),
        opening(None, 5, expiry=None),
        sale("L0", 4),
    )
    assert [lot.batch_code for lot in lots.in_store("A")] == ["L2", "L3", "L1"]
    assert lots.in_store("A")[-1].expiry_date is None
    assert lots.in_backroom("A") == []
    assert lots.in_store("NOSUCH") == []


def test_expiring_lots_are_found_in_every_place_by_day() -> None:
    lots = book(
        opening("L1", 1, expiry="2026-01-05"),
        opening("L2", 2, expiry="2026-01-03"),
        opening("L3", 2, "warehouse", expiry="2026-01-03"),
        opening("L4", 2, expiry=None),
    )

    def codes(place: LotPlace, day: str) -> list[str]:
        return [lots.batch_codes[row] for row in lots.expiring(place, day_of(day))]

    assert codes(LotPlace.STORE, "2026-01-05") == ["L2", "L1"]
    assert codes(LotPlace.STORE, "2026-01-04") == ["L2"]
    assert codes(LotPlace.STORE, "2026-01-02") == []
    assert codes(LotPlace.BACKROOM, "2026-01-05") == ["L3"]


def test_a_delivery_dates_its_lot() -> None:
    lots = book(
        fact(e.WhIn, shelf_id="A", batch_code="D1", qty=24, received_date="2026-01-02", expiry_date="2026-01-20")
    )
    assert lots.in_backroom("A") == [Lot("D1", 24, date(2026, 1, 2), date(2026, 1, 20))]


def test_a_later_count_may_correct_a_date_and_that_is_an_input_of_the_lot() -> None:
    lots = book(opening("L1", 3))
    lots.fold(
        [fact(e.Count, shelf_id="A", batch_code="L1", received_date="2025-12-30", expiry_date="2026-02-01", quantity=3,
              adjustment=0, reason="correction")]
    )  # fmt: skip
    assert lots.in_store("A")[0].expiry_date == date(2026, 2, 1)
    assert lots.version[lots.row_of["A", "L1"]].tolist() == [2, 2]


@pytest.mark.parametrize(("days", "gone"), [(13.9, []), (14, [("A", "L1")])])
def test_an_empty_lot_is_forgotten_fourteen_days_later(days: float, gone: list[tuple[str, str]]) -> None:
    lots = book(opening("L1", 2), opening("L2", 1), sale("L1", 2), sale(None, 1), opening(None, 1, expiry=None))
    at = micros(START + timedelta(days=days))
    assert lots.retire(at, timedelta(days=14)) == gone
    kept = [("A", "L1"), ("A", "L2"), ("A", UNKNOWN_LOT)]
    assert list(lots.row_of) == [key for key in kept if key not in gone]
    assert lots.total("A", LotPlace.STORE) == 1
    lots.fold([sale("L2", 1)])
    assert lots.total("A", LotPlace.STORE) == 0


def test_a_copy_and_its_origin_go_their_own_ways() -> None:
    lots = book(opening("L1", 5))
    view = lots.copy()
    view.fold([opening("L2", 7), sale("L1", 1)])
    assert list(lots.row_of) == [("A", "L1")]
    assert lots.total("A", LotPlace.STORE) == 5
    lots.fold([opening("L3", 1)])
    assert list(view.row_of) == [("A", "L1"), ("A", "L2")]
    assert view.expiry_day[0] == lots.expiry_day[0] != NO_DATE
