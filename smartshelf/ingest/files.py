"""Files of unknown size and manners, as pieces of text columns with their lines. Memory stays bounded.

A record's line is its line in a CSV (with the header as 1; an empty line counts, a line break within quotes does
not) and its number in JSON.

A file is read twice: once as bytes (its fingerprint; is it text at all?), once as records.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from smartshelf.errors import BadInput

#: Bytes of a file that are looked at together: some 10,000 records.
PIECE = 1 << 20
#: A record longer than this is no record.
LONGEST = 1 << 20
DELIMITERS = (",", ";", "\t", "|")
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_BYTES_AT_ONCE = 1 << 20
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Broken:
    """A record that could not be taken apart."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True)
class Piece:
    """Records as text, by the file's own column names, each with its line."""

    rows: pa.Table
    lines: np.ndarray
    broken: Sequence[Broken] = field(default_factory=tuple)


@dataclass(frozen=True)
class Source:
    """A file that was found to be text: ``fingerprint`` is the SHA-256 of its content, unpacked."""

    path: Path
    encoding: str
    fingerprint: str
    lines: int

    @property
    def is_json(self) -> bool:
        suffixes = [suffix.lower() for suffix in self.path.suffixes]
        return bool({*suffixes[-2:]} & set(JSON_SUFFIXES))


def inspect(path: Path, encoding: str) -> Source:
    """Read the bytes once. Raises BadInput for what is not text in ``encoding``, is empty or is cut off."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError:
        raise BadInput("There is no such encoding", value=encoding, remedy="For example: utf-8, latin-1.") from None
    digest, lines, size, last = hashlib.sha256(), 0, 0, b""
    with _opened(path) as file:
        while piece := file.read(_BYTES_AT_ONCE):
            if not size and piece.startswith(_UTF_16) and "16" not in encoding:
                raise BadInput(f"{path.name} is UTF-16, not {encoding}", remedy="Add --encoding utf-16.")
            if b"\0" in piece and "16" not in encoding and "32" not in encoding:
                line = lines + piece[: piece.index(b"\0")].count(b"\n") + 1
                raise BadInput(f"{path.name} is not text: line {line} has a NUL byte", remedy="Is it the right file?")
            _decode(decoder, piece, path, encoding, lines)
            digest.update(piece)
            lines, size, last = lines + piece.count(b"\n"), size + len(piece), piece
        _decode(decoder, b"", path, encoding, lines, final=True)
    if not size:
        raise BadInput(f"{path.name} is empty", remedy="Export it again.")
    return Source(path, encoding, digest.hexdigest(), lines + (not last.endswith(b"\n")))


def _decode(decoder: Any, piece: bytes, path: Path, encoding: str, lines: int, final: bool = False) -> None:
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError as wrong:
        seen = bytes(wrong.object)
        begin = seen.rfind(b"\n", 0, wrong.start) + 1
        line = lines + seen[: wrong.start].count(b"\n") + 1
        shown = seen[begin : begin + 60].split(b"\n")[0].decode("latin-1")
        raise BadInput(
            f"{path.name} is not {encoding}: line {line} has the byte 0x{seen[wrong.start]:02X}",
            value=shown,
            remedy="If that reads well, add --encoding latin-1; else name the encoding of the system it comes from.",
        ) from None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked when its name ends in .gz; BadInput when it cannot be read to its end."""
    if path.is_dir() or not path.exists():
        raise BadInput("There is no such file", value=str(path))
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield file  # type: ignore[misc]  # both are binary files
    except EOFError:
        raise BadInput(f"{path.name} ends in the middle", remedy="It is cut off: fetch it again.") from None
    except (gzip.BadGzipFile, zlib.error) as wrong:
        raise BadInput(f"{path.name} is not a gzip file: {wrong}", remedy="Unpack or fetch it again.") from None
    except OSError as wrong:
        raise BadInput(f"{path.name} cannot be read: {wrong.strerror or wrong}") from None


def header(source: Source, known: Sequence[str], delimiter: str | None) -> tuple[list[str], str]:
    """(names of a CSV's columns, its delimiter): the delimiter under which most names are ``known``."""
    with _text(source) as file:
        line = file.readline(LONGEST)
    candidates = [delimiter] if delimiter else list(DELIMITERS)
    read = {each: [name.strip() for name in next(csv.reader([line], delimiter=each), [])] for each in candidates}
    wanted = {name.lower() for name in known}
    best = max(candidates, key=lambda each: (len(wanted & {n.lower() for n in read[each]}), len(read[each])))
    names = read[best]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"{source.path.name} line 1 names columns twice", value=twice, remedy="Rename one of them.")
    return names, best


def columns_of(source: Source, known: Sequence[str], delimiter: str | None) -> list[str]:
    """The names a file uses; of JSON those of its first records."""
    if not source.is_json:
        return header(source, known, delimiter)[0]
    looked_at = [row for row in islice(_documents(source), 100) if isinstance(row, dict)]
    if not looked_at:
        raise BadInput(f"{source.path.name} has no records", remedy="It should hold JSON objects, each one record.")
    return list(dict.fromkeys(name for row in looked_at for name in row))


def pieces(source: Source, known: Sequence[str], delimiter: str | None, size: int = PIECE) -> Iterator[Piece]:
    """The records, in order. Raises BadInput with the line where the rest cannot be read."""
    yield from _json_pieces(source, size) if source.is_json else _csv_pieces(source, known, delimiter, size)


# --- CSV -----------------------------------------------------------------------------------------


