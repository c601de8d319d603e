"""The gates (pure): what a column may hold follows from the contracts, what a kind adds is declared as data.

Text columns in, typed columns and anomalies out; no file, no server, no clock.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import inspect
from numpy.typing import NDArray

Gate = Literal["shape", "missing", "range", "duplicate", "referential"]
#: Joins the values of several columns: no text may hold it (``_CONTROL``).
SEPARATOR = "\x1f"
GATES: tuple[Gate, ...] = ("shape", "missing", "range", "duplicate", "referential")
Bad = NDArray[np.bool_]

#: A file with a larger share of anomalous rows than this is refused whole.
TOLERATED = 0.05
#: A fact older than this is a mistyped year.
OLDEST = timedelta(days=366)
#: A wrong name is compared with all known ones, a millisecond each: for so many of a piece.
_SUGGESTIONS = 20
_DATE_PATTERN = r"^\d{4}-\d{2}-\d{2}$"
_CONTROL = r"[\x00-\x1f\x7f]"
_WHOLE, _NUMBER = r"^[+-]?\d{1,15}(\.0*)?$", r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$"
#: Points between groups of three digits, a comma before the decimals.
_GROUPED = r"^[+-]?(\d{1,3}(\.\d{3})+|\d*)(,\d*)?([eE][+-]?\d{1,3})?$"
_NO_TEXT = pa.scalar(None, pa.string())
_ARROW: dict[str, pa.DataType] = {
    "text": pa.string(),
    "whole number": pa.int64(),
    "number": pa.float64(),
    "date": pa.date32(),
    "time": pa.timestamp("us", "UTC"),
}


class Anomaly(NamedTuple):
    """What is wrong with one field of the row at ``line``; ``reason`` says what was found and what to do."""

    line: int
    gate: Gate
    field: str
    reason: str


@dataclass(frozen=True)
class Column:
    """One column of a kind, with the bounds of its contract."""

    name: str
    kind: Literal["text", "whole number", "number", "date", "time"]
    required: bool = True
    low: float | None = None
    high: float | None = None
    #: Whether ``low`` itself is too low.
    above: bool = False
    shortest: int = 0
    longest: int = 2_000
    choices: tuple[str, ...] = ()
    unit: str = ""

    @property
    def arrow(self) -> pa.Field:
        return pa.field(self.name, _ARROW[self.kind])

    @property
    def allowed(self) -> str:
        """The bounds as a phrase: "a whole number from 1 to 10000"."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind == "text":
            return f"text of at most {self.longest} printable characters"
        bounds = []
        if self.low is not None:
            bounds.append(f"above {self.low:g}" if self.above else f"from {self.low:g}")
        if self.high is not None:
            bounds.append(f"to {self.high:.12g}")
        return " ".join([f"a {self.kind}", *bounds])


def column(contract: type[msgspec.Struct], name: str, *, called: str = "", required: bool | None = None) -> Column:
    """The column for a field of a contract: its type, bounds and unit; ``required`` where a file is asked for less."""
    found = next(each for each in msgspec.inspect.type_info(contract).fields if each.name == name)  # type: ignore[attr-defined]
    kind, unit, optional = found.type, "", not found.required
    while isinstance(kind, inspect.Metadata | inspect.UnionType):
        if isinstance(kind, inspect.Metadata):
            unit, kind = (kind.extra_json_schema or {}).get("description", ""), kind.type
        else:
            optional = True
            kind = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    return Column(called or name, required=not optional if required is None else required, unit=unit, **_bounds(kind))


def _bounds(kind: inspect.Type) -> dict[str, Any]:
    if isinstance(kind, inspect.LiteralType):
        return {"kind": "text", "choices": tuple(map(str, kind.values))}
    if isinstance(kind, inspect.DateTimeType):
        return {"kind": "time"}
    if isinstance(kind, inspect.StrType):
        if kind.pattern == _DATE_PATTERN:
            return {"kind": "date"}
        return {"kind": "text", "shortest": kind.min_length or 0, "longest": kind.max_length or 2_000}
    assert isinstance(kind, inspect.IntType | inspect.FloatType), f"no file has a column of {kind}"
    whole = isinstance(kind, inspect.IntType)
    low = kind.ge if kind.gt is None else kind.gt
    return {
        "kind": "whole number" if whole else "number",
        "low": low,
        "high": kind.le,
        "above": kind.gt is not None,
    }


