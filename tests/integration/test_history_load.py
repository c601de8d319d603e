"""The generated year in Postgres: loaded whole or not at all, once, quickly; and what models read of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.build import PANEL, Order, build
from smartshelf.init import database, reference
from smartshelf.io import postgres
from smartshelf.runner import history
from smartshelf.settings import CHECKOUT, Settings
from tests.integration.databases import ask, database_of_its_own
from tests.integration.servers import Servers, eventually

pytestmark = [pytest.mark.servers]

ROWS, SHELVES = 416_830, 1_142
#: The very same as a process of its own.
LOAD = """
from smartshelf.runner import history
from smartshelf.io import postgres
from smartshelf.settings import settings
with postgres.connect(settings(), "runner") as connection:
    history.load(connection, settings().data_dir)
"""


@pytest.fixture(scope="module")
def store(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A database with tables and profiles, and a store's generated files."""
    folder = tmp_path_factory.mktemp("year")
    build(folder, Order(("S01",), 1.0, 1, servers.config.sim_start))
    with database_of_its_own(servers) as own:
        config = own.model_copy(update={"data_dir": folder})
        database.migrate(config)
        with postgres.connect(config) as connection:
            reference.load(connection, folder / "db_csv")
        yield config


def load(config: Settings) -> int:
    with postgres.connect(config, "runner") as connection:
        return history.load(connection, config.data_dir)


def count(config: Settings) -> int:
    return int(ask(config, "select count(*) from analytics.shelf_daily_features")[0][0])


def test_a_loader_killed_half_way_leaves_nothing_and_the_next_one_loads_everything(
    servers: Servers, store: Settings
) -> None:
    there = {"SMARTSHELF_POSTGRES_DB": store.postgres_db, "SMARTSHELF_DATA": str(store.data_dir)}
    loader = subprocess.Popen([sys.executable, "-c", LOAD], env=servers.env | there, cwd=CHECKOUT)
    copied = "select tuples_processed from pg_stat_progress_copy where datname = current_database()"
    eventually(lambda: loader.poll() is not None or ask(store, copied), "the loader at work")
    assert loader.poll() is None
    os.kill(loader.pid, signal.SIGKILL)
    loader.wait()
    assert count(store) == 0
    begun = time.monotonic()
    assert load(store) == ROWS
    assert time.monotonic() - begun < 60, "4 s on an idle machine"
    assert count(store) == ROWS


def test_loading_again_changes_nothing(store: Settings) -> None:
    load(store)
    before = ask(store, "select min(xmin::text::bigint), max(xmin::text::bigint) from analytics.shelf_daily_features")
    assert load(store) == 0
    assert before == ask(
        store, "select min(xmin::text::bigint), max(xmin::text::bigint) from analytics.shelf_daily_features"
    )


def test_without_a_generated_year_there_is_nothing_to_load(store: Settings, tmp_path: Path) -> None:
    with postgres.connect(store) as connection:
        assert history.load(connection, tmp_path) == 0


def test_every_column_arrives_as_the_file_has_it(store: Settings) -> None:
    load(store)
    file = pq.read_table(store.data_dir / PANEL).slice(200_000, 3).to_pylist()
    names = list(file[0])
    for row in file:
        (found,) = ask(
            store,
            f"select {', '.join(names)} from analytics.shelf_daily_features where shelf_id = %s and feature_date = %s",
            row["shelf_id"],
            row["feature_date"],
        )
        for name, value in zip(names, found, strict=True):
            expected = pytest.approx(row[name], rel=1e-6) if isinstance(row[name], float) else row[name]
            assert (float(value) if isinstance(row[name], float) else value) == expected, name


def test_features_are_numbers_without_a_gap(store: Settings) -> None:
    load(store)
    columns = ask(
        store,
        "select column_name, data_type from information_schema.columns "
        "where table_schema = 'analytics' and table_name = 'v_ml_features' order by ordinal_position",
    )
    key = ["store_id", "shelf_id", "feature_date", "snapshot_ts"]
    assert [name for name, _ in columns[:4]] == key
    assert {kind for _, kind in columns[4:]} <= {"integer", "bigint", "double precision"}
    filled = " and ".join(f"{name} is not null" for name, _ in columns)
    assert ask(store, f"select count(*) from analytics.v_ml_features where {filled}") == [(ROWS,)]
    codes = "min(category_code), max(category_code), max(subcategory_code)"
    assert ask(store, f"select {codes} from analytics.v_ml_features") == [(0, 28, 277)]


def test_a_day_is_learnt_from_when_its_next_day_has_closed_and_says_what_that_day_showed(store: Settings) -> None:
    load(store)
    assert ask(store, "select count(*), max(feature_date)::text from analytics.v_ml_train") == [
        (ROWS - 2 * SHELVES, "2025-12-29")  # what the rule orders after 30 December is known on 1 January
    ]
    assert ask(
        store,
        """
        select count(*) from analytics.v_ml_train t
        join analytics.shelf_daily_features later using (store_id, shelf_id)
        where later.feature_date = t.feature_date + 1
          and (t.target_next_day_sales, t.label_next_day_stockout, t.next_day_is_censored)
              is distinct from (later.sales_qty, (later.stockout_minutes > 0)::int, (later.stockout_minutes > 0)::int)
        """,
    ) == [(0,)]
    columns = ask(store, "select column_name from information_schema.columns where table_name = 'v_ml_train'")
    assert ("lost_demand_qty",) not in columns
