"""The generated files: complete, the same for the same order, written at once or not at all."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as papq
import pytest
from typer.testing import CliRunner

import data.build
from data import tables
from data.build import Order, build, parse_start, store_names
from data.cli import app
from smartshelf.contracts.rows import ShelfPolicy, ShelfProfile, WhPolicy
from smartshelf.errors import BadInput

ORDER = Order(stores=("S01",), scale=1.0, seed=1, start=datetime(2026, 1, 1, 7, tzinfo=UTC))
SMALL = replace(ORDER, scale=0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built")
    build(out, ORDER)
    return out


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_there(folder: Path) -> None:
    names = {
        "shelf_profiles",
        "shelf_policies",
        "wh_policies",
        "suppliers",
        "lanes",
        "store_inventory_snapshot",
        "warehouse_inventory_snapshot",
        "store_batches_snapshot",
        "warehouse_batches_snapshot",
        "batch_catalog",
    }
    parquet = {
        "store_inventory_final",
        "warehouse_inventory_final",
        "store_batches",
        "warehouse_batches",
        "all_discounts",
        "closing_days",
    }
    year = {f"sim_out/synthetic_1y_{part}.parquet" for part in ("panel", "hours", "books")}
    found = set(contents(folder))
    assert found == {f"db_csv/{n}.csv" for n in names} | {f"{n}.parquet" for n in parquet} | year | {"manifest.json"}


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("shelf_profiles", ShelfProfile.__struct_fields__),
        ("shelf_policies", ShelfPolicy.__struct_fields__),
        ("wh_policies", WhPolicy.__struct_fields__),
        ("store_inventory_snapshot", tables.INVENTORY_COLUMNS),
        ("warehouse_inventory_snapshot", tables.INVENTORY_COLUMNS),
        ("store_batches_snapshot", tables.BATCH_COLUMNS),
        ("warehouse_batches_snapshot", tables.BATCH_COLUMNS),
        ("batch_catalog", tables.CATALOG_COLUMNS),
    ],
)
def test_a_csv_file_has_the_columns_of_its_table(folder: Path, name: str, columns: tuple[str, ...]) -> None:
    assert tuple(rows(folder / "db_csv" / f"{name}.csv")[0]) == columns


def test_lots_add_up_to_the_stock_in_both_places(folder: Path) -> None:
    for place in ("store", "warehouse"):
        lots: dict[str, int] = {}
        for lot in rows(folder / "db_csv" / f"{place}_batches_snapshot.csv"):
            lots[lot["shelf_id"]] = lots.get(lot["shelf_id"], 0) + int(lot[f"batch_quantity_{place}"])
            both = int(lot["batch_quantity_store"]) + int(lot["batch_quantity_warehouse"])
            assert int(lot["batch_quantity_total"]) == both
        stock = rows(folder / "db_csv" / f"{place}_inventory_snapshot.csv")
        assert lots == {row["shelf_id"]: int(row["current_stock"]) for row in stock if row["current_stock"] != "0"}


def test_the_catalogue_of_lots_has_each_lot_once(folder: Path) -> None:
    known = [row["batch_code"] for row in rows(folder / "db_csv" / "batch_catalog.csv")]
    lying = {
        row["batch_code"]
        for place in ("store", "warehouse")
        for row in rows(folder / f"db_csv/{place}_batches_snapshot.csv")
    }
    assert len(known) == len(set(known))
    assert set(known) == lying


def test_a_lot_has_its_alert_and_removal_dates(folder: Path) -> None:
    for lot in papq.read_table(folder / "store_batches.parquet").to_pylist():
        life = (lot["expiry_date"] - lot["received_date"]).days
        assert (lot["expiry_date"] - lot["alert_date"]).days == min(5, max(life // 4, 1))
        assert (lot["removal_date"] - lot["expiry_date"]).days == 1


def test_moments_are_iso_8601_with_z_and_nothing_is_null(folder: Path) -> None:
    policy = rows(folder / "db_csv" / "shelf_policies.csv")
    assert [(row["created_at"], row["shelf_id"], row["threshold_pct"]) for row in policy] == [
        ("2026-01-01T07:00:00Z", "", "30")
    ]


def test_the_setting_for_lots_near_their_date_is_the_first_value_of_the_stores_policy(tmp_path: Path) -> None:
    build(tmp_path, replace(ORDER, scale=0.1, near_expiry_days=2))
    (policy,) = rows(tmp_path / "db_csv" / "shelf_policies.csv")
    assert policy["near_expiry_days"] == "2"
    lots = papq.read_table(tmp_path / "store_batches.parquet").to_pylist()
    assert max((lot["expiry_date"] - lot["alert_date"]).days for lot in lots) == 2


def test_the_same_order_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    build(tmp_path, ORDER)
    assert contents(tmp_path) == contents(folder)


def test_a_second_build_is_skipped_and_another_one_is_not(tmp_path: Path) -> None:
    first = build(tmp_path, SMALL)
    again = build(tmp_path, SMALL)
    other = build(tmp_path, replace(SMALL, seed=2))
    assert [first.skipped, again.skipped, other.skipped] == [False, True, False]
    assert again.rows == first.rows


def test_a_damaged_set_of_files_is_built_again(tmp_path: Path) -> None:
    build(tmp_path, SMALL)
    whole = contents(tmp_path)
    (tmp_path / "all_discounts.parquet").unlink()
    assert not build(tmp_path, SMALL).skipped
    (tmp_path / "manifest.json").write_text("[]")
    assert not build(tmp_path, SMALL).skipped
    assert contents(tmp_path) == whole


def test_a_build_that_breaks_off_is_repeated_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, SMALL)
    before = contents(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(data.build, "_write_parquet", lambda table, path: path.open("x").close() or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build(tmp_path, replace(SMALL, seed=2))
    assert contents(tmp_path) == before


def test_stores_have_the_same_products_and_their_own_rows(tmp_path: Path) -> None:
    built = build(tmp_path, replace(SMALL, stores=store_names(2)))
    profiles = rows(tmp_path / "db_csv" / "shelf_profiles.csv")
    products = {
        store: {(r["shelf_id"], r["product_id"], r["item_price"]) for r in profiles if r["store_id"] == store}
        for store in ("S01", "S02")
    }
    assert products["S01"] == products["S02"]
    assert built.rows["db_csv/shelf_policies.csv"] == 2
    assert {(r["from_store"], r["to_store"]) for r in rows(tmp_path / "db_csv/lanes.csv")} == {
        ("S01", "S02"),
        ("S02", "S01"),
    }


def test_a_store_is_the_same_whether_others_are_built_beside_it(tmp_path: Path) -> None:
    build(tmp_path / "one", SMALL)
    build(tmp_path / "two", replace(SMALL, stores=store_names(2)))
    name = "db_csv/store_batches_snapshot.csv"
    assert rows(tmp_path / "one" / name) == [r for r in rows(tmp_path / "two" / name) if r["store_id"] == "S01"]


def test_suppliers_of_a_larger_store_bring_more(tmp_path: Path) -> None:
    build(tmp_path, SMALL)
    whole = {s.supplier_id: s.capacity_units for s in data.build.load_catalogue().suppliers}
    assert {r["supplier_id"]: int(r["capacity_units"]) for r in rows(tmp_path / "db_csv/suppliers.csv")} == {
        name: capacity // 10 for name, capacity in whole.items()
    }


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (replace(SMALL, scale=0), "scale"),
        (replace(SMALL, scale=-2), "scale"),
        (replace(SMALL, seed=-1), "seed"),
        (replace(SMALL, stores=("S01", "S01")), "name of its own"),
        (replace(SMALL, start=datetime(1500, 1, 1, tzinfo=UTC)), "too far away"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_before_anything_is_written(
    tmp_path: Path, order: Order, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        build(tmp_path / "out", order)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        build(tmp_path / "file", SMALL)


def test_a_start_is_a_day_or_a_moment_with_a_zone() -> None:
    assert parse_start("2026-01-01") == ORDER.start
    assert parse_start("2026-01-01T08:00:00+01:00") == ORDER.start
    for wrong in ("yesterday", "2026-02-30", "2026-01-01T07:00:00"):
        with pytest.raises(BadInput, match="2026-01-01T07:00:00Z"):
            parse_start(wrong)


def test_stores_are_numbered_from_one() -> None:
    assert store_names(2) == ("S01", "S02")
    with pytest.raises(BadInput, match="stores"):
        store_names(0)


def test_the_command_writes_the_files_and_reports_them_as_json(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["build", "--scale", "0.1", "--seed", "3", "--out", str(tmp_path), "--start", "2026-03-01", "--json"]
    )
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["rows"]["db_csv/shelf_profiles.csv"] == 114
    assert json.loads((tmp_path / "manifest.json").read_text())["start"] == "2026-03-01T07:00:00Z"


def test_the_command_refuses_a_scale_of_zero(tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["build", "--scale", "0", "--out", str(tmp_path)])
    assert isinstance(refused.exception, BadInput)
