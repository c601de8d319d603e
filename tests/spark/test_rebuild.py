"""A checkpoint that is lost, damaged or not ours is told, rebuilt from the brought-forward state, and the same.

Also when Kafka has no longer what came before that state.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from smartshelf.contracts.rows import ShelfState
from smartshelf.io import delta, kafka
from spark_apps import tables
from spark_apps.jobs import raw_sinks, retention
from spark_apps.runtime import recovery
from spark_apps.runtime.retention import DELETED
from tests.spark.log import StoreLog
from tests.spark.running import DECIDING, SparkStore

pytestmark = [pytest.mark.spark, pytest.mark.servers]


def test_a_lost_and_then_a_damaged_checkpoint_are_rebuilt_to_the_same_state(
    spark_store: SparkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = spark_store
    eve = datetime(2026, 1, 31, 23, 50, tzinfo=UTC)
    logs = [StoreLog(name, seed=seed, start=eve).open().live(25) for seed, name in enumerate(("S01", "S02", "S05"))]
    steps = {log.store: log.last_step for log in logs}
    store.feed.feed(*logs)
    store.start(f"{DECIDING},raw_sinks,mirrors")
    store.until_step(**steps)
    store.until(lambda: _is_archived(store), "the archive")
    assert store.stop() == 0
    before, letters = _truth(store), store.letters()
    carried = delta.read(tables.job_state_path(store.config.delta_root))
    assert {(row["store_id"], row["step"]) for row in carried} == {(log.store, 10) for log in logs}

    # Six simulated hours need not pass here: nobody lives a world.
    monkeypatch.setattr(retention, "GRACE", timedelta(minutes=1))
    for _ in range(2):  # the second time there is nothing left to do
        retention.Retention(store.config).look()
        starts = kafka.start_offsets(store.config.kafka_bootstrap, DELETED)
        for topic in ("pos_transactions", "sim_ticks"):
            assert any(starts[topic].values()), f"{topic} of the month that was brought forward is still there"
        for topic in ("shelf_events", "pos_lines"):
            assert not any(starts[topic].values()), f"Postgres has not read {topic}: there is no Connect here"

    shutil.rmtree(store.config.checkpoints / "store" / "v1")
    store.start(DECIDING)
    store.until(lambda: {row.epoch for row in store.states().values()} == {2}, "the new epoch")
    assert "rebuilt as epoch 2: its checkpoint is gone" in store.said()
    assert _truth(store) == before
    assert store.letters() == letters, "what was refused before is not told again"
    assert all(len(set(cuts)) == len(cuts) for cuts in _marks(store).values()), "what was decided is not decided again"

    for log in logs:
        log.live(10)
    store.feed.feed(*logs)
    steps = {log.store: log.last_step for log in logs}
    store.until_step(**steps)
    store.kill()
    _adds_up(store, logs)

    for log in logs:
        log.live(5)
    store.feed.feed(*logs)
    _damage(store)
    store.start(DECIDING)
    assert store.ended() == 3
    assert "its checkpoint is damaged" in store.said()
    store.start(DECIDING)
    steps = {log.store: log.last_step for log in logs}
    store.until_step(**steps)
    assert {row.epoch for row in store.states().values()} == {3}
    _adds_up(store, logs)
    marks = _marks(store)
    assert all(cuts == sorted(set(cuts)) and cuts[-1][0] == steps[name] for name, cuts in marks.items())

    store.kill()
    shutil.rmtree(store.config.checkpoints / "store" / "v3")
    shutil.rmtree(tables.job_state_path(store.config.delta_root))
    store.start(DECIDING)
    assert store.ended() == 2, "what Kafka still holds is only a part"
    assert "Kafka no longer holds the facts" in store.said()


def _is_archived(store: SparkStore) -> bool:
    reached = recovery.committed_offsets(raw_sinks.folder(store.config)).get("shelf_events", {})
    ends = kafka.end_offsets(store.config.kafka_bootstrap, ["shelf_events"])["shelf_events"]
    return bool(reached) and reached == ends


def _truth(store: SparkStore) -> dict[tuple[str, str], ShelfState]:
    return {key: msgspec.structs.replace(row, epoch=0, as_of_step=0) for key, row in store.states().items()}


def _marks(store: SparkStore) -> dict[str, list[tuple[int, int]]]:
    return {
        name: [(mark.k, mark.n) for mark in marks if mark.stage == "shelf_aggregator"]
        for name, marks in store.done().items()
    }


def _adds_up(store: SparkStore, logs: list[StoreLog]) -> None:
    states = store.states()
    for log in logs:
        for shelf, places in log.plain_sum().items():
            row = states[log.store, shelf]
            assert (row.current_stock, row.in_baskets) == (places.get("SHELF", 0), places.get("BASKET", 0))


def _damage(store: SparkStore) -> None:
    """Cut every file of the state store short, as a lost disk write would."""
    files = [path for path in (store.config.checkpoints / "store" / "v2" / "state").rglob("*") if path.is_file()]
    cut = [path for path in files if path.suffix in (".changelog", ".zip")]
    assert cut
    for path in cut:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