def _csv_pieces(source: Source, known: Sequence[str], delimiter: str | None, size: int) -> Iterator[Piece]:
    names, delimiter = header(source, known, delimiter)
    broken: list[Broken] = []

    def refuse(row: Any) -> str:
        reason = f"has {row.actual_columns} fields, the header {row.expected_columns}"
        broken.append(Broken(int(row.number), row.text, reason))
        return "skip"

    # The first row is the header, whatever it says.
    read = pacsv.ReadOptions(
        use_threads=False, block_size=size, skip_rows=1, column_names=names, encoding=_plain(source.encoding)
    )
    parse = pacsv.ParseOptions(
        delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse, ignore_empty_lines=False
    )
    convert = pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    line, gone = 2, list[Broken]()
    with _opened(source.path) as file:
        try:
            for batch in pacsv.open_csv(_Unmarked(file), read, parse, convert):
                gone, broken[:] = gone + broken, []
                lines, gone_now = _numbered(line, len(batch), [each.line for each in gone])
                ready, gone = gone[:gone_now], gone[gone_now:]
                line = int(lines[-1]) + 1 if len(lines) else line
                yield _piece(pa.Table.from_batches([batch]), lines, ready)
        except pa.ArrowInvalid as wrong:
            if "Empty CSV" not in str(wrong):
                remedy = "A record longer than a megabyte, or a quote that is never closed?"
                what = f"{source.path.name} cannot be read after line {line - 1}: {wrong}"
                raise BadInput(what, remedy=remedy) from None
    if rest := gone + broken:
        yield Piece(pa.table({name: pa.array([], pa.string()) for name in names}), np.empty(0, np.int64), rest)


def _numbered(first: int, count: int, gone: Sequence[int]) -> tuple[np.ndarray, int]:
    """Lines of ``count`` good records from ``first`` on, and how many of the ``gone`` ones lie before their end."""
    lines = np.setdiff1d(np.arange(first, first + count + len(gone)), np.asarray(gone, dtype=np.int64))[:count]
    return lines, int(np.searchsorted(np.asarray(gone), lines[-1])) if count else 0


def _piece(rows: pa.Table, lines: np.ndarray, broken: Sequence[Broken]) -> Piece:
    """Without empty lines."""
    filled = np.zeros(len(rows), dtype=bool)
    for column in rows.columns:
        filled |= np.asarray(pc.not_equal(column, ""))
    return Piece(rows.filter(pa.array(filled)), lines[filled], tuple(broken))


class _Unmarked(io.RawIOBase):
    """A binary file without the byte order mark of UTF-8 (Arrow would take it for a part of the first name)."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._first = file, True

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        if self._first:
            self._first, data = False, data.removeprefix(codecs.BOM_UTF8)
        return data


def _plain(encoding: str) -> str:
    """The codec's name as Arrow wants it for text without a byte order mark."""
    name = codecs.lookup(encoding).name
    return "utf-8" if name in ("utf-8", "utf-8-sig") else encoding


# --- JSON ----------------------------------------------------------------------------------------


def _json_pieces(source: Source, size: int) -> Iterator[Piece]:
    """An array of objects or one object after the other; every record is one object of plain values."""
    rows: list[dict[str, str]] = []
    lines: list[int] = []
    broken: list[Broken] = []
    weight = 0
    for line, document in enumerate(_documents(source), 1):
        if not isinstance(document, dict):
            broken.append(Broken(line, str(document)[:200], "is not a JSON object"))
        elif nested := [name for name, value in document.items() if isinstance(value, dict | list)]:
            broken.append(Broken(line, json.dumps(document)[:200], f"{nested[0]} is not a plain value"))
        else:
            row = {name: "" if value is None else str(value) for name, value in document.items()}
            rows.append(row)
            lines.append(line)
            weight += sum(map(len, row.values())) + 16 * len(row)
        if weight > size:
            yield _table(rows, lines, broken)
            rows, lines, broken, weight = [], [], [], 0
    if rows or broken:
        yield _table(rows, lines, broken)


def _table(rows: list[dict[str, str]], lines: list[int], broken: list[Broken]) -> Piece:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: pa.array([row.get(name, "") for row in rows], pa.string()) for name in names}
    return Piece(pa.table(columns), np.array(lines, dtype=np.int64), tuple(broken))


_BLANK = " \t\r\n"
_decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


def _documents(source: Source) -> Iterator[Any]:
    """Each document, numbers as the text they stand as."""
    with _text(source) as file:
        text, at, line, in_array, ended = file.read(_BYTES_AT_ONCE), 0, 1, False, False
        while True:
            while at < len(text) and (text[at] in _BLANK or (in_array and text[at] == ",")):
                line += text[at] == "\n"
                at += 1
            if at == len(text) or (len(text) - at < LONGEST and not ended):
                more = file.read(_BYTES_AT_ONCE)
                ended, text, at = not more, text[at:] + more, 0
                if not text:
                    break
                continue
            if text[at] == "[" and not in_array:
                in_array, at = True, at + 1
                continue
            if text[at] == "]" and in_array:
                return
            try:
                value, end = _decoder.raw_decode(text, at)
            except (json.JSONDecodeError, RecursionError) as wrong:
                raise _no_json(source, text, at, line, wrong) from None
            yield value
            line, at = line + text.count("\n", at, end), end
    if in_array:
        raise BadInput(f"{source.path.name} ends in line {line} within its array", remedy="Is it cut off? Fetch it.")


def _no_json(source: Source, text: str, at: int, line: int, wrong: Exception) -> BadInput:
    found = text[at : at + 60].split("\n")[0]
    why = wrong.msg if isinstance(wrong, json.JSONDecodeError) else "nested too deeply"
    return BadInput(f"{source.path.name} line {line} is not JSON: {why}", value=found, remedy="Correct it there.")


@contextmanager
def _text(source: Source) -> Iterator[IO[str]]:
    encoding = "utf-8-sig" if _plain(source.encoding) == "utf-8" else source.encoding
    with _opened(source.path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        yield text
