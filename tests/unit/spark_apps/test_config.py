"""Policies: which one holds, and what happens to one that cannot be followed."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from smartshelf.contracts.rows import Row, ShelfPolicy, WhPolicy, key_json
from spark_apps.runtime import codec
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.records import Record
from tests.spark.log import profile

A, B, C = "MILKAA0001", "MILKAA0002", "CHEESE0001"
EDITED = datetime(2026, 1, 1, tzinfo=UTC)


class Cut:
    """Records of configuration with rising offsets."""

    def __init__(self) -> None:
        self.config, self.offset = StoreConfig(), 0
        self.take(*(("shelf_profiles", profile("S01", shelf)) for shelf in (A, B)))
        self.take(("shelf_profiles", profile("S01", C, subcategory="CHEESE")))

    def take(self, *rows: tuple[str, Row | str]) -> list[str]:
        """Reasons of what was refused; a text instead of a row is the id of a policy that was deleted."""
        records = []
        for topic, row in rows:
            self.offset += 1
            key = msgspec.json.encode({"policy_id": row}) if isinstance(row, str) else key_json(type(row), row)
            value = None if isinstance(row, str) else msgspec.json.encode(row)
            records.append(Record(topic, 0, self.offset, 0, key, value))
        return [refused.reason for refused in self.config.apply(records)]

    def thresholds(self) -> list[float]:
        """Of A, B and C."""
        rules = self.config.rules
        return [float(rules.shelf["threshold_pct"][rules.row_of[shelf]]) for shelf in (A, B, C)]


def policy(number: int, **says: object) -> ShelfPolicy:
    return ShelfPolicy(policy_id=f"00000000-0000-0000-0000-{number:012d}", updated_at=EDITED, **says)


def test_without_policies_the_products_defaults_hold() -> None:
    assert Cut().thresholds() == [30, 30, 30]


def test_the_narrower_policy_wins_and_a_stores_own_beats_that_of_all_stores() -> None:
    cut = Cut()
    cut.take(
        ("shelf_policies", policy(1, threshold_pct=10.0)),
        ("shelf_policies", policy(2, store_id="S01", threshold_pct=20.0)),
        ("shelf_policies", policy(3, item_subcategory="CHEESE", threshold_pct=40.0)),
        ("shelf_policies", policy(4, store_id="S01", shelf_id=B, threshold_pct=50.0)),
    )
    assert cut.thresholds() == [20, 50, 40]


def test_a_deleted_policy_holds_no_longer() -> None:
    cut = Cut()
    one = policy(1, threshold_pct=10.0)
    cut.take(("shelf_policies", one))
    assert cut.config.changes.policies
    cut.take(("shelf_policies", str(one.policy_id)))
    assert cut.config.changes.policies
    assert cut.thresholds() == [30, 30, 30]


def test_a_policy_that_contradicts_itself_is_refused_with_its_reason_and_the_old_one_stays() -> None:
    cut = Cut()
    cut.take(("shelf_policies", policy(1, threshold_pct=10.0)))
    (reason,) = cut.take(("shelf_policies", policy(1, threshold_pct=90.0, target_pct=80.0)))
    assert "threshold_pct 90 is not below target_pct 80" in reason
    assert cut.thresholds() == [10, 10, 10]
    assert not cut.config.changes.any


def test_the_same_policy_again_is_no_change() -> None:
    cut = Cut()
    cut.take(("wh_policies", WhPolicy(policy_id="1", reorder_point_qty=5)))
    assert cut.config.changes.policies
    cut.take(("wh_policies", WhPolicy(policy_id="1", reorder_point_qty=5)))
    assert not cut.config.changes.any


def test_a_configuration_is_the_same_after_it_was_stored() -> None:
    cut = Cut()
    cut.take(("shelf_policies", policy(1, threshold_pct=10.0)), ("wh_policies", WhPolicy(policy_id="1", safety_days=3)))
    again = StoreConfig.load(cut.config.dump())
    assert again.dump() == cut.config.dump()
    assert again.rules.warehouse["safety_days"].tolist() == [3, 3, 3]
    # Loaded once per worker: what one store's engine takes in must not reach another that loaded the same bytes.
    again.apply(
        [Record("shelf_policies", 0, 99, 0, msgspec.json.encode({"policy_id": str(policy(1).policy_id)}), None)]
    )
    assert StoreConfig.load(cut.config.dump()).dump() == cut.config.dump()


def test_a_configuration_of_the_first_format_has_no_policies_yet() -> None:
    old = codec.pack(1, msgspec.msgpack.encode([profile("S01", A)]))
    config = StoreConfig.load(old)
    assert list(config.profiles) == [A]
    assert config.rules.low.tolist() == [pytest.approx(15)]
