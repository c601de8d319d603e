"""Which policy holds for which shelf, and which policies contradict themselves.

A policy row names a scope (shelf, subcategory, category, store; null = any) and says something about some
fields (null = says nothing). For every field the most specific active row that speaks about it wins:
shelf > subcategory > category > store > default. Among equally specific rows one of this very store beats one of
all stores, then the one edited last wins, then the larger policy id, so that the order of rows never matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

#: What holds where nobody said anything (percent, units, minutes, days, share).
SHELF_DEFAULTS: Mapping[str, float] = {
    "threshold_pct": 30.0,
    "min_qty": 0.0,
    "target_pct": 80.0,
    "cooldown_minutes": 60.0,
    "near_expiry_days": 5.0,
}
#: NaN: not stated, the ordering rule derives it.
WAREHOUSE_DEFAULTS: Mapping[str, float] = {
    "reorder_point_qty": np.nan,
    "order_up_to_qty": np.nan,
    "safety_days": 2.0,
    "near_expiry_days": 10.0,
    "service_level": 0.95,
}

_NEVER = datetime.min.replace(tzinfo=UTC)
_SHELF, _SUBCATEGORY, _CATEGORY, _STORE = 4, 3, 2, 1


class Policy(Protocol):
    """What a row of shelf_policies or wh_policies has in common."""

    policy_id: Any
    store_id: str | None
    shelf_id: str | None
    item_category: str | None
    item_subcategory: str | None
    active: bool
    updated_at: datetime | None


@dataclass(frozen=True, eq=False)
class Scopes:
    """Rows of the shelves in every scope a policy can name; made once per set of shelves."""

    shelves: Mapping[str, NDArray[np.int64]]
    subcategories: Mapping[str, NDArray[np.int64]]
    categories: Mapping[str, NDArray[np.int64]]
    count: int

    @classmethod
    def of(cls, shelf_id: Sequence[str], category: Sequence[str], subcategory: Sequence[str]) -> Scopes:
        """From columns over shelves."""
        return cls(_rows(shelf_id), _rows(subcategory), _rows(category), len(shelf_id))

    def select(self, policy: Policy) -> NDArray[np.int64]:
        """Rows of the shelves that lie in every part of the policy's scope."""
        chosen: NDArray[np.int64] | None = None
        for index, name in (
            (self.shelves, policy.shelf_id),
            (self.subcategories, policy.item_subcategory),
            (self.categories, policy.item_category),
        ):
            if name is not None:
                rows = index.get(name, np.empty(0, dtype=np.int64))
                chosen = rows if chosen is None else np.intersect1d(chosen, rows, assume_unique=True)
        return np.arange(self.count) if chosen is None else chosen


def resolve(
    policies: Iterable[Policy], scopes: Scopes, store_id: str, defaults: Mapping[str, float]
) -> dict[str, Column]:
    """The value in force of every field of ``defaults``, one row per shelf."""
    columns = {name: np.full(scopes.count, value) for name, value in defaults.items()}
    mine = [policy for policy in policies if policy.active and policy.store_id in (None, store_id)]
    for policy in sorted(mine, key=_precedence):
        rows = scopes.select(policy)
        for name, column in columns.items():
            said = getattr(policy, name)
            if said is not None:
                column[rows] = said
    return columns


def contradictions(policy: Any, defaults: Mapping[str, float] = {}) -> list[str]:
    """Why this policy cannot be followed, one sentence each; empty when it can.

    ``defaults`` fill what the policy leaves open, so that a target below an inherited threshold is found too.
    """

    def say(name: str) -> float | None:
        said = getattr(policy, name, None)
        said = defaults.get(name) if said is None else said
        return None if said is None or said != said else float(said)

    wrong = []
    for name in ("threshold_pct", "target_pct"):
        value = say(name)
        if value is not None and not 0 <= value <= 100:
            wrong.append(f"{name} {value:g} is not a percentage between 0 and 100.")
    for name in ("min_qty", "cooldown_minutes", "near_expiry_days", "reorder_point_qty", "order_up_to_qty"):
        value = say(name)
        if value is not None and value < 0:
            wrong.append(f"{name} {value:g} is negative.")
    safety, service = say("safety_days"), say("service_level")
    if safety is not None and safety < 0:
        wrong.append(f"safety_days {safety:g} is negative.")
    if service is not None and not 0.5 <= service < 1:
        wrong.append(f"service_level {service:g} is not at least 0.5 and below 1.")
    threshold, target = say("threshold_pct"), say("target_pct")
    if threshold is not None and target is not None and threshold >= target:
        wrong.append(f"threshold_pct {threshold:g} is not below target_pct {target:g}: every refill would ask for one.")
    point, level = say("reorder_point_qty"), say("order_up_to_qty")
    if point is not None and level is not None and level < point:
        wrong.append(f"order_up_to_qty {level:g} is below reorder_point_qty {point:g}: no order could be enough.")
    return wrong


def _precedence(policy: Policy) -> tuple[int, bool, datetime, str]:
    if policy.shelf_id is not None:
        scope = _SHELF
    elif policy.item_subcategory is not None:
        scope = _SUBCATEGORY
    elif policy.item_category is not None:
        scope = _CATEGORY
    else:
        scope = _STORE
    return scope, policy.store_id is not None, policy.updated_at or _NEVER, str(policy.policy_id)


def _rows(names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    found: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        found.setdefault(str(name), []).append(row)
    return {name: np.array(rows, dtype=np.int64) for name, rows in found.items()}
