"""The demand rates that a store opens with: what its history has learnt of each product."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

#: Store -> shelf -> units a day and their variance.
Rates = dict[str, dict[str, tuple[float, float]]]
FILE = "demand_rates.parquet"


def read_rates(path: Path) -> Rates:
    """Store -> shelf -> (units a day, variance); {} when there is no such file."""
    rates: Rates = {}
    for row in pq.read_table(path).to_pylist() if path.is_file() else ():
        rates.setdefault(row["store_id"], {})[row["shelf_id"]] = row["demand_rate"], row["demand_variance"]
    return rates
