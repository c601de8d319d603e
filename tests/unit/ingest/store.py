"""A store for ingests without servers: the record in memory, the streams a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from smartshelf.contracts.types import encode
from smartshelf.errors import Unavailable
from smartshelf.ingest import files
from smartshelf.ingest import mapping as mappings
from smartshelf.ingest.gates import Reference
from smartshelf.ingest.kinds import KINDS
from smartshelf.ingest.kinds.base import Kind
from smartshelf.ingest.layers import Layers
from smartshelf.ingest.run import Report, Taking, take_in
from smartshelf.ingest.runs import Run, Runs
from smartshelf.ingest.send import Sender, batches

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
REFERENCE = Reference(
    now=NOW,
    stores=frozenset({"S01"}),
    shelves={("S01", "BEVWAT0001"): 1_500.0, ("S01", "DAIMIL0001"): 1_030.0},
    suppliers=frozenset({"SUP1"}),
    categories=frozenset({"BEVERAGES"}),
    subcategories=frozenset({("BEVERAGES", "WATER")}),
)


class Record(Runs):
    """``ops.ingest_runs`` in memory."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Run] = {}
        self.connection: Any = None

    def record(self, run: Run) -> None:
        self.rows[run.file_hash, run.kind] = run

    def commit(self) -> None:
        pass

    def all(self) -> list[Run]:
        return list(self.rows.values())


@dataclass
class Streams:
    """Redis and bridge: what was sent, in order. ``fails_after`` so many batches the server is gone."""

    sent: list[tuple[str, str, bytes]] = field(default_factory=list)
    reached: dict[str, int] = field(default_factory=dict)
    fails_after: int | None = None

    def send(self, run: Run, kind: Kind, layers: Layers) -> int:
        before = len(self.sent)
        for facts, last in batches(run, kind, layers, self.reached.get(run.file_hash, 0) + 1):
            if self.fails_after == 0:
                raise Unavailable("Redis does not take the facts")
            self.fails_after = None if self.fails_after is None else self.fails_after - 1
            self.sent += [(stream, key, encode(fact)) for stream, key, fact in facts]
            self.reached[run.file_hash] = last
        return len(self.sent) - before

    def forget(self, run: Run) -> None:
        self.reached.pop(run.file_hash, None)


@dataclass
class Store:
    """``take`` is ``smartshelf ingest``."""

    root: Path
    record: Record = field(default_factory=Record)
    streams: Streams = field(default_factory=Streams)
    reference: Reference = REFERENCE

    def take(self, path: Path, kind: str, told: Mapping[str, Any] | None = None) -> Report:
        mapping = mappings.Mapping.model_validate(told or {})
        source = files.inspect(path, mapping.encoding)
        return take_in(
            Taking(
                self.root / "delta",
                source,
                KINDS[kind],
                mapping,
                self.reference,
                self.record,
                cast("Sender", self.streams),
                lambda _text: None,
            )
        )
