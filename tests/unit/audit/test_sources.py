"""One row reads the same from Kafka, Delta and Postgres; goods on their way still stand in the backroom."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec

from smartshelf.audit import books, sources
from smartshelf.audit.books import Balances, LotKey, ShelfKey
from smartshelf.audit.cut import Cut
from smartshelf.contracts import events as e
from smartshelf.contracts.control import Tick
from smartshelf.contracts.ledger import EXPIRED, Place
from smartshelf.contracts.rows import PosLine
from smartshelf.contracts.tables import TABLES
from smartshelf.domain.ledger import Moved, movements
from smartshelf.domain.lots import LotPlace

AT = datetime(2026, 1, 1, 8, tzinfo=UTC)
SHELF, LOT = ShelfKey("S01", "A"), LotKey("S01", "A", "L1")


def fact(kind: type[e.Event], **payload: object) -> e.Event:
    return kind(event_id="id", schema_version=1, store_id="S01", timestamp=AT, source="job:restock_manager", **payload)


def test_a_row_reads_the_same_from_every_place_of_record() -> None:
    line = PosLine(
        epoch=1, version=1, as_of_step=2, store_id="S01", transaction_id="T", line_no=1, shelf_id="A", batch_code=None,
        quantity=2, unit_price=1.5, discount=0.0, total_price=3.0, expiry_date="2026-01-09",
    )  # fmt: skip
    told = msgspec.structs.asdict(line)
    typed = told | {"expiry_date": date(2026, 1, 9), "unit_price": Decimal("1.50"), "total_price": Decimal("3.00")}
    from_kafka = books.plain(PosLine, msgspec.json.decode(msgspec.json.encode(line)))
    assert books.plain(PosLine, typed) == books.plain(PosLine, told) == from_kafka


def test_every_hashed_table_is_mirrored() -> None:
    assert set(books.HASHED) <= {table.full_name for table in sources.MIRRORED if table.delta}
    assert all(TABLES[name].deletes == name.startswith("state.") for name in books.HASHED)


def test_what_was_booked_out_as_expired_is_leaving_until_staff_threw_it_away() -> None:
    facts = sources.Facts(Balances("kafka"))
    told = [
        fact(e.WhAdjust, shelf_id="A", batch_code="L1", qty=-5, reason=EXPIRED),
        fact(e.WhAdjust, shelf_id="A", batch_code="L1", qty=-2, reason="counted"),
        fact(e.Removal, shelf_id="A", batch_code="L1", quantity=3, reason=EXPIRED, location="warehouse"),
        fact(e.Removal, shelf_id="A", batch_code="L1", quantity=9, reason=EXPIRED),
    ]
    for each in told:
        facts.note(each)
    assert facts.leaving == {LOT: 2}


def test_what_a_stage_decides_in_the_last_step_counts_with_the_next_and_is_listed_as_decided() -> None:
    tick = Tick(store_id="S01", epoch=1, k_from=7, k=7, t=AT, cut={"wh_events": {"0": 4}}, config={})
    facts, cut = sources.Facts(Balances("kafka")), Cut({"S01": tick}, frozenset())
    for offset, step in enumerate((6, 7, 8), 10):
        out = e.WhOut(
            event_id=f"o{step}", schema_version=1, store_id="S01", timestamp=AT, source="job:restock_manager",
            step=step, shelf_id="A", batch_code="L1", qty=step, plan_id="P", due_ts=AT,
        )  # fmt: skip
        facts.take_in(out, cut, "wh_events", 0, offset)
    assert facts.balances.units(SHELF, Place.ON_THE_WAY) == 6
    assert (facts.counted, facts.decided, facts.beyond) == (1, 1, 1)
    assert set(facts.taken) == {("o6",), ("o7",)}, "the hash holds all that was decided"


def test_expired_goods_of_the_backroom_are_wasted_once() -> None:
    facts = sources.Facts(Balances("kafka"))
    for each in (
        fact(e.WhIn, shelf_id="A", batch_code="L1", qty=5, received_date="2026-01-01", expiry_date="2026-01-09"),
        fact(e.WhAdjust, shelf_id="A", batch_code="L1", qty=-5, reason=EXPIRED),
        fact(e.Removal, shelf_id="A", batch_code="L1", quantity=5, reason=EXPIRED, location="warehouse"),
    ):
        facts.book("S01", movements(each), AT, None)
    assert facts.balances.units(SHELF, Place.WASTED) == 5
    assert facts.balances.units(SHELF, Place.BACKROOM) == facts.balances.units(SHELF, Place.UNKNOWN) == 0


def test_the_world_still_has_in_its_backroom_what_is_on_its_way() -> None:
    told = Balances("kafka")
    told.add("S01", [Moved("A", "L1", Place.SUPPLIER, Place.BACKROOM, 30)])
    told.add("S01", [Moved("A", "L1", Place.BACKROOM, Place.ON_THE_WAY, 12)])
    seen = sources.as_the_world_sees(told)
    assert seen.units(SHELF, Place.BACKROOM) == seen.units_of_lot(LOT, LotPlace.BACKROOM) == 30
    assert told.units(SHELF, Place.BACKROOM) == 18


def test_the_world_is_not_asked_about_shelves_that_files_and_foreign_systems_told_of() -> None:
    facts = sources.Facts(Balances("kafka"))
    for source, shelf in (("ingest:deliveries", "A"), ("vendor", "B"), ("world:S01", "C"), ("deadletters", "D")):
        lot = fact(e.WhIn, shelf_id=shelf, batch_code="L1", qty=5, received_date="2026-01-01", expiry_date="2026-01-09")
        facts.note(msgspec.structs.replace(lot, source=source))
    assert facts.told == {ShelfKey("S01", "A"), ShelfKey("S01", "B")}
