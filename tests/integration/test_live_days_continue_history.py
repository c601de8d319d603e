"""The first live days continue the last weeks of history: what a forecast learns on holds where it predicts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from data.build import PANEL, Order, build
from smartshelf.facts.process import Process
from smartshelf.settings import load

#: Half of the shelves: with fewer, what expires is too little to tell. Each weekday once.
SCALE, DAYS, A_DAY = 0.5, 7, 1_440
#: Weeks before the stock-take of the last one, which leaves shelves fuller than they usually are.
WEEKS, STOCK_TAKE = 4, 7

Rows = dict[str, NDArray[np.float64]]
#: Column -> the least and the most that its live mean may be of history's. Stock, orders and dates move slowly; demand
#: in January is 6-8 % below Advent's, with two holidays in the week; shelves begin full and are refilled less.
NEAR = {
    "current_stock_warehouse": (0.90, 1.15),
    "warehouse_fill_ratio": (0.90, 1.15),
    "wh_reorder_point_qty": (0.92, 1.08),
    "avg_expiration_days": (0.92, 1.08),
    "current_stock_shelf": (1.00, 1.30),
    "sales_qty": (0.85, 1.05),
    "sales_last_7d": (0.85, 1.20),
    "people_count": (0.85, 1.05),
    "moved_wh_to_shelf": (0.70, 1.10),
    "qty_expiring_next_7d": (0.50, 1.60),
    "expired_qty_shelf": (0.20, 1.80),
    "pending_supplier_qty": (0.60, 1.30),
    "is_shelf_alert": (0.60, 1.20),
    "is_warehouse_alert": (0.60, 1.40),
    "alerts_last_30d_shelf": (0.85, 1.15),
    "alerts_last_30d_wh": (0.85, 1.15),
}
#: Few units or shelves a day.
RARE = ("stockout_minutes", "expired_qty_wh")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rows, Rows]:
    """Columns of the last usual weeks of history, and of the first live week."""
    folder: Path = tmp_path_factory.mktemp("continued")
    config = load({"SMARTSHELF_DATA": str(folder), "SMARTSHELF_HOME": str(folder / "home"), "SCALE": str(SCALE)})
    build(folder, Order(("S01",), SCALE, config.seed, config.sim_start))
    table = pq.read_table(folder / PANEL)
    before = config.sim_start.date() - timedelta(days=STOCK_TAKE)
    dates = table["feature_date"].to_numpy()
    usual = (dates >= np.datetime64(before - timedelta(weeks=WEEKS))) & (dates < np.datetime64(before))
    past = {name: table[name].to_numpy(zero_copy_only=False)[usual].astype(float) for name in (*NEAR, *RARE)}
    process = Process(config, lambda topic, line: None)
    for day in range(1, DAYS + 1):
        process.live(day * A_DAY)
    rows = [msgspec.json.decode(row) for row in process.rows["shelf_daily_features"].values()]
    assert len({row["feature_date"] for row in rows}) == DAYS
    live = {name: np.array([row[name] for row in rows], dtype=float) for name in past}
    return past, live


@pytest.mark.parametrize("column", NEAR)
def test_live_days_are_like_the_last_weeks_of_history(both: tuple[Rows, Rows], column: str) -> None:
    past, live = both
    low, high = NEAR[column]
    assert low * np.nanmean(past[column]) <= np.nanmean(live[column]) <= high * np.nanmean(past[column])


def test_no_wave_of_goods_expires_in_the_backroom(both: tuple[Rows, Rows]) -> None:
    """A lot or two a day more than lately is chance; goods that were stocked for years come to ten times that."""
    past, live = (rows["expired_qty_wh"].sum() / days for rows, days in zip(both, (7 * WEEKS, DAYS), strict=True))
    assert live <= 2 * past + 4


def test_shelves_run_out_as_often(both: tuple[Rows, Rows]) -> None:
    past, live = (np.mean(rows["stockout_minutes"] > 0) for rows in both)
    assert live == pytest.approx(past, abs=0.02)


def test_the_backroom_holds_what_it_has_room_for(both: tuple[Rows, Rows]) -> None:
    """A few products get more, when less sold than was expected until the lorry came."""
    for rows in both:
        assert np.mean(rows["warehouse_fill_ratio"] > 1) < 0.004
