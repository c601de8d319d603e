"""The store map's drawing and live values."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from dashboard.queries import Profile, StoreState, catalogue_profiles
from dashboard.views import floor
from tests.dashboard.twin import TwinStore

PRODUCTS = catalogue_profiles("S01", 1.0)


@pytest.fixture(scope="module")
def drawn() -> floor.Floor:
    return floor.floor(PRODUCTS)


def test_every_shelf_of_the_catalogue_is_drawn_once_inside_the_walls(drawn: floor.Floor) -> None:
    plan = json.loads(drawn.drawing)
    width, height = plan["size"]
    assert len(plan["shelves"]) == len({shelf[0] for shelf in plan["shelves"]}) == 1142
    assert all(w / 2 <= x <= width - w / 2 and d / 2 <= y <= height - d / 2 for _, x, y, w, d, *_ in plan["shelves"])


def test_live_values_follow_the_order_of_the_drawn_shelves(drawn: floor.Floor) -> None:
    state = TwinStore().shelves("S01")
    live = json.loads(floor.live_values(drawn, state))
    ids = [shelf[0] for shelf in json.loads(drawn.drawing)["shelves"]]
    assert live["stock"] == [state.rows[shelf_id].current_stock for shelf_id in ids]
    assert live["max"] == [state.rows[shelf_id].max_stock for shelf_id in ids]


def test_a_shelf_without_row_is_unknown_and_not_empty(drawn: floor.Floor) -> None:
    whole = TwinStore().shelves("S01")
    missing = drawn.shelf_ids[3]
    partly = StoreState("S01", {shelf_id: row for shelf_id, row in whole.rows.items() if shelf_id != missing})
    assert json.loads(floor.live_values(drawn, partly))["stock"].index(None) == 3
    assert set(json.loads(floor.live_values(drawn, None))["stock"]) == {None}


def test_the_same_products_give_the_same_floor_object(drawn: floor.Floor) -> None:
    assert floor.floor(dict(reversed(PRODUCTS.items()))) is drawn


def test_products_without_an_aisle_are_drawn_in_a_grid_without_overlap() -> None:
    products = {
        f"SKU{number:04d}": Profile(
            "F07", f"SKU{number:04d}", f"Item {number}", f"group {number % 7}", "x", 1, "ambient", 100, 1, "S", 9, 9, 9
        )
        for number in range(203)
    }
    plan = json.loads(floor.floor(products).drawing)
    width, height = plan["size"]
    places = [(x, y) for _, x, y, *_ in plan["shelves"]]
    assert len(set(places)) == 203
    assert all(0 < x < width and 0 < y < height for x, y in places)
    assert [label[0] for label in plan["labels"]] == [f"Group {number}" for number in range(7)]


@pytest.mark.parametrize("value", [None, "", "NOPE0001", 7, {"picked": "BEVCOL0001"}])
def test_a_click_or_link_to_no_shelf_picks_none(value: object) -> None:
    assert floor.picked_shelf(value, PRODUCTS) is None


def test_a_click_picks_the_shelf_it_names() -> None:
    assert floor.picked_shelf("BEVCOL0001", PRODUCTS) == "BEVCOL0001"


def test_the_summary_counts_what_the_map_shows() -> None:
    store = TwinStore()
    store.control.time = datetime(2026, 1, 2, 7, tzinfo=UTC)
    empty = sum(row.current_stock == 0 for row in store.shelves("S01").rows.values())
    assert empty > 0
    assert f"1142 shelves: {empty} are empty" in floor.summary(store.shelves("S01"), 1142)
    assert "no stock is known yet" in floor.summary(None, 1142)
