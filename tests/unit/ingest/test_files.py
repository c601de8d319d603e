"""Whatever a file looks like: it is read as it is meant, or one sentence says what is wrong where."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from smartshelf.errors import BadInput
from smartshelf.ingest import files
from smartshelf.ingest.files import Piece

KNOWN = ("store_id", "shelf_id", "qty")
CSV = "store_id,shelf_id,qty\nS01,A,1\nS01,B,2\n"
ROWS = [{"store_id": "S01", "shelf_id": "A", "qty": "1"}, {"store_id": "S01", "shelf_id": "B", "qty": "2"}]


def read(
    path: Path, content: str | bytes, encoding: str = "utf-8", delimiter: str | None = None, size: int = files.PIECE
) -> list[Piece]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(files.pieces(files.inspect(path, encoding), KNOWN, delimiter, size))


def rows(pieces: list[Piece]) -> list[dict[str, str]]:
    return [row for piece in pieces for row in piece.rows.to_pylist()]


def lines(pieces: list[Piece]) -> list[int]:
    return [line for piece in pieces for line in piece.lines.tolist()]


@pytest.mark.parametrize("delimiter", files.DELIMITERS)
def test_the_delimiter_is_the_one_that_fits_the_header(tmp_path: Path, delimiter: str) -> None:
    assert rows(read(tmp_path / "a.csv", CSV.replace(",", delimiter))) == ROWS


def test_a_byte_order_mark_does_not_become_part_of_a_name(tmp_path: Path) -> None:
    assert rows(read(tmp_path / "a.csv", b"\xef\xbb\xbf" + CSV.encode())) == ROWS


def test_windows_line_ends_and_a_missing_last_one_are_fine(tmp_path: Path) -> None:
    assert rows(read(tmp_path / "a.csv", CSV.replace("\n", "\r\n").rstrip())) == ROWS


def test_a_declared_encoding_is_used(tmp_path: Path) -> None:
    content = CSV.replace("A", "Caffè").encode("latin-1")
    assert rows(read(tmp_path / "a.csv", content, "latin-1"))[0]["shelf_id"] == "Caffè"
    assert rows(read(tmp_path / "b.csv", CSV.encode("utf-16"), "utf-16")) == ROWS


def test_another_encoding_is_named_with_line_value_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"line 3 has the byte 0xE8.*S01,Caffè,2.*--encoding latin-1"):
        read(tmp_path / "a.csv", CSV.replace("B", "Caffè").encode("latin-1"))
    with pytest.raises(BadInput, match=r"UTF-16.*--encoding utf-16"):
        read(tmp_path / "a.csv", CSV.encode("utf-16"))
    with pytest.raises(BadInput, match="no such encoding"):
        read(tmp_path / "a.csv", CSV, "latin-17")


def test_a_record_of_another_width_is_told_by_its_line_and_the_others_keep_theirs(tmp_path: Path) -> None:
    content = "store_id,shelf_id,qty\nS01,A,1\nS01,B\n\nS01,C,3,4\nS01,D,4\n"
    pieces = read(tmp_path / "a.csv", content)
    broken = [(each.line, each.reason) for piece in pieces for each in piece.broken]
    assert broken == [(3, "has 2 fields, the header 3"), (5, "has 4 fields, the header 3")]
    assert [row["shelf_id"] for row in rows(pieces)] == ["A", "D"]
    assert lines(pieces) == [2, 6]


@pytest.mark.parametrize("last", ["S01,L,1", "S01,L"])
def test_lines_are_the_same_however_the_file_is_cut(tmp_path: Path, last: str) -> None:
    body = [f"S01,{i},{i}" if i % 7 else f"S01,{i}" for i in range(2, 400)]
    content = "store_id,shelf_id,qty\n" + "\n".join([*body, last]) + "\n"
    whole, cut = read(tmp_path / "a.csv", content), read(tmp_path / "a.csv", content, size=512)
    assert len(cut) > 5
    assert (rows(cut), lines(cut)) == (rows(whole), lines(whole))
    assert [e.line for p in cut for e in p.broken] == [e.line for p in whole for e in p.broken]
    assert all(row["shelf_id"] in (str(line), "L") for row, line in zip(rows(cut), lines(cut), strict=True))


JSON = [
    json.dumps(ROWS),
    json.dumps(ROWS, indent=2),
    "\n".join(map(json.dumps, ROWS)),
    '{"store_id":"S01","shelf_id":"A","qty":1}\n\n{"store_id":"S01","shelf_id":"B","qty":2}\n',
]


@pytest.mark.parametrize("content", JSON)
def test_json_is_an_array_or_one_object_after_the_other(tmp_path: Path, content: str) -> None:
    pieces = read(tmp_path / "a.json", content)
    assert rows(pieces) == ROWS
    assert lines(pieces) == [1, 2]


def test_json_is_read_in_pieces_and_numbers_stay_as_they_stand(tmp_path: Path) -> None:
    documents = [{"store_id": "S01", "shelf_id": f"A{i}", "qty": i, "price": 0.1} for i in range(500)]
    pieces = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, documents)), size=4_096)
    assert len(pieces) > 5
    assert [row["qty"] for row in rows(pieces)] == [str(i) for i in range(500)]
    assert {row["price"] for row in rows(pieces)} == {"0.1"}


def test_a_json_record_that_is_no_flat_object_is_told_by_its_number(tmp_path: Path) -> None:
    (piece,) = read(tmp_path / "a.json", '[{"store_id":"S01"}, 7, {"qty":[1]}]')
    assert [(each.line, each.reason) for each in piece.broken] == [
        (2, "is not a JSON object"),
        (3, "qty is not a plain value"),
    ]


def test_broken_json_is_told_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="line 2 is not JSON"):
        read(tmp_path / "a.json", '{"qty": 1}\n{"qty": }\n')
    with pytest.raises(BadInput, match="ends in line 1 within its array"):
        read(tmp_path / "a.json", '[{"qty": 1}, ')
    with pytest.raises(BadInput, match="has no records"):
        files.columns_of(files.inspect(_written(tmp_path / "b.json", b"[]"), "utf-8"), KNOWN, None)


def test_a_packed_file_has_the_fingerprint_of_its_content(tmp_path: Path) -> None:
    packed = gzip.compress(CSV.encode())
    assert rows(read(tmp_path / "a.csv.gz", packed)) == ROWS
    plain = files.inspect(_written(tmp_path / "a.csv", CSV.encode()), "utf-8")
    assert files.inspect(tmp_path / "a.csv.gz", "utf-8").fingerprint == plain.fingerprint


def test_what_is_no_readable_text_is_refused(tmp_path: Path) -> None:
    cases = {
        "a.csv": (b"", "is empty"),
        "b.csv": (b"\x7fELF\x02\x01\x00\x00junk", "line 1 has a NUL byte"),
        "c.csv.gz": (gzip.compress(CSV.encode() * 100)[:-20], "ends in the middle"),
        "d.csv.gz": (CSV.encode(), "is not a gzip file"),
    }
    for name, (content, told) in cases.items():
        with pytest.raises(BadInput, match=told):
            files.inspect(_written(tmp_path / name, content), "utf-8")
    with pytest.raises(BadInput, match="no such file"):
        files.inspect(tmp_path / "none.csv", "utf-8")


def test_a_record_without_end_is_refused_instead_of_read_into_memory(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read after line 1"):
        read(tmp_path / "a.csv", "store_id,shelf_id,qty\nS01," + "x" * 5_000 + ",1\n", size=1_024)


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
