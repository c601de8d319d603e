"""Loads the generated year into the table of features, once.

416,830 rows take seconds, and nothing waits for them: it is the first job of the service that runs the store's jobs.
All rows go in with one transaction, which also notes that they did: killed half-way it leaves nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

from data.build import PANEL
from smartshelf.io import postgres

TABLE = "analytics.shelf_daily_features"
#: Generated rows are older than any that a live store writes.
GENERATED = {"epoch": 0, "version": 0, "as_of_step": -1}
#: Bounds the memory of the loading process.
ROWS_AT_ONCE = 5_000


def load(connection: Connection, data: Path) -> int:
    """COPY the year of a data folder into the table, in the caller's transaction; rows loaded, 0 when it was there.

    Two loaders at once take turns, and the second finds it done. A folder without a year has nothing to load.
    """
    panel = data / PANEL
    if not panel.is_file():
        return 0
    file = pq.ParquetFile(panel, pre_buffer=False)
    with connection.cursor() as cursor:
        # The others wait here until this transaction has ended.
        cursor.execute(
            "insert into ref.first_load (table_name, row_count) values (%s, %s) on conflict do nothing",
            (TABLE, file.metadata.num_rows),
        )
        if not cursor.rowcount:
            return 0
    return sum(postgres.copy_file(connection, TABLE, header, text) for header, text in _as_csv(file))


def _as_csv(file: pq.ParquetFile) -> Iterator[tuple[list[str], io.BytesIO]]:
    """Some rows at a time: names of the columns, and the rows with a header."""
    for batch in file.iter_batches(ROWS_AT_ONCE, use_threads=False):
        rows = pa.Table.from_batches([batch])
        for name, value in GENERATED.items():
            rows = rows.append_column(name, pa.repeat(pa.scalar(value, pa.int64()), rows.num_rows))
        text = io.BytesIO()
        pacsv.write_csv(rows, text)
        text.seek(0)
        yield rows.column_names, text
