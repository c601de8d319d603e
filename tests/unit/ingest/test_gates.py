"""Each gate refuses what it should, names field, value and remedy, and lets the rest pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from smartshelf.contracts.events import WhIn
from smartshelf.contracts.rows import ShelfProfile
from smartshelf.ingest import files, gates
from smartshelf.ingest.gates import Judged, column
from smartshelf.ingest.kinds import KINDS
from smartshelf.settings import CHECKOUT
from tests.unit.ingest.store import REFERENCE

DELIVERY = {
    "store_id": "S01",
    "delivery_id": "D1",
    "timestamp": "2026-01-02T08:00:00Z",
    "shelf_id": "BEVWAT0001",
    "batch_code": "L1",
    "qty": "24",
    "received_date": "2026-01-02",
    "expiry_date": "2026-06-30",
}
SALE = {
    "store_id": "S01",
    "transaction_id": "R1",
    "line_no": "1",
    "timestamp": "2026-01-02T09:10:00Z",
    "shelf_id": "DAIMIL0001",
    "quantity": "2",
    "unit_price": "1.50",
}
POLICY = {"applies_to": "shelf", "store_id": "S01", "shelf_id": "BEVWAT0001", "threshold_pct": "30", "target_pct": "80"}
PRODUCT = {
    "store_id": "S01",
    "shelf_id": "BEVWAT0002",
    "product_id": "P2",
    "item_name": "Spring water",
    "category": "BEVERAGES",
    "subcategory": "WATER",
    "aisle": "3",
    "storage_zone": "ambient",
    "zone_id": "Z-AMBIENT",
    "item_weight": "1500",
    "item_price": "0.49",
    "item_cost": "0.31",
    "supplier_id": "SUP1",
    "maximum_stock": "60",
    "warehouse_capacity": "300",
    "standard_batch_size": "12",
    "shelf_life_days": "365",
    "item_visibility": "0.1",
}
GOOD = {"deliveries": DELIVERY, "sales": SALE, "policies": POLICY, "products": PRODUCT}


def judge(kind: str, *rows: dict[str, str], **how: Any) -> Judged:
    names = dict.fromkeys(name for row in rows for name in row)
    texts = pa.table({name: pa.array([row.get(name, "") for row in rows], pa.string()) for name in names})
    rules = KINDS[kind]
    return gates.judge(texts, np.arange(2, 2 + len(rows)), rules.columns, rules.checks, REFERENCE, **how)


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_row_passes(kind: str) -> None:
    judged = judge(kind, GOOD[kind])
    assert judged.anomalies == []
    assert judged.good.all()


BAD = [
    ("deliveries", {"qty": ""}, "missing", "qty"),
    ("deliveries", {"batch_code": "   "}, "missing", "batch_code"),
    ("deliveries", {"qty": "two"}, "shape", "qty"),
    ("deliveries", {"qty": "1.5"}, "shape", "qty"),
    ("deliveries", {"timestamp": "02/01/2026 08:00"}, "shape", "timestamp"),
    ("deliveries", {"expiry_date": "2026-02-30"}, "shape", "expiry_date"),
    ("deliveries", {"qty": "0"}, "range", "qty"),
    ("deliveries", {"qty": "10001"}, "range", "qty"),
    ("deliveries", {"batch_code": "x" * 129}, "range", "batch_code"),
    ("deliveries", {"batch_code": "L\x00"}, "range", "batch_code"),
    ("deliveries", {"transport_temperature_c": "400"}, "range", "transport_temperature_c"),
    ("deliveries", {"timestamp": "2026-01-02T12:00:01Z"}, "range", "timestamp"),
    ("deliveries", {"timestamp": "2016-01-02T08:00:00Z", "received_date": "2016-01-02"}, "range", "timestamp"),
    ("deliveries", {"expiry_date": "2026-01-01"}, "range", "expiry_date"),
    ("deliveries", {"received_date": "2026-01-03"}, "range", "received_date"),
    ("deliveries", {"shelf_id": "BEVWAT0009"}, "referential", "shelf_id"),
    ("deliveries", {"store_id": "S02"}, "referential", "shelf_id"),
    ("sales", {"unit_price": "-1"}, "range", "unit_price"),
    ("sales", {"unit_price": "inf"}, "shape", "unit_price"),
    ("sales", {"discount": "1.2"}, "range", "discount"),
    ("sales", {"total_price": "4.50"}, "range", "total_price"),
    ("sales", {"timestamp": "2026-01-02T13:00:00+00:00"}, "range", "timestamp"),
    ("policies", {"applies_to": "both"}, "range", "applies_to"),
    ("policies", {"target_pct": "30"}, "range", "target_pct"),
    ("policies", {"safety_days": "2"}, "range", "applies_to"),
    ("policies", {"item_category": "BEVERAGES"}, "range", "item_category"),
    ("policies", {"shelf_id": "", "item_subcategory": "WATER"}, "range", "item_subcategory"),
    ("policies", {"shelf_id": "", "item_category": "DRINKS"}, "referential", "item_category"),
    ("policies", {"store_id": "S07"}, "referential", "store_id"),
    ("products", {"storage_zone": "warm"}, "range", "storage_zone"),
    ("products", {"shelf_life_days": "999999999"}, "range", "shelf_life_days"),
    ("products", {"item_weight": "0"}, "range", "item_weight"),
    ("products", {"supplier_id": "SUP9"}, "referential", "supplier_id"),
]


@pytest.mark.parametrize(("kind", "change", "gate", "field"), BAD)
def test_a_bad_value_is_refused_by_its_gate_and_its_neighbour_passes(
    kind: str, change: dict[str, str], gate: str, field: str
) -> None:
    judged = judge(kind, GOOD[kind], GOOD[kind] | change)
    assert [list(judged.good)] == [[True, False]]
    assert (gate, field) in [(anomaly.gate, anomaly.field) for anomaly in judged.anomalies]
    assert {anomaly.line for anomaly in judged.anomalies} == {3}
    assert all(anomaly.field in anomaly.reason and anomaly.reason.endswith(".") for anomaly in judged.anomalies)


def test_a_reason_names_field_value_bounds_and_remedy() -> None:
    (found,) = judge("deliveries", DELIVERY | {"qty": "0"}).anomalies
    assert found.reason == (
        "The field qty must be a whole number from 1 to 10000 (units, at least one). Found: '0'. "
        "Correct it in the file."
    )


def test_a_wrong_name_is_answered_with_the_nearest_right_one() -> None:
    (found,) = judge("deliveries", DELIVERY | {"shelf_id": "BEVWTA0001"}).anomalies
    assert "Found: 'BEVWTA0001'. Did you mean BEVWAT0001?" in found.reason


def test_dates_in_the_files_own_format_are_read_as_the_mapping_says() -> None:
    row = DELIVERY | {"timestamp": "02.01.2026", "received_date": "", "expiry_date": "30.06.2026"}
    assert not judge("deliveries", row).good.any()
    judged = judge("deliveries", row, dates="%d.%m.%Y")
    assert judged.good.all()
    assert judged.rows["expiry_date"][0].as_py().isoformat() == "2026-06-30"


def test_times_with_another_zone_are_the_same_instant() -> None:
    judged = judge("deliveries", DELIVERY | {"timestamp": "2026-01-02T10:00:00+02:00"}, DELIVERY)
    assert judged.good.all()
    assert judged.rows["timestamp"][0] == judged.rows["timestamp"][1]


def test_a_decimal_comma_is_read_when_it_is_declared() -> None:
    assert [a.gate for a in judge("sales", SALE | {"unit_price": "1,50"}).anomalies] == ["shape"]
    judged = judge("sales", SALE | {"unit_price": "1.234,50"}, decimal=",")
    assert judged.rows["unit_price"].to_pylist() == [1234.5]


@pytest.mark.parametrize(("kind", "row", "field"), [("sales", SALE, "unit_price"), ("deliveries", DELIVERY, "qty")])
@pytest.mark.parametrize("text", ["1.5", "5.0", "1.23", "12.34,5"])
def test_a_decimal_point_where_a_comma_is_declared_is_refused_and_not_ten_times_the_number(
    kind: str, row: dict[str, str], field: str, text: str
) -> None:
    (found,) = judge(kind, row | {field: text}, decimal=",").anomalies
    assert (found.gate, found.field) == ("shape", field)
    assert "decimal comma" in found.reason


def test_a_number_beyond_all_numbers_is_none() -> None:
    (found,) = judge("deliveries", DELIVERY | {"transport_kwh": "1e400"}).anomalies
    assert (found.gate, found.field) == ("shape", "transport_kwh")


def test_bounds_come_from_the_contracts() -> None:
    qty, weight = column(WhIn, "qty"), column(ShelfProfile, "item_weight")
    assert (qty.kind, qty.required, qty.low, qty.high) == ("whole number", True, 1, 10_000)
    assert (weight.above, weight.low, weight.unit) == (True, 0, "grams")
    assert not column(WhIn, "order_id").required


@pytest.mark.parametrize("kind", KINDS)
def test_the_data_dictionary_says_what_the_gates_do(kind: str) -> None:
    text = (CHECKOUT / "smartshelf" / "ingest" / "README.md").read_text()
    section = text.split(f"\n### {kind}\n")[1].split("\n### ")[0]
    told = [line for line in section.splitlines() if line.startswith("| `")]
    assert told == [
        f"| `{each.name}` | {'yes' if each.required else ''} | {each.allowed}{f' ({each.unit})' if each.unit else ''} |"
        for each in KINDS[kind].columns
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_file_passes(kind: str) -> None:
    path = CHECKOUT / "smartshelf" / "ingest" / "examples" / f"{kind}.csv"
    source = files.inspect(path, "utf-8")
    (piece,) = files.pieces(source, KINDS[kind].names, None)
    there = replace(
        REFERENCE,
        shelves={("S01", "BEVWAT0001"): 500.0, ("S01", "BEVWAT0002"): 1_000.0},
        suppliers=frozenset({"SUP-BEV"}),
    )
    judged = gates.judge(piece.rows, piece.lines, KINDS[kind].columns, KINDS[kind].checks, there)
    assert set(piece.rows.column_names) == set(KINDS[kind].names)
    assert (judged.anomalies, len(judged.rows) > 0) == ([], True)
