from __future__ import annotations

from producers.shelf import Lot, choose, put, take


def lots() -> list[Lot]:
    return [Lot("old", "2026-01-01", "2026-01-03", 2), Lot("new", "2026-01-02", "2026-01-09", 5)]


def test_four_of_five_hands_go_to_what_expires_first() -> None:
    choices = [choose(lots(), number / 100) for number in range(100)]
    assert choices.count("old") == 80


def test_a_lot_that_comes_again_stays_one_lot_and_lots_stay_in_order_of_expiry() -> None:
    shelf = lots()
    put(shelf, Lot("new", "2026-01-02", "2026-01-09", 1))
    put(shelf, Lot("middle", "2026-01-01", "2026-01-05", 1))
    assert [(lot.batch_code, lot.quantity) for lot in shelf] == [("old", 2), ("middle", 1), ("new", 6)]


def test_no_more_is_taken_than_there_is_and_an_empty_lot_goes() -> None:
    shelf = lots()
    taken = take(shelf, "old", 10)
    assert taken is not None
    assert taken.quantity == 2
    assert [lot.batch_code for lot in shelf] == ["new"]
    assert take(shelf, "old", 1) is None
