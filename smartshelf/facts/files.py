"""The records of a run as Parquet files, one per topic: in the order and with the bytes that Kafka would hold."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from smartshelf.contracts.render import arrow
from smartshelf.contracts.topics import TOPICS
from smartshelf.errors import BadInput
from smartshelf.facts.process import Line

#: A record as it stands in Kafka; ``value`` is JSON.
SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("store_id", pa.string(), nullable=False),
        pa.field("step", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("value", pa.string()),
    ]
)
#: Lines held back before they are written as one row group.
ROWS = 50_000


class Folder:
    """Writes lines as they come; ``close`` ends the files. Raises BadInput for a folder that cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._waiting: dict[str, list[Line]] = {}
        self._writers: dict[str, pq.ParquetWriter] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # An earlier run may have had topics that this one has not.
            for name in TOPICS:
                (folder / f"{name}.parquet").unlink(missing_ok=True)
        except OSError as failed:
            raise BadInput(
                f"{folder} cannot be written: {failed.strerror}", remedy="Name another folder with --out."
            ) from None

    def keep(self, topic: str, line: Line) -> None:
        """One more record of a topic."""
        waiting = self._waiting.setdefault(topic, [])
        waiting.append(line)
        if len(waiting) >= ROWS:
            self._write(topic)

    def states(self, rows: dict[str, dict[bytes, bytes]]) -> None:
        """The final rows of compacted topics, in the columns of their tables."""
        for topic, latest in rows.items():
            row = TOPICS[topic].row
            assert row is not None, "a compacted topic of a stage has rows"
            values = [value for _, value in sorted(latest.items())]
            pq.write_table(arrow.rows_table(row, values), self._path(topic), compression="zstd", store_schema=False)

    def close(self) -> None:
        """Write what is held back and end the files."""
        for topic in self._waiting:
            self._write(topic)
        for writer in self._writers.values():
            writer.close()

    def _write(self, topic: str) -> None:
        lines, self._waiting[topic] = self._waiting[topic], []
        columns = zip(*lines, strict=True) if lines else [()] * len(SCHEMA)
        arrays = [
            pa.array(column, pa.binary()).cast(field.type)
            if field.name in ("key", "value")
            else pa.array(column, field.type)
            for column, field in zip(columns, SCHEMA, strict=True)
        ]
        if topic not in self._writers:
            self._writers[topic] = pq.ParquetWriter(
                self._path(topic), SCHEMA, compression="zstd", store_schema=False, use_dictionary=["store_id", "key"]
            )
        self._writers[topic].write_table(pa.table(arrays, schema=SCHEMA))

    def _path(self, topic: str) -> Path:
        return self.folder / f"{topic}.parquet"
