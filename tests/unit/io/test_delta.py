"""Delta tables by delta-rs: each write counts once."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from smartshelf.io import delta
from smartshelf.io.delta import DELETED, POSITION, DeltaSink, ensure_table, in_order, max_offsets, read

MIRROR = pa.schema(
    [pa.field("id", pa.string()), pa.field("epoch", pa.int64()), pa.field("version", pa.int64()), ("x", pa.int64())]
)


def positions(*rows: tuple[int, int]) -> pa.Table:
    return pa.Table.from_pylist([{"topic": "t", "partition": p, "offset": o} for p, o in rows], POSITION)


def mirror(*rows: tuple[str, int, int, int | None]) -> pa.Table:
    plain = [{"id": i, "epoch": e, "version": v, "x": x, DELETED: x is None} for i, e, v, x in rows]
    return pa.Table.from_pylist(plain, pa.schema([*MIRROR, (DELETED, pa.bool_())]))


def content(path: Path) -> dict[str, int]:
    return {row["id"]: row["x"] for row in read(path)}


@pytest.fixture
def sink(tmp_path: Path) -> DeltaSink:
    return DeltaSink(tmp_path / "a table", MIRROR)


def merge(sink: DeltaSink, rows: pa.Table, version: int) -> bool:
    return sink.merge(rows, key=("id",), app="q", version=version)


def test_a_batch_that_was_written_is_not_written_again(tmp_path: Path) -> None:
    for _ in range(2):  # the second as after a restart
        sink = DeltaSink(tmp_path / "raw", POSITION)
        sink.append(positions((0, 1), (1, 5)), app="q", version=0)
    assert not sink.append(positions((0, 2)), app="q", version=0)
    assert sink.append(positions((0, 2)), app="q", version=1)
    assert max_offsets(tmp_path / "raw") == {"t": {"0": 2, "1": 5}}
    assert len(read(tmp_path / "raw")) == 3


def test_another_checkpoint_counts_its_own_batches(tmp_path: Path) -> None:
    sink = DeltaSink(tmp_path / "raw", POSITION)
    assert sink.append(positions((0, 1)), app="q", version=7)
    assert sink.append(positions((0, 2)), app="another", version=0)


def test_offsets_are_known_from_files_of_one_partition_and_of_several(tmp_path: Path) -> None:
    sink = DeltaSink(tmp_path / "raw", POSITION)
    for version, rows in enumerate(([(0, 1), (1, 5)], [(0, 9), (0, 7)], [(1, 6)])):
        sink.append(positions(*rows), app="q", version=version)
    assert max_offsets(tmp_path / "raw") == {"t": {"0": 9, "1": 6}}


def test_the_archive_is_read_in_order_and_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "PIECE", 2)
    sink = DeltaSink(tmp_path / "raw", POSITION)
    for version, rows in enumerate(([(0, 4), (1, 5)], [(0, 1), (0, 2)], [(1, 9), (0, 7)])):
        sink.append(positions(*rows), app="q", version=version)

    def read_from(start: dict[str, int], end: dict[str, int]) -> list[tuple[int, int]]:
        rows = in_order(tmp_path / "raw", [], {"t": start}, {"t": end})
        return [(row["partition"], row["offset"]) for row in rows]

    assert read_from({}, {}) == [(0, 1), (0, 2), (0, 4), (0, 7), (1, 5), (1, 9)]
    assert read_from({"0": 2}, {"0": 7, "1": 0}) == [(0, 2), (0, 4)]
    assert read_from({"0": 7, "1": 6}, {}) == [(0, 7), (1, 9)]
    assert list(in_order(tmp_path / "none", [], {}, {})) == []


def test_no_table_has_no_offsets_and_no_rows(tmp_path: Path) -> None:
    assert max_offsets(tmp_path / "none") == {}
    assert read(tmp_path / "none") == []


def test_an_older_epoch_or_version_never_overwrites_a_newer_row(sink: DeltaSink) -> None:
    merge(sink, mirror(("a", 1, 5, 50), ("b", 2, 1, 21)), 0)
    merge(sink, mirror(("a", 1, 4, 40), ("b", 1, 9, 19)), 1)
    assert content(sink.path) == {"a": 50, "b": 21}
    merge(sink, mirror(("a", 2, 1, 21), ("b", 2, 2, 22)), 2)
    assert content(sink.path) == {"a": 21, "b": 22}


def test_a_tombstone_deletes_and_an_unknown_one_changes_nothing(sink: DeltaSink) -> None:
    merge(sink, mirror(("a", 1, 5, 50), ("b", 1, 1, 1)), 0)
    merge(sink, mirror(("a", 0, 0, None), ("zzz", 0, 0, None)), 1)
    assert content(sink.path) == {"b": 1}


def test_inserting_what_is_there_already_changes_nothing(sink: DeltaSink) -> None:
    rows = pa.Table.from_pylist([{"id": "a", "epoch": 1, "version": 1, "x": 1}], MIRROR)
    sink.insert_new(rows, key=("id", "epoch"))
    sink.insert_new(rows, key=("id", "epoch"))
    assert content(sink.path) == {"a": 1}


def test_maintenance_keeps_every_row_and_the_guards(sink: DeltaSink) -> None:
    for number in range(12):
        merge(sink, mirror((f"k{number}", 1, 1, number)), number)
    before = content(sink.path)
    sink.maintain()
    assert content(sink.path) == before
    assert len(DeltaTable(str(sink.path)).file_uris()) == 1
    assert not merge(DeltaSink(sink.path, MIRROR), mirror(("k0", 1, 2, 99)), 11), "the guard outlives maintenance"
    assert merge(sink, mirror(("k0", 1, 2, 99)), 12)


def test_a_table_of_an_earlier_version_takes_over_how_long_its_history_is_kept(tmp_path: Path) -> None:
    DeltaTable.create(str(tmp_path / "t"), MIRROR, configuration={"delta.logRetentionDuration": "interval 1 hours"})
    DeltaSink(tmp_path / "t", MIRROR)
    assert DeltaTable(str(tmp_path / "t")).metadata().configuration == delta._PROPERTIES


def test_a_field_that_came_with_newer_code_is_added_and_empty_in_older_rows(sink: DeltaSink) -> None:
    merge(sink, mirror(("a", 1, 1, 5)), 0)
    newer = pa.schema([*MIRROR, pa.field("y", pa.string())])
    rows = mirror(("b", 1, 1, 6)).append_column("y", pa.array(["new"]))
    merge(DeltaSink(sink.path, newer), rows, 1)
    assert {row["id"]: row["y"] for row in read(sink.path)} == {"a": None, "b": "new"}


def test_tables_are_plain_so_that_every_tool_reads_them(tmp_path: Path) -> None:
    assert ensure_table(tmp_path / "t", MIRROR)
    assert not ensure_table(tmp_path / "t", MIRROR)
    protocol = DeltaTable(str(tmp_path / "t")).protocol()
    assert protocol.min_reader_version == 1
    assert protocol.min_writer_version <= 2


def test_a_table_gets_the_columns_that_its_contract_has_got_since(tmp_path: Path) -> None:
    merge(DeltaSink(tmp_path / "t", MIRROR), mirror(("a", 1, 1, 5)), 1)
    wider = pa.schema([pa.field("note", pa.string()), *MIRROR])
    sink = DeltaSink(tmp_path / "t", wider)
    row = {"note": "new", "id": "b", "epoch": 1, "version": 1, "x": 6, DELETED: False}
    merge(sink, pa.Table.from_pylist([row], pa.schema([*wider, (DELETED, pa.bool_())])), 2)
    assert {row["id"]: (row["x"], row["note"]) for row in read(tmp_path / "t")} == {"a": (5, None), "b": (6, "new")}
