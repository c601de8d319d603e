from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producers import body as bodies
from producers import replay
from producers.replay import Columns, Reading, read_feed, read_mapping
from smartshelf.contracts import events as e
from smartshelf.errors import BadInput
from smartshelf.settings import CHECKOUT
from tests.memory import MemoryStore
from tests.worlds import DAY_STEPS, START, STEP, facts_of, lived, log_of, opened

LONG = Reading(columns=Columns(sales="units", hour="hour"))


def wide(path: Path, *rows: dict[str, object], **columns: list[object]) -> Path:
    """Two products of one store on two days, three units at 8 and one at 21 o'clock."""
    usual = [
        {
            "store_id": 7,
            "product_id": product,
            "date": day,
            **{f"h{hour:02d}": {8: 3, 21: 1}.get(hour, 0) for hour in range(24)},
        }
        for product in ("11", "12")
        for day in ("2024-03-28", "2024-03-29")
    ]
    return _write(path, [row | other for row, other in zip(usual, rows or [{}] * 4, strict=True)], columns)


def _write(path: Path, rows: list[dict[str, object]], columns: dict[str, list[object]]) -> Path:
    rows = [row | {name: values[index] for name, values in columns.items()} for index, row in enumerate(rows)]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def replayed(
    feed: replay.Feed, steps: int = 2 * DAY_STEPS, rows: dict[str, dict[str, int]] | None = None
) -> MemoryStore:
    store = opened()
    worlds = store.worlds(START, STEP)
    newcomers = replay.make_bodies(feed, START, 1, rows or {})
    assert worlds.join({name: bodies.pack(body) for name, body in newcomers.items()}) == sorted(newcomers)
    lived(store, steps)
    return store


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_wide_file_becomes_stores_shelves_and_whole_units(tmp_path: Path, suffix: str) -> None:
    feed = read_feed(wide(tmp_path / f"sales{suffix}"), Reading())
    (store,) = feed.stores.values()
    assert list(feed.stores) == ["R7"]
    assert [profile.shelf_id for profile in store.profiles] == ["SH-11", "SH-12"]
    assert feed.days == 2
    assert store.sold.tolist() == [
        [day, hour, shelf, n] for day in (0, 1) for hour, n in ((8, 3), (21, 1)) for shelf in (0, 1)
    ]


def test_a_long_file_with_an_hour_column_is_the_same_feed(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"store_id": 7, "product_id": product, "date": day, "hour": hour, "units": units}
        for product in ("11", "12")
        for day in ("2024-03-28", "2024-03-29")
        for hour, units in ((8, 3), (21, 1))
    ]
    long = read_feed(_write(tmp_path / "long.csv", rows, {}), LONG)
    short = read_feed(wide(tmp_path / "wide.csv"), Reading())
    assert long.stores["R7"].sold.tolist() == short.stores["R7"].sold.tolist()


def test_the_hour_of_a_long_file_may_stand_in_its_timestamps(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"store_id": 7, "product_id": "11", "date": "2024-03-28T08:00:00Z", "units": 2}]
    feed = read_feed(_write(tmp_path / "long.csv", rows, {}), Reading(columns=Columns(sales="units")))
    assert feed.stores["R7"].sold.tolist() == [[0, 8, 0, 2]]


def test_fractions_are_scaled_and_carried_through_the_day(tmp_path: Path) -> None:
    halves = {f"h{hour:02d}": 0.05 for hour in range(24)}
    feed = read_feed(wide(tmp_path / "sales.csv", halves, {}, {}, {}), Reading(quantity_scale=10))
    sold = feed.stores["R7"].sold
    assert sold[(sold[:, 0] == 0) & (sold[:, 2] == 0), 3].sum() == 12


def test_every_problem_is_named_with_its_rows_in_one_message(tmp_path: Path) -> None:
    path = wide(
        tmp_path / "sales.csv",
        {"date": "soon", "h03": "many"},
        {"h04": -2, "h05": "1e9"},
        {"product_id": "11", "date": "2024-03-29", "h04": -1},
        {"product_id": ""},
    )
    with pytest.raises(BadInput) as refused:
        read_feed(path, Reading())
    message = str(refused.value)
    assert "Nothing was done" in message
    for expected in (
        "bad date (date) in row 1, for example 'soon'",
        "no number (h03) in row 1, for example 'many'",
        "negative sales (h04) in rows 2-3, for example '-2'",
        "more than 10000 units in an hour (h05) in row 2",
        "no product or one with unusual signs (product_id) in row 4",
        "the same store, product, day twice in row 3",
    ):
        assert expected in message


def test_missing_columns_are_named_together_with_what_else_is_wrong(tmp_path: Path) -> None:
    path = _write(tmp_path / "sales.csv", [{"store_id": 1, "sku": 2, "date": "2024-13-28", "units": -1}], {})
    with pytest.raises(BadInput) as refused:
        read_feed(path, LONG)
    assert refused.value.problems == (
        "missing columns: product_id, hour (the file has: store_id, sku, date, units)",
        "bad date (date) in row 1, for example '2024-13-28'",
        "negative sales (units) in row 1, for example '-1'",
    )


