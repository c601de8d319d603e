"""The comparison finds what differs, names it, and is silent when the books balance."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smartshelf.audit import books
from smartshelf.audit.books import Balances, LotKey, Sequences, ShelfKey
from smartshelf.contracts.ledger import Place
from smartshelf.domain.ledger import Moved
from smartshelf.domain.lots import LotPlace

A = ShelfKey("S01", "A")
ROW: dict[str, Any] = {
    "store_id": "S01",
    "shelf_id": "A",
    "current_stock": 5,
    "epoch": 1,
    "version": 3,
    "as_of_step": 9,
}


def balances(source: str, *moved: Moved) -> Balances:
    made = Balances(source)
    made.add("S01", moved)
    return made


def test_a_movement_is_booked_out_of_one_place_and_into_another() -> None:
    book = balances("x", Moved("A", None, Place.SHELF, Place.BASKET, 2))
    assert book.units(A, Place.SHELF) == -2
    assert book.units(A, Place.BASKET) == 2
    assert books.unbalanced(book) == []


def test_the_first_difference_names_shelf_place_and_both_figures() -> None:
    truth = balances("kafka", Moved("A", None, Place.SUPPLIER, Place.SHELF, 40))
    other = balances("delta", Moved("A", None, Place.SUPPLIER, Place.SHELF, 39))
    difference = books.compare(truth, other, (Place.SHELF,))[0]
    assert str(difference) == "shelf of S01/A: kafka says 40, delta says 39"


def test_a_shelf_that_only_one_side_knows_is_a_difference() -> None:
    truth = balances("kafka", Moved("A", None, Place.SUPPLIER, Place.SHELF, 1))
    assert len(books.compare(truth, Balances("delta"), (Place.SHELF,))) == 1
    assert len(books.compare(Balances("delta"), truth, (Place.SHELF,))) == 1


def test_places_that_do_not_add_up_to_nothing_are_reported() -> None:
    book = balances("x", Moved("A", None, Place.SHELF, Place.BASKET, 2))
    book.by_shelf[A][Place.BASKET] += 1
    assert [difference.found for difference in books.unbalanced(book)] == [1]


def test_rows_are_compared_field_by_field_and_missing_rows_are_told() -> None:
    changed = ROW | {"current_stock": 6}
    assert books.compare_rows("a", {A: ROW}, "b", {A: ROW}) == []
    assert [d.what for d in books.compare_rows("a", {A: ROW}, "b", {A: changed})] == ["current_stock"]
    assert [d.what for d in books.compare_rows("a", {A: ROW}, "b", {})] == ["row"]


def test_the_hash_depends_on_what_is_true_and_not_on_when_it_was_written() -> None:
    def digest(**changes: Any) -> str:
        return books.state_hash({"shelf_state": {A: ROW | changes}})

    assert digest(epoch=2, version=8, as_of_step=1) == digest()
    assert digest(current_stock=6) != digest()


@given(st.permutations(range(1, 30)))
def test_sequence_numbers_may_come_in_any_order(numbers: list[int]) -> None:
    check = Sequences()
    for number in numbers:
        check.add("world:S01", "shelf_events", number)
    assert check.differences() == []


@given(st.permutations(range(1, 30)), st.integers(1, 28), st.integers(1, 28))
def test_a_missing_and_a_repeated_number_are_both_found(numbers: list[int], lost: int, doubled: int) -> None:
    check = Sequences()
    for number in [n for n in numbers if n != lost] + ([doubled] if doubled != lost else []):
        check.add("world:S01", "shelf_events", number)
    found = {(difference.expected, difference.found) for difference in check.differences()}
    assert (lost, "missing") in found
    assert doubled == lost or (doubled, "repeated") in found


def test_what_lies_before_the_first_number_of_every_partition_is_not_looked_for() -> None:
    check = Sequences()
    for partition, numbers in ((0, (7, 9, 12)), (1, (10, 13))):
        check.begin("world", "lost_demand", partition, numbers[0])
        for number in numbers:
            check.begin("world", "lost_demand", partition, number)
            check.add("world", "lost_demand", number)
    assert [difference.expected for difference in check.differences()] == [11]


LOT = LotKey("S01", "A", "L1")


def test_a_lot_keeps_its_units_from_backroom_to_store_and_loses_them_at_the_till() -> None:
    book = balances(
        "x",
        Moved("A", "L1", Place.SUPPLIER, Place.BACKROOM, 30),
        Moved("A", "L1", Place.BACKROOM, Place.ON_THE_WAY, 12),
        Moved("A", "L1", Place.ON_THE_WAY, Place.SHELF, 10),
        Moved("A", None, Place.SHELF, Place.BASKET, 4),
        Moved("A", "L1", Place.BASKET, Place.SOLD, 4),
    )
    assert [book.units_of_lot(LOT, place) for place in LotPlace] == [18, 2, 6]
    assert books.lots_against_shelves(book) == []


def test_the_first_difference_by_lot_names_lot_and_both_figures() -> None:
    truth = balances("kafka", Moved("A", "L1", Place.SUPPLIER, Place.SHELF, 40))
    other = balances("delta", Moved("A", "L2", Place.SUPPLIER, Place.SHELF, 40))
    assert books.compare(truth, other, tuple(Place)) == []
    first, second = books.compare_lots(truth, other)
    assert str(first) == "store by lot of S01/A/L1: kafka says 40, delta says 0"
    assert second.where == "S01/A/L2"


def test_lots_that_do_not_add_up_to_their_shelf_are_reported() -> None:
    book = balances("states", Moved("A", "L1", Place.SUPPLIER, Place.SHELF, 40))
    book.by_lot[LOT][LotPlace.STORE] = 39
    assert [str(d) for d in books.lots_against_shelves(book)] == [
        "sum of lots, store of S01/A: shelf says 40, states says 39"
    ]


def test_a_history_table_may_keep_more_than_its_topic_but_not_less() -> None:
    other = ShelfKey("S01", "B")
    assert books.compare_rows("a", {A: ROW}, "b", {A: ROW, other: ROW}, keeps_more=True) == []
    assert len(books.compare_rows("a", {A: ROW}, "b", {A: ROW, other: ROW})) == 1
    assert len(books.compare_rows("a", {A: ROW, other: ROW}, "b", {A: ROW}, keeps_more=True)) == 1


def test_shelves_that_are_left_out_are_not_compared() -> None:
    truth = balances("kafka", Moved("A", "L1", Place.SUPPLIER, Place.SHELF, 40))
    other = balances("the world", Moved("A", "L1", Place.SUPPLIER, Place.SHELF, 39))
    assert books.compare(truth, other, (Place.SHELF,), leaving_out={A}) == []
    assert books.compare_lots(truth, other, leaving_out={A}) == []
