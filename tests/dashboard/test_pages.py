"""Each page runs over the twin, also when its sources are down, and never shows a stack trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import queries
from smartshelf.settings import CHECKOUT, load
from tests.dashboard.twin import TwinStore, lively, twin_settings

Open = Callable[..., AppTest]
PAGES = [None, "shelves", "alerts", "orders", "availability", "pipeline"]


def html(app: AppTest) -> str:
    """All HTML of the page's own."""
    return "".join(element.body for element in app.get("html"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs(open_page: Open, page: str | None) -> None:
    app = open_page(page)
    assert not app.exception
    assert "07:00" in html(app)
    assert "Running" in html(app)
    assert [element.key for element in app.get("bidi_component")] == ([] if page else ["map", "urgent_list"])


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_last_known_values_when_every_source_is_down(
    open_page: Open, store: TwinStore, page: str | None
) -> None:
    lively(store)
    app = open_page(page)
    store.problem, store.control.problem = "Postgres does not answer", "Redis does not answer"
    app.run()
    assert not app.exception
    everything = html(app) + "".join(warning.value for warning in app.warning)
    assert "Postgres does not answer" in everything
    assert "ast known values" in everything
    assert "07:00" in everything


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_before_any_source_has_ever_answered(open_page: Open, store: TwinStore, page: str | None) -> None:
    store.problem, store.control.problem = "Postgres does not answer", "Redis does not answer"
    app = open_page(page)
    assert not app.exception
    assert "The clock has not started yet" in html(app)
    assert "Nothing known yet" in html(app) + "".join(warning.value for warning in app.warning)


def test_an_empty_store_says_what_to_wait_for(open_page: Open, store: TwinStore) -> None:
    store.ready = False
    app = open_page()
    assert "being set up" in app.info[0].value
    store.ready = True
    app.run()
    assert not app.info


def test_the_numbers_follow_the_store(open_page: Open, store: TwinStore) -> None:
    app = open_page()
    before = html(app)
    store.control.pass_time(300)
    app.run()
    assert "12:00" in html(app)
    assert html(app) != before


def test_pause_and_resume_work(open_page: Open, store: TwinStore) -> None:
    app = open_page()
    app.button(key="pause").click().run()
    assert store.control.paused
    assert app.button(key="pause").label == "Resume"
    assert "Paused" in html(app)
    assert app.toast[0].value == "Paused at Thu 1 Jan 2026, 07:00"
    app.button(key="pause").click().run()
    assert not store.control.paused
    assert store.control.orders == ["pause", "resume"]


def test_a_speed_is_ordered_once_and_then_shown(open_page: Open, store: TwinStore) -> None:
    app = open_page()
    app.get("button_group")[0].set_value(600).run()
    app.run()
    assert store.control.orders == ["speed 600"]
    assert app.session_state["speed"] == 600


def test_a_speed_set_elsewhere_is_shown_and_not_overwritten(open_page: Open, store: TwinStore) -> None:
    app = open_page()
    store.control.speed = 120.0
    app.run()
    assert app.session_state["speed"] == 120.0
    assert store.control.orders == []


def test_fast_forward_goes_to_the_next_closing(open_page: Open, store: TwinStore) -> None:
    app = open_page()
    app.button(key="next_closing").click().run()
    assert store.control.orders == ["advance 2026-01-01T22:00"]
    assert "22:00" in html(app)


def test_the_moment_offered_is_kept_until_it_has_passed(open_page: Open, store: TwinStore) -> None:
    app = open_page()
    offered = app.session_state["goal"]
    store.control.pass_time(100)
    app.run()
    assert app.session_state["goal"] == offered
    store.control.pass_time(100)
    app.run()
    renewed = app.session_state["goal"]
    assert renewed > offered
    app.button(key="go").click().run()
    assert store.control.orders == [f"advance {renewed:%Y-%m-%dT%H:%M}"]


def test_the_calendar_of_the_settings_is_offered(open_page: Open, store: TwinStore) -> None:
    open_page()
    feed = queries.feed()
    feed.config = twin_settings(CUTOFF_HOUR="9")
    app = AppTest.from_file(str(CHECKOUT / "dashboard" / "app.py"), default_timeout=20).run()
    assert app.button(key="next_cutoff").label == "Next supplier cutoff · Thu 09:00"


def test_an_order_the_clock_refuses_is_told(open_page: Open, store: TwinStore) -> None:
    app = open_page()
    store.control.problem = "Redis does not answer"
    app.button(key="pause").click().run()
    assert not app.exception
    assert app.toast[0].value == "Redis does not answer."


def test_a_link_opens_a_shelf_and_close_returns_to_the_list(open_page: Open) -> None:
    app = open_page(shelf="BEVCOL0001")
    assert "BEVCOL0001" in html(app)
    assert "Scale agrees" in html(app)
    app.button(key="close").click().run()
    assert "Scale agrees" not in html(app)


def test_a_link_to_no_shelf_is_ignored(open_page: Open) -> None:
    app = open_page(shelf="NOPE0001")
    assert not app.exception
    assert app.session_state["shelf"] is None


def test_search_opens_the_shelf_and_is_ready_for_the_next(open_page: Open) -> None:
    app = open_page()
    app.selectbox(key="search").set_value("BEVCOL0002").run()
    assert app.session_state["shelf"] == "BEVCOL0002"
    assert "Scale agrees" in html(app)
    assert app.selectbox(key="search").value is None


def test_a_choice_of_stores_appears_where_there_are_several(open_page: Open, store: TwinStore) -> None:
    assert not [box for box in open_page().selectbox if box.key == "store"]
    store.products["S02"] = store.products["S01"]
    app = open_page()
    assert app.selectbox(key="store").options == ["S01", "S02"]


def test_the_table_is_filtered(open_page: Open) -> None:
    app = open_page("shelves")
    app.text_input(key="words").set_value("cola classic").run()
    assert 0 < len(app.dataframe[0].value) < 10
    assert f"{len(app.dataframe[0].value)} of 1\u202f142 shelves" in app.caption[-1].value


def test_a_wrong_setting_is_one_readable_message(monkeypatch: pytest.MonkeyPatch) -> None:
    queries.use(None)
    monkeypatch.setenv("SLEEP", "1")
    monkeypatch.setattr("dashboard.queries.settings", load)
    app = AppTest.from_file(str(CHECKOUT / "dashboard" / "app.py"), default_timeout=20).run()
    assert not app.exception
    assert "SLEEP does not exist any more" in app.error[0].value
