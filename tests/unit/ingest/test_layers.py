"""Ingest's tables are looked after: few files, in order, and nothing left of what was joined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from smartshelf.ingest import layers
from smartshelf.ingest.kinds import KINDS
from smartshelf.ingest.layers import Layers
from spark_apps.jobs import retention


def opened(root: Path, file_hash: str) -> Layers:
    return Layers(root, KINDS["sales"], file_hash)


def add_pieces(table: Layers, first: int, pieces: int = layers.delta.MANY) -> None:
    for line in range(first, first + 2 * pieces, 2):
        rows = pa.table({"line": pa.array([line, line + 1])})
        table.add_raw(rows["line"].to_numpy(), layers.records(pa.table({"a": [str(line), str(line + 1)]})))


def lines(table: Layers) -> list[int]:
    return np.concatenate([part["line"].to_numpy() for part in table.in_order("raw", "line")]).tolist()


def test_the_pieces_of_a_file_are_joined_in_order_and_those_of_another_stay_apart(tmp_path: Path) -> None:
    one, other = opened(tmp_path, "one"), opened(tmp_path, "other")
    add_pieces(one, 1)
    add_pieces(other, 5, pieces=1)
    one = opened(tmp_path, "one")
    one.maintain()
    raw = DeltaTable(str(tmp_path / "raw" / "ingest" / "sales"))
    assert sorted(Path(uri).parent.name for uri in raw.file_uris()) == ["file_hash=one", "file_hash=other"]
    assert lines(one) == list(range(1, 1 + 2 * layers.delta.MANY))
    assert lines(opened(tmp_path, "other")) == [5, 6]


def test_what_was_joined_is_deleted_later_also_while_an_ingest_writes(tmp_path: Path) -> None:
    table, path = opened(tmp_path, "one"), tmp_path / "raw" / "ingest" / "sales"
    add_pieces(table, 1)
    table.maintain()
    retention.sweep(tmp_path)
    assert len(list(path.glob("file_hash=*/*"))) == 1 + layers.delta.MANY, "readers of the last minutes need them"
    DeltaTable(str(path)).alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 0 seconds"})
    writing = opened(tmp_path, "another")
    retention.sweep(tmp_path)
    assert len(list(path.glob("file_hash=*/*"))) == 1
    add_pieces(writing, 1, pieces=2)
    writing.clear("raw")
    assert lines(opened(tmp_path, "one")) == list(range(1, 1 + 2 * layers.delta.MANY))
    assert DeltaTable(str(path)).partitions() == [{"file_hash": "one"}]
