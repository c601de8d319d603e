"""What becomes of a file's rows, in Delta: ``raw`` -> ``staging`` -> ``processed``, and ``quarantine``.

| layer | rows |
|---|---|
| ``raw/ingest/KIND`` | every record as it came |
| ``staging/ingest/KIND`` | typed rows that passed the gates, by document |
| ``quarantine/ingest/KIND`` | the others, as they came, with gates and reasons |
| ``processed/ingest/KIND`` | what is accepted and new, numbered: what enters the store |

Every table is partitioned by ``file_hash``: a file's part is written anew until its verdict is on record, and is
not touched afterwards. Rows have the ``line`` of their file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from smartshelf.ingest import documents
from smartshelf.ingest.kinds.base import Kind
from smartshelf.io import delta
from smartshelf.io.delta import ensure_table

log = logging.getLogger(__name__)

#: Lines of a file that are read back together.
LINES_AT_ONCE = 10_000
#: Documents whose identity is compared together: bounds the memory, whatever the size of the files.
IDS_AT_ONCE = 200_000

_FILE = [pa.field("file_hash", pa.string()), pa.field("line", pa.int64())]
_RECORD = pa.field("record", pa.map_(pa.string(), pa.string()))
_RAW = pa.schema([*_FILE, _RECORD])
_QUARANTINE = pa.schema(
    [*_FILE, pa.field("gates", pa.list_(pa.string())), pa.field("reasons", pa.list_(pa.string())), _RECORD]
)
#: Place of a row, and of its document, among all that its file brings.
_NUMBERS = [pa.field("number", pa.int64()), pa.field("document_number", pa.int64())]

#: One file at a time: the columns of the path are not wanted, nor a thread for each column.
_SPARING: dict[str, Any] = {"use_threads": False, "partitioning": None}
_HEADS = pa.schema([*documents.ADDED[:1], _FILE[1], *documents.ADDED[2:]]).empty_table()

_LAYERS = ("raw", "staging", "quarantine", "processed")


class Identities(NamedTuple):
    """Documents by id, in arrays of the same length."""

    document: pa.Array
    line: np.ndarray
    digest: pa.Array


class Layers:
    """The four tables of a kind, for one file. There is one writer: whoever holds the ingest lock."""

    def __init__(self, root: Path, kind: Kind, file_hash: str) -> None:
        self._file_hash = file_hash
        typed = pa.schema([*_FILE, *(column.arrow for column in kind.columns), *kind.added, *documents.ADDED])
        self._schemas = {
            "raw": _RAW,
            "staging": typed,
            "quarantine": _QUARANTINE,
            "processed": pa.schema([*typed, *_NUMBERS]),
        }
        self._paths = {layer: root / layer / "ingest" / kind.name for layer in _LAYERS}
        for layer, path in self._paths.items():
            ensure_table(path, self._schemas[layer], ["file_hash"])
        self._tables = {layer: DeltaTable(str(path)) for layer, path in self._paths.items()}

    def begin(self) -> None:
        """Take away what an earlier attempt has left of this file."""
        for layer in _LAYERS:
            self.clear(layer)

    def clear(self, layer: str) -> None:
        """Take this file's rows out of a layer."""
        table = self._tables[layer]
        if table.partitions(file_pruning_predicate=[("file_hash", "=", self._file_hash)]):
            table.delete(f"file_hash = '{self._file_hash}'")

    def maintain(self) -> None:
        """Join the pieces that files were written in; Spark's retention deletes them some minutes later."""
        for layer, table in self._tables.items():
            try:
                delta.maintain(table)
            except (DeltaError, OSError) as failed:
                # Everything is as it was; the next ingest tries again.
                log.warning("maintenance of %s: %s", self._paths[layer], failed)

    # --- writing -------------------------------------------------------------------------------------

    def add(self, layer: str, rows: pa.Table) -> None:
        """Append rows of this file; they have the layer's columns but ``file_hash``."""
        if not len(rows):
            return
        schema = self._schemas[layer]
        named = rows.append_column(_FILE[0], pa.array(np.repeat(self._file_hash, len(rows)), pa.string()))
        write_deltalake(self._tables[layer], named.select(schema.names).cast(schema), mode="append")

    def add_raw(self, lines: np.ndarray, records: pa.Array) -> None:
        self.add("raw", pa.table({"line": pa.array(lines, pa.int64()), "record": records}))

    def quarantine(self, why: Mapping[int, Sequence[tuple[str, str]]], records: Mapping[int, Any]) -> None:
        """Put rows aside: line -> (gate, reason) of each thing wrong; ``records`` as they came, by line."""
        lines = sorted(why)
        columns = {
            "line": pa.array(lines, pa.int64()),
            "gates": pa.array([[gate for gate, _ in why[line]] for line in lines], pa.list_(pa.string())),
            "reasons": pa.array([[reason for _, reason in why[line]] for line in lines], pa.list_(pa.string())),
            "record": pa.array([records[line] for line in lines], _RECORD.type),
        }
        self.add("quarantine", pa.table(columns))

    # --- reading -------------------------------------------------------------------------------------

    def in_order(self, layer: str, by: str, first: int = 1) -> Iterator[pa.Table]:
        """This file's rows from ``first`` on, by ``by``, a part at a time, however the table's files are cut."""
        for overlapping in _overlapping(self._files(layer, by)):
            rows = pa.concat_tables([pq.read_table(each.path, **_SPARING) for each in overlapping])
            rows = rows.filter(pc.field(by) >= first).sort_by(by)
            for begin in range(0, len(rows), LINES_AT_ONCE):
                yield rows.slice(begin, LINES_AT_ONCE)

    def records(self, lines: Sequence[int]) -> dict[int, Any]:
        """Raw records of some lines."""
        wanted, found = pa.array(lines, pa.int64()), dict[int, Any]()
        for each in self._files("raw", "line"):
            if each.first <= max(lines) and min(lines) <= each.last:
                rows = pq.read_table(each.path, **_SPARING)
                rows = rows.filter(pc.is_in(rows["line"], wanted))
                found |= dict(zip(rows["line"].to_pylist(), rows["record"].to_pylist(), strict=True))
        return found

    def count(self) -> int:
        """Documents in staging, or more."""
        return sum(each.rows for each in self._files("staging", "line"))

    def staged(self, low: str, high: str) -> Identities:
        """Documents of this file with ``low`` <= id < ``high``, by id and line."""
        found = pa.concat_tables([_HEADS, *self._heads("staging", [self._file_hash], low, high)])
        return _identities(found.sort_by([("document", "ascending"), ("line", "ascending")]))

    def entered(self, files: Iterable[str], low: str, high: str, among: pa.Array) -> Identities:
        """Documents ``among`` these that other files have brought into the store, with ``low`` <= id < ``high``."""
        others = [file_hash for file_hash in files if file_hash != self._file_hash]
        heads = self._heads("processed", others, low, high)
        return _identities(pa.concat_tables([_HEADS, *(rows.filter(_in(rows, among)) for rows in heads)]))

    def _heads(self, layer: str, files: Iterable[str], low: str, high: str) -> Iterator[pa.Table]:
        """The first row of each document of some files, with ``low`` <= id < ``high``."""
        mine = (pc.field("document") >= low) & (pc.field("document") < high)
        for file_hash in files:
            for each in self._files(layer, "line", file_hash):
                rows = pq.read_table(each.path, columns=[*_HEADS.column_names, "document_line"], **_SPARING)
                yield rows.filter(mine & (pc.field("line") == pc.field("document_line"))).select(_HEADS.column_names)

    def _files(self, layer: str, by: str, file_hash: str = "") -> list[_File]:
        """The Parquet files of a file's part, by what they begin with."""
        about = pa.table(self._tables[layer].get_add_actions(flatten=True)).to_pylist()
        found = [
            _File(each[f"min.{by}"], each[f"max.{by}"], each["num_records"], str(self._paths[layer] / each["path"]))
            for each in about
            if each["partition.file_hash"] == (file_hash or self._file_hash)
        ]
        return sorted(found)


