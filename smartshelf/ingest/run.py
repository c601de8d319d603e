"""One ingest from file to facts, so that killed anywhere and called again it comes to the same end.

1. The file's bytes are read for their fingerprint. A file that is on record as accepted is not looked at again.
2. Piece by piece the rows go to ``raw``, are judged, and go to ``staging`` or ``quarantine``.
3. Documents are compared with each other and with all that entered before; new ones go to ``processed``, numbered.
4. The verdict is written to ``ops.ingest_runs``: from here on the file counts. Everything before is done anew
   after a kill, on empty partitions.
5. Facts are sent (``send``), people's rows are written with the verdict in one transaction. A run that was killed
   while it sent is brought to its end by the next ingest, whatever its file.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import redis

from smartshelf.errors import BadInput, Unavailable
from smartshelf.ingest import documents, files, gates, runs
from smartshelf.ingest.files import Piece, Source
from smartshelf.ingest.gates import Anomaly, Reference
from smartshelf.ingest.kinds import KINDS, base
from smartshelf.ingest.kinds.base import Facts, Kind, Table
from smartshelf.ingest.layers import Layers, id_ranges, records
from smartshelf.ingest.mapping import Mapping
from smartshelf.ingest.runs import Run, Runs
from smartshelf.ingest.send import Sender
from smartshelf.io import redis_stream
from smartshelf.io.step_save import read_position
from smartshelf.settings import Settings

#: So many anomalies are shown; ``quarantine`` has them all.
SHOWN = 20
#: What may become of a document: new, or one of
_AGAIN, _KNOWN, _CHANGED = 1, 2, 3

Say = Callable[[str], None]


@dataclass
class Report:
    """What came of a file. ``again``: nothing was done, it is on record already."""

    run: Run
    again: bool = False
    #: Facts that were written to the streams, or rows that were new or changed.
    effect: int = 0
    ignored: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)


@dataclass
class Counts:
    """How many rows there are of what; ``last``: the highest line."""

    rows: int = 0
    last: int = 0
    accepted: int = 0
    known: int = 0
    quarantined: int = 0
    anomalous: int = 0
    documents: int = 0
    by_gate: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


@dataclass
class Taking:
    """What one ingest works with."""

    root: Path
    source: Source
    kind: Kind
    mapping: Mapping
    reference: Reference
    record: Runs
    sender: Sender
    say: Say
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    counted: Counts = field(default_factory=Counts)

    @cached_property
    def layers(self) -> Layers:
        return Layers(self.root, self.kind, self.source.fingerprint)


def ingest(config: Settings, path: Path, kind: Kind, mapping: Mapping, say: Say) -> Report:
    """Take a file in. Raises BadInput when it cannot be read, Unavailable when the store does not answer."""
    source = files.inspect(path, mapping.encoding)
    client = redis_stream.connect(config.redis_url)
    redis_stream.ping(client)
    now = _now(client)
    with runs.opened(config) as record:
        reference, sender = runs.reference(record.connection, now), Sender(config, client, say)
        return take_in(Taking(config.delta_root, source, kind, mapping, reference, record, sender, say))


def take_in(taking: Taking) -> Report:
    """The same, with everything at hand."""
    for left in taking.record.unfinished():
        taking.say(f"{left.file_name} was not sent to its end: going on with it")
        _finish(taking, left)
    before = taking.record.find(taking.source.fingerprint, taking.kind.name)
    if before and before.verdict == "accepted":
        return Report(before, again=True)
    columns, ignored = _columns(taking)
    taking.layers.begin()
    for piece in _whole_documents(taking, columns):
        _judge(taking, piece, columns)
    if not taking.counted.rows:
        raise BadInput(f"{taking.source.path.name} has no rows", remedy="Export it again.")
    _settle(taking)
    run, effect = _enter(taking, _verdict(taking))
    return Report(run, effect=effect, ignored=ignored, examples=taking.counted.examples)


def _now(client: redis.Redis) -> datetime:
    t_ms = read_position(client).t_ms
    if t_ms is None:
        raise Unavailable("The store is not open yet", remedy="Start it: `smartshelf up`.")
    return datetime.fromtimestamp(t_ms / 1000, UTC)


def _enter(taking: Taking, run: Run) -> tuple[Run, int]:
    """Put the verdict on record and carry it out; returns how many facts were sent or rows changed."""
    door, effect = taking.kind.door, 0
    if run.verdict == "refused":
        taking.layers.clear("processed")
    elif isinstance(door, Table):
        effect = door.upsert(taking.record.connection, _accepted(taking.layers))
        run = run.done()
    taking.record.record(run)
    taking.record.commit()
    if run.status == "sending":
        return _finish(taking, run)
    taking.layers.maintain()
    return run, effect


def _finish(taking: Taking, run: Run) -> tuple[Run, int]:
    """Send what of an accepted run is not sent yet, and say so on record."""
    kind = KINDS[run.kind]
    layers = Layers(taking.root, kind, run.file_hash)
    sent = taking.sender.send(run, kind, layers)
    run = run.done()
    taking.record.record(run)
    taking.record.commit()
    taking.sender.forget(run)
    layers.maintain()
    return run, sent


# --- the file's words ----------------------------------------------------------------------------


def _columns(taking: Taking) -> tuple[dict[str, str], list[str]]:
    """(our column -> the file's, the file's that say nothing to us). Raises BadInput naming all that is amiss."""
    kind, mapping = taking.kind, taking.mapping
    problems = [
        f"the mapping names a column {name!r} that {kind.name} do not have{_meant(name, kind.names)}"
        for name in sorted((mapping.columns.keys() | mapping.constants.keys()) - set(kind.names))
    ]
    there = files.columns_of(taking.source, _known(taking), mapping.delimiter)
    by_word = {name.strip().lower(): name for name in there}
    found = {}
    for ours in kind.names:
        theirs = mapping.columns.get(ours, ours)
        if ours in mapping.constants:
            continue
        if theirs.lower() in by_word:
            found[ours] = by_word[theirs.lower()]
        elif ours in mapping.columns:
            problems.append(f"the file has no column {theirs!r} for {ours}{_meant(theirs, there)}")
    ignored = [name for name in there if name not in found.values()]
    for column in kind.columns:
        if column.name in found or column.name in mapping.constants or column.name in mapping.columns:
            continue
        close = difflib.get_close_matches(column.name, [name.lower() for name in ignored], n=1, cutoff=0.75)
        if column.required or close:
            what = "missing" if column.required else "not named"
            problems.append(f"the column {column.name} is {what}{_meant(column.name, ignored)}")
    if problems:
        raise BadInput(
            f"{taking.source.path.name} is not a file of {kind.name}",
            remedy=f"It has the columns: {', '.join(there)}. Rename them, or give a --mapping with `columns`.",
            problems=problems,
        )
    if taking.source.is_json:
        # Records may leave columns out; a later one may have what the first ones lack.
        found |= {name: mapping.columns.get(name, name) for name in kind.names if name not in found}
    return found, ignored


def _known(taking: Taking) -> list[str]:
    return [*taking.kind.names, *taking.mapping.columns.values()]


def _meant(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name.lower(), [each.lower() for each in names], n=1, cutoff=0.5)
    return f"; is it {close[0]!r}?" if close else ""


def _texts(taking: Taking, rows: pa.Table, columns: dict[str, str]) -> pa.Table:
    """The file's columns under our names, with the mapping's constants."""
    texts = {ours: rows[theirs] for ours, theirs in columns.items() if theirs in rows.column_names}
    for name, value in taking.mapping.constants.items():
        texts[name] = pa.array(np.repeat(value, len(rows)), pa.string())
    return pa.table(texts)


# --- judging -------------------------------------------------------------------------------------


def _whole_documents(taking: Taking, columns: dict[str, str]) -> Iterator[Piece]:
    """The pieces of a file, cut where a document ends."""
    held: Piece | None = None
    for piece in files.pieces(taking.source, _known(taking), taking.mapping.delimiter):
        if held is not None:
            rows = pa.concat_tables([held.rows, piece.rows], promote_options="default")
            piece = Piece(rows, np.concatenate([held.lines, piece.lines]), [*held.broken, *piece.broken])
            held = None
        if taking.kind.line and len(piece.rows):
            cut = len(piece.rows) - _last_document(taking, piece, columns)
            held = Piece(piece.rows.slice(cut), piece.lines[cut:])
            piece = Piece(piece.rows.slice(0, cut), piece.lines[:cut], piece.broken)
        yield piece
    if held is not None:
        yield held


def _last_document(taking: Taking, piece: Piece, columns: dict[str, str]) -> int:
    """Rows of the document that a piece ends with; it may go on. 0 when it is too long to be one."""
    end = _texts(taking, piece.rows.slice(max(0, len(piece.rows) - base.MOST_ROWS - 1)), columns)
    rows = documents.rows_of_last([end[key].to_pylist() for key in taking.kind.key if key in end.column_names])
    return rows if rows <= base.MOST_ROWS else 0


def _judge(taking: Taking, piece: Piece, columns: dict[str, str]) -> None:
    """One piece into raw, staging and quarantine."""
    counted, kind, layers = taking.counted, taking.kind, taking.layers
    kept = records(piece.rows)
    layers.add_raw(piece.lines, kept)
    layers.add_raw(
        np.array([each.line for each in piece.broken], dtype=np.int64),
        pa.array([[("", each.text)] for each in piece.broken], kept.type),
    )
    texts = _texts(taking, piece.rows, columns)
    judged = gates.judge(
        texts, piece.lines, kind.columns, kind.checks, taking.reference, taking.mapping.dates, taking.mapping.decimal
    )
    assembled = documents.assemble(judged, kind, taking.reference)
    layers.add("staging", assembled.rows)
    broken = [Anomaly(each.line, "shape", "record", _shape(each.reason)) for each in piece.broken]
    anomalies = [*broken, *judged.anomalies, *assembled.anomalies]
    _put_aside(taking, anomalies, assembled.held, _by_line(piece, kept))
    counted.rows += len(piece.lines) + len(piece.broken)
    ends = [int(piece.lines[-1])] if len(piece.lines) else []
    counted.last = max([counted.last, *ends, *(each.line for each in piece.broken)])


def _shape(reason: str) -> str:
    return f"The record {reason}. Is a value with the delimiter in it not in quotes? Correct it in the file."


def _by_line(piece: Piece, kept: pa.Array) -> Callable[[Sequence[int]], dict[int, Any]]:
    """Looks up the records of some lines in a piece."""

    def look_up(lines: Sequence[int]) -> dict[int, Any]:
        at = np.flatnonzero(np.isin(piece.lines, lines))
        found = dict(zip(piece.lines[at].tolist(), kept.take(pa.array(at)).to_pylist(), strict=True))
        return found | {each.line: [("", each.text)] for each in piece.broken}

    return look_up


def _put_aside(
    taking: Taking,
    anomalies: Sequence[Anomaly],
    held: dict[int, int],
    look_up: Callable[[Sequence[int]], dict[int, Any]],
) -> None:
    """Quarantine the rows with anomalies, and those that another row of their document keeps back."""
    counted = taking.counted
    why: dict[int, list[tuple[str, str]]] = {}
    for anomaly in anomalies:
        why.setdefault(anomaly.line, []).append((anomaly.gate, anomaly.reason))
        counted.by_gate[anomaly.gate] += 1
        if len(counted.examples) < SHOWN:
            counted.examples.append(f"{_place(taking)} {anomaly.line}: {anomaly.reason}")
    counted.anomalous += len(why)
    for line, culprit in held.items():
        reason = f"{_place(taking).capitalize()} {culprit} of the same receipt is bad: it enters whole or not at all."
        why.setdefault(line, []).append(("held", reason))
    counted.quarantined += len(why)
    if why:
        taking.layers.quarantine(why, look_up(list(why)))


def _place(taking: Taking) -> str:
    return "record" if taking.source.is_json else "line"


# --- what is new ---------------------------------------------------------------------------------


def _settle(taking: Taking) -> None:
    """From staging to processed what is new, numbered; what comes twice or otherwise than before is put aside."""
    fates = _fates(taking)
    counted = taking.counted
    for staged in taking.layers.in_order("staging", "line"):
        fate = fates[staged["document_line"].to_numpy()]
        counted.known += int((fate == _KNOWN).sum())
        _put_aside(taking, _twice(taking.kind, staged, fate), {}, taking.layers.records)
        new = staged.filter(pa.array(fate == 0))
        if not len(new):
            continue
        begins = np.diff(new["document_line"].to_numpy(), prepend=-1) != 0
        # A document may go on from the part before.
        number = counted.documents + np.cumsum(begins)
        if counted.documents and new["document_line"][0].as_py() != new["line"][0].as_py():
            number -= 1
        counted.documents = int(number[-1])
        places = np.arange(counted.accepted + 1, counted.accepted + len(new) + 1)
        new = new.append_column("number", pa.array(places)).append_column("document_number", pa.array(number))
        taking.layers.add("processed", new)
        counted.accepted += len(new)


def _fates(taking: Taking) -> np.ndarray:
    """What becomes of the document that begins in each line: one byte a line."""
    fates = np.zeros(taking.counted.last + 1, dtype=np.uint8)
    entered = taking.record.entered(taking.kind.name) if isinstance(taking.kind.door, Facts) else []
    for low, high in id_ranges(taking.layers.count()):
        ours = taking.layers.staged(low, high)
        if not len(ours.document):
            continue
        if entered:
            before = taking.layers.entered(entered, low, high, ours.document)
            at = pc.index_in(ours.document, value_set=before.document)
            same = pc.equal(ours.digest, before.digest.take(at))
            found = pc.is_valid(at).to_numpy(zero_copy_only=False)
            equal = pc.fill_null(same, False).to_numpy(zero_copy_only=False)
            fates[ours.line[found & equal]] = _KNOWN
            fates[ours.line[found & ~equal]] = _CHANGED
        again = pc.equal(ours.document[1:], ours.document[:-1]).to_numpy(zero_copy_only=False)
        fates[ours.line[1:][again]] = _AGAIN
    return fates


def _twice(kind: Kind, staged: pa.Table, fate: np.ndarray) -> list[Anomaly]:
    key = " + ".join(kind.key)
    stand = " The rows of one must stand together: sort the file by it." if kind.line else " Remove one of them."
    reasons = {
        _AGAIN: f"The same {key} came before in this file; the first counts.{stand}",
        _CHANGED: f"The same {key} was ingested before with other values. What happened stays: correct it by a count.",
    }
    lines = staged["line"].to_numpy()
    return [
        Anomaly(int(lines[row]), "duplicate", kind.key[-1], reasons[int(fate[row])])
        for row in np.flatnonzero((fate == _AGAIN) | (fate == _CHANGED)).tolist()
    ]


# --- the verdict ---------------------------------------------------------------------------------


def _verdict(taking: Taking) -> Run:
    counted, kind = taking.counted, taking.kind
    share = counted.anomalous / counted.rows
    refused = share > gates.TOLERATED
    tolerated = f"{gates.TOLERATED:.0%} are tolerated"
    why = f"{counted.anomalous} of {counted.rows} rows are anomalous ({share:.1%}; {tolerated})"
    streams = kind.door.streams if isinstance(kind.door, Facts) else {}
    counts = {name: of.by_row * counted.accepted + of.by_document * counted.documents for name, of in streams.items()}
    return Run(
        file_hash=taking.source.fingerprint,
        kind=kind.name,
        file_name=taking.source.path.name,
        verdict="refused" if refused else "accepted",
        status="done" if refused else "sending",
        why=why,
        rows=counted.rows,
        accepted=0 if refused else counted.accepted,
        known=counted.known,
        quarantined=counted.quarantined,
        anomalous=counted.anomalous,
        anomalies={gate: counted.by_gate[gate] for gate in gates.GATES if counted.by_gate[gate]},
        numbers={} if refused else taking.record.reserve(kind.name, counts),
        as_of=taking.reference.now,
        started=taking.started,
        finished=datetime.now(UTC) if refused else None,
    )


def _accepted(layers: Layers) -> Iterator[dict[str, Any]]:
    for part in layers.in_order("processed", "number"):
        yield from part.to_pylist()
