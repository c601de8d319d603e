"""The page Availability: empty shelf time by aisle and hour, and waste."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.business import AisleHour, ServiceLevel, Waste
from dashboard.queries import catalogue_profiles
from dashboard.views import service_level
from tests.dashboard.test_pages import html
from tests.dashboard.twin import START, TwinStore, lively, twin_feed

Open = Callable[..., AppTest]
NAMES = {1: "1 Beverages", 29: "29 Fish"}
DAY = ServiceLevel(
    START.date(),
    (AisleHour(1, 7, 600, 0), AisleHour(1, 8, 600, 60), AisleHour(29, 7, 200, 20), AisleHour(29, 8, 200, 80)),
    (Waste("FISH", "expired", "store", 4, 18.4),),
    800,
)


def test_availability_is_weighed_by_open_shelf_minutes() -> None:
    figures = {figure.key: figure for figure in service_level.key_figures(DAY, NAMES)}
    assert figures["availability"].value == "90.0\u202f%"
    assert (figures["worst_aisle"].value, figures["worst_aisle"].note) == ("75.0\u202f%", "29 Fish")
    assert (figures["worst_hour"].value, figures["worst_hour"].note) == ("82.5\u202f%", "08:00-09:00")
    assert (figures["wasted"].value, figures["wasted"].note) == ("4", "0.5\u202f% of units sold")


def test_without_a_closed_hour_there_is_no_availability_to_believe() -> None:
    figures = {figure.key: figure.value for figure in service_level.key_figures(ServiceLevel(START.date()), NAMES)}
    assert (figures["availability"], figures["worst_aisle"], figures["worst_hour"]) == ("–", "–", "–")
    assert {figure.value for figure in service_level.key_figures(None, NAMES)} == {"–"}


def test_the_table_says_what_the_colours_say_the_worst_aisle_first() -> None:
    frame = service_level.aisle_frame(DAY, NAMES)
    assert list(frame["Aisle"]) == ["29 Fish", "1 Beverages"]
    assert list(frame["Availability"]) == [75.0, 95.0]
    assert list(frame["Worst hour"]) == ["08:00-09:00 (60.0\u202f%)", "08:00-09:00 (90.0\u202f%)"]


def test_aisles_are_named_as_on_the_map() -> None:
    names = service_level.aisle_names(catalogue_profiles("S01", 1.0))
    assert len(names) == 29
    assert (names[1], names[29]) == ("1 Beverages", "29 Fish")


@pytest.mark.parametrize(("days", "since"), [(1, date(2026, 1, 1)), (7, date(2025, 12, 26))])
def test_a_period_ends_today_by_the_clock_of_the_store(days: int, since: date) -> None:
    reading = twin_feed(TwinStore()).service_level("S01", days).get()
    assert reading.value is not None
    assert reading.value.since == since


def test_the_page_shows_heat_map_table_and_waste(open_page: Open, store: TwinStore) -> None:
    lively(store)
    app = open_page("availability")
    assert len(app.get("vega_lite_chart")) == 1
    assert [len(frame.value) for frame in app.dataframe] == [29, 2]


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "No hour of this period has ended yet"), (960, "It opens Fri 2 Jan 2026, 07:00")],
)
def test_a_period_without_data_says_when_to_look_again(
    open_page: Open, store: TwinStore, minutes: float, words: str
) -> None:
    store.control.pass_time(minutes)
    app = open_page("availability")
    said = " ".join(info.value for info in app.info)
    assert words in said
    assert "Nothing was thrown away" in said
    assert "–" in html(app)
