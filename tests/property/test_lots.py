"""Lots against shelves: whatever happens in whatever order, the lots of a shelf add up to the shelf."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from smartshelf.contracts import events as e
from smartshelf.contracts.ledger import Place
from smartshelf.domain.lots import LotBook, LotPlace
from smartshelf.domain.shelf import ShelfBook

START = datetime(2026, 1, 1, 7, tzinfo=UTC)
SHELVES, LOTS = ("A", "B", "C"), ("L1", "L2", "L3")
EXPIRY = dict(zip(LOTS, ("2026-01-05", "2026-01-03", "2026-02-01"), strict=True))
seeds = st.integers(0, 2**32)


def life(seed: int, facts: int = 60, *, counts: bool = True) -> list[e.Event]:
    """Facts of any kind, in any order of time, some of lots that nobody has ever heard of."""
    rng = random.Random(seed)
    made: list[e.Event] = []

    def add(kind: type[e.Event], **payload: object) -> None:
        at = START + timedelta(seconds=rng.randrange(5_000))
        made.append(
            kind(event_id=f"e{len(made)}", schema_version=1, store_id="S01", timestamp=at, source="test", **payload)
        )

    for _ in range(facts):
        shelf, batch, units = rng.choice(SHELVES), rng.choice(LOTS), rng.randrange(1, 9)
        dates = {"received_date": "2025-12-30", "expiry_date": EXPIRY[batch]}
        match rng.randrange(10 if counts else 9):
            case 0:
                add(e.Pickup, customer_id="c", shelf_id=shelf, quantity=units, item_weight=1.0)
            case 1:
                add(e.Putback, customer_id="c", shelf_id=shelf, quantity=units, item_weight=1.0)
            case 2:
                lines = tuple(
                    e.ReceiptLine(
                        line_no=n, shelf_id=shelf, batch_code=code, quantity=units, unit_price=1.0, total_price=1.0
                    )
                    for n, code in enumerate((batch, None, batch), start=1)
                )
                add(
                    e.PosTransaction, transaction_id=f"t{len(made)}", customer_id="c", till_id="T1", items=lines,
                    total_items=1, total_amount=1.0,
                )  # fmt: skip
            case 3:
                add(e.WhIn, shelf_id=shelf, batch_code=batch, qty=units, **dates)
            case 4:
                add(e.WhOut, shelf_id=shelf, batch_code=batch, qty=units, plan_id="p", due_ts=START)
            case 5:
                add(e.Refill, shelf_id=shelf, batch_code=batch, quantity=units, plan_id="p")
            case 6:
                place = rng.choice(("store", "warehouse"))
                add(e.Removal, shelf_id=shelf, batch_code=batch, quantity=units, reason="expired", location=place)
            case 7:
                add(e.WhAdjust, shelf_id=shelf, batch_code=batch, qty=-units, reason="expired")
            case 8:
                add(e.Unpaid, shelf_id=shelf, quantity=rng.randrange(-3, 4))
            case _:
                known = rng.random() < 0.5
                add(
                    e.Count, shelf_id=shelf, batch_code=batch if known else None, **(dates if known else {}),
                    quantity=0, adjustment=rng.randrange(-9, 9), reason=rng.choice(("cycle", "opening")),
                    location=rng.choice(("store", "warehouse")),
                )  # fmt: skip
    return made


def plain(book: LotBook) -> dict[object, object]:
    """The book by lot, whatever its order of rows."""
    return {
        key: (
            book.units[row].tolist(),
            book.version[row].tolist(),
            book.updated[row].tolist(),
            int(book.received_day[row]),
            int(book.expiry_day[row]),
        )
        for key, row in sorted(book.row_of.items())
    }


@settings(max_examples=150, deadline=None)
@given(seed=seeds)
def test_the_lots_of_a_shelf_add_up_to_shelf_baskets_backroom_and_way(seed: int) -> None:
    shelves, lots = ShelfBook(), LotBook()
    facts = life(seed)
    shelves.fold(facts)
    lots.fold(facts)
    for shelf_id, row in shelves.row_of.items():
        places = shelves.balances[row]
        assert lots.total(shelf_id, LotPlace.STORE) == places[Place.SHELF] + places[Place.BASKET]
        assert lots.total(shelf_id, LotPlace.BACKROOM) == places[Place.BACKROOM]
        assert lots.total(shelf_id, LotPlace.ON_THE_WAY) == places[Place.ON_THE_WAY]


@settings(max_examples=80, deadline=None)
@given(seed=seeds, cuts=seeds)
def test_batches_and_copies_change_nothing(seed: int, cuts: int) -> None:
    facts, rng = life(seed), random.Random(cuts)
    whole, pieces = LotBook(), LotBook()
    whole.fold(facts)
    while facts:
        number = rng.randrange(1, 8)
        view = pieces.copy()
        view.fold(facts[: rng.randrange(len(facts) + 1)])
        pieces.fold(facts[:number])
        facts = facts[number:]
    assert plain(pieces) == plain(whole)


@settings(max_examples=80, deadline=None)
@given(seed=seeds, order=seeds)
def test_the_order_of_facts_does_not_matter_between_counts(seed: int, order: int) -> None:
    facts = life(seed, counts=False)
    straight, shuffled = LotBook(), LotBook()
    straight.fold(facts)
    random.Random(order).shuffle(facts)
    shuffled.fold(facts)
    assert plain(shuffled) == plain(straight)
