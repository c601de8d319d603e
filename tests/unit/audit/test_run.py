"""What the audit leaves out and only that, and when it does not count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from smartshelf.audit import run, sources
from smartshelf.audit.books import Balances, ShelfKey
from smartshelf.contracts.ledger import Place
from smartshelf.domain.ledger import Moved
from smartshelf.settings import load


def test_shelves_of_which_the_outside_told_after_the_last_tick_are_not_compared_with_the_states() -> None:
    facts = sources.Facts(Balances("kafka facts"))
    for shelf in ("A", "B"):
        facts.balances.add("S01", [Moved(shelf, "L1", Place.SUPPLIER, Place.SHELF, 40)])
    states, tables = Balances("kafka states"), {"state.shelf_batch_state": {}}
    facts.ahead.add(ShelfKey("S01", "A"))
    assert {found.where.split("/")[1] for found in run.states_against(facts, states, tables)} == {"B"}


@pytest.mark.parametrize("held", [True, False])
def test_a_report_counts_only_when_the_clock_was_held_to_its_end(held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def holding(*_: object) -> Iterator[Callable[[], bool]]:
        yield lambda: held

    monkeypatch.setattr(run.Clock, "holding", holding)
    monkeypatch.setattr(run.quiet, "connect", lambda _: None)
    monkeypatch.setattr(run.quiet, "wait_until_quiet", lambda *_: None)
    monkeypatch.setattr(run, "audit", lambda *_: "the report")
    if held:
        assert run.audit_running(load(), 1.0) == "the report"
    else:
        with pytest.raises(run.quiet.NotQuiet, match="The clock went on during the audit"):
            run.audit_running(load(), 1.0)