@dataclass(frozen=True)
class Reference:
    """What rows may refer to, as the store has it at simulated ``now``."""

    now: datetime
    stores: frozenset[str] = frozenset()
    #: (store, shelf) -> weight of a unit, grams
    shelves: Mapping[tuple[str, str], float] = field(default_factory=dict)
    suppliers: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    #: category and subcategory
    subcategories: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Check:
    """A rule of a kind beyond single columns. ``bad`` gets typed rows; a null never makes a row bad."""

    gate: Gate
    field: str
    must: str
    bad: Callable[[pa.Table, Reference], Bad]
    remedy: str = "Correct it in the file."
    #: Names that a wrong one may have been meant as.
    like: Callable[[Reference], Iterable[str]] | None = None


@dataclass(frozen=True)
class Judged:
    """Typed rows in file order (with ``line``), and for each whether it is good; its anomalies."""

    rows: pa.Table
    good: Bad
    anomalies: list[Anomaly]


def judge(
    texts: pa.Table,
    lines: NDArray[np.int64],
    columns: Sequence[Column],
    checks: Sequence[Check],
    reference: Reference,
    dates: str | None = None,
    decimal: str = ".",
) -> Judged:
    """Type and check rows of text; ``texts`` has a column of our name for each that the file has."""
    anomalies: list[Anomaly] = []
    good = np.ones(len(lines), dtype=bool)
    typed: dict[str, Any] = {"line": pa.array(lines, pa.int64())}

    def refuse(bad: Bad, gate: Gate, name: str, reason: Callable[[Any], str], seen: Any) -> None:
        for row in np.flatnonzero(bad).tolist():
            anomalies.append(Anomaly(int(lines[row]), gate, name, reason(seen[row].as_py())))
        np.logical_and(good, ~bad, out=good)

    for each in columns:
        text = _text(texts, each.name, len(lines))
        missing = _true(pc.is_null(text))
        if each.required:
            refuse(missing, "missing", each.name, _missing(each), text)
        values, unread = _typed(each, text, dates, decimal)
        refuse(unread, "shape", each.name, _unread(each, dates, decimal), text)
        refuse(_outside(each, values), "range", each.name, _outside_of(each), text)
        typed[each.name] = values
    rows = pa.table(typed)
    for check in checks:
        refuse(check.bad(rows, reference), check.gate, check.field, _broken(check, reference), rows[check.field])
    return Judged(rows, good, anomalies)


# --- one column ----------------------------------------------------------------------------------


def _text(texts: pa.Table, name: str, rows: int) -> pa.Array:
    """A column without surrounding blanks; empty is null, as is a column that the file lacks."""
    if name not in texts.column_names:
        return pa.nulls(rows, pa.string())
    text = pc.utf8_trim_whitespace(texts[name].combine_chunks())
    return pc.if_else(pc.equal(text, ""), _NO_TEXT, text)


def _typed(column: Column, text: pa.Array, dates: str | None, decimal: str) -> tuple[pa.Array, Bad]:
    """(values, which texts cannot be read)."""
    if column.kind == "text":
        return text, np.zeros(len(text), dtype=bool)
    if column.kind in ("date", "time"):
        moments = pd.to_datetime(text.to_pandas(), format=dates or "ISO8601", errors="coerce", utc=True)
        values = pa.array(moments.dt.as_unit("us"), _ARROW["time"])
        if column.kind == "date":
            values = values.cast(pa.date32(), safe=False)
        return values, _true(pc.is_null(values)) & _true(pc.is_valid(text))
    plain = _with_decimal_point(text) if decimal == "," else text
    whole = column.kind == "whole number"
    readable = pc.match_substring_regex(plain, _WHOLE if whole else _NUMBER)
    number = pc.if_else(readable, plain, _NO_TEXT).cast(pa.float64())
    finite = pc.is_finite(number)  # 1e999 is none
    values = pc.if_else(finite, number, pa.scalar(None, pa.float64()))
    return values.cast(pa.int64()) if whole else values, ~_true(finite) & _true(pc.is_valid(text))


def _with_decimal_point(text: pa.Array) -> pa.Array:
    """Numbers with a decimal comma as with a point; null where points do not part groups of three digits.

    Else a stray decimal point would make ten times the number: 1.5 is no 15.
    """
    plain = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
    return pc.if_else(pc.match_substring_regex(text, _GROUPED), plain, _NO_TEXT)


def _outside(column: Column, values: pa.Array) -> Bad:
    outside = np.zeros(len(values), dtype=bool)
    if column.choices:
        return outside | ~_true(pc.is_in(values, pa.array(column.choices))) & _true(pc.is_valid(values))
    if column.kind == "text":
        length = pc.utf8_length(values)
        fits = pc.and_(pc.greater_equal(length, column.shortest), pc.less_equal(length, column.longest))
        # Postgres takes no NUL, and no reader sees the others.
        return _true(pc.or_(pc.invert(fits), pc.match_substring_regex(values, _CONTROL)))
    if column.low is not None:
        outside |= _true((pc.less_equal if column.above else pc.less)(values, column.low))
    if column.high is not None:
        outside |= _true(pc.greater(values, column.high))
    return outside


