"""The checker of targets and the picture of the year."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet as papq
import pytest
from typer.testing import CliRunner

from data.build import BOOKS, PANEL, Order, build, store_names
from data.check import Check, checks
from data.cli import app
from data.measures import Year
from smartshelf.errors import BadInput

ORDER = Order(stores=("S01",), scale=1.0, seed=1, start=datetime(2026, 1, 1, 7, tzinfo=UTC))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("year")
    build(out, ORDER)
    return out


def test_the_default_store_reaches_every_target(folder: Path) -> None:
    missed = [f"{check.name}: {check.show(check.value)}, wanted {check.target}" for check in checks(Year(folder))]
    assert [line for line, check in zip(missed, checks(Year(folder)), strict=True) if not check.ok] == []


def test_the_command_prints_each_target_and_ends_with_0(folder: Path) -> None:
    done = CliRunner().invoke(app, ["check", "--out", str(folder), "--json"])
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert report["ok"]
    assert {"name", "low", "high", "value", "ok"} == set(report["checks"][0])


def test_a_unit_that_vanished_is_found_and_the_command_ends_with_1(folder: Path, tmp_path: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            (tmp_path / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file.relative_to(folder)).write_bytes(file.read_bytes())
    books = papq.read_table(folder / BOOKS)
    sold = books.column("sold").to_numpy().copy()
    sold[7] -= 1
    papq.write_table(books.set_column(books.column_names.index("sold"), "sold", [sold]), tmp_path / BOOKS)
    done = CliRunner().invoke(app, ["check", "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert "MISSED  units unaccounted for" in done.stdout


def test_a_folder_without_data_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="data build"):
        Year(tmp_path)


def test_a_damaged_file_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes((folder / "manifest.json").read_bytes())
    with pytest.raises(BadInput, match="shelf_profiles"):
        list(checks(Year(tmp_path)))


def test_a_value_outside_its_range_is_not_ok() -> None:
    assert not Check("x", 0.92, 0.98, 0.981).ok
    assert Check("x", 0.92, 0.98, 0.98).ok


def test_the_picture_of_the_year_is_small_well_formed_and_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        done = CliRunner().invoke(app, ["plots", "--data", str(folder), "--out", str(tmp_path / out)])
        assert done.exit_code == 0, done.output
    picture = (tmp_path / "one" / "year.svg").read_bytes()
    assert picture == (tmp_path / "two" / "year.svg").read_bytes()
    assert len(picture) < 60_000
    titles = [text.text for text in ElementTree.fromstring(picture).iter() if text.get("class") == "title"]
    assert len(titles) == 4


def test_of_several_stores_the_first_gets_its_year_and_with_all_each_of_them(tmp_path: Path) -> None:
    two = replace(ORDER, scale=0.1, stores=store_names(2))
    first = build(tmp_path / "first", two)
    both = build(tmp_path / "all", replace(two, history="all"))
    assert first.rows[PANEL] == 114 * 365
    assert both.rows[PANEL] == 2 * 114 * 365
    assert first.rows["store_batches.parquet"] > 2 * 114


def test_history_takes_first_or_all() -> None:
    refused = CliRunner().invoke(app, ["build", "--history", "some"])
    assert isinstance(refused.exception, BadInput)
