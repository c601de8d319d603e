"""What a store's history has learnt of demand, from its file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from smartshelf.io.rates import FILE, read_rates


def test_rates_are_read_by_store_and_shelf(tmp_path: Path) -> None:
    columns = {"store_id": ["S01", "S02"], "shelf_id": ["A", "A"], "demand_rate": [1.5, 2.0]}
    pq.write_table(pa.table({**columns, "demand_variance": [3.0, 4.0]}), tmp_path / FILE)
    assert read_rates(tmp_path / FILE) == {"S01": {"A": (1.5, 3.0)}, "S02": {"A": (2.0, 4.0)}}


def test_a_store_without_the_file_has_learnt_nothing(tmp_path: Path) -> None:
    assert read_rates(tmp_path / FILE) == {}
