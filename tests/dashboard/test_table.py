"""The table of all shelves."""

from __future__ import annotations

from dashboard.views.table import Filter, categories, frame
from tests.dashboard.twin import TwinStore

STORE = TwinStore()
STORE.control.pass_time(600)
PRODUCTS = STORE.products["S01"]
STATE = STORE.shelves("S01")


def test_without_filter_every_shelf_is_a_row() -> None:
    assert len(frame(PRODUCTS, STATE, Filter())) == 1142
    assert len(frame(PRODUCTS, None, Filter())) == 1142


def test_filters_narrow_together() -> None:
    found = frame(PRODUCTS, STATE, Filter("cola", frozenset({"BEVERAGES"}), frozenset({"low", "medium"})))
    assert 0 < len(found) < 20
    assert set(found["Category"]) == {"BEVERAGES"}
    assert found["Product"].str.contains("Cola").all()
    assert (found["Filled"] <= 70).all()


def test_a_band_shows_exactly_its_shelves() -> None:
    empty = frame(PRODUCTS, STATE, Filter(bands=frozenset({"empty"})))
    assert len(empty) == sum(row.current_stock == 0 for row in STATE.rows.values()) > 0


def test_all_words_must_occur_in_any_order() -> None:
    assert (
        len(frame(PRODUCTS, STATE, Filter("classic COLA"))) == len(frame(PRODUCTS, STATE, Filter("cola classic"))) > 0
    )
    assert len(frame(PRODUCTS, STATE, Filter("cola nosuchword"))) == 0


def test_categories_come_in_the_order_of_the_aisles() -> None:
    names = categories(PRODUCTS)
    assert len(names) == 29
    assert (names[0], names[-1]) == ("BEVERAGES", "FISH")
