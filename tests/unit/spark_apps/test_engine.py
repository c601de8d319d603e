"""Single rules of the engine; its promises for any batching stand in tests/property."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from smartshelf.contracts import events as e
from smartshelf.contracts.rows import ShelfProfile, ShelfState, key_json
from smartshelf.errors import SmartShelfError
from spark_apps.jobs.shelf_aggregator import ShelfAggregator
from spark_apps.runtime import codec
from spark_apps.runtime.engine import Result, StoreEngine
from tests.spark.log import STEP, StoreLog, profile

STAGES = (ShelfAggregator(),)


def engine(values: dict[str, bytes] | None = None) -> StoreEngine:
    return StoreEngine("S01", STAGES, epoch=1, step_seconds=STEP, values=values)


def rows(result: Result) -> dict[str, ShelfState | None]:
    """Shelf -> row sent (None: a tombstone)."""
    return {
        msgspec.json.decode(output.key)["shelf_id"]: output.value and msgspec.json.decode(output.value, type=ShelfState)
        for _, output in result.emitted
        if output.topic == "shelf_state"
    }


def letters(result: Result) -> list[dict[str, str]]:
    return [msgspec.json.decode(output.value) for _, output in result.emitted if output.topic == "dead_letters"]


@pytest.fixture
def log() -> StoreLog:
    return StoreLog(shelves=3).open()


def pickup(log: StoreLog) -> None:
    at = log.at(log.last_step + 1)
    log.fact("shelf_events", e.Pickup, at, customer_id="C", item_weight=1.0, shelf_id=log.shelf_ids[0], quantity=1)


def after(log: StoreLog, done: int) -> list:
    """What was written after the first ``done`` records."""
    return log.written[done:]


def test_a_fact_shows_at_once_and_is_decided_on_only_when_its_step_is_complete(log: StoreLog) -> None:
    store = engine()
    store.process(log.all())
    known = len(log.written)
    pickup(log)
    result = store.process(after(log, known))
    (row,) = rows(result).values()
    assert (row.current_stock, row.in_baskets, row.as_of_step) == (39, 1, 0)
    assert not result.done
    known = len(log.written)
    log.tick(1)
    result = store.process(after(log, known))
    assert not rows(result), "the row was shown before"
    assert result.done == {"shelf_aggregator": 1}


def test_a_tick_waits_until_every_partition_it_names_has_been_read(log: StoreLog) -> None:
    ticks = log.records["sim_ticks"]
    rest = [record for record in log.all() if record.topic != "sim_ticks"]
    store = engine()
    assert store.process([*ticks, *rest[:-1]]).step == -1
    assert store.process(rest[-1:]).step == 0


def test_facts_of_a_night_belong_to_its_last_step(log: StoreLog) -> None:
    store = engine()
    store.process(log.all())
    known = len(log.written)
    pickup(log)
    log.tick(9, k_from=1)
    assert store.process(after(log, known)).done == {"shelf_aggregator": 9}


def test_a_missing_tick_stops_the_store_instead_of_guessing(log: StoreLog) -> None:
    log.tick(3)
    with pytest.raises(RuntimeError, match=r"between step 0 and 3\.0"):
        engine().process(log.all())


def test_a_changed_profile_takes_effect_with_the_cut_that_names_it(log: StoreLog) -> None:
    store = engine()
    store.process(log.all())
    known = len(log.written)
    log.configure(log.shelf_ids[0], maximum_stock=7)
    assert not rows(store.process(after(log, known)))
    known = len(log.written)
    log.tick(0, n=1)
    result = store.process(after(log, known))
    (row,) = rows(result).values()
    assert row.max_stock == 7
    assert (result.done, result.step, result.n) == ({"shelf_aggregator": 0}, 0, 1)


def test_the_same_profile_again_is_no_change(log: StoreLog) -> None:
    store = engine()
    store.process(log.all())
    known = len(log.written)
    log.configure(log.shelf_ids[0])
    log.tick(1)
    assert not rows(store.process(after(log, known)))


def test_a_deleted_profile_takes_the_row_away_and_its_facts_are_refused_until_it_returns(log: StoreLog) -> None:
    store, shelf = engine(), log.shelf_ids[0]
    store.process(log.all())
    known = len(log.written)
    log.write("shelf_profiles", key_json(ShelfProfile, profile("S01", shelf)), None)
    pickup(log)
    log.tick(1)
    result = store.process(after(log, known))
    assert rows(result) == {shelf: None}
    assert [letter["reason"].split(":")[0] for letter in letters(result)] == [f"unknown shelf {shelf}"]
    known = len(log.written)
    log.configure(shelf)
    log.tick(2)
    row = rows(store.process(after(log, known)))[shelf]
    assert (row.current_stock, row.in_baskets) == (40, 0)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"no json", "not of the contract"),
        (b'{"event_type":"pickup"}', "missing required field"),
        (None, "not of the contract"),
    ],
)
def test_a_record_that_is_no_event_is_told_with_its_place_and_the_next_goes_on(
    log: StoreLog, value: bytes | None, reason: str
) -> None:
    bad = log.write("shelf_events", b"S01", value)
    pickup(log)
    log.tick(1)
    result = engine().process(log.all())
    (letter,) = letters(result)
    assert (letter["origin"], letter["store_id"]) == (bad.origin, "S01")
    assert reason in letter["reason"]
    assert rows(result)[log.shelf_ids[0]].current_stock == 39


def test_an_event_that_names_two_stores_is_refused(log: StoreLog) -> None:
    other = StoreLog("S02", shelves=3).open().records["shelf_events"][0]
    log.write("shelf_events", b"S01", other.value)
    log.tick(1)
    (letter,) = letters(engine().process(log.all()))
    assert "two stores" in letter["reason"]


def test_a_receipt_with_one_unknown_shelf_is_refused_whole(log: StoreLog) -> None:
    lines = tuple(
        e.ReceiptLine(line_no=n, shelf_id=shelf, quantity=1, unit_price=1.0, total_price=1.0)
        for n, shelf in enumerate((log.shelf_ids[0], "NOSUCH0001"), 1)
    )
    log.fact(
        "pos_transactions", e.PosTransaction, log.at(1), transaction_id="T", customer_id="C", till_id="T1", items=lines,
        total_items=2, total_amount=2.0,
    )  # fmt: skip
    log.tick(1)
    result = engine().process(log.all())
    assert len(letters(result)) == 1
    assert rows(result)[log.shelf_ids[0]].in_baskets == 0


def test_a_state_of_newer_code_is_refused_with_a_sentence() -> None:
    with pytest.raises(SmartShelfError, match="does not read"):
        engine({"runtime": codec.pack(99, [])})


def test_an_older_format_is_upgraded_step_by_step() -> None:
    upgrades = {1: lambda body: [*body, "two"], 2: lambda body: [*body, "three"]}
    assert codec.unpack(codec.pack(1, ["one"]), 3, "state", upgrades) == ["one", "two", "three"]


def test_time_is_the_end_of_the_step_and_never_a_clock(log: StoreLog) -> None:
    store = engine()
    result = store.process(log.all())
    assert {row.last_update_ts for row in rows(result).values()} == {log.at(0)}
    assert log.at(1) - log.at(0) == timedelta(seconds=STEP)
