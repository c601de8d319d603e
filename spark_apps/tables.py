"""Every Delta table that Spark's jobs own: where it is, and its columns (from the contracts)."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from smartshelf.contracts.render import arrow
from smartshelf.contracts.rows import ProductTotal
from smartshelf.contracts.tables import DELTA_ONLY, TABLES, Table
from smartshelf.contracts.topics import TOPICS, Topic
from smartshelf.io.delta import POSITION
from spark_apps.runtime.effects import JOB_STATE

RAW: tuple[Topic, ...] = tuple(topic for topic in TOPICS.values() if topic.raw)
#: Topics whose latest rows Delta keeps as well.
MIRRORED: tuple[Table, ...] = tuple(table for table in (*TABLES.values(), *DELTA_ONLY) if table.delta)


def raw_schema(topic: Topic) -> pa.Schema:
    """A raw table: where the event stood in Kafka, then all its fields."""
    return pa.schema([*POSITION, *arrow.events_schema(topic)])


def raw_path(root: Path, topic: Topic) -> Path:
    """The archive of a topic."""
    return root / "raw" / topic.name


def mirror_path(root: Path, table: Table) -> Path:
    """The latest rows of a topic."""
    return root / (table.delta or "")


def totals_path(root: Path) -> Path:
    """All units of each product."""
    return root / "curated" / "product_total_state"


def job_state_path(root: Path) -> Path:
    """Whole states, brought forward at each simulated month end."""
    return root / "ops" / "job_state"


def all_tables(root: Path) -> dict[Path, pa.Schema]:
    """Path -> schema."""
    tables = {raw_path(root, topic): raw_schema(topic) for topic in RAW}
    tables |= {mirror_path(root, table): arrow.row_schema(table.row) for table in MIRRORED}
    return tables | {totals_path(root): arrow.row_schema(ProductTotal), job_state_path(root): JOB_STATE}
