"""The alert inbox: filters narrow it, buttons ask the store, and what comes of it is said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from smartshelf.io.people import Answer
from tests.dashboard.twin import TwinStore

Open = Callable[..., AppTest]


@pytest.fixture
def shelves(store: TwinStore) -> tuple[str, str]:
    """Two shelves of different aisles, each with an alert."""
    products = store.products["S01"]
    first = next(iter(products))
    second = next(shelf for shelf, profile in products.items() if profile.aisle != products[first].aisle)
    store.raise_alert(first, "critical")
    store.raise_alert(second, "info", event_type="near_expiry", status="ack", acknowledged_by="Ben")
    return first, second


def said(app: AppTest) -> str:
    return "\n".join([*(each.value for each in app.text), *(each.value for each in app.caption)])


def test_alerts_say_what_where_and_who(open_page: Open, shelves: tuple[str, str]) -> None:
    app = open_page("alerts")
    assert all(shelf in said(app) for shelf in shelves)
    assert "seen by Ben" in said(app)
    assert "2 of 2 alerts" in said(app)


def test_filters_narrow_the_inbox(open_page: Open, shelves: tuple[str, str], store: TwinStore) -> None:
    first, second = shelves
    app = open_page("alerts")
    app.multiselect(key="rules").select("near_expiry").run()
    assert second in said(app)
    assert first not in said(app)
    app.multiselect(key="rules").unselect("near_expiry")
    app.multiselect(key="aisles").select(store.products["S01"][first].aisle).run()
    assert first in said(app)
    assert second not in said(app)


def test_a_button_asks_the_store_in_the_name_given_and_tells_what_came_of_it(
    open_page: Open, shelves: tuple[str, str], store: TwinStore
) -> None:
    app = open_page("alerts")
    app.text_input(key="who").input("Zoë").run()
    app.button(key="ack_alert-shelf_alerts-0").click().run()
    assert store.asked == [("S01", "Zoë", {"kind": "ack_alert", "alert_id": "shelf_alerts-0"})]
    assert app.button(key="dismiss_alert-shelf_alerts-0").disabled
    assert not app.toast
    store.answers["1"] = Answer("refused", "There is no open alert shelf_alerts-0.")
    app.run()
    assert [toast.value for toast in app.toast] == ["There is no open alert shelf_alerts-0."]
    assert not app.button(key="dismiss_alert-shelf_alerts-0").disabled


def test_a_command_that_cannot_be_entered_is_a_sentence(
    open_page: Open, shelves: tuple[str, str], store: TwinStore
) -> None:
    app = open_page("alerts")
    store.problem = "Postgres does not answer"
    app.button(key="dismiss_alert-shelf_alerts-0").click().run()
    assert not app.exception
    assert [toast.value for toast in app.toast] == ["Postgres does not answer. Nothing was changed."]


def test_an_inbox_that_is_only_filtered_does_not_say_that_all_is_well(
    open_page: Open, shelves: tuple[str, str]
) -> None:
    app = open_page("alerts")
    app.get("button_group")[1].set_value(["warning"]).run()
    assert not app.success
    assert app.info[0].value == "No alert passes these filters."


def test_a_command_that_waits_for_long_is_told(
    open_page: Open, shelves: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.asking.PATIENCE", timedelta(seconds=-1))
    app = open_page("alerts")
    app.button(key="ack_alert-shelf_alerts-0").click().run()
    assert "The store has not answered yet" in app.info[0].value


def test_an_inbox_without_alerts_says_so(open_page: Open) -> None:
    assert open_page("alerts").success[0].value == "Nothing needs attention."
