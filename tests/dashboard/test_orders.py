"""The page Orders: what is planned and on the way, by when, and plans that people cancel."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.business import Supply
from dashboard.views import supply
from smartshelf.domain.calendar import Calendar
from smartshelf.io.people import Answer
from tests.dashboard.test_pages import html
from tests.dashboard.twin import START, TwinStore, lively

Open = Callable[..., AppTest]


@pytest.fixture
def busy(store: TwinStore) -> TwinStore:
    return lively(store)


def test_the_figures_say_what_is_open_and_by_when(busy: TwinStore) -> None:
    figures = {figure.key: figure for figure in supply.key_figures(busy.supplied, START, Calendar())}
    assert (figures["cutoff"].value, figures["cutoff"].note) == ("5 h", "Thu 1 Jan 2026, 12:00")
    assert (figures["delivery"].value, figures["delivery"].note) == ("1 d 1 h", "Fri 2 Jan 2026, 08:00")
    assert (figures["restock"].value, figures["restock"].note) == ("12", "240 units still to be picked")
    assert figures["planned"].note == "20 products · 1\u202f440\u202f€"
    assert (figures["received"].value, figures["received"].note) == (
        "381 units",
        "Thu 1 Jan: 1 of 8 lots short",
    )


def test_without_a_reading_there_are_no_numbers_to_believe() -> None:
    assert {figure.value for figure in supply.key_figures(None, None, Calendar())} == {"–"}


def test_an_order_that_is_overdue_says_by_how_much(busy: TwinStore) -> None:
    late = supply.order_frame(busy.supplied.orders, START + timedelta(hours=30))["Late by"]
    assert set(late) == {"5 h"}
    assert set(supply.order_frame(busy.supplied.orders, START)["Late by"]) == {""}


def test_only_plans_that_wait_for_something_are_offered_to_be_canceled(busy: TwinStore) -> None:
    served = busy.supplied.restock[0]._replace(picked_qty=30)
    offered = supply.cancelable_restock((served, *busy.supplied.restock[1:]))
    assert served.plan_id not in offered
    assert len(offered) == 11


def test_the_page_shows_plans_orders_and_receipts(open_page: Open, busy: TwinStore) -> None:
    app = open_page("orders")
    assert [len(frame.value) for frame in app.dataframe] == [12, 20, 21, 8]
    assert set(app.dataframe[1].value["Position"]) == {40}
    assert app.dataframe[1].value["Why"].str.contains("the reorder point is").all()
    assert list(app.dataframe[3].value["Difference"]) == [-3, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("kind", "what"),
    [("cancel_plan", {"plan_id": "restock-1"}), ("cancel_supplier_plan", {"supplier_plan_id": "plan-1"})],
)
def test_a_plan_is_canceled_in_the_name_given_and_what_came_of_it_is_told(
    open_page: Open, busy: TwinStore, kind: str, what: dict[str, str]
) -> None:
    (plan_id,) = what.values()
    app = open_page("orders")
    assert app.button(key=kind).disabled
    app.text_input(key="who").input("Zoë").run()
    app.selectbox(key=f"{kind}-choice").set_value(plan_id).run()
    app.button(key=f"{kind}-{plan_id}").click().run()
    assert busy.asked == [("S01", "Zoë", {"kind": kind, **what})]
    assert app.button(key=f"{kind}-{plan_id}").disabled
    busy.answers["1"] = Answer("done", "20 units will not be taken any more.")
    app.run()
    assert [toast.value for toast in app.toast] == ["20 units will not be taken any more."]


def test_a_name_is_given_once_for_all_pages(open_page: Open, busy: TwinStore) -> None:
    app = open_page("alerts")
    app.text_input(key="who").input("Zoë").run()
    app.switch_page("app_pages/shelves.py").run()
    app.switch_page("app_pages/orders.py").run()
    assert app.text_input(key="who").value == "Zoë"


def test_a_store_without_plans_says_so_in_words(open_page: Open, store: TwinStore) -> None:
    store.supplied = Supply()
    app = open_page("orders")
    assert not app.dataframe
    said = " ".join(info.value for info in app.info)
    assert "No shelf waits for goods" in said
    assert "Nothing is to be ordered" in said
    assert "Nothing is on the way from suppliers" in said
    assert "No lorry has brought anything yet" in said
    assert "every shelf is served" in html(app)
