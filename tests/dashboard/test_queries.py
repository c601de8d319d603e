"""Shared readings: one query for all pages, and the last known value of a source that is down."""

from __future__ import annotations

import threading

import pytest
from psycopg2.errors import InsufficientPrivilege, OperationalError, UndefinedColumn, UndefinedTable
from sqlalchemy.exc import DBAPIError

from dashboard.last_known import LastKnown
from dashboard.queries import StoreFeed, readable_postgres
from smartshelf.errors import Unavailable
from tests.dashboard.twin import TwinStore, twin_feed


class Hand:
    """A clock moved by hand, real seconds."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_ten_pages_cost_one_query() -> None:
    store = TwinStore()
    feed = twin_feed(store)
    states = {id(feed.store("S01").get().value) for _ in range(10)}
    assert store.reads == 1
    assert len(states) == 1


def test_a_reading_is_taken_again_after_its_time() -> None:
    hand, values = Hand(), iter(range(9))
    known = LastKnown(lambda: next(values), 2.0, hand)
    assert [known.get().value, known.get().value] == [0, 0]
    hand.time += 2.0
    assert known.get().value == 1


def test_a_source_that_is_down_keeps_its_last_value_with_its_age_and_the_reason() -> None:
    hand, answers = Hand(), iter([1, Unavailable("Postgres does not answer"), 2])

    def fetch() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    known = LastKnown(fetch, 1.0, hand)
    first = known.get()
    hand.time += 1.0
    down = known.get()
    assert (down.value, down.read_at, down.problem) == (1, first.read_at, "Postgres does not answer")
    hand.time += 1.0
    assert known.get().value == 1, "asked again too early"
    hand.time += 1.0
    back = known.get()
    assert (back.value, back.problem) == (2, None)


def test_a_page_does_not_wait_while_another_asks_a_slow_source() -> None:
    hand, started, go = Hand(), threading.Event(), threading.Event()
    answers = iter(["old", "new"])

    def fetch() -> str:
        answer = next(answers)
        if answer == "new":
            started.set()
            assert go.wait(10)
        return answer

    known = LastKnown(fetch, 1.0, hand)
    known.get()
    hand.time += 1.0
    other = threading.Thread(target=known.get)
    other.start()
    assert started.wait(10)
    assert known.get().value == "old"
    go.set()
    other.join(10)
    assert known.get().value == "new"


def test_an_order_is_followed_by_a_fresh_look() -> None:
    values = iter(range(9))
    known = LastKnown(lambda: next(values), 3600.0)
    known.get()
    known.forget()
    assert known.get().value == 1


def test_the_trend_starts_anew_when_the_store_was_reset() -> None:
    store = TwinStore()
    watched = StoreFeed(store, "S01", 0.0)
    store.control.pass_time(120)
    watched.get()
    watched.get()
    assert len(watched.trend) == 2
    store.control.time -= (store.control.time - store.control.status().sim_start) / 2
    watched.get()
    assert len(watched.trend) == 1


def test_the_catalogue_stands_in_until_postgres_has_profiles() -> None:
    store = TwinStore()
    store.ready = False
    feed = twin_feed(store)
    assert len(feed.products("S01")) == 1142
    assert feed.stores() == ["S01"]


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (UndefinedTable(), "The tables are not there yet"),
        (InsufficientPrivilege(), "may not read"),
        (OperationalError(), "Postgres does not answer.*shows what runs"),
        (UndefinedColumn(), "Postgres refused a query.*smartshelf logs dashboard"),
    ],
)
def test_what_the_driver_raises_becomes_a_sentence(raised: Exception, sentence: str) -> None:
    with pytest.raises(Unavailable, match=sentence), readable_postgres():
        raise DBAPIError("select", {}, raised)
