"""``python -m smartshelf.init.history``: loads the generated year into the table of features; again changes nothing.

416,830 rows take seconds, and nothing waits for them: ``init`` starts this and leaves it to itself. All rows go in with
one transaction, which also notes that they did: killed half-way it leaves nothing, and the next start loads them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

from data.build import PANEL
from smartshelf.io import postgres
from smartshelf.service import Service, running

TABLE = "analytics.shelf_daily_features"
#: Generated rows are older than any that a live store writes.
GENERATED = {"epoch": 0, "version": 0, "as_of_step": -1}


def load(connection: Connection, panel: Path) -> int:
    """COPY the generated year into the table, in the caller's transaction; rows loaded, 0 when it was there.

    Two loaders at once take turns, and the second finds it done. No panel, nothing to load.
    """
    if not panel.is_file():
        return 0
    file = pq.ParquetFile(panel)
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
    """A month or so at a time: names of the columns, and their rows with a header."""
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group)
        for name, value in GENERATED.items():
            rows = rows.append_column(name, pa.repeat(pa.scalar(value, pa.int64()), rows.num_rows))
        text = io.BytesIO()
        pacsv.write_csv(rows, text)
        text.seek(0)
        yield rows.column_names, text


def load_history(service: Service) -> None:
    """Load it, and say how long it took."""
    config, begun = service.settings, monotonic()
    with postgres.connect(config, "owner", "history") as connection:
        rows = load(connection, config.data_dir / PANEL)
    if rows:
        service.log.info("loaded %d rows of history in %.1f s", rows, monotonic() - begun)


def main() -> None:
    """Command line."""
    with running("history") as service:
        load_history(service)


if __name__ == "__main__":
    main()