class _File(NamedTuple):
    """One Parquet file: its bounds in the column that orders it, rows, and where it is."""

    first: int
    last: int
    rows: int
    path: str


def _overlapping(files: Sequence[_File]) -> Iterator[list[_File]]:
    """Files in groups that can be read one after the other: of one file each, unless somebody has joined files."""
    group: list[_File] = []
    for each in files:
        if group and each.first > max(other.last for other in group):
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _in(rows: pa.Table, among: pa.Array) -> pa.ChunkedArray:
    return pc.is_in(rows["document"], among)


def _identities(found: pa.Table) -> Identities:
    return Identities(found["document"].combine_chunks(), found["line"].to_numpy(), found["digest"].combine_chunks())


def id_ranges(documents_: int) -> Iterator[tuple[str, str]]:
    """Ranges of ids that together hold all, each about IDS_AT_ONCE of so many documents."""
    parts = max(1, -(-documents_ // IDS_AT_ONCE))
    bounds = [f"{0x10000 * part // parts:04x}" for part in range(parts)]
    yield from zip(bounds, [*bounds[1:], "g"], strict=True)


def records(rows: pa.Table) -> pa.Array:
    """Each row of a table of texts as a map of column to text."""
    count, width = len(rows), len(rows.column_names)
    if not count or not width:
        return pa.array([[]] * count, _RECORD.type)
    by_column = pa.concat_arrays([rows[name].combine_chunks() for name in rows.column_names])
    order = np.arange(count * width).reshape(width, count).T.ravel()
    keys = pa.array(rows.column_names).take(pa.array(np.tile(np.arange(width), count)))
    return pa.MapArray.from_arrays(np.arange(count + 1, dtype=np.int32) * width, keys, by_column.take(pa.array(order)))
