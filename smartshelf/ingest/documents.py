"""Rows become documents (pure): the rows that belong together, what identifies them, and whether they are whole.

A document enters whole or not at all: one bad row keeps its fellows back. A row that comes twice within its
document is left out, the first one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from smartshelf.contracts.ids import stable_id
from smartshelf.ingest.gates import SEPARATOR, Anomaly, Bad, Judged, Reference
from smartshelf.ingest.kinds.base import Kind

#: Columns beside the kind's own.
ADDED = (
    pa.field("document", pa.string()),
    pa.field("document_line", pa.int64()),
    pa.field("digest", pa.string()),
)


@dataclass(frozen=True)
class Assembled:
    """``rows``: the good ones, with ``document`` (id), ``document_line`` (its first line), ``digest`` (of all it says).

    ``anomalies``: rows given twice; ``held``: rows that are good themselves, with the bad line that keeps them back.
    """

    rows: pa.Table
    anomalies: list[Anomaly]
    held: dict[int, int]


def assemble(judged: Judged, kind: Kind, reference: Reference) -> Assembled:
    """Whole documents from judged rows; the rows of each stand together. Defaults are part of what they say."""
    rows, lines = judged.rows, np.asarray(judged.rows["line"])
    number = _numbered(rows, kind)
    good, anomalies = _without_twins(judged, kind, number)
    whole = ~np.isin(number, number[~judged.good])
    held = _held(number, lines, judged.good, good & ~whole)
    kept = good & whole
    rows = rows.filter(pa.array(kept))
    if len(rows):
        rows = _identified(kind.complete(rows, reference), kind, number[kept])
    return Assembled(rows, anomalies, held)


def rows_of_last(keys: Sequence[Sequence[str]]) -> int:
    """How many rows the last document has; ``keys`` are the key columns of the last rows, as text."""
    rows = list(zip(*keys, strict=True))
    return next((count for count, row in enumerate(reversed(rows)) if row != rows[-1]), len(rows))


def _numbered(rows: pa.Table, kind: Kind) -> NDArray[np.int64]:
    """The number of each row's document within these rows."""
    if not kind.line or not len(rows):
        return np.arange(len(rows), dtype=np.int64)
    key = pc.binary_join_element_wise(*[rows[name].combine_chunks() for name in kind.key], SEPARATOR)
    same = pc.fill_null(pc.equal(key[1:], key[:-1]), False).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(~same)]).astype(np.int64)


def _without_twins(judged: Judged, kind: Kind, number: NDArray[np.int64]) -> tuple[Bad, list[Anomaly]]:
    """Rows but those whose ``kind.line`` their document has had already."""
    first = np.ones(len(number), dtype=bool)
    anomalies: list[Anomaly] = []
    if kind.line:
        value = pc.fill_null(judged.rows[kind.line], -1).to_numpy()
        pairs = np.stack([number, value], axis=1)
        first[:] = False
        first[np.unique(pairs, axis=0, return_index=True)[1]] = True
        first |= ~judged.good
        for row in np.flatnonzero(~first).tolist():
            reason = f"The {kind.line} {value[row]} comes twice in its receipt: the first counts. Remove one of them."
            anomalies.append(Anomaly(int(judged.rows["line"][row].as_py()), "duplicate", kind.line, reason))
    return judged.good & first, anomalies


def _held(number: NDArray[np.int64], lines: NDArray[np.int64], good: Bad, held: Bad) -> dict[int, int]:
    culprit = dict(zip(number[~good].tolist(), lines[~good].tolist(), strict=True))
    return {int(lines[row]): culprit[int(number[row])] for row in np.flatnonzero(held).tolist()}


def _identified(rows: pa.Table, kind: Kind, number: NDArray[np.int64]) -> pa.Table:
    """With the columns of ADDED."""
    begins = np.flatnonzero(np.diff(number, prepend=-1))
    lengths = np.diff(np.append(begins, len(number)))
    keys = list(zip(*(rows[name].take(pa.array(begins)).to_pylist() for name in kind.key), strict=True))
    ids = [stable_id("ingest", kind.name, *("" if part is None else part for part in key)) for key in keys]
    texts = _texts(rows, kind)
    digests = [
        blake2b("\x1e".join(texts[begin : begin + length]).encode(), digest_size=10).hexdigest()
        for begin, length in zip(begins.tolist(), lengths.tolist(), strict=True)
    ]
    first_lines = np.asarray(rows["line"])[begins]
    columns = {
        "document": pa.array(ids, pa.string()),
        "document_line": pa.array(first_lines, pa.int64()),
        "digest": pa.array(digests, pa.string()),
    }
    spread = pa.array(np.repeat(np.arange(len(begins)), lengths))
    for field in ADDED:
        rows = rows.append_column(field, columns[field.name].take(spread))
    return rows


def _texts(rows: pa.Table, kind: Kind) -> list[str]:
    """All that each row says, as one text."""
    parts = [pc.fill_null(_text(rows[name].combine_chunks()), "") for name in kind.names]
    joined: list[str] = pc.binary_join_element_wise(*parts, SEPARATOR).to_pylist()
    return joined


def _text(values: pa.Array) -> pa.Array:
    # Arrow writes an instant as a date ten times slower than as a number.
    return (values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values).cast(pa.string())
