"""Deliveries: a row is a lot that a lorry brought; it becomes a ``wh_in``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from smartshelf.contracts.events import WhIn
from smartshelf.ingest.gates import Check, Reference, column, happened, known, ordered, where
from smartshelf.ingest.kinds.base import Fact, Facts, Kind, Row, Yield

NEW_SHELF = "Add the product first: `smartshelf ingest FILE --as products`."


def _complete(rows: pa.Table, reference: Reference) -> pa.Table:
    del reference
    day = rows["timestamp"].cast(pa.date32(), safe=False)
    at = rows.column_names.index("received_date")
    return rows.set_column(at, "received_date", pc.coalesce(rows["received_date"], day))


def _facts(document: str, rows: Sequence[Row]) -> Iterator[Fact]:
    for row in rows:
        payload = {
            "store_id": row["store_id"],
            "timestamp": row["timestamp"],
            "shelf_id": row["shelf_id"],
            "batch_code": row["batch_code"],
            "qty": row["qty"],
            "order_id": row["order_id"],
            "received_date": row["received_date"].isoformat(),
            "expiry_date": row["expiry_date"].isoformat(),
        }
        transport = ("transport_temperature_c", "transport_kwh")
        payload |= {name: row[name] for name in transport if row[name] is not None}
        yield Fact("wh_events", f"{row['store_id']}|{row['shelf_id']}", WhIn, document, payload)


DELIVERIES = Kind(
    name="deliveries",
    about="Lots that lorries brought to the backroom",
    columns=(
        column(WhIn, "store_id"),
        # The number of the delivery note: the contract has no field for it, it only identifies.
        column(WhIn, "order_id", called="delivery_id", required=True),
        column(WhIn, "timestamp"),
        column(WhIn, "shelf_id"),
        column(WhIn, "batch_code"),
        column(WhIn, "qty"),
        column(WhIn, "received_date", required=False),
        column(WhIn, "expiry_date"),
        column(WhIn, "order_id"),
        replace(column(WhIn, "transport_temperature_c"), low=-60, high=60, unit="degrees Celsius"),
        replace(column(WhIn, "transport_kwh"), low=0, unit="kWh"),
    ),
    key=("store_id", "delivery_id", "shelf_id", "batch_code"),
    checks=(
        *happened("timestamp"),
        ordered("received_date", "expiry_date"),
        Check(
            "range",
            "received_date",
            "must not be later than the timestamp",
            where(lambda rows: pc.greater(rows["received_date"], rows["timestamp"].cast(pa.date32(), safe=False))),
        ),
        known(("store_id", "shelf_id"), lambda reference: reference.shelves, "a shelf of its store", NEW_SHELF),
    ),
    door=Facts({"wh_events": Yield(1, 0)}, _facts),
    complete=_complete,
)
