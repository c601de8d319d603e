"""The configured stages and the constants of the step protocol.

The list changes only at a hold; the world waits for every stage named here, Spark runs them in this order.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

#: Five simulated minutes to handle a task and three to walk: what is decided is not done sooner.
TASK_LEAD_SECONDS = 480

#: Stages in the order in which a step runs them.
STAGES: tuple[str, ...] = (
    "shelf_aggregator",
    "batch_state",
    "warehouse_aggregator",
    "wh_batch_state",
    "shelf_alerts",
    "warehouse_alerts",
    "restock_manager",
    "refill_bridge",
    "supplier_manager",
    "daily_discounts",
    "expired_removal",
    "shrink",
    "pos_flattener",
    "daily_features",
)


def lead_steps(step_seconds: int) -> int:
    """L of the protocol: the world may run this many steps ahead of the slowest stage."""
    return ceil(TASK_LEAD_SECONDS / step_seconds)


def step_end(start: datetime, step_seconds: int, k: int) -> datetime:
    """T(k): the simulated instant at which step k ends."""
    return start + timedelta(seconds=k * step_seconds)


def step_of(start: datetime, step_seconds: int, moment: datetime) -> int:
    """The step k with moment in (T(k-1), T(k)]; 0 and below for the opening and before."""
    return ceil((moment - start) / timedelta(seconds=step_seconds))
