"""Sales: a row is a line of a receipt; the lines of a receipt stand together and become one ``pos_transaction``.

What was paid had been taken: each line also becomes the pickup and the scale's reading that belong to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from smartshelf.contracts.events import Pickup, PosTransaction, ReceiptLine, WeightChange
from smartshelf.contracts.ids import stable_id
from smartshelf.ingest.gates import Check, Reference, column, happened, known, where
from smartshelf.ingest.kinds.base import MOST_ROWS, Fact, Facts, Kind, Row, Yield
from smartshelf.ingest.kinds.deliveries import NEW_SHELF

#: A till that the file does not name.
TILL = "T0"
#: Cents by which a line's total may differ from its parts: tills round by unit or by line.
ROUNDING = 0.01


def _total(rows: pa.Table) -> pa.ChunkedArray:
    discount = pc.coalesce(rows["discount"], pa.scalar(0.0))
    paid = pc.multiply(pc.multiply(rows["quantity"].cast(pa.float64()), rows["unit_price"]), pc.subtract(1.0, discount))
    return pc.round(paid, 2)


def _strays(rows: pa.Table) -> pa.ChunkedArray:
    allowed = pc.add(pc.multiply(rows["quantity"].cast(pa.float64()), ROUNDING), ROUNDING)
    return pc.greater(pc.abs(pc.subtract(rows["total_price"], _total(rows))), allowed)


def _complete(rows: pa.Table, reference: Reference) -> pa.Table:
    """Defaults, and the weight of a unit as it is now: the same facts again however late they are sent."""
    customer = pc.binary_join_element_wise(pa.scalar("ingest"), rows["transaction_id"].combine_chunks(), "-")
    filled = {
        "customer_id": pc.coalesce(rows["customer_id"].combine_chunks(), pc.utf8_slice_codeunits(customer, 0, 128)),
        "till_id": pc.coalesce(rows["till_id"], pa.scalar(TILL)),
        "discount": pc.coalesce(rows["discount"], pa.scalar(0.0)),
        "total_price": pc.coalesce(rows["total_price"], _total(rows)),
    }
    for name, values in filled.items():
        rows = rows.set_column(rows.column_names.index(name), name, values)
    shelves = zip(rows["store_id"].to_pylist(), rows["shelf_id"].to_pylist(), strict=True)
    weights = [reference.shelves.get(shelf) for shelf in shelves]
    return rows.append_column("item_weight", pa.array(weights, pa.float64()))


def _facts(document: str, rows: Sequence[Row]) -> Iterator[Fact]:
    first = rows[0]
    store, at, customer = first["store_id"], first["timestamp"], first["customer_id"]
    lines = []
    for row in rows:
        shelf, quantity, weight = row["shelf_id"], row["quantity"], row["item_weight"]
        shared = {"store_id": store, "timestamp": at, "customer_id": customer, "shelf_id": shelf}
        key, part = f"{store}|{shelf}", (document, row["line_no"])
        taken = shared | {"quantity": quantity, "item_weight": weight}
        yield Fact("shelf_events", key, Pickup, stable_id(*part, "pickup"), taken)
        felt = shared | {"delta_weight": round(-quantity * weight, 1)}
        yield Fact("shelf_events", key, WeightChange, stable_id(*part, "weight_change"), felt)
        expiry = row["expiry_date"]
        lines.append(
            ReceiptLine(
                line_no=row["line_no"],
                shelf_id=shelf,
                batch_code=row["batch_code"],
                quantity=quantity,
                unit_price=row["unit_price"],
                discount=row["discount"],
                total_price=row["total_price"],
                expiry_date=expiry.isoformat() if expiry else None,
            )
        )
    receipt = {
        "store_id": store,
        "timestamp": at,
        "transaction_id": first["transaction_id"],
        "customer_id": customer,
        "till_id": first["till_id"],
        "items": tuple(lines),
        "total_items": sum(line.quantity for line in lines),
        "total_amount": round(sum(line.total_price for line in lines), 2),
    }
    yield Fact("pos_transactions", f"{store}|{first['till_id']}", PosTransaction, document, receipt)


SALES = Kind(
    name="sales",
    about="Receipts, one row a line; the lines of a receipt stand together",
    columns=(
        column(PosTransaction, "store_id"),
        column(PosTransaction, "transaction_id"),
        replace(column(ReceiptLine, "line_no"), high=MOST_ROWS),
        column(PosTransaction, "timestamp"),
        column(ReceiptLine, "shelf_id"),
        column(ReceiptLine, "quantity"),
        column(ReceiptLine, "unit_price"),
        column(ReceiptLine, "discount"),
        column(ReceiptLine, "total_price", required=False),
        column(ReceiptLine, "batch_code"),
        column(ReceiptLine, "expiry_date"),
        column(PosTransaction, "till_id", required=False),
        column(PosTransaction, "customer_id", required=False),
    ),
    key=("store_id", "transaction_id"),
    checks=(
        *happened("timestamp"),
        known(("store_id", "shelf_id"), lambda reference: reference.shelves, "a shelf of its store", NEW_SHELF),
        Check("range", "total_price", "must be quantity x unit_price less the discount", where(_strays)),
    ),
    door=Facts({"shelf_events": Yield(2, 0), "pos_transactions": Yield(0, 1)}, _facts),
    line="line_no",
    complete=_complete,
    added=(pa.field("item_weight", pa.float64()),),
)
