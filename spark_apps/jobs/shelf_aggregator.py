"""The shelf aggregator: stock, weight, baskets and what is on its way, for every shelf (topic ``shelf_state``).

It also books what people count, and answers the commands that are for nobody (topic ``command_outcomes``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from smartshelf.contracts import events as e
from smartshelf.contracts.commands import Asked, CountShelf
from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import ShelfState
from smartshelf.domain.shelf import MILLIGRAMS, ShelfBook, moment
from spark_apps.runtime import writing
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.rows import changed
from spark_apps.runtime.stage import Output, Scope, Step, View
from spark_apps.runtime.writing import Adjusted, Deciding, Pen, outcome

TOPIC = "shelf_state"


class State(msgspec.Struct):
    pen: Pen = msgspec.field(default_factory=Pen)
    adjusted: Adjusted = msgspec.field(default_factory=Adjusted)


class ShelfAggregator(Deciding[State]):
    """Shows the shelves of the books; decides nothing but what a count corrects."""

    name: ClassVar = "shelf_aggregator"
    books: ClassVar = True
    config: ClassVar = frozenset({"shelf_profiles", "commands"})
    writes: ClassVar = frozenset({"shelf_events"})
    made: ClassVar = State

    def advance(
        self, state: State, facts: Sequence[e.Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[State, list[Output]]:
        outputs: list[Output] = []
        for asked in config.commands_for(self.name):
            if isinstance(asked.what, CountShelf):
                outputs += self._count(state, asked, config, step, books)
            else:
                outputs.append(outcome(step, asked, refused=asked.problem))
        return state, outputs

    def _count(self, state: State, asked: Asked, config: StoreConfig, step: Step, books: Books) -> list[Output]:
        count: CountShelf = asked.what
        if count.shelf_id not in config.profiles:
            return [outcome(step, asked, refused=f"There is no shelf {count.shelf_id}.")]
        expected = _expected(books, count)
        if expected is None:
            return [outcome(step, asked, refused=f"Shelf {count.shelf_id} has no lot {count.batch_code}.")]
        difference = state.adjusted.difference(step, f"{count.shelf_id}|{count.batch_code or ''}", expected, count)
        fact = state.pen.fact(
            self.name,
            step,
            "shelf_events",
            e.Count,
            shelf_id=count.shelf_id,
            batch_code=count.batch_code,
            quantity=count.quantity,
            adjustment=difference,
            reason=count.reason,
        )
        return [fact, outcome(step, asked, f"Counted {count.quantity} units: {difference:+d} against the books.")]

    def rows(self, before: View[State] | None, after: View[State], config: StoreConfig, scope: Scope) -> list[Output]:
        book = after.books.shelves
        rows = changed(book.version, before.books.shelves.version if before else None)
        return [_row(book, row, config, scope) for row in rows]


def _expected(books: Books, count: CountShelf) -> int | None:
    """Units that should lie there; None when the lot is not known."""
    balances = books.shelves.balances[books.shelves.row_of[count.shelf_id]]
    if count.batch_code is None:
        return int(balances[Place.SHELF])
    return books.lots.on_shelf(count.shelf_id, count.batch_code, int(balances[Place.BASKET]))


def _row(book: ShelfBook, row: int, config: StoreConfig, scope: Scope) -> Output:
    shelf_id = book.shelf_ids[row]
    profile = config.profiles.get(shelf_id)
    if profile is None:
        return writing.gone(TOPIC, ShelfState, {"store_id": scope.store_id, "shelf_id": shelf_id})
    balances = book.balances[row]
    state = scope.row(
        ShelfState,
        int(book.version[row]),
        shelf_id=shelf_id,
        category=profile.category,
        subcategory=profile.subcategory,
        current_stock=int(balances[Place.SHELF]),
        max_stock=profile.maximum_stock,
        shelf_weight=int(book.weight[row]) / MILLIGRAMS,
        in_baskets=int(balances[Place.BASKET]),
        on_the_way=int(balances[Place.ON_THE_WAY]),
        last_update_ts=moment(int(book.updated[row])),
    )
    return writing.row(TOPIC, state)
