"""A live week looks like weeks of the year of history: the same demand, told by people instead of by sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import mean

import numpy as np
import pyarrow.parquet as pq
import pytest

from data.build import HOURS, PANEL, Order, build
from data.catalogue import load_catalogue
from producers.body import Body
from producers.shelf import Lot, put
from producers.world import World
from smartshelf.contracts import events as e
from smartshelf.domain.demand import Demand
from smartshelf.init import opening
from smartshelf.settings import Settings, load

#: Monday 12 January 2026, 07:00; a week without holidays.
MONDAY = datetime(2026, 1, 12, 7, tzinfo=UTC)
#: The weeks of history that it is compared with.
SINCE, UNTIL = date(2025, 1, 13), date(2025, 2, 10)
WEEKS = 4
STEP = 60_000
DAY_STEPS = 1_440


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder: Path = tmp_path_factory.mktemp("history")
    config = load({"SMARTSHELF_DATA": str(folder), "SMARTSHELF_HOME": str(folder / "home")})
    build(folder, Order(("S01",), 1.0, config.seed, config.sim_start))
    return config


@pytest.fixture(scope="module")
def history(config: Settings) -> dict[str, np.ndarray]:
    """Columns of the rows of the comparable weeks; ``wanted``: sold or missed."""
    columns = ["feature_date", "item_category", "people_count", "sales_qty", "lost_demand_qty"]
    table = pq.read_table(config.data_dir / PANEL, columns=columns)
    rows = {name: np.asarray(table[name].to_pylist()) for name in ("feature_date", "item_category")}
    inside = (rows["feature_date"] >= SINCE) & (rows["feature_date"] < UNTIL)
    found = {name: table[name].to_numpy()[inside] for name in ("people_count", "sales_qty", "lost_demand_qty")}
    return found | {
        "category": rows["item_category"][inside],
        "day": rows["feature_date"][inside],
        "wanted": found["sales_qty"] + found["lost_demand_qty"],
    }


@pytest.fixture(scope="module")
def week(config: Settings) -> list[tuple[World, e.Event]]:
    """Facts of a live week; no shelf runs empty."""
    folder = config.data_dir / "db_csv"
    worlds = opening.opened_worlds(config, opening.read_profiles(folder), [], config.sim_start)
    world = World(worlds["S01"].body, int(MONDAY.timestamp() * 1000), STEP)
    for shelf in world.shelves:
        put(shelf.lots, Lot("PLENTY", "2026-01-11", "2026-12-31", 100_000))
    return [(world, emitted.fact) for k in range(1, 7 * DAY_STEPS + 1) for emitted in world.live(k)]


def units(week: list[tuple[World, e.Event]], kind: type[e.Event]) -> int:
    return sum(fact.quantity for _, fact in week if isinstance(fact, kind))  # type: ignore[attr-defined]


def sold_by(week: list[tuple[World, e.Event]], what: object) -> Counter[object]:
    """Units on receipts by ``what(line, receipt)``."""
    found: Counter[object] = Counter()
    for _, receipt in week:
        if isinstance(receipt, e.PosTransaction):
            for line in receipt.items:
                found[what(line, receipt)] += line.quantity  # type: ignore[operator]
    return found


def test_as_many_units_a_day_leave_the_store(week, history) -> None:
    live = sold_by(week, lambda line, receipt: 0)[0] / 7
    past = history["wanted"].sum() / (7 * WEEKS)
    assert live == pytest.approx(past, rel=0.08)


def test_as_many_people_come(week, history) -> None:
    by_day = Counter(fact.entry_time.date() for _, fact in week if isinstance(fact, e.FootTraffic))
    past = dict(zip(history["day"], history["people_count"], strict=True))
    assert mean(by_day.values()) == pytest.approx(mean(past.values()), rel=0.06)
    assert 1_000 <= mean(by_day.values()) <= 1_200
    busiest = max(by_day, key=by_day.__getitem__)
    assert busiest.weekday() in (4, 5, 6), "Friday to Sunday"


def wanted_by_category(body: Body, days: Iterable[date]) -> Counter[str]:
    """What the demand model expects of each category: products have ups and downs that last for weeks."""
    model = Demand.of_rates(
        np.array([shelf.demand for shelf in body.shelves]),
        [shelf.category for shelf in body.shelves],
        np.array([shelf.life_days for shelf in body.shelves]),
        seed=body.seed,
        store_id=body.store_id,
        since=date.fromisoformat(body.since),
    )
    wanted: Counter[str] = Counter()
    for day in days:
        for shelf, units_wanted in zip(body.shelves, model.day(day).tolist(), strict=True):
            wanted[shelf.category] += units_wanted
    return wanted


def test_every_category_has_its_share(week, history) -> None:
    body = week[0][0].body
    category = {shelf.shelf_id: shelf.category for shelf in body.shelves}
    live = sold_by(week, lambda line, receipt: category[line.shelf_id])
    past: Counter[str] = Counter()
    for name, wanted in zip(history["category"], history["wanted"], strict=True):
        past[name] += int(wanted)
    # A dish that is in fashion this week was not in those: the model says by how much.
    now = wanted_by_category(body, (MONDAY.date() + timedelta(days=n) for n in range(7)))
    then = wanted_by_category(body, (SINCE + timedelta(days=n) for n in range(7 * WEEKS)))
    for name in past:
        drift = (now[name] / now.total()) / (then[name] / then.total())
        expected = drift * past[name] / past.total()
        assert live[name] / live.total() == pytest.approx(expected, rel=0.25, abs=0.004), name
    fresh = load_catalogue().fresh_categories
    shares = [sum(sums[name] for name in fresh) / sums.total() for sums in (live, past)]
    assert shares[0] == pytest.approx(shares[1], abs=0.02)
    assert 0.30 <= shares[0] <= 0.40


def test_the_hours_of_the_day_have_their_shares(week, config: Settings) -> None:
    """People pay half an hour after they came, so half an hour's difference is allowed."""
    table = pq.read_table(config.data_dir / HOURS).to_pylist()
    live = Counter(fact.timestamp.hour for _, fact in week if isinstance(fact, e.Pickup) for _ in range(fact.quantity))
    past: Counter[int] = Counter()
    for row in table:
        if SINCE <= row["feature_date"] < UNTIL:
            past[row["hour"]] += row["sales_qty"]
    assert set(live) <= set(range(7, 23))
    behind, at = 0.0, 0.0
    for hour in range(7, 22):
        behind += live[hour] / live.total()
        at += past[hour] / past.total()
        before = at - past[hour] / past.total()
        assert before - 0.03 <= behind <= at + 0.03, f"up to {hour}:59"


