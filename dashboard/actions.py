"""What a person orders on the page, and what came of it as a sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import redis

from dashboard.queries import WHAT_RUNS, ClockControl, Feed
from dashboard.views.text import moment, speed
from smartshelf.errors import SmartShelfError

log = logging.getLogger(__name__)

#: Speeds offered on the page, simulated seconds per real second.
SPEEDS: tuple[float, ...] = (1, 10, 60, 300, 600)
AUTO = "auto"

Speed = float | str
Order = Callable[[ClockControl], str]


class Outcome(NamedTuple):
    """Whether an order was carried out, and the sentence that says so."""

    done: bool
    sentence: str


def perform(feed: Feed, order: Order) -> Outcome:
    """Carry out an order at the clock; the next look at the clock is a fresh one."""
    try:
        return Outcome(True, order(feed.control))
    except SmartShelfError as problem:
        return _failed(problem)
    except redis.RedisError as failed:
        log.warning("order not carried out: %s", failed)
        return Outcome(False, f"Redis does not answer. Nothing was changed. {WHAT_RUNS}")
    finally:
        feed.clock.forget()


def _failed(problem: SmartShelfError, *more: str) -> Outcome:
    sentences = (f"{problem.what.rstrip('.')}.", *more, problem.remedy)
    return Outcome(False, " ".join(sentence for sentence in sentences if sentence))


class AskedFor(NamedTuple):
    """A command that is entered and not answered yet; ``subject``: the id of the alert or plan it is about."""

    store_id: str
    command_id: str
    subject: str
    #: Wall clock.
    at: datetime


def ask(feed: Feed, store_id: str, who: str, what: Mapping[str, Any], subject: str, at: datetime) -> AskedFor | Outcome:
    """Enter a command for the store; an outcome only when it could not even be entered."""
    try:
        return AskedFor(store_id, feed.source.ask(store_id, who, what), subject, at)
    except SmartShelfError as problem:
        return _failed(problem, "Nothing was changed.")


def answer(feed: Feed, asked: AskedFor) -> Outcome | None:
    """What came of a command; None while the store has not said, or cannot be asked."""
    try:
        found = feed.source.answer(asked.store_id, asked.command_id)
    except SmartShelfError:
        return None
    if found is None:
        return None
    feed.forget_decisions(asked.store_id)
    return Outcome(found.outcome == "done", found.reason)


def pause(clock: ClockControl) -> str:
    """Stop at the end of the running step."""
    return f"Paused at {moment(clock.pause('paused on the page'))}"


def resume(clock: ClockControl) -> str:
    """Go on as before the pause."""
    clock.resume()
    return "The store goes on"


def run_at(wish: Speed) -> Order:
    """Run at a speed, or as fast as the store keeps up (``auto``)."""

    def order(clock: ClockControl) -> str:
        if wish == AUTO:
            clock.auto()
            return "Running as fast as the store keeps up"
        clock.set_speed(float(wish))
        return f"Running at {speed(float(wish))}"

    return order


def advance_to(when: datetime) -> Order:
    """Fast-forward to a simulated moment and pause there; a moment without zone is simulated UTC."""
    goal = when if when.tzinfo else when.replace(tzinfo=UTC)
    return lambda clock: f"Fast-forward to {moment(clock.advance_to(goal))}, then pause"
