"""What the audit leaves out, and only that."""

from __future__ import annotations

from smartshelf.audit import run, sources
from smartshelf.audit.books import Balances, ShelfKey
from smartshelf.contracts.ledger import Place
from smartshelf.domain.ledger import Moved


def test_shelves_of_which_the_outside_told_after_the_last_tick_are_not_compared_with_the_states() -> None:
    facts = sources.Facts(Balances("kafka facts"))
    for shelf in ("A", "B"):
        facts.balances.add("S01", [Moved(shelf, "L1", Place.SUPPLIER, Place.SHELF, 40)])
    states, tables = Balances("kafka states"), {"state.shelf_batch_state": {}}
    facts.ahead.add(ShelfKey("S01", "A"))
    assert {found.where.split("/")[1] for found in run.states_against(facts, states, tables)} == {"B"}