def test_three_to_eight_percent_of_what_is_taken_goes_back(week) -> None:
    assert 0.03 <= units(week, e.Putback) / units(week, e.Pickup) <= 0.08


def test_most_baskets_are_small_and_a_few_are_large(week) -> None:
    products = [len({line.shelf_id for line in fact.items}) for _, fact in week if isinstance(fact, e.PosTransaction)]
    few, many = (mean(check(size) for size in products) for check in (lambda n: n <= 4, lambda n: n > 10))
    assert 0.45 <= few <= 0.70
    assert 0.08 <= many <= 0.20
    assert 4 <= mean(products) <= 7


def test_what_belongs_together_is_bought_together(week) -> None:
    """Small baskets with pasta hold a sauce more often than other small baskets do."""
    category = {shelf.shelf_id: shelf.category for shelf in week[0][0].body.shelves}
    small = [
        {category[line.shelf_id] for line in fact.items}
        for _, fact in week
        if isinstance(fact, e.PosTransaction) and 2 <= len(fact.items) <= 4
    ]
    pasta, sauce = "PASTA AND RICE", "PASTA SAUCES"
    with_pasta = mean(sauce in basket for basket in small if pasta in basket)
    without = mean(sauce in basket for basket in small if pasta not in basket)
    assert with_pasta > 2 * without
