"""The weekly promotion file: what the tills take off from Monday to Sunday."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

#: Store -> Monday (ISO date) -> shelf -> discount 0-1.
Weekly = dict[str, dict[str, dict[str, float]]]
FILE = "all_discounts.parquet"


def read_weekly(path: Path, start: datetime) -> Weekly:
    """Store -> Monday -> shelf -> discount 0-1, from the week of ``start`` on; {} when there is no such file."""
    if not path.is_file():
        return {}
    table = pq.read_table(path, columns=["store_id", "shelf_id", "week_start", "discount_pct"])
    # Weeks that are over by then are history.
    since = datetime.fromtimestamp(start.timestamp() - start.weekday() * 86_400, UTC).date()
    weekly: Weekly = {}
    for row in table.filter(pc.field("week_start") >= since).to_pylist():
        weeks = weekly.setdefault(row["store_id"], {})
        weeks.setdefault(row["week_start"].isoformat(), {})[row["shelf_id"]] = row["discount_pct"]
    return weekly