def _true(mask: Any) -> Bad:
    """A mask of Arrow as NumPy's; null is false."""
    filled = pc.fill_null(mask, False)
    return np.asarray(filled.to_numpy(zero_copy_only=False) if isinstance(filled, pa.Array) else filled, dtype=bool)


# --- sentences -----------------------------------------------------------------------------------


def _missing(column: Column) -> Callable[[Any], str]:
    sentence = f"The field {column.name} is missing. Give {column.allowed}, or name its column in --mapping."
    return lambda _: sentence


def _unread(column: Column, dates: str | None, decimal: str) -> Callable[[Any], str]:
    if column.kind in ("date", "time"):
        example = "2026-01-31" if column.kind == "date" else "2026-01-31T14:05:00Z"
        form = f"like {dates}" if dates else f"like {example}"
        remedy = "Say how the file writes dates: `dates` in --mapping, for example '%d.%m.%Y'."
        return lambda seen: f"The field {column.name} must be a {column.kind} {form}. Found: {seen!r}. {remedy}"
    remedy = "Correct it; a decimal comma is `decimal: ','` in --mapping."
    if decimal == ",":
        remedy = "The mapping says that it has a decimal comma: points may only part groups of three digits."
    return lambda seen: f"The field {column.name} must be a {column.kind}. Found: {seen!r}. {remedy}"


def _outside_of(column: Column) -> Callable[[Any], str]:
    unit = f" ({column.unit})" if column.unit else ""
    return lambda seen: (
        f"The field {column.name} must be {column.allowed}{unit}. Found: {seen!r}. Correct it in the file."
    )


def _broken(check: Check, reference: Reference) -> Callable[[Any], str]:
    names = sorted(check.like(reference)) if check.like else []
    meant: dict[Any, str] = {}

    def reason(seen: Any) -> str:
        if seen not in meant and len(meant) < _SUGGESTIONS:
            close = difflib.get_close_matches(str(seen), names, n=1)
            meant[seen] = f" Did you mean {close[0]}?" if close else ""
        return f"The field {check.field} {check.must}. Found: {_shown(seen)}.{meant.get(seen, '')} {check.remedy}"

    return reason


def _shown(seen: Any) -> str:
    return seen.isoformat().replace("+00:00", "Z") if isinstance(seen, date) else repr(seen)


# --- rules that kinds share ----------------------------------------------------------------------


def happened(name: str) -> tuple[Check, ...]:
    """A fact happened before now, and not in another age."""

    def ahead(rows: pa.Table, reference: Reference) -> Bad:
        return _true(pc.greater(rows[name], pa.scalar(reference.now, _ARROW["time"])))

    def aged(rows: pa.Table, reference: Reference) -> Bad:
        return _true(pc.less(rows[name], pa.scalar(reference.now - OLDEST, _ARROW["time"])))

    remedy = "Ingest it when simulated time has come there (`smartshelf clock status`)."
    return (
        Check("range", name, "must not lie after the store's present", ahead, remedy),
        Check("range", name, f"must not lie more than {OLDEST.days} days before the store's present", aged),
    )


def known(names: Sequence[str], of: Callable[[Reference], Iterable[Any]], what: str, remedy: str) -> Check:
    """The values of these columns are, together, among what the store has; the last column is the one named."""

    def strange(rows: pa.Table, reference: Reference) -> Bad:
        there = pa.array([_joined(each) for each in of(reference)], pa.string())
        seen = pc.binary_join_element_wise(*[rows[name].combine_chunks() for name in names], SEPARATOR)
        return ~_true(pc.is_in(seen, there)) & _true(pc.is_valid(seen))

    def like(reference: Reference) -> set[str]:
        return {each if isinstance(each, str) else each[-1] for each in of(reference)}

    return Check("referential", names[-1], f"must name {what}", strange, remedy, like)


def ordered(earlier: str, later: str, strictly: bool = False) -> Check:
    """The value of one column is not after that of another."""
    compare = pc.greater_equal if strictly else pc.greater
    phrase = f"must be above {earlier}" if strictly else f"must not be before {earlier}"
    return Check("range", later, phrase, lambda rows, _: _true(compare(rows[earlier], rows[later])))


def where(condition: Callable[[pa.Table], Any]) -> Callable[[pa.Table, Reference], Bad]:
    """A check's ``bad`` from an Arrow expression of the rows alone."""
    return lambda rows, _: _true(condition(rows))


def _joined(each: Any) -> str:
    return each if isinstance(each, str) else SEPARATOR.join(each)
