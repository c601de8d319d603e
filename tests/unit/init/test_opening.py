from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producers.shelf import Lot
from smartshelf.contracts import events as e
from smartshelf.errors import BadInput
from smartshelf.init.opening import OpeningLot, opening_facts, read_profiles, read_weekly
from tests.worlds import fact, profile

START = datetime(2026, 1, 1, 7, tzinfo=UTC)
LOTS = [
    OpeningLot("S01", "TESTEN0000", "store", Lot("A", "2025-12-29", "2026-01-05", 3)),
    OpeningLot("S01", "TESTEN0000", "store", Lot("B", "2025-12-31", "2026-01-08", 4)),
    OpeningLot("S01", "TESTEN0000", "warehouse", Lot("B", "2025-12-31", "2026-01-08", 9)),
]


def opened() -> list[e.Event]:
    return [fact(stream, data) for stream, _, data in opening_facts([profile(0), profile(1)], LOTS, START)]


def test_every_lot_is_counted_where_it_lies() -> None:
    counts = [event for event in opened() if isinstance(event, e.Count)]
    assert [(c.batch_code, c.location, c.quantity, c.adjustment, c.reason) for c in counts] == [
        ("A", "store", 3, 3, "opening"),
        ("B", "store", 4, 4, "opening"),
        ("B", "warehouse", 9, 9, "opening"),
    ]


def test_every_shelf_shows_the_weight_of_its_stock_an_empty_one_zero() -> None:
    weights = [event for event in opened() if isinstance(event, e.WeightChange)]
    assert [(w.shelf_id, w.delta_weight) for w in weights] == [("TESTEN0000", 700.0), ("TESTEN0001", 0.0)]


def test_opening_facts_belong_to_step_0_and_are_numbered_without_gap() -> None:
    events = opened()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert {(event.source, event.step, event.timestamp) for event in events} == {("init", 0, START)}
    assert opening_facts([profile(0), profile(1)], LOTS, START) == opening_facts([profile(0), profile(1)], LOTS, START)


def test_offers_of_weeks_that_are_over_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "all_discounts.parquet"
    weeks = [datetime(2025, 12, 22, tzinfo=UTC).date(), datetime(2025, 12, 29, tzinfo=UTC).date()]
    columns = {"store_id": ["S01"] * 2, "shelf_id": ["X"] * 2, "week_start": weeks, "discount_pct": [0.1, 0.2]}
    pq.write_table(pa.table(columns), path)
    assert read_weekly(path, START) == {"S01": {"2025-12-29": {"X": 0.2}}}
    assert read_weekly(tmp_path / "none.parquet", START) == {}


def test_a_missing_or_broken_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="data build"):
        read_profiles(tmp_path)
    (tmp_path / "shelf_profiles.csv").write_text("store_id,shelf_id\nS01,X\n")
    with pytest.raises(BadInput, match=r"S01/X"):
        read_profiles(tmp_path)