def test_a_missing_date_column_is_not_also_a_bad_date(tmp_path: Path) -> None:
    path = _write(tmp_path / "sales.csv", [{"store_id": 1, "product_id": 2, "hour": 4, "units": 1}], {})
    with pytest.raises(BadInput) as refused:
        read_feed(path, LONG)
    assert refused.value.problems == ("missing columns: date (the file has: store_id, product_id, hour, units)",)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("store_id,product_id,date,hour,units\n")
    with pytest.raises(BadInput, match="no rows"):
        read_feed(path, LONG)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("quantity_scale: -1", "quantity_scale"),
        ("price_defualt: 2", "price_defualt"),
        ("opens: '25:00'\nstart: someday", "opens"),
        ("columns: [store]", "columns"),
    ],
)
def test_a_wrong_mapping_names_line_and_setting(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(content)
    with pytest.raises(BadInput, match=rf"line 1.*{complaint}"):
        read_mapping(path)


@pytest.mark.parametrize("name", ["nothing.csv", "sales.xlsx", "broken.parquet"])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str) -> None:
    if "nothing" not in name:
        (tmp_path / name).write_bytes(b"no table")
    with pytest.raises(BadInput, match=name):
        read_feed(tmp_path / name, Reading())


def test_the_committed_mapping_is_valid() -> None:
    mapping = read_mapping(CHECKOUT / "conf" / "replay" / "freshretail.yaml")
    assert (mapping.quantity_scale, mapping.stock, mapping.start) == (10, "assumed", "now")


def test_sales_become_pickups_and_receipts_within_their_hour(tmp_path: Path) -> None:
    store = replayed(read_feed(wide(tmp_path / "sales.csv"), Reading()))
    taken, paid = Counter(), Counter()
    for _, _, event in log_of(store):
        if event.store_id != "R7":
            continue
        when = (event.timestamp.day, event.timestamp.hour)
        if isinstance(event, e.Pickup):
            taken[when, event.shelf_id] += event.quantity
        elif isinstance(event, e.PosTransaction):
            for line in event.items:
                paid[when, line.shelf_id] += line.quantity
    expected = {
        ((day, hour), shelf): n for day in (1, 2) for hour, n in ((8, 3), (21, 1)) for shelf in ("SH-11", "SH-12")
    }
    assert taken == paid == Counter(expected)
    assert not any(
        isinstance(event, e.FootTraffic | e.Entry) and event.store_id == "R7" for _, _, event in log_of(store)
    )


def test_shelves_are_filled_when_the_store_joins_and_at_every_opening(tmp_path: Path) -> None:
    store = replayed(read_feed(wide(tmp_path / "sales.csv"), Reading()))
    counts = facts_of(store, e.Count)
    assert {count.reason for count in counts} == {"replay_assumed"}
    first, second = counts[:2], counts[2:]
    assert [(count.adjustment, count.quantity) for count in first] == [(12, 12)] * 2
    assert [(count.adjustment, count.quantity) for count in second] == [(4, 12)] * 2
    assert {(count.timestamp.day, count.timestamp.hour) for count in second} == {(2, 6)}, "the step that ends at 07:00"


def test_a_stock_column_sets_what_lies_there_and_limits_what_is_sold(tmp_path: Path) -> None:
    path = wide(tmp_path / "sales.csv", stock=[2, 5, 9, 1])
    store = replayed(read_feed(path, Reading(stock="stock")))
    counted = [(count.shelf_id, count.quantity, count.adjustment) for count in facts_of(store, e.Count)]
    assert counted == [("SH-11", 2, 2), ("SH-12", 9, 9), ("SH-11", 5, 5), ("SH-12", 1, -4)]
    lost = [event for event in facts_of(store, e.LostDemand) if event.store_id == "R7"]
    assert sum(event.quantity for event in lost) == 2 + 3, (
        "two units of SH-11 on the first, three of SH-12 on the second day"
    )


def test_a_file_that_starts_at_a_date_of_its_own_is_not_shifted(tmp_path: Path) -> None:
    mapping = Reading.model_validate({"start": "2026-01-02"})
    store = replayed(read_feed(wide(tmp_path / "sales.csv"), mapping), DAY_STEPS * 2)
    days = {event.timestamp.day for event in facts_of(store, e.Pickup) if event.store_id == "R7"}
    assert days == {2}


def test_a_replay_that_is_killed_goes_on_with_the_very_same_customers(tmp_path: Path) -> None:
    feed = read_feed(wide(tmp_path / "sales.csv"), Reading())
    smooth = replayed(feed, 200)
    killed = opened()
    newcomers = {name: bodies.pack(body) for name, body in replay.make_bodies(feed, START, 1, {}).items()}
    killed.worlds(START, STEP).join(newcomers)
    for second in range(3_700, 7_200, 97):
        lived(killed, 0, slices=[second * 1_000])  # a new process each time
    lived(killed, 200)
    assert log_of(killed) == log_of(smooth)
    assert killed.hashes["world:R7"] == smooth.hashes["world:R7"]


def test_a_store_that_is_there_is_not_replayed_over(tmp_path: Path) -> None:
    class Redis:
        def hgetall(self, _: str) -> dict[bytes, bytes]:
            return {b"stores": b'["S01","R7"]'}

    with pytest.raises(BadInput, match="R7"):
        replay.check_free(Redis(), ["R7", "R8"])  # type: ignore[arg-type]
    replay.check_free(Redis(), ["R8"])  # type: ignore[arg-type]
