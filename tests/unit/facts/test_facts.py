"""`smartshelf data facts` without servers; that a live store says the same is proved in tests/e2e."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from data.build import Order, build
from smartshelf import cli
from smartshelf.contracts.events import LostDemand
from smartshelf.contracts.topics import FACTS, TOPICS
from smartshelf.facts import load as load_facts
from smartshelf.facts.process import Line, Process
from smartshelf.settings import Settings, load


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A tenth of a store."""
    folder = tmp_path_factory.mktemp("facts") / "data"
    config = load({"SMARTSHELF_DATA": str(folder), "STORES": "S01,S02", "SCALE": "0.1"})
    build(folder, Order(config.stores, config.scale, config.seed, config.sim_start))
    return config


@pytest.fixture
def env(config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, value in {
        "SMARTSHELF_DATA": str(config.data_dir),
        "SMARTSHELF_HOME": str(tmp_path),
        "STORES": "S01,S02",
        "SCALE": "0.1",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "out"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["data", "facts", *arguments])
    return int(ended.value.code or 0)


def lived(config: Settings, *steps: int) -> tuple[Process, dict[tuple[str, str], list[object]]]:
    """A run, and what it wrote by topic and store; the gate alone says when a stage gets to a step."""
    kept: dict[tuple[str, str], list[object]] = {}

    def keep(topic: str, line: Line) -> None:
        if topic not in ("world_tasks", "sim_ticks"):
            kept.setdefault((topic, line.store_id), []).append((line.key, line.value))

    process = Process(config, keep)
    for step in steps:
        process.live(step)
    return process, kept


def test_the_same_facts_and_states_however_the_way_is_cut(config: Settings) -> None:
    at_once, cut = lived(config, 300), lived(config, 1, 2, 7, 100, 300)
    assert at_once[1] == cut[1]
    assert at_once[0].hash == cut[0].hash
    assert at_once[0].hash != lived(config, 299)[0].hash


def test_the_states_are_what_physically_lies_on_the_shelves(config: Settings) -> None:
    process, _ = lived(config, 500)
    rows = [TOPICS["shelf_state"].decoder.decode(value) for value in process.rows["shelf_state"].values()]
    assert len(rows) == sum(len(world.shelves) for world in process.worlds.worlds.values())
    assert {(row.store_id, row.shelf_id): row.current_stock for row in rows} == {
        (store, body.shelf_id): shelf.stock
        for store, world in process.worlds.worlds.items()
        for body, shelf in zip(world.body.shelves, world.shelves, strict=True)
    }


def test_every_record_can_be_read_back_and_the_report_counts_them(env: Path, capsys: pytest.CaptureFixture) -> None:
    assert run("--until", "2026-01-01T12:00:00Z", "--out", str(env), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["step"], report["as_of"]) == (300, "2026-01-01T12:00:00Z")
    assert report["facts"]["pos_transactions"] > 20
    for topic in FACTS:
        path = env / f"{topic.name}.parquet"
        rows = pq.read_table(path).to_pylist() if path.is_file() else []
        assert [row["offset"] for row in rows] == list(range(report["facts"][topic.name]))
        events = [topic.decoder.decode(row["value"]) for row in rows]
        assert all(event.store_id == row["store_id"] for event, row in zip(events, rows, strict=True))
        assert not any(isinstance(event, LostDemand) for event in events) or topic.truth
    states = pq.read_table(env / "shelf_state.parquet")
    assert sum(states["current_stock"].to_pylist()) == report["totals"]["shelf"]


def test_a_folder_can_be_loaded_into_delta(env: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run("--until", "2026-01-01T09:00:00Z", "--out", str(env), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    written = load_facts.into_delta(env, tmp_path / "delta")
    for name in ("shelf_events", "pos_transactions", "foot_traffic", "cold_chain"):
        rows = DeltaTable(str(tmp_path / "delta" / "raw" / name)).to_pyarrow_table()
        assert rows.num_rows == written[name] == report["facts"][name]
    states = DeltaTable(str(tmp_path / "delta" / "cleansed" / "shelf_state")).to_pyarrow_table()
    assert sum(states["current_stock"].to_pylist()) == report["totals"]["shelf"]


def test_the_same_run_writes_the_same_bytes(env: Path, capsys: pytest.CaptureFixture) -> None:
    folders = [env / "once", env / "again"]
    for folder in folders:
        assert run("--until", "2026-01-01T09:00:00Z", "--out", str(folder)) == 0
    once, again = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert once == again


@pytest.mark.parametrize(
    "arguments", [(), ("--days", "1", "--until", "2026-01-02T07:00:00Z"), ("--until", "2025-12-31T07:00:00Z")]
)
def test_a_goal_that_makes_no_sense_is_refused(env: Path, arguments: tuple[str, ...], capsys) -> None:
    assert run(*arguments) == 2
    assert "smartshelf: " in capsys.readouterr().err
