"""Which policy holds where."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations
from uuid import UUID

import numpy as np
import pytest

from smartshelf.contracts.rows import ShelfPolicy, WhPolicy
from smartshelf.domain.policy import SHELF_DEFAULTS, WAREHOUSE_DEFAULTS, Scopes, contradictions, resolve

SCOPES = Scopes.of(["A1", "A2", "B1"], ["DRINKS", "DRINKS", "BREAD"], ["Water", "Juice", "Loaf"])


def policy(number: int, **said: object) -> ShelfPolicy:
    return ShelfPolicy(policy_id=str(UUID(int=number)), **said)  # type: ignore[arg-type]


def threshold(*policies: ShelfPolicy) -> list[float]:
    return resolve(policies, SCOPES, "S01", SHELF_DEFAULTS)["threshold_pct"].tolist()


def test_without_policies_the_defaults_of_the_product_hold() -> None:
    in_force = resolve([], SCOPES, "S01", SHELF_DEFAULTS)
    assert {name: column.tolist() for name, column in in_force.items()} == {
        "threshold_pct": [30.0] * 3,
        "min_qty": [0.0] * 3,
        "target_pct": [80.0] * 3,
        "cooldown_minutes": [60.0] * 3,
        "near_expiry_days": [5.0] * 3,
    }


def test_shelf_beats_subcategory_beats_category_beats_store_beats_default() -> None:
    rows = [
        policy(1, store_id="S01", threshold_pct=10),
        policy(2, item_category="DRINKS", threshold_pct=20),
        policy(3, item_subcategory="Water", threshold_pct=40),
        policy(4, shelf_id="A1", threshold_pct=50),
    ]
    assert threshold() == [30, 30, 30]
    assert threshold(*rows[:1]) == [10, 10, 10]
    assert threshold(*rows[:2]) == [20, 20, 10]
    assert threshold(*rows[:3]) == [40, 20, 10]
    assert {tuple(threshold(*order)) for order in permutations(rows)} == {(50.0, 20.0, 10.0)}


def test_a_policy_that_is_silent_about_a_field_leaves_the_less_specific_one_in_force() -> None:
    in_force = resolve(
        [policy(1, store_id="S01", target_pct=90), policy(2, shelf_id="A1", threshold_pct=50)],
        SCOPES,
        "S01",
        SHELF_DEFAULTS,
    )
    assert in_force["target_pct"].tolist() == [90, 90, 90]
    assert in_force["threshold_pct"].tolist() == [50, 30, 30]


def test_policies_of_other_stores_and_inactive_ones_do_not_count() -> None:
    assert threshold(policy(1, store_id="S02", threshold_pct=5), policy(2, active=False, threshold_pct=6)) == [30] * 3


def test_of_two_equally_specific_policies_the_stores_own_then_the_last_edited_holds() -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    everywhere = policy(9, item_category="DRINKS", threshold_pct=11, updated_at=late)
    here = policy(1, store_id="S01", item_category="DRINKS", threshold_pct=12, updated_at=early)
    edited = policy(2, store_id="S01", item_category="DRINKS", threshold_pct=13, updated_at=late)
    assert threshold(here, everywhere) == [12, 12, 30]
    assert threshold(edited, here) == threshold(here, edited) == [13, 13, 30]


def test_a_scope_of_category_and_subcategory_holds_where_both_apply() -> None:
    assert threshold(policy(1, item_category="BREAD", item_subcategory="Water", threshold_pct=1)) == [30] * 3


def test_a_policy_for_a_shelf_nobody_has_changes_nothing() -> None:
    assert threshold(policy(1, shelf_id="Z9", threshold_pct=1)) == [30] * 3


def test_warehouse_levels_that_nobody_stated_are_left_to_the_order_rule() -> None:
    in_force = resolve([], SCOPES, "S01", WAREHOUSE_DEFAULTS)
    assert np.isnan(in_force["reorder_point_qty"]).all()
    assert in_force["service_level"].tolist() == [0.95] * 3


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"threshold_pct": 80, "target_pct": 50}, "threshold_pct 80 is not below target_pct 50"),
        ({"threshold_pct": 85}, "threshold_pct 85 is not below target_pct 80"),
        ({"threshold_pct": 80}, "threshold_pct 80 is not below target_pct 80"),
        ({"threshold_pct": -1}, "threshold_pct -1 is not a percentage"),
        ({"target_pct": 101}, "target_pct 101 is not a percentage"),
        ({"min_qty": -3}, "min_qty -3 is negative"),
    ],
)
def test_a_shelf_policy_that_contradicts_itself_or_its_defaults_is_rejected_with_the_reason(
    said: dict[str, float], why: str
) -> None:
    assert why in " ".join(contradictions(policy(1, **said), SHELF_DEFAULTS))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"reorder_point_qty": 50, "order_up_to_qty": 40}, "order_up_to_qty 40 is below reorder_point_qty 50"),
        ({"service_level": 1.0}, "service_level 1 is not"),
        ({"safety_days": -2.0}, "safety_days -2 is negative"),
    ],
)
def test_a_warehouse_policy_that_contradicts_itself_is_rejected_with_the_reason(
    said: dict[str, float], why: str
) -> None:
    row = WhPolicy(policy_id=str(UUID(int=1)), **said)  # type: ignore[arg-type]
    assert why in " ".join(contradictions(row, WAREHOUSE_DEFAULTS))


def test_a_sound_policy_has_no_contradiction() -> None:
    assert contradictions(policy(1, threshold_pct=20, target_pct=100, min_qty=3), SHELF_DEFAULTS) == []
    base_stock = WhPolicy(policy_id=str(UUID(int=1)), reorder_point_qty=40, order_up_to_qty=40)
    assert contradictions(base_stock, WAREHOUSE_DEFAULTS) == []
